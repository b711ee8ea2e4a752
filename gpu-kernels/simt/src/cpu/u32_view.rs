//! Memory of `u32` elements.

#[cfg(feature = "race-check")]
use super::race::Lanes;
use super::view::View;
#[cfg(feature = "race-check")]
use crate::space::Kind;
#[cfg(feature = "race-check")]
use crate::target::HALF_WARP;

/// Memory of `u32` elements, such as tokens and the offsets at which documents begin, with the contract of [`View`].
#[derive(Clone, Copy, Debug)]
pub struct U32View(pub(super) View);

impl View {
    /// Returns the same memory as a view of `u32` elements.
    #[inline(always)]
    pub fn as_u32(self) -> U32View {
        U32View(self)
    }
}

impl U32View {
    /// Returns a view of the `len` elements at `ptr`.
    ///
    /// # Safety
    /// The conditions of [`View::new`] hold. If nothing is stored, `ptr` need not be valid for writes.
    #[inline(always)]
    pub unsafe fn new(ptr: *const u32, len: usize) -> Self {
        // SAFETY: the caller keeps the contract of `View::new`.
        Self(unsafe { View::new(ptr.cast_mut().cast(), len) })
    }

    /// Returns the address of the first element, for the arguments of a launch on another device.
    pub fn as_ptr(self) -> *const u32 {
        self.0.ptr.cast_const().cast()
    }

    #[inline(always)]
    #[track_caller]
    fn element(self, i: usize) -> *mut u32 {
        self.0.check_bounds(i, 1);
        self.0.element(i)
    }

    /// Returns the view that begins `offset` elements later.
    #[inline(always)]
    pub fn at(self, offset: usize) -> Self {
        Self(self.0.at(offset))
    }

    /// Loads element `i` in every lane.
    #[inline(always)]
    #[track_caller]
    pub fn load_scalar(self, i: usize) -> usize {
        #[cfg(feature = "race-check")]
        self.0.record(i, 1, Lanes::All, Kind::Read);
        // SAFETY: by the contract of `new` or of `View`, the element lies within the array.
        unsafe { *self.element(i) as usize }
    }

    /// Loads element `i` and marks it as warp-uniform, for values that control flow depends on.
    #[inline(always)]
    #[track_caller]
    pub fn load_uniform(self, i: usize) -> usize {
        self.load_scalar(i)
    }

    /// Copies the first `count` elements of `from`. Each lane copies every 32nd.
    #[inline(always)]
    #[track_caller]
    pub fn copy_from(self, from: Self, count: usize) {
        for i in 0..count {
            #[cfg(feature = "race-check")]
            {
                let lane = Lanes::One((i % (2 * HALF_WARP)) as u32);
                from.0.record(i, 1, lane, Kind::Read);
                self.0.record(i, 1, lane, Kind::Write);
            }
            // SAFETY: by the contract of `new` or of `View`, both elements lie within the arrays.
            unsafe { *self.element(i) = *from.element(i) };
        }
    }

    /// Stores element `i`. Every lane holds the same value.
    #[inline(always)]
    #[track_caller]
    pub fn store_scalar(self, i: usize, x: usize) {
        #[cfg(feature = "race-check")]
        self.0.record(i, 1, Lanes::All, Kind::Write);
        // SAFETY: by the contract of `new` or of `View`, the element lies within the array.
        unsafe { *self.element(i) = x as u32 }
    }
}
