//! Memory that the warps of a block share.

use core::simd::Simd;

#[cfg(feature = "race-check")]
use super::race;
use super::transpose::transpose;
use super::{F32x16, F32x32};
use crate::shape::TILE;

/// A pointer into memory that a kernel's host has allocated, read and written by lanes.
///
/// A kernel makes its tiles from the pointers of its argument struct, and every access stays within the array that the
/// pointer was given for: that is the kernel entries' safety contract, and what makes these methods safe to call from
/// stages. The race checker verifies it on every access.
#[derive(Clone, Copy)]
pub struct Tile {
    ptr: *mut f32,
    #[cfg(feature = "race-check")]
    bounds: (usize, usize),
}

/// Which lanes of the warp touch the elements of an access, for the race checker.
#[derive(Clone, Copy)]
#[cfg(feature = "race-check")]
enum Lanes {
    /// Element `i` by lane `i` of both half-warps.
    BothHalves,
    /// Element `i` by lane `i` of this half-warp.
    Half(u32),
    /// Every element by every lane.
    All,
    /// Every element by every lane of this half-warp.
    AllOfHalf(u32),
    /// Every element by this lane.
    One(u32),
    /// Element `i` by the lane of this column in the half-warp that holds row `i` of a block.
    Column(usize),
}

impl Tile {
    /// The tile at `ptr`, `len` elements long.
    ///
    /// # Safety
    /// `ptr` is valid for reads and writes of `len` elements while the tile or one made from it is in use, only warps of the same
    /// launch touch them meanwhile, and every access through it or one made from it stays within them.
    #[inline(always)]
    #[cfg_attr(not(feature = "race-check"), allow(unused_variables))]
    pub unsafe fn new(ptr: *mut f32, len: usize) -> Self {
        Self {
            ptr,
            #[cfg(feature = "race-check")]
            bounds: (ptr as usize, ptr as usize + 4 * len),
        }
    }

    /// The tile that begins `offset` elements later.
    #[inline(always)]
    pub fn at(mut self, offset: usize) -> Self {
        self.ptr = self.ptr.wrapping_add(offset);
        self
    }

    #[inline(always)]
    fn load(self, i: usize) -> F32x16 {
        // SAFETY: 16 elements from `i` on lie within the array (see the type).
        F32x16(unsafe { self.ptr.add(i).cast::<Simd<f32, TILE>>().read_unaligned() })
    }

    #[inline(always)]
    fn store(self, i: usize, x: F32x16) {
        // SAFETY: 16 elements from `i` on lie within the array (see the type).
        unsafe { self.ptr.add(i).cast::<Simd<f32, TILE>>().write_unaligned(x.0) }
    }

    /// The 16 elements from `i` on, one a channel.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn row(self, i: usize) -> F32x16 {
        #[cfg(feature = "race-check")]
        self.check(i, TILE, Lanes::BothHalves, race::Kind::Read);
        self.load(i)
    }

    /// Writes the 16 elements from `i` on.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn set_row(self, i: usize, x: F32x16) {
        #[cfg(feature = "race-check")]
        self.check(i, TILE, Lanes::BothHalves, race::Kind::Write);
        self.store(i, x);
    }

    /// Two rows: the lower half-warp takes the 16 elements from `i` on, the upper one those from `i + stride` on.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn row_pair(self, i: usize, stride: usize) -> F32x32 {
        #[cfg(feature = "race-check")]
        for half in 0..2 {
            self.check(i + half * stride, TILE, Lanes::Half(half as u32), race::Kind::Read);
        }
        F32x32(self.load(i), self.load(i + stride))
    }

    /// Writes two rows: the lower half-warp from `i` on, the upper one from `i + stride` on.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn set_row_pair(self, i: usize, stride: usize, x: F32x32) {
        #[cfg(feature = "race-check")]
        for half in 0..2 {
            self.check(i + half * stride, TILE, Lanes::Half(half as u32), race::Kind::Write);
        }
        self.store(i, x.0);
        self.store(i + stride, x.1);
    }

    /// Writes 16 pairs of rows `(2i, 2i + 1)` as columns: element `[r, c]` goes to `i + c * stride + r`.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn set_block_transposed(self, i: usize, stride: usize, rows: [F32x32; TILE / 2]) {
        #[cfg(feature = "race-check")]
        for column in 0..TILE {
            self.check(i + column * stride, TILE, Lanes::Column(column), race::Kind::Write);
        }
        for (pair, columns) in transpose(rows).into_iter().enumerate() {
            self.store(i + 2 * pair * stride, columns.0);
            self.store(i + (2 * pair + 1) * stride, columns.1);
        }
    }

    /// Element `i`, for every lane.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn get(self, i: usize) -> f32 {
        #[cfg(feature = "race-check")]
        self.check(i, 1, Lanes::All, race::Kind::Read);
        // SAFETY: the element lies within the array (see the type).
        unsafe { *self.ptr.add(i) }
    }

    /// Writes element `i`: every lane holds the same number.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn set(self, i: usize, x: f32) {
        #[cfg(feature = "race-check")]
        self.check(i, 1, Lanes::All, race::Kind::Write);
        // SAFETY: the element lies within the array (see the type).
        unsafe { *self.ptr.add(i) = x }
    }

    /// The sixteen elements from `i` on, which is a multiple of four, for [`Splats::pair`].
    #[inline(always)]
    pub fn splats(self, i: usize) -> Splats {
        Splats(self.at(i))
    }

    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    fn splat_pair(self, i: usize) -> F32x32 {
        #[cfg(feature = "race-check")]
        for half in 0..2 {
            self.check(i + half, 1, Lanes::AllOfHalf(half as u32), race::Kind::Read);
        }
        // SAFETY: both elements lie within the array (see the type).
        unsafe { F32x32(F32x16::splat(*self.ptr.add(i)), F32x16::splat(*self.ptr.add(i + 1))) }
    }

    /// The same tile, its address in a register. The compiler would keep a pointer for each of the accesses that a loop makes
    /// from it, more than there are registers, and take long to choose them.
    #[inline(always)]
    pub fn anchored(self) -> Self {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut))]
        let mut tile = self;
        #[cfg(target_arch = "x86_64")]
        #[expect(clippy::pointers_in_nomem_asm_block, reason = "it takes the pointer for a number")]
        // SAFETY: there is no instruction.
        unsafe {
            core::arch::asm!("/* {} */", inout(reg) tile.ptr, options(pure, nomem, nostack, preserves_flags));
        }
        tile
    }

    /// The same tile. On a GPU the compiler cannot know that it is.
    #[inline(always)]
    pub fn opaque(self) -> Self {
        self
    }

    /// The elements as whole numbers.
    #[inline(always)]
    pub fn ids(self) -> Ids {
        Ids(self)
    }

    #[cfg(feature = "race-check")]
    #[track_caller]
    fn check(self, i: usize, count: usize, lanes: Lanes, kind: race::Kind) {
        let start = self.ptr as usize + 4 * i;
        let in_bounds = start >= self.bounds.0 && start + 4 * count <= self.bounds.1;
        assert!(in_bounds, "race check: access of {count} elements at {i} leaves the array");
        for e in 0..count {
            let lanes = match lanes {
                Lanes::BothHalves => 0x1_0001 << e,
                Lanes::Half(half) => 1 << (16 * half as usize + e),
                Lanes::All => u32::MAX,
                Lanes::AllOfHalf(half) => 0xffff << (16 * half),
                Lanes::One(lane) => 1 << lane,
                Lanes::Column(column) => 1 << (16 * (e % 2) + column),
            };
            race::access(start + 4 * e, lanes, kind);
        }
    }
}

