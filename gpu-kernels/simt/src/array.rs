//! Arrays in memory, as views that know their elements and their state space.

use core::marker::PhantomData;

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
use crate::element::{Element, Scalar};
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::lanes::Lanes;
use crate::space::{GlobalMemory, Kind, Space, Writable};
use crate::target::WARP;
use backend::{F32x32, Mask32, U32x32, View, Word};

/// An array of elements `E` in the memory `S`, which a kernel accesses in a launch, or in a block for `'a`.
///
/// [`Launch::array`](crate::Launch::array) and [`KernelBlock::shared`](crate::KernelBlock::shared) give arrays. The
/// lifetime ends with the launch or with the block's use of the memory, so that no array is used later or in another
/// block. Copies of an array are the same memory.
///
/// Debug builds and the race checker check the bounds of every access on the CPU, and the emulator those on a GPU.
/// Release builds check nothing, and the caller of a launch vouches for the accesses.
pub struct Array<'a, E, S = GlobalMemory> {
    view: View,
    marker: PhantomData<(&'a (), E, S)>,
}

// A derived implementation would ask for `Copy` elements.
impl<E, S> Clone for Array<'_, E, S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<E, S> Copy for Array<'_, E, S> {}

impl<'a, E: Element, S: Space> Array<'a, E, S> {
    /// Returns the array that begins at the view.
    #[inline(always)]
    pub(crate) fn new(view: View) -> Self {
        Self { view, marker: PhantomData }
    }

    /// Returns the array that begins `offset` elements later.
    #[inline(always)]
    pub fn at(self, offset: usize) -> Self {
        Self::new(self.view.at_bytes(<E::Word as Word>::BYTES * offset))
    }

    /// Returns the same memory as an array of other elements. The array begins at a multiple of the element's size.
    #[inline(always)]
    pub fn cast<F: Element>(self) -> Array<'a, F, S> {
        Array::new(self.view)
    }

    /// Loads the 32 elements from `i` on, one for each lane.
    #[inline(always)]
    #[track_caller]
    pub fn load_lanes(self, i: usize) -> E::Lanes {
        self.record(Mask32::splat(true), i, U32x32::lane_index(), Kind::Read);
        // SAFETY: 32 elements from `i` on lie within the array, by the contract of `Launch::new`.
        E::from_word(unsafe { E::Word::load::<S>(self.view, i) })
    }

    /// Loads the elements from `i` on in the lanes of the mask, and returns `otherwise` in the others.
    #[inline(always)]
    #[track_caller]
    pub fn load_where(self, mask: Mask32, i: usize, otherwise: E::Lanes) -> E::Lanes {
        self.record(mask, i, U32x32::lane_index(), Kind::Read);
        // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
        E::from_word(unsafe { E::Word::load_where::<S>(self.view, mask, i, E::to_word(otherwise)) })
    }

    /// Loads the element at each lane's index in the lanes of the mask, and returns `otherwise` in the others. An index
    /// is below 2^29.
    #[inline(always)]
    #[track_caller]
    pub fn gather(self, mask: Mask32, index: U32x32, otherwise: E::Lanes) -> E::Lanes {
        self.record(mask, 0, index, Kind::Read);
        // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
        E::from_word(unsafe { E::Word::gather::<S>(self.view, mask, index, E::to_word(otherwise)) })
    }

    /// Loads element `i`, the same in all lanes.
    #[inline(always)]
    #[track_caller]
    pub fn load_scalar(self, i: usize) -> Scalar<E> {
        self.view.record_scalar(<E::Word as Word>::BYTES, i, Kind::Read);
        // SAFETY: the element lies within the array, by the contract of `Launch::new`.
        E::from_word(unsafe { E::Word::load_scalar::<S>(self.view, i) }).uniform()
    }

    /// Checks the bounds of the elements at the lanes' indices after element `i`, in the lanes of the mask, and records
    /// the accesses for the race checker.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn record(self, mask: Mask32, i: usize, index: U32x32, kind: Kind) {
        self.view.record_lanes(<E::Word as Word>::BYTES, mask, i, index, kind);
    }

    /// Returns the array's name, or a text that stands for it.
    pub(crate) fn name(self) -> &'static str {
        self.view.name()
    }

    /// Returns the array's memory.
    #[inline(always)]
    pub(crate) fn view(self) -> View {
        self.view
    }
}

