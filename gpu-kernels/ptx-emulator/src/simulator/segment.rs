//! A segment of memory, which also stores which bytes were written and which accesses were the last ones.

use std::sync::Arc;

use super::buffer::Buffer;
use super::content::Content;
use super::shadow::Shadows;
use super::view::{Accessed, View};

/// The bytes of a segment, or the view that a thread of a launch has of them.
enum Bytes {
    Own(Content),
    View(Box<View>),
}

pub struct Segment {
    size: usize,
    bytes: Bytes,
    /// Whether the bytes are memory of the host, which does not count as memory of the device.
    pub is_host: bool,
    /// The last accesses.
    pub shadows: Shadows,
}

impl Segment {
    /// Returns `size` uninitialised bytes.
    pub fn new(size: usize) -> Self {
        Self::of(Content::unwritten(size))
    }

    /// Returns `size` zeros that count as written.
    pub fn zeroed(size: usize) -> Self {
        Self::of(Content { bytes: Buffer::zeroed(size), written: Vec::new() })
    }

    /// Returns a segment of host memory, whose bytes count as written.
    pub fn host(bytes: Buffer) -> Self {
        Self { is_host: true, ..Self::of(Content { bytes, written: Vec::new() }) }
    }

    fn of(content: Content) -> Self {
        let (size, shadows) = (content.bytes.len(), Shadows::default());
        Self { size, bytes: Bytes::Own(content), is_host: false, shadows }
    }

    /// Returns the view of a thread that has accessed nothing.
    pub fn view(content: &Arc<Content>) -> Self {
        let bytes = Bytes::View(Box::new(View::new(content)));
        Self { size: content.bytes.len(), bytes, is_host: false, shadows: Shadows::default() }
    }

    /// Takes the bytes, which [`Segment::put_content`] puts back.
    pub fn take_content(&mut self) -> Content {
        match &mut self.bytes {
            Bytes::Own(content) => std::mem::take(content),
            Bytes::View(_) => unreachable!("only the memory of a device is shared"),
        }
    }

    pub fn put_content(&mut self, content: Content) {
        self.bytes = Bytes::Own(content);
    }

    /// Returns what a thread has accessed, if this is its view.
    pub fn into_accessed(self) -> Accessed {
        match self.bytes {
            Bytes::Own(_) => Accessed::default(),
            Bytes::View(view) => view.into_accessed(),
        }
    }

    /// Sets all bytes to zero, which count as uninitialised again, and forgets all accesses.
    pub fn clear(&mut self) {
        let content = self.content_mut();
        content.bytes.fill(0);
        content.written.fill(0);
        self.shadows.clear();
    }