/// Sixteen numbers that lie side by side, in pairs of which each half-warp takes one. On the CPU each is read when it is asked
/// for: a multiplication reads it on the way.
#[derive(Clone, Copy)]
pub struct Splats(Tile);

impl Splats {
    /// Number `2 i` for the lower half-warp, number `2 i + 1` for the upper one.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn pair(&self, i: usize) -> F32x32 {
        self.0.splat_pair(2 * i)
    }
}

/// Whole numbers: tokens, and where documents begin.
#[derive(Clone, Copy)]
pub struct Ids(Tile);

impl Ids {
    /// The numbers at `ptr`.
    ///
    /// # Safety
    /// `ptr` is valid for reads (and writes, where [`Ids::set`] is used) of every index that is asked for while this is
    /// in use.
    #[inline(always)]
    pub unsafe fn new(ptr: *const u32) -> Self {
        Self(Tile {
            ptr: ptr.cast_mut().cast(),
            // How many there are, only the host knows.
            #[cfg(feature = "race-check")]
            bounds: (0, usize::MAX),
        })
    }

    #[inline(always)]
    fn number(self, i: usize) -> *mut u32 {
        self.0.ptr.cast::<u32>().wrapping_add(i)
    }

    /// The numbers from `offset` on.
    #[inline(always)]
    pub fn at(self, offset: usize) -> Self {
        Self(self.0.at(offset))
    }

    /// Number `i`.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn get(self, i: usize) -> usize {
        #[cfg(feature = "race-check")]
        self.0.check(i, 1, Lanes::All, race::Kind::Read);
        // SAFETY: the caller of `new` vouched for every index, or the number lies within the array (see `Tile`).
        unsafe { *self.number(i) as usize }
    }

    /// Number `i`, on which the flow of control depends.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn bound(self, i: usize) -> usize {
        self.get(i)
    }

    /// Copies the first `count` numbers of `from`, the lanes of the warp in turns.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn copy_from(self, from: Self, count: usize) {
        for i in 0..count {
            #[cfg(feature = "race-check")]
            {
                let lane = Lanes::One((i % (2 * TILE)) as u32);
                from.0.check(i, 1, lane, race::Kind::Read);
                self.0.check(i, 1, lane, race::Kind::Write);
            }
            // SAFETY: as for `get` and `set`.
            unsafe { *self.number(i) = *from.number(i) };
        }
    }

    /// Writes number `i`: every lane holds the same one.
    #[inline(always)]
    #[cfg_attr(feature = "race-check", track_caller)]
    pub fn set(self, i: usize, id: usize) {
        #[cfg(feature = "race-check")]
        self.0.check(i, 1, Lanes::All, race::Kind::Write);
        // SAFETY: as for `get`.
        unsafe { *self.number(i) = id as u32 }
    }
}
