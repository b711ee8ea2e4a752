//! The recognition of files that are not UTF-8 text, for an error that names what they are.

use crate::error::Error;

/// The marks at the start of a text, and its encoding. A mark of UTF-32 begins with one of UTF-16.
const MARKS: [(&[u8], &str); 4] =
    [(b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16LE"), (b"\xfe\xff", "UTF-16BE")];

/// The first bytes of files that are not text, and the kind of the file.
const SIGNATURES: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
];

/// Returns an error that names another encoding or another kind of file, if the bytes show it. Text in units of several
/// bytes may also be valid UTF-8.
pub(super) fn recognised(bytes: &[u8], is_utf8: bool, name: &str) -> Option<Error> {
    let name = name.to_owned();
    let first = |kinds: &[(&[u8], &'static str)]| {
        kinds.iter().find(|(first, _)| !is_utf8 && bytes.starts_with(first)).map(|&(_, kind)| kind)
    };
    match first(&MARKS).or_else(|| wide(bytes, is_utf8)) {
        Some(encoding) => Some(Error::OtherEncoding { name, encoding }),
        None => first(&SIGNATURES).map(|kind| Error::NotText { name, kind }),
    }
}

/// Returns the encoding of text in units of two or four bytes, which may also be valid UTF-8. Without a byte order mark,
/// the NUL bytes tell it, which Latin letters, spaces and line ends have there.
fn wide(bytes: &[u8], is_utf8: bool) -> Option<&'static str> {
    // The first megabyte shows the encoding of a longer text.
    let bytes = &bytes[..bytes.len().min(1 << 20)];
    if !bytes.contains(&0) {
        return None;
    }
    let units = bytes.as_chunks::<4>().0;
    let is_utf32 = |high: [usize; 2]| {
        let is_character = |unit: &[u8; 4]| unit[high[0]] == 0 && unit[high[1]] <= 0x10 && *unit != [0; 4];
        units.len() > 1 && units.iter().all(is_character)
    };
    match () {
        () if is_utf32([3, 2]) || is_utf32([0, 1]) => Some("UTF-32"),
        () if is_utf16(bytes, 0, is_utf8) => Some("UTF-16LE"),
        () if is_utf16(bytes, 1, is_utf8) => Some("UTF-16BE"),
        () => None,
    }
}

/// Returns whether bytes are UTF-16, whose characters have their low byte at index `low` of two.
fn is_utf16(bytes: &[u8], low: usize, is_utf8: bool) -> bool {
    let pairs = bytes.as_chunks::<2>().0;
    let count =
        |is_counted: &dyn Fn(u8, u8) -> bool| pairs.iter().filter(|pair| is_counted(pair[low], pair[1 - low])).count();
    if pairs.is_empty() || count(&|low, _| low == 0) > 0 {
        return false;
    }
    // Characters of the scripts that are written with spaces have a high byte below that of printable ASCII.
    let alphabetic = count(&|_, high| high < b' ');
    let (ends, newlines) =
        (count(&|low, high| [low, high] == [b'\n', 0]), count(&|low, high| [low, high].contains(&b'\n')));
    alphabetic * 10 > pairs.len() * 9 || (!is_utf8 && ends * 2 > newlines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the UTF-16 text, in little-endian or in big-endian order.
    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn utf_16_without_a_mark_is_known_by_its_nul_bytes() {
        for text in ["emma\nolivia\n", "иван\nмария\nпётр\n", "さくら\n花子\n", "ab", "emma\r\nzoë\r\n"]
        {
            let known = |bytes: &[u8]| wide(bytes, str::from_utf8(bytes).is_ok());
            assert_eq!(known(&utf16(text, u16::to_le_bytes)), Some("UTF-16LE"), "{text}");
            assert_eq!(known(&utf16(text, u16::to_be_bytes)), Some("UTF-16BE"), "{text}");
            assert_eq!(known(text.as_bytes()), None, "{text}");
        }
        let utf32: Vec<u8> = "zoë\nさくら\n".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        assert_eq!(wide(&utf32, true), Some("UTF-32"));
    }

    #[test]
    fn utf_8_with_nul_characters_stays_utf_8() {
        for text in ["", "emma\0\nolivia\0\nava\n", "a\0b\0c\n\0d\nef\n\n", "さ\0\nく\0\n", "abc\0", "\0\0\0\0\0\0\0\0"]
        {
            assert_eq!(wide(text.as_bytes(), true), None, "{text:?}");
        }
    }

    #[test]
    fn other_files_are_known_by_their_first_bytes() {
        let message = |bytes: &[u8]| recognised(bytes, false, "it").map(|error| error.to_string());
        for (bytes, expected) in [
            (&b"\x1f\x8b\x08\0"[..], "it is a gzip archive, not a text"),
            (b"\xff\xfee\0", "it is encoded as UTF-16LE, not UTF-8"),
            (b"\xff\xfe\0\0e\0\0\0", "it is encoded as UTF-32, not UTF-8"),
        ] {
            assert_eq!(message(bytes).as_deref(), Some(expected));
        }
        assert_eq!(message(b"zo\xeb"), None);
        assert!(recognised(b"BZhang", true, "it").is_none());
    }
}
