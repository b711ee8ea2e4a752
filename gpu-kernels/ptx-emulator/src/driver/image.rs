//! The images of modules, which are PTX, or fat binaries with PTX inside.
//!
//! NVIDIA does not document fat binaries. The offsets below are those that the tools of CUDA 11 to 13 write.

use std::io::Read;

use super::codes::{self, Code};

/// The first word of a wrapper of a fat binary, which holds its address.
const WRAPPER: u32 = 0x4662_43b1;

/// The first word of a fat binary.
const FAT_BINARY: u32 = 0xba55_ed50;

/// The kind of an entry with PTX.
const PTX: u16 = 1;

/// The flags of entries that are compressed.
const LZ4: u64 = 0x2000;
const ZSTD: u64 = 0x8000;

/// The largest size in bytes of a module, which bounds what a damaged header can make the emulator allocate.
const MAX_SIZE: u64 = 1 << 30;

/// The line between the modules that a linker has joined.
pub const NEXT_MODULE: &str = "\n// ptx-emulator: the next linked module\n";

/// The reason why an image is not loaded, as a code and a message for the log.
pub type Refusal = (Code, String);

/// The kind of an image, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// Text, which a null byte ends.
    Text,
    Elf,
    /// A fat binary, with the bytes of its header.
    Fat,
    /// A wrapper with the address of a fat binary in bytes 8 to 16.
    Wrapper,
}

impl ImageKind {
    /// Returns the kind of the image that begins with these bytes.
    pub fn of(first: &[u8]) -> Self {
        match u32_at(first, 0) {
            Some(WRAPPER) => Self::Wrapper,
            Some(FAT_BINARY) => Self::Fat,
            _ if first.starts_with(b"\x7fELF") => Self::Elf,
            _ => Self::Text,
        }
    }
}

/// Returns the size of a fat binary in bytes from the first 16 of them, or `None` if they are not of a fat binary.
pub fn fat_size(header: &[u8]) -> Option<usize> {
    let size = u64::from(u16_at(header, 6)?).checked_add(u64_at(header, 8)?)?;
    (ImageKind::of(header) == ImageKind::Fat && size <= MAX_SIZE).then_some(size as usize)
}

/// Returns a refusal without a message.
pub fn unnamed(code: Code) -> Refusal {
    (code, String::new())
}

/// Returns the refusal of a fat binary whose parts do not fit together.
pub fn damaged() -> Refusal {
    (codes::INVALID_IMAGE, "the fat binary is damaged".into())
}

/// Returns the refusal of machine code.
pub fn only_machine_code() -> Refusal {
    let hint = "compile to PTX (nvcc: -gencode arch=compute_90,code=compute_90, NVRTC: --gpu-architecture=compute_90)";
    (codes::NO_BINARY_FOR_GPU, format!("the image holds machine code (SASS) alone, and the emulator runs PTX; {hint}"))
}

/// An entry of a fat binary.
struct Entry<'a> {
    /// The architecture, as in `sm_90`.
    architecture: u32,
    flags: u64,
    payload: &'a [u8],
    /// The size after decompression.
    size: u64,
}

/// Returns the PTX of an image for devices of an architecture.
pub fn ptx_of(image: &[u8], architecture: u32) -> Result<String, Refusal> {
    match ImageKind::of(image) {
        ImageKind::Elf => Err(only_machine_code()),
        ImageKind::Text => text_of(image),
        ImageKind::Fat => {
            let whole = fat_size(image).and_then(|size| image.get(..size));
            fat_ptx(whole.ok_or_else(damaged)?, architecture)
        }
        ImageKind::Wrapper => {
            Err((codes::INVALID_IMAGE, "the image is the wrapper of a fat binary, which lies in other memory".into()))
        }
    }
}

/// Returns the text before the first null byte.
fn text_of(bytes: &[u8]) -> Result<String, Refusal> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8(bytes[..end].to_vec())
        .map_err(|error| (codes::INVALID_IMAGE, format!("the PTX is no text: {error}")))
}

/// Returns the PTX of a fat binary for the newest architecture up to `architecture`.
fn fat_ptx(bytes: &[u8], architecture: u32) -> Result<String, Refusal> {
    let mut at = usize::from(u16_at(bytes, 6).ok_or_else(damaged)?);
    let mut found: Option<Entry> = None;
    let mut refused = Vec::new();
    while let Some(header) = bytes.get(at..).filter(|rest| rest.len() >= 64) {
        let entry = entry(header).ok_or_else(damaged)?;
        at = at.checked_add(entry.1).ok_or_else(damaged)?;
        let Some(entry) = entry.0 else { continue };
        if entry.architecture > architecture {
            refused.push(format!("compute_{}", entry.architecture));
        } else if found.as_ref().is_none_or(|found| entry.architecture > found.architecture) {
            found = Some(entry);
        }
    }
    let Some(found) = found else {
        if refused.is_empty() {
            return Err(only_machine_code());
        }
        let message = format!("the fat binary has PTX for {} alone, newer than sm_{architecture}", refused.join(", "));
        return Err((codes::NO_BINARY_FOR_GPU, message));
    };
    text_of(&decompressed(&found).ok_or_else(damaged)?)
}

