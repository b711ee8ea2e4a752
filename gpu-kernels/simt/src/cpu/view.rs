//! Memory that the warps of a block share.

use core::simd::Simd;

use super::channels::F32x16;
use super::lanes::F32x32;
#[cfg(feature = "race-check")]
use super::race::Lanes;
use super::transpose::transpose;
#[cfg(feature = "race-check")]
use crate::space::Kind;
use crate::target::HALF_WARP;

/// Memory that a kernel's host has allocated, read and written by lanes. Offsets and strides count elements of four
/// bytes.
///
/// The methods are safe to call from ops, but in release builds they check nothing. Their soundness rests on the contract
/// of [`View::new`], which holds for the view, for its copies, and for every view made from it. Whoever calls `new`
/// vouches that no access leaves the array, that the array outlives the views, and that no other launch uses it
/// meanwhile. Only `unsafe` functions make views. So a kernel's caller, who vouches for the pointers of its argument
/// struct, vouches for the views too.
///
/// Debug builds and the race checker check the bounds of every access on the CPU, and the emulator those on a GPU.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub(super) ptr: *mut f32,
    /// The addresses of the array's beginning and end.
    #[cfg(any(debug_assertions, feature = "race-check"))]
    pub(super) bounds: (usize, usize),
    /// The array's name, or an empty text.
    #[cfg(any(debug_assertions, feature = "race-check"))]
    pub(super) name: &'static str,
}

// SAFETY: the warps of a launch may share a view, by the contract of `View::new`.
unsafe impl Send for View {}
// SAFETY: as for `Send`.
unsafe impl Sync for View {}

impl View {
    /// Returns a view of the `len` elements at `ptr`.
    ///
    /// # Safety
    /// While the view or a view made from it is in use, `ptr` is valid for reads and writes of `len` elements, only
    /// warps of the same launch access these elements, and every access through these views stays within these
    /// elements.
    #[inline(always)]
    pub unsafe fn new(ptr: *mut f32, len: usize) -> Self {
        // SAFETY: the caller keeps the contract of `of_bytes`.
        unsafe { Self::of_bytes(ptr.cast(), size_of::<f32>() * len) }
    }

    /// Returns a view of the `len` bytes at `ptr`, for elements of any type.
    ///
    /// # Safety
    /// The conditions of [`Self::new`] hold for bytes in place of elements. If nothing is stored, `ptr` need not be valid
    /// for writes. The address is a multiple of the elements' size.
    #[inline(always)]
    #[cfg_attr(not(any(debug_assertions, feature = "race-check")), allow(unused_variables))]
    pub(crate) unsafe fn of_bytes(ptr: *mut u8, len: usize) -> Self {
        Self {
            ptr: ptr.cast(),
            #[cfg(any(debug_assertions, feature = "race-check"))]
            bounds: (ptr as usize, ptr as usize + len),
            #[cfg(any(debug_assertions, feature = "race-check"))]
            name: "",
        }
    }

    /// Returns the view with a name, by which debug builds and the race checker report an access out of bounds.
    #[inline(always)]
    #[cfg_attr(not(any(debug_assertions, feature = "race-check")), allow(unused_variables, unused_mut))]
    pub fn named(mut self, name: &'static str) -> Self {
        #[cfg(any(debug_assertions, feature = "race-check"))]
        {
            self.name = name;
        }
        self
    }

    /// Returns the address of the first element, for the arguments of a launch on another device.
    pub fn as_ptr(self) -> *mut f32 {
        self.ptr
    }

    /// Returns the view that begins `offset` elements later.
    #[inline(always)]
    pub fn at(mut self, offset: usize) -> Self {
        self.ptr = self.ptr.wrapping_add(offset);
        self
    }

    /// Returns the view that begins `offset` bytes later.
    #[inline(always)]
    pub(crate) fn at_bytes(mut self, offset: usize) -> Self {
        self.ptr = self.ptr.wrapping_byte_add(offset);
        self
    }

