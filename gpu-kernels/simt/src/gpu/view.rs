//! Memory that the warps of a block share.

use super::address::{Address, Order, Space};
use super::channels::F32x16;
use super::lanes::F32x32;
use super::ptx;
use super::warp_lanes::{Mask32, U32x32};
use crate::target::{HALF_WARP, WARP};

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
pub struct View(pub(super) Address);

impl View {
    /// Returns a view of the `len` elements at `ptr`.
    ///
    /// # Safety
    /// While the view or a view made from it is in use, `ptr` is valid for reads and writes of `len` elements, only
    /// warps of the same launch access these elements, and every access through these views stays within these
    /// elements.
    #[inline(always)]
    pub unsafe fn new(ptr: *mut f32, _len: usize) -> Self {
        Self(Address::new(ptr as u64, 0, Space::Global))
    }

    /// Returns a view of the `len` bytes at `ptr`, for elements of any type.
    ///
    /// # Safety
    /// The conditions of [`Self::new`] hold for bytes in place of elements. If nothing is stored, `ptr` need not be valid
    /// for writes. The address is a multiple of the elements' size.
    #[inline(always)]
    pub(crate) unsafe fn of_bytes(ptr: *mut u8, _len: usize) -> Self {
        Self(Address::new(ptr as u64, 0, Space::Global))
    }

    /// Returns the view that begins `offset` elements later.
    #[inline(always)]
    pub fn at(self, offset: usize) -> Self {
        Self(self.0.at(offset))
    }

    /// Returns the view that begins `offset` bytes later.
    #[inline(always)]
    pub(crate) fn at_bytes(self, offset: usize) -> Self {
        Self(self.0.at_bytes(offset))
    }

    /// Returns the view as it is, because only the CPU checks bounds.
    #[inline(always)]
    pub fn named(self, _name: &'static str) -> Self {
        self
    }

    /// Returns the view of an array that the host has allocated, which lies in global memory. The compiler loses track of
    /// that where the view shares its registers with other values, as in an enum.
    #[inline(always)]
    pub fn in_global_memory(self) -> Self {
        Self(Address { space: Space::Global, ..self.0 })
    }

    /// Loads the 16 elements from `i` on, one for each channel.
    #[inline(always)]
    pub fn load(self, i: usize) -> F32x16 {
        F32x16(f32::from_bits(self.0.read(i, self.0.channel_bytes())))
    }

    /// Stores the 16 elements from `i` on, one from each channel.
    #[inline(always)]
    pub fn store(self, i: usize, x: F32x16) {
        self.0.write(i, self.0.channel_bytes(), x.0.to_bits());
    }

    /// Loads two rows. The lower half-warp gets the 16 elements from `i` on, and the upper one gets those from
    /// `i + stride` on.
    #[inline(always)]
    pub fn load_halves(self, i: usize, stride: usize) -> F32x32 {
        F32x32(f32::from_bits(self.0.read(i, self.0.halves_bytes(stride))))
    }

    /// Stores two rows, the lower half-warp from `i` on and the upper one from `i + stride` on.
    #[inline(always)]
    pub fn store_halves(self, i: usize, stride: usize, x: F32x32) {
        self.0.write(i, self.0.halves_bytes(stride), x.0.to_bits());
    }

    /// Stores a block of 16 by 16 elements transposed. `rows` holds the block's pairs of rows `(2k, 2k + 1)`. Element
    /// `[r, c]` goes to `i + c * stride + r`.
    #[inline(always)]
    pub fn store_transposed(self, i: usize, stride: usize, rows: [F32x32; HALF_WARP / 2]) {
        // All lanes store at once, channels `stride` apart. If all channels stored the same row, most stores would
        // conflict in one of the 32 banks of shared memory. So channel `c` begins with pair `c / 2`, and pairs follow
        // in the order `k xor c / 2`.
        // Without the mark, the places of the pairs would take registers during a whole outer loop.
        let first = ptx::hide_b32(ptx::lane()) / 2 % 8;
        let x = swap_elements::<4>(swap_elements::<2>(swap_elements::<1>(rows, first), first), first);
        let lane = self.0.at_byte(ptx::channel_bytes() * stride as u32 + 4 * ptx::half()).at(i);
        for k in 0..HALF_WARP / 2 {
            lane.write(0, 8 * first ^ 8 * k as u32, x[k].0.to_bits());
        }
    }

    /// Loads element `i` in every lane.
    #[inline(always)]
    pub fn load_scalar(self, i: usize) -> f32 {
        f32::from_bits(self.0.read(self.0.order.place(i), 0))
    }

    /// Stores element `i`. Every lane holds the same value.
    #[inline(always)]
    pub fn store_scalar(self, i: usize, x: f32) {
        self.0.write(self.0.order.place(i), 0, x.to_bits());
    }

    /// Loads the 16 elements from `i` on, a multiple of four, for [`BroadcastPairs::broadcast_pair`].
    #[inline(always)]
    pub fn broadcast_pairs(self, i: usize) -> BroadcastPairs {
        let mut pairs = [F32x32(0.0); HALF_WARP / 2];
        if self.0.order == Order::EvenFirst {
            for quad in 0..2 {
                let x = self.0.read4::<0>(i + 4 * quad, 32 * ptx::half());
                for j in 0..4 {
                    pairs[4 * quad + j] = F32x32(f32::from_bits(x[j]));
                }
            }
        } else {
            // Loads of four elements would need a selection for each pair, and move twice as many words.
            for pair in 0..HALF_WARP / 2 {
                pairs[pair] = self.broadcast_halves(i + 2 * pair, 1);
            }
        }
        BroadcastPairs(pairs)
    }