impl<E: Element, S: Writable> Array<'_, E, S> {
    /// Stores the 32 elements from `i` on, one from each lane.
    #[inline(always)]
    #[track_caller]
    pub fn store_lanes(self, i: usize, x: E::Lanes) {
        self.record(Mask32::splat(true), i, U32x32::lane_index(), Kind::Write);
        // SAFETY: 32 elements from `i` on lie within the array, by the contract of `Launch::new`.
        unsafe { E::Word::store(self.view, i, E::to_word(x)) }
    }

    /// Stores the elements from `i` on in the lanes of the mask.
    #[inline(always)]
    #[track_caller]
    pub fn store_where(self, mask: Mask32, i: usize, x: E::Lanes) {
        self.record(mask, i, U32x32::lane_index(), Kind::Write);
        // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
        unsafe { E::Word::store_where(self.view, mask, i, E::to_word(x)) }
    }

    /// Stores the element at each lane's index in the lanes of the mask. The indices differ. An index is below 2^29.
    #[inline(always)]
    #[track_caller]
    pub fn scatter(self, mask: Mask32, index: U32x32, x: E::Lanes) {
        self.record(mask, 0, index, Kind::Write);
        // SAFETY: the elements of the lanes in the mask lie within the array, by the contract of `Launch::new`.
        unsafe { E::Word::scatter(self.view, mask, index, E::to_word(x)) }
    }

    /// Stores element `i`, the same from all lanes.
    #[inline(always)]
    #[track_caller]
    pub fn store_scalar(self, i: usize, x: Scalar<E>) {
        self.view.record_scalar(<E::Word as Word>::BYTES, i, Kind::Write);
        // SAFETY: the element lies within the array, by the contract of `Launch::new`.
        unsafe { E::Word::store_scalar(self.view, i, E::to_word(E::Lanes::splat(x))) }
    }
}

impl<S: Space> Array<'_, f32, S> {
    /// Loads the `32 * W` elements from `i` on, `W` for each lane. Which lane gets which element depends on the device. If
    /// `W` is 4, `i` is a multiple of four, and a GPU loads the four adjacent elements of a lane at once.
    #[inline(always)]
    #[track_caller]
    pub fn load_wide<const W: usize>(self, i: usize) -> [F32x32; W] {
        self.record_wide::<W>(i, Kind::Read);
        // SAFETY: the elements lie within the array, by the contract of `Launch::new`.
        unsafe { self.view.load_wide(i) }
    }

    /// Returns the four elements from `i` on, a multiple of four, each in every lane.
    #[inline(always)]
    #[track_caller]
    pub fn broadcast_quad(self, i: usize) -> [F32x32; 4] {
        self.view.broadcast_quads(i, 0)
    }

    #[inline(always)]
    #[track_caller]
    fn record_wide<const W: usize>(self, i: usize, kind: Kind) {
        let (step, stride) = if W == 4 { (1, 4) } else { (WARP, 1) };
        for j in 0..W {
            self.record(Mask32::splat(true), i + step * j, U32x32::lane_index() * U32x32::splat(stride), kind);
        }
    }
}

impl<S: Writable> Array<'_, f32, S> {
    /// Stores the `32 * W` elements from `i` on, as [`Self::load_wide`] loads them.
    #[inline(always)]
    #[track_caller]
    pub fn store_wide<const W: usize>(self, i: usize, x: [F32x32; W]) {
        self.record_wide::<W>(i, Kind::Write);
        // SAFETY: the elements lie within the array, by the contract of `Launch::new`.
        unsafe { self.view.store_wide(i, x) }
    }
}
