//! Arrays in the host's memory for the kernels.

use crate::error::OutOfMemory;

/// An array of floats at the alignment of the widest vectors.
pub(super) struct Buffer(Vec<Line>);

#[derive(Clone, Copy)]
#[repr(align(64))]
#[expect(dead_code, reason = "read and written as floats, through the slices below")]
struct Line([f32; 16]);

impl Buffer {
    /// Returns `len` zeros, rounded up to whole lines.
    pub(super) fn zeros(len: usize) -> Result<Self, OutOfMemory> {
        let lines = len.div_ceil(16);
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(lines).map_err(|_| OutOfMemory(64 * lines))?;
        buffer.resize(lines, Line([0.0; 16]));
        Ok(Self(buffer))
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        // SAFETY: `Line` has the layout of 16 floats, because its size is 64 bytes without padding.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), 16 * self.0.len()) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: `Line` has the layout of 16 floats, because its size is 64 bytes without padding.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), 16 * self.0.len()) }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}