    /// Loads the 16 elements from `i` on, a multiple of four, for [`Broadcasts::splat`].
    #[inline(always)]
    pub fn broadcasts(self, i: usize) -> Broadcasts {
        let mut elements = [F32x32(0.0); HALF_WARP];
        for quad in 0..HALF_WARP / 4 {
            let x = self.0.read4::<0>(i + 4 * quad, 0);
            for j in 0..4 {
                let place = 4 * quad + j;
                let element = if self.0.order == Order::Plain { place } else { 2 * (place % 8) + place / 8 };
                elements[element] = F32x32(f32::from_bits(x[j]));
            }
        }
        Broadcasts(elements)
    }

    /// Returns four adjacent elements in every lane, those from `i` on in the lower half-warp and those from `i + stride`
    /// on in the upper one. Both are multiples of four.
    #[inline(always)]
    pub fn broadcast_quads(self, i: usize, stride: usize) -> [F32x32; 4] {
        let x = self.0.read4::<0>(i, ptx::half().wrapping_mul(4 * stride as u32));
        let mut quad = [F32x32(0.0); 4];
        for j in 0..4 {
            quad[j] = F32x32(f32::from_bits(x[j]));
        }
        quad
    }

    /// Does nothing, because other warps run while a warp waits for memory.
    #[inline(always)]
    pub fn prefetch(self, _i: usize) {}

    /// Returns element `i` in every lane of the lower half-warp and element `i + stride` in every lane of the upper one.
    #[inline(always)]
    pub fn broadcast_halves(self, i: usize, stride: usize) -> F32x32 {
        F32x32(f32::from_bits(self.0.read(i, ptx::half().wrapping_mul(4 * stride as u32))))
    }

    /// Returns the view that begins `offset` elements later. Its address is kept in a register unless `is_const` says that the
    /// compiler knows the distances of its rows. Otherwise the compiler would keep the address of each row.
    #[inline(always)]
    pub fn window(self, offset: usize, is_const: bool) -> Self {
        let window = self.at(offset);
        if is_const { window } else { window.hide_address() }
    }

    /// Hides the address from the optimiser, like [`core::hint::black_box`].
    #[inline(always)]
    pub(crate) fn hide_address(self) -> Self {
        Self(self.0.hide())
    }

    /// Returns a view of the same memory whose elements of even index come first in each row of sixteen. What was stored
    /// through the view before means nothing. Rows begin at multiples of 16 elements.
    #[inline(always)]
    pub fn even_first(self) -> Self {
        Self(self.0.even_first())
    }

    /// Returns the same memory as a view of `u32` elements.
    #[inline(always)]
    pub fn as_u32(self) -> U32View {
        U32View(Address { order: Order::Plain, ..self.0 })
    }
}

/// Swaps the elements whose indices differ in the bit `BIT`, in the lanes whose `first` has this bit.
#[inline(always)]
fn swap_elements<const BIT: usize>(x: [F32x32; HALF_WARP / 2], first: u32) -> [F32x32; HALF_WARP / 2] {
    let (swap, mut y) = (first & BIT as u32 != 0, x);
    for i in 0..HALF_WARP / 2 {
        let (own, other) = (x[i].0, x[i ^ BIT].0);
        y[i] = F32x32(if swap { other } else { own });
    }
    y
}

/// Sixteen adjacent elements, taken in pairs with one element for each half-warp.
#[derive(Clone, Copy)]
pub struct BroadcastPairs([F32x32; HALF_WARP / 2]);

impl BroadcastPairs {
    /// Returns element `2 i` in every lane of the lower half-warp and element `2 i + 1` in every lane of the upper one.
    #[inline(always)]
    pub fn broadcast_pair(&self, i: usize) -> F32x32 {
        self.0[i]
    }
}

/// Sixteen adjacent elements, taken one by one.
#[derive(Clone, Copy)]
pub struct Broadcasts([F32x32; HALF_WARP]);

impl Broadcasts {
    /// Returns element `i` in every lane.
    #[inline(always)]
    pub fn splat(&self, i: usize) -> F32x32 {
        self.0[i]
    }
}

/// Memory of `u32` elements, such as tokens and the offsets at which documents begin, with the contract of [`View`].
#[derive(Clone, Copy, Debug)]
pub struct U32View(pub(super) Address);

impl U32View {
    /// Returns a view of the `len` elements at `ptr`.
    ///
    /// # Safety
    /// The conditions of [`View::new`] hold. If nothing is stored, `ptr` need not be valid for writes.
    #[inline(always)]
    pub unsafe fn new(ptr: *const u32, _len: usize) -> Self {
        Self(Address::new(ptr as u64, 0, Space::Global))
    }

    /// Returns the view that begins `offset` elements later.
    #[inline(always)]
    pub fn at(self, offset: usize) -> Self {
        Self(self.0.at(offset))
    }

    /// Loads element `i` in every lane.
    #[inline(always)]
    pub fn load_scalar(self, i: usize) -> usize {
        self.0.read(i, 0) as usize
    }

    /// Loads element `i` and marks it as warp-uniform, for values that control flow depends on.
    #[inline(always)]
    pub fn load_uniform(self, i: usize) -> usize {
        ptx::uniform(self.0.read(i, 0)) as usize
    }

    /// Copies the first `count` elements of `from`, fewer than 2^31. Each lane copies every 32nd.
    #[inline(always)]
    pub fn copy_from(self, from: Self, count: usize) {
        let mut i = ptx::lane();
        while i < count as u32 {
            self.store_scalar(i as usize, from.load_scalar(i as usize));
            i += WARP as u32;
        }
    }

    /// Stores element `i`. Every lane holds the same value.
    #[inline(always)]
    pub fn store_scalar(self, i: usize, x: usize) {
        self.0.write(i, 0, x as u32);
    }
}
