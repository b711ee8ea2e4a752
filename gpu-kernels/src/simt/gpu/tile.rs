//! Memory that the warps of a block share.

use super::address::{Address, Space};
use super::{F32x16, F32x32, ptx};
use crate::shape::TILE;

/// A pointer into memory that a kernel's host has allocated, read and written by lanes.
///
/// A kernel makes its tiles from the pointers of its argument struct, and every access stays within the array that the
/// pointer was given for: that is the kernel entries' safety contract, and what makes these methods safe to call from
/// stages. The race checker verifies it on every access.
#[derive(Clone, Copy)]
pub struct Tile(pub(super) Address);

impl Tile {
    /// The tile at `ptr`, `len` elements long.
    ///
    /// # Safety
    /// `ptr` is valid for reads and writes of `len` elements while the tile or one made from it is in use, only warps of the same
    /// launch touch them meanwhile, and every access through it or one made from it stays within them.
    #[inline(always)]
    pub unsafe fn new(ptr: *mut f32, _len: usize) -> Self {
        Self(Address { base: ptr as u64, offset: 0, space: Space::Global })
    }

    /// The tile that begins `offset` elements later.
    #[inline(always)]
    pub fn at(self, offset: usize) -> Self {
        Self(self.0.at(offset))
    }

    /// The 16 elements from `i` on, one a channel.
    #[inline(always)]
    pub fn row(self, i: usize) -> F32x16 {
        F32x16(f32::from_bits(self.0.read(i, ptx::channel_bytes())))
    }

    /// Writes the 16 elements from `i` on.
    #[inline(always)]
    pub fn set_row(self, i: usize, x: F32x16) {
        self.0.write(i, ptx::channel_bytes(), x.0.to_bits());
    }

    /// Two rows: the lower half-warp takes the 16 elements from `i` on, the upper one those from `i + stride` on.
    #[inline(always)]
    pub fn row_pair(self, i: usize, stride: usize) -> F32x32 {
        F32x32(f32::from_bits(self.0.read(i, pair_bytes(stride))))
    }

    /// Writes two rows: the lower half-warp from `i` on, the upper one from `i + stride` on.
    #[inline(always)]
    pub fn set_row_pair(self, i: usize, stride: usize, x: F32x32) {
        self.0.write(i, pair_bytes(stride), x.0.to_bits());
    }

    /// Writes 16 pairs of rows `(2i, 2i + 1)` as columns: element `[r, c]` goes to `i + c * stride + r`.
    #[inline(always)]
    pub fn set_block_transposed(self, i: usize, stride: usize, rows: [F32x32; TILE / 2]) {
        // All lanes store at once, channels `stride` apart: were it the same row of each, most would meet in one of the 32
        // banks of shared memory. So channel `c` begins with pair `c / 2`, and the pairs follow in the order `k xor c / 2`.
        let first = ptx::lane() / 2 % 8;
        let x = exchange::<4>(exchange::<2>(exchange::<1>(rows, first), first), first);
        let lane_bytes = ptx::channel_bytes() * stride as u32 + 4 * ptx::half();
        for k in 0..TILE / 2 {
            self.0.write(i, lane_bytes + 8 * (first ^ k as u32), x[k].0.to_bits());
        }
    }

    /// Element `i`, for every lane.
    #[inline(always)]
    pub fn get(self, i: usize) -> f32 {
        f32::from_bits(self.0.read(i, 0))
    }

    /// Writes element `i`: every lane holds the same number.
    #[inline(always)]
    pub fn set(self, i: usize, x: f32) {
        self.0.write(i, 0, x.to_bits());
    }

    /// The sixteen elements from `i` on, which is a multiple of four, for [`Splats::pair`].
    #[inline(always)]
    pub fn splats(self, i: usize) -> Splats {
        let upper = ptx::half() != 0;
        let mut pairs = [F32x32(0.0); TILE / 2];
        for quad in 0..TILE / 4 {
            let x = self.0.read4(i + 4 * quad).map(f32::from_bits);
            pairs[2 * quad] = F32x32(if upper { x[1] } else { x[0] });
            pairs[2 * quad + 1] = F32x32(if upper { x[3] } else { x[2] });
        }
        Splats(pairs)
    }

    /// The same tile: here the compiler may choose how to address it.
    #[inline(always)]
    pub fn anchored(self) -> Self {
        self
    }

    /// The same tile, which the compiler cannot know. In a loop over steps it would otherwise work out hundreds of addresses
    /// before the first step, and run out of registers.
    #[inline(always)]
    pub fn opaque(self) -> Self {
        Self(self.0.opaque())
    }

    /// The elements as whole numbers.
    #[inline(always)]
    pub fn ids(self) -> Ids {
        Ids(self.0)
    }
}

/// Exchanges the numbers whose indices differ in the bit `BIT`, in the lanes whose `first` has it.
#[inline(always)]
fn exchange<const BIT: usize>(x: [F32x32; TILE / 2], first: u32) -> [F32x32; TILE / 2] {
    let (swap, mut y) = (first & BIT as u32 != 0, x);
    for i in 0..TILE / 2 {
        let (own, other) = (x[i].0, x[i ^ BIT].0);
        y[i] = F32x32(if swap { other } else { own });
    }
    y
}

/// Sixteen numbers that lie side by side, in pairs of which each half-warp takes one.
#[derive(Clone, Copy)]
pub struct Splats([F32x32; TILE / 2]);

impl Splats {
    /// Number `2 i` for the lower half-warp, number `2 i + 1` for the upper one.
    #[inline(always)]
    pub fn pair(&self, i: usize) -> F32x32 {
        self.0[i]
    }
}

/// The bytes from a lower row's first element to the lane's, the upper half-warp `stride` elements further.
#[inline(always)]
fn pair_bytes(stride: usize) -> u32 {
    ptx::half().wrapping_mul(4 * stride as u32).wrapping_add(ptx::channel_bytes())
}

/// Whole numbers: tokens, and where documents begin.
#[derive(Clone, Copy)]
pub struct Ids(Address);

impl Ids {
    /// The numbers at `ptr`.
    ///
    /// # Safety
    /// `ptr` is valid for reads (and writes, where [`Ids::set`] is used) of every index that is asked for while this is
    /// in use.
    #[inline(always)]
    pub unsafe fn new(ptr: *const u32) -> Self {
        Self(Address { base: ptr as u64, offset: 0, space: Space::Global })
    }

    /// The numbers from `offset` on.
    #[inline(always)]
    pub fn at(self, offset: usize) -> Self {
        Self(self.0.at(offset))
    }

    /// Number `i`.
    #[inline(always)]
    pub fn get(self, i: usize) -> usize {
        self.0.read(i, 0) as usize
    }

    /// Number `i`, on which the flow of control depends.
    #[inline(always)]
    pub fn bound(self, i: usize) -> usize {
        ptx::uniform(self.0.read(i, 0)) as usize
    }

    /// Copies the first `count` numbers of `from`, the lanes of the warp in turns.
    #[inline(always)]
    pub fn copy_from(self, from: Self, count: usize) {
        for i in (ptx::lane() as usize..count).step_by(2 * TILE) {
            self.set(i, from.get(i));
        }
    }

    /// Writes number `i`: every lane holds the same one.
    #[inline(always)]
    pub fn set(self, i: usize, id: usize) {
        self.0.write(i, 0, id as u32);
    }
}
