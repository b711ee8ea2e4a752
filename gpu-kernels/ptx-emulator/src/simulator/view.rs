//! The view of a segment that a thread of a launch has, and what the views of threads have in common.
//!
//! A thread reads the segment as it was before the launch, and its writes go to pages of its own. If no thread has accessed
//! what another one has written, then the threads together did what one thread does, and their writes are copied back.

use std::ops::Range;
use std::sync::Arc;

use super::content::{Content, covers, set_bits};

/// The size in bytes of the parts that a thread copies.
const PAGE: usize = 4096;

/// The view of a segment that a thread has.
pub struct View {
    /// The segment before the launch.
    base: Arc<Content>,
    accessed: Accessed,
}

/// The bytes of a segment that a thread has read or written.
#[derive(Default)]
pub struct Accessed {
    /// The bytes of the copied pages, and the mask of those that the thread has written. It is empty until the first write.
    own: Content,
    /// Whether the thread has a copy of each page, in the order of the pages.
    copied: Vec<bool>,
    /// The mask of the words that the thread has read. It is empty until the first read.
    read: Vec<u8>,
}

impl View {
    /// Returns the view of a thread that has accessed nothing.
    pub fn new(base: &Arc<Content>) -> Self {
        Self { base: base.clone(), accessed: Accessed::default() }
    }

    /// Returns what the thread has accessed, and gives the segment back.
    pub fn into_accessed(self) -> Accessed {
        self.accessed
    }

    pub fn own(&self) -> &Content {
        &self.accessed.own
    }

    pub fn own_mut(&mut self) -> &mut Content {
        &mut self.accessed.own
    }

    /// Returns which of the eight bytes from `8 * i` on were written, before the launch or by this thread.
    #[inline]
    pub fn written(&self, i: usize) -> u8 {
        let before = self.base.written.get(i).copied().unwrap_or(0xff);
        before | self.accessed.own.written.get(i).copied().unwrap_or(0)
    }

    /// Returns whether all of `len <= 16` bytes were written.
    #[inline]
    pub fn is_written(&self, at: usize, len: usize) -> bool {
        covers(|i| self.written(i), at, len)
    }

    /// Returns bytes of which `len` bytes at `at` are valid.
    #[inline]
    pub fn bytes_at(&mut self, at: usize, len: usize) -> &[u8] {
        let pages = pages(at, len);
        if self.accessed.copied.is_empty() || !self.accessed.copied[pages.clone()].contains(&true) {
            return &self.base.bytes;
        }
        self.copy(pages);
        &self.accessed.own.bytes
    }

    /// Returns bytes for a write, of which `len` bytes at `at` are valid.
    #[inline]
    pub fn bytes_mut(&mut self, at: usize, len: usize) -> &mut [u8] {
        if self.accessed.copied.is_empty() {
            let size = self.base.bytes.len();
            (self.accessed.own, self.accessed.copied) = (Content::unwritten(size), vec![false; size.div_ceil(PAGE)]);
        }
        self.copy(pages(at, len));
        &mut self.accessed.own.bytes
    }

    /// Copies pages that the thread has not copied.
    #[inline]
    fn copy(&mut self, pages: Range<usize>) {
        for page in pages {
            if !std::mem::replace(&mut self.accessed.copied[page], true) {
                let bytes = page * PAGE..(page * PAGE + PAGE).min(self.base.bytes.len());
                self.accessed.own.bytes[bytes.clone()].copy_from_slice(&self.base.bytes[bytes]);
            }
        }
    }

    /// Notes a read of `len` bytes.
    #[inline]
    pub fn note_read(&mut self, at: usize, len: usize) {
        if self.accessed.read.is_empty() {
            self.accessed.read = vec![0; self.base.bytes.len() / 32 + 1];
        }
        set_bits(&mut self.accessed.read, at / 4, (at + len - 1) / 4);
    }
}

impl Accessed {
    /// Iterates over the copied pages, as the ranges of their bytes in the masks of written bytes.
    fn copied_masks(&self) -> impl Iterator<Item = Range<usize>> {
        let bytes = self.own.bytes.len();
        let pages = self.copied.iter().enumerate().filter(|(_, copied)| **copied);
        pages.map(move |(page, _)| page * PAGE / 8..(page * PAGE + PAGE).min(bytes).div_ceil(8))
    }

    /// Returns whether the thread has read or written what `writer` has written.
    pub fn depends_on(&self, writer: &Self) -> bool {
        let accessed = |i: usize| {
            let written = writer.own.written[i];
            let words = self.read.get(i / 4).map_or(0, |words| words >> (2 * (i % 4)));
            let reads = words & 1 != 0 && written & 0x0f != 0 || words & 2 != 0 && written & 0xf0 != 0;
            reads || self.own.written.get(i).is_some_and(|own| own & written != 0)
        };
        let untouched = |masks: &Range<usize>| {
            let none =
                |mask: &[u8], range: Range<usize>| mask.get(range).is_none_or(|mask| mask.iter().all(|i| *i == 0));
            none(&self.own.written, masks.clone()) && none(&self.read, masks.start / 4..masks.end.div_ceil(4))
        };
        writer.copied_masks().filter(|masks| !untouched(masks)).any(|masks| masks.into_iter().any(accessed))
    }

    /// Copies what the thread has written to the segment.
    pub fn copy_back(&self, segment: &mut Content) {
        for i in self.copied_masks().flatten() {
            let written = self.own.written[i];
            for at in (8 * i..8 * i + 8).filter(|at| written >> (at % 8) & 1 == 1) {
                segment.bytes[at] = self.own.bytes[at];
            }
            if !segment.written.is_empty() {
                segment.written[i] |= written;
            }
        }
    }
}

/// Returns the pages of `len` bytes.
#[inline(always)]
fn pages(at: usize, len: usize) -> Range<usize> {
    at / PAGE..(at + len).div_ceil(PAGE)
}
