//! Bytes, with the mask of those that were written.

use super::buffer::Buffer;

/// Returns whether a memory of `size` bytes contains `len` bytes at `offset`.
#[inline]
pub fn contains(size: u64, offset: u64, len: usize) -> bool {
    offset.checked_add(len as u64).is_some_and(|end| end <= size)
}

/// Returns whether the bits of all of `len <= 16` bytes at `at` are set in a mask of bytes `mask(i)`.
#[inline]
pub fn covers(mask: impl Fn(usize) -> u8, at: usize, len: usize) -> bool {
    let byte = |i: usize| u32::from(mask(at / 8 + i));
    let bits = (byte(0) | byte(1) << 8 | byte(2) << 16) >> (at % 8);
    let all = (1 << len) - 1;
    bits & all == all
}

/// Sets the bits of a mask from `first` to `last`.
#[inline(always)]
pub fn set_bits(mask: &mut [u8], first: usize, last: usize) {
    let (from, to) = (0xff << (first % 8), 0xff >> (7 - last % 8));
    let (first, last) = (first / 8, last / 8);
    if first == last {
        mask[first] |= from & to;
        return;
    }
    mask[first] |= from;
    mask[first + 1..last].fill(0xff);
    mask[last] |= to;
}

/// The bytes of a segment.
#[derive(Default)]
pub struct Content {
    pub bytes: Buffer,
    /// The mask of the written bytes, one bit per byte, or empty if all bytes count as written.
    pub written: Vec<u8>,
}

impl Content {
    /// Returns `size` zeros of which none count as written.
    pub fn unwritten(size: usize) -> Self {
        Self { bytes: Buffer::zeroed(size), written: vec![0; size / 8 + 3] }
    }

    /// Marks bytes as written.
    #[inline(always)]
    pub fn mark_written(&mut self, at: usize, len: usize) {
        if !self.written.is_empty() {
            set_bits(&mut self.written, at, at + len - 1);
        }
    }

    /// Returns whether all of `len <= 16` bytes were written.
    #[inline]
    pub fn is_written(&self, at: usize, len: usize) -> bool {
        self.written.is_empty() || covers(|i| self.written[i], at, len)
    }
}