    /// Returns the number of bytes.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.size
    }

    /// Returns whether this is the view of a thread.
    #[inline(always)]
    pub fn is_view(&self) -> bool {
        matches!(self.bytes, Bytes::View(_))
    }

    /// Returns the bytes and their mask, or those that a thread has copied.
    #[inline(always)]
    fn content(&self) -> &Content {
        match &self.bytes {
            Bytes::Own(content) => content,
            Bytes::View(view) => view.own(),
        }
    }

    #[inline(always)]
    fn content_mut(&mut self) -> &mut Content {
        match &mut self.bytes {
            Bytes::Own(content) => content,
            Bytes::View(view) => view.own_mut(),
        }
    }

    /// Returns the bytes of a segment that is not a view.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        &self.content().bytes
    }

    /// Returns bytes of which `len` bytes at `at` are valid.
    #[inline(always)]
    pub fn bytes_at(&mut self, at: usize, len: usize) -> &[u8] {
        match &mut self.bytes {
            Bytes::Own(content) => &content.bytes,
            Bytes::View(view) => view.bytes_at(at, len),
        }
    }

    /// Returns bytes for a write, of which `len` bytes at `at` are valid.
    #[inline(always)]
    pub fn bytes_mut(&mut self, at: usize, len: usize) -> &mut [u8] {
        match &mut self.bytes {
            Bytes::Own(content) => &mut content.bytes,
            Bytes::View(view) => view.bytes_mut(at, len),
        }
    }

    /// Notes that a kernel reads bytes, by which threads find that they depend on each other.
    #[inline(always)]
    pub fn note_read(&mut self, at: usize, len: usize) {
        if let Bytes::View(view) = &mut self.bytes {
            view.note_read(at, len);
        }
    }

    /// Writes on behalf of the host, without a race check.
    pub fn fill(&mut self, at: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes_mut(at, bytes.len())[at..at + bytes.len()].copy_from_slice(bytes);
            self.mark_written(at, bytes.len());
        }
    }

    /// Returns whether all of `len <= 16` bytes were written.
    #[inline]
    pub fn is_written(&self, at: usize, len: usize) -> bool {
        match &self.bytes {
            Bytes::Own(content) => content.is_written(at, len),
            Bytes::View(view) => view.is_written(at, len),
        }
    }

    /// Returns whether all bytes of a range were written. For a range of more than a few bytes, the answer may be no by
    /// mistake.
    #[inline]
    pub fn is_range_written(&self, at: usize, len: usize) -> bool {
        if len <= 16 {
            return self.is_written(at, len);
        }
        // Every bit of the bytes between the first and the last one counts.
        let bytes = at / 8..(at + len).div_ceil(8);
        match &self.bytes {
            Bytes::Own(Content { written, .. }) => {
                written.is_empty() || written[bytes].iter().fold(0xff, |all, bits| all & bits) == 0xff
            }
            Bytes::View(view) => bytes.into_iter().all(|i| view.written(i) == 0xff),
        }
    }

    /// Sets the `width <= 8` bytes of a value.
    #[inline(always)]
    pub fn set(&mut self, at: usize, width: usize, value: u64) {
        let (bytes, target) = (value.to_le_bytes(), &mut self.bytes_mut(at, width)[at..at + width]);
        match width {
            4 => target.copy_from_slice(&bytes[..4]),
            8 => target.copy_from_slice(&bytes),
            width => target.copy_from_slice(&bytes[..width]),
        }
    }

    /// Marks bytes as written.
    #[inline(always)]
    pub fn mark_written(&mut self, at: usize, len: usize) {
        self.content_mut().mark_written(at, len);
    }

    /// Reads `len <= 16` bytes for a kernel, the first of them as the lowest.
    #[inline(always)]
    pub fn load(&mut self, at: usize, len: usize) -> u128 {
        self.note_read(at, len);
        value(&self.bytes_at(at, len)[at..at + len])
    }

    /// Reads `len <= 16` bytes of a segment that is not a view.
    #[inline(always)]
    pub fn read(&self, at: usize, len: usize) -> u128 {
        value(&self.bytes()[at..at + len])
    }

    /// Writes at most 16 bytes and returns whether they differ from the previous ones.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        let target = &mut self.bytes_mut(at, bytes.len())[at..at + bytes.len()];
        let changed = target != bytes;
        target.copy_from_slice(bytes);
        self.mark_written(at, bytes.len());
        changed
    }

    /// Copies bytes, and whether each of them was written, within a segment that is not a view.
    pub fn copy(&mut self, from: usize, to: usize, len: usize) {
        let Content { bytes, written } = self.content_mut();
        bytes.copy_within(from..from + len, to);
        for i in 0..if written.is_empty() { 0 } else { len } {
            let bit = written[(from + i) / 8] >> ((from + i) % 8) & 1;
            let byte = &mut written[(to + i) / 8];
            *byte = *byte & !(1 << ((to + i) % 8)) | bit << ((to + i) % 8);
        }
    }
}

/// Returns the value of at most 16 bytes, the first of them as the lowest.
#[inline(always)]
fn value(source: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    // A copy of a constant length is one instruction, and any other one calls the C library.
    match source.len() {
        4 => bytes[..4].copy_from_slice(source),
        8 => bytes[..8].copy_from_slice(source),
        16 => bytes.copy_from_slice(source),
        len => bytes[..len].copy_from_slice(source),
    }
    u128::from_le_bytes(bytes)
}