    /// Returns the view as it is, because a CPU has one memory.
    #[inline(always)]
    pub fn in_global_memory(self) -> Self {
        self
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn read16(self, i: usize) -> F32x16 {
        self.check_bounds(i, HALF_WARP);
        // SAFETY: 16 elements from `i` on lie within the array (see `View`).
        F32x16(unsafe { self.ptr.add(i).cast::<Simd<f32, HALF_WARP>>().read_unaligned() })
    }

    #[inline(always)]
    #[track_caller]
    fn write16(self, i: usize, x: F32x16) {
        self.check_bounds(i, HALF_WARP);
        // SAFETY: 16 elements from `i` on lie within the array (see `View`).
        unsafe { self.ptr.add(i).cast::<Simd<f32, HALF_WARP>>().write_unaligned(x.0) }
    }

    /// Loads the 16 elements from `i` on, one for each channel.
    #[inline(always)]
    #[track_caller]
    pub fn load(self, i: usize) -> F32x16 {
        #[cfg(feature = "race-check")]
        self.record(i, HALF_WARP, Lanes::BothHalves, Kind::Read);
        self.read16(i)
    }

    /// Stores the 16 elements from `i` on, one from each channel.
    #[inline(always)]
    #[track_caller]
    pub fn store(self, i: usize, x: F32x16) {
        #[cfg(feature = "race-check")]
        self.record(i, HALF_WARP, Lanes::BothHalves, Kind::Write);
        self.write16(i, x);
    }

    /// Loads two rows. The lower half-warp gets the 16 elements from `i` on, and the upper one gets those from
    /// `i + stride` on.
    #[inline(always)]
    #[track_caller]
    pub fn load_halves(self, i: usize, stride: usize) -> F32x32 {
        #[cfg(feature = "race-check")]
        for half in 0..2 {
            self.record(i + half * stride, HALF_WARP, Lanes::Half(half as u32), Kind::Read);
        }
        F32x32(self.read16(i), self.read16(i + stride))
    }

    /// Stores two rows, the lower half-warp from `i` on and the upper one from `i + stride` on.
    #[inline(always)]
    #[track_caller]
    pub fn store_halves(self, i: usize, stride: usize, x: F32x32) {
        #[cfg(feature = "race-check")]
        for half in 0..2 {
            self.record(i + half * stride, HALF_WARP, Lanes::Half(half as u32), Kind::Write);
        }
        self.write16(i, x.0);
        self.write16(i + stride, x.1);
    }

    /// Stores a block of 16 by 16 elements transposed. `rows` holds the block's pairs of rows `(2k, 2k + 1)`. Element
    /// `[r, c]` goes to `i + c * stride + r`.
    #[inline(always)]
    #[track_caller]
    pub fn store_transposed(self, i: usize, stride: usize, rows: [F32x32; HALF_WARP / 2]) {
        #[cfg(feature = "race-check")]
        for column in 0..HALF_WARP {
            self.record(i + column * stride, HALF_WARP, Lanes::Column(column), Kind::Write);
        }
        for (pair, columns) in transpose(rows).into_iter().enumerate() {
            self.write16(i + 2 * pair * stride, columns.0);
            self.write16(i + (2 * pair + 1) * stride, columns.1);
        }
    }

    /// Loads element `i` in every lane.
    #[inline(always)]
    #[track_caller]
    pub fn load_scalar(self, i: usize) -> f32 {
        #[cfg(feature = "race-check")]
        self.record(i, 1, Lanes::All, Kind::Read);
        self.value(i)
    }

    /// Stores element `i`. Every lane holds the same value.
    #[inline(always)]
    #[track_caller]
    pub fn store_scalar(self, i: usize, x: f32) {
        #[cfg(feature = "race-check")]
        self.record(i, 1, Lanes::All, Kind::Write);
        self.check_bounds(i, 1);
        // SAFETY: the element lies within the array (see `View`).
        unsafe { *self.ptr.add(i) = x }
    }

    /// Asks for the cache line of element `i`, which a later access will need. The element may lie outside of the array.
    #[inline(always)]
    #[cfg_attr(any(not(target_arch = "x86_64"), miri), allow(unused_variables, clippy::unused_self))]
    pub fn prefetch(self, i: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            // SAFETY: every x86-64 processor has the instruction, which has no effect on what the program computes.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(self.ptr.wrapping_add(i).cast()) };
        }
    }

    /// Returns element `i` in every lane of the lower half-warp and element `i + stride` in every lane of the upper one.
    #[inline(always)]
    #[track_caller]
    pub fn broadcast_halves(self, i: usize, stride: usize) -> F32x32 {
        #[cfg(feature = "race-check")]
        for half in 0..2 {
            self.record(i + half * stride, 1, Lanes::AllOfHalf(half as u32), Kind::Read);
        }
        F32x32(F32x16::splat(self.value(i)), F32x16::splat(self.value(i + stride)))
    }

    /// Returns four adjacent elements in every lane, those from `i` on in the lower half-warp and those from `i + stride`
    /// on in the upper one. Both are multiples of four.
    #[inline(always)]
    #[track_caller]
    pub fn broadcast_quads(self, i: usize, stride: usize) -> [F32x32; 4] {
        [
            self.broadcast_halves(i, stride),
            self.broadcast_halves(i + 1, stride),
            self.broadcast_halves(i + 2, stride),
            self.broadcast_halves(i + 3, stride),
        ]
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn value(self, i: usize) -> f32 {
        self.check_bounds(i, 1);
        // SAFETY: the element lies within the array (see `View`).
        unsafe { *self.ptr.add(i) }
    }

    /// Returns the view that begins `offset` elements later, with its address in a register.
    ///
    /// Otherwise LLVM's loop strength reduction keeps a pointer for each access of a loop body. There are more pointers
    /// than registers, and LLVM takes long to choose the pointers. On `aarch64` LLVM loads all windows first, and
    /// spills them.
    #[inline(always)]
    pub fn window(self, offset: usize, _is_const: bool) -> Self {
        self.at(offset).in_register()
    }

    #[inline(always)]
    fn in_register(self) -> Self {
        #[cfg_attr(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri), expect(unused_mut))]
        let mut view = self;
        // Miri does not interpret assembly.
        #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
        #[expect(clippy::pointers_in_nomem_asm_block, reason = "the pointer is only a value here")]
        // SAFETY: the block contains no instruction.
        unsafe {
            core::arch::asm!("/* {} */", inout(reg) view.ptr, options(pure, nomem, nostack, preserves_flags));
        }
        view
    }

    /// Returns the view as it is, because no address needs hiding on the CPU.
    #[inline(always)]
    pub(crate) fn hide_address(self) -> Self {
        self
    }

    /// Returns the view as it is, because only a GPU loads faster from another order of the elements.
    #[inline(always)]
    pub fn even_first(self) -> Self {
        self
    }
}