/// Returns the entry at the start of `bytes` if it holds PTX, and the distance to the next entry.
fn entry(bytes: &[u8]) -> Option<(Option<Entry<'_>>, usize)> {
    let (header, size) = (u32_at(bytes, 4)? as usize, usize::try_from(u64_at(bytes, 8)?).ok()?);
    let next = header.checked_add(size).filter(|next| *next > 0 && header >= 64)?;
    if u16_at(bytes, 0)? != PTX {
        return Some((None, next));
    }
    let (flags, packed) = (u64_at(bytes, 40)?, u32_at(bytes, 16)? as usize);
    let compressed = flags & (LZ4 | ZSTD) != 0;
    let payload = bytes.get(header..next)?;
    let payload = if compressed { payload.get(..packed)? } else { payload };
    Some((Some(Entry { architecture: u32_at(bytes, 28)?, flags, payload, size: u64_at(bytes, 56)? }), next))
}

fn decompressed(entry: &Entry) -> Option<Vec<u8>> {
    if entry.flags & (LZ4 | ZSTD) == 0 {
        return Some(entry.payload.to_vec());
    }
    let size = usize::try_from(entry.size).ok().filter(|_| entry.size <= MAX_SIZE)?;
    let text = if entry.flags & LZ4 != 0 {
        lz4_flex::block::decompress(entry.payload, size).ok()?
    } else {
        let (mut text, decoder) = (Vec::new(), ruzstd::decoding::StreamingDecoder::new(entry.payload).ok()?);
        decoder.take(entry.size).read_to_end(&mut text).ok()?;
        text
    };
    (text.len() == size).then_some(text)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ".version 8.0\n.target sm_75\n// a comment, a comment, a comment\n";

    /// Returns an entry with this payload, padded to eight bytes.
    fn entry(kind: u16, architecture: u32, flags: u64, payload: &[u8], size: usize) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..2].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&64u32.to_le_bytes());
        bytes[8..16].copy_from_slice(&(payload.len() as u64).next_multiple_of(8).to_le_bytes());
        bytes[16..20].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes[28..32].copy_from_slice(&architecture.to_le_bytes());
        bytes[40..48].copy_from_slice(&flags.to_le_bytes());
        bytes[56..64].copy_from_slice(&(size as u64).to_le_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn fat(entries: &[Vec<u8>]) -> Vec<u8> {
        let body = entries.concat();
        let mut bytes = FAT_BINARY.to_le_bytes().to_vec();
        bytes.extend([1, 0, 16, 0]);
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn the_newest_ptx_that_the_device_supports_is_taken() {
        let newest = |text: &str, architecture| entry(PTX, architecture, 0, text.as_bytes(), 0);
        let image = fat(&[entry(2, 80, 0, b"sass", 0), newest("old", 52), newest(TEXT, 75), newest("new", 90)]);
        assert_eq!(ImageKind::of(&image), ImageKind::Fat);
        assert_eq!(fat_size(&image), Some(image.len()));
        assert_eq!(fat_ptx(&image, 86).as_deref(), Ok(TEXT));
    }

    #[test]
    fn compressed_ptx_is_decompressed() {
        let lz4 = lz4_flex::block::compress(TEXT.as_bytes());
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let zstd = ruzstd::encoding::compress_to_vec(TEXT.as_bytes(), level);
        for (flag, payload) in [(LZ4, lz4), (ZSTD, zstd)] {
            let image = fat(&[entry(PTX, 75, flag, &payload, TEXT.len())]);
            assert_eq!(fat_ptx(&image, 75).as_deref(), Ok(TEXT));
            let longer = fat(&[entry(PTX, 75, flag, &payload, TEXT.len() + 1)]);
            assert_eq!(fat_ptx(&longer, 75), Err(damaged()), "the size is checked");
        }
    }

    #[test]
    fn images_without_a_usable_entry_are_refused_with_the_reason() {
        let code = |image: &[u8]| fat_ptx(image, 75).unwrap_err();
        assert!(code(&fat(&[entry(2, 80, 0, b"sass", 0)])).1.contains("machine code"));
        assert!(code(&fat(&[entry(PTX, 90, 0, b"new", 0)])).1.contains("compute_90"));
        let whole = fat(&[entry(PTX, 75, LZ4, b"\xff\xff\xff\xff", 1 << 20)]);
        assert_eq!(code(&whole).0, codes::INVALID_IMAGE);
        let valid = fat(&[entry(PTX, 75, 0, TEXT.as_bytes(), 0)]);
        assert_eq!(ptx_of(&[&valid[..], b"more"].concat(), 75).as_deref(), Ok(TEXT));
        for len in 4..valid.len() {
            assert_eq!(ptx_of(&valid[..len], 75), Err(damaged()), "{len} bytes of {}", valid.len());
        }
    }
}
