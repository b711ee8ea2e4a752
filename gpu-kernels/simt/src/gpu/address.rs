//! Addresses in a block's shared memory, or in global memory if the arrays are too large for it.
//!
//! Each access names its address space, because a generic access is slower. The compiler knows an array's space once a
//! kernel is inlined.

use super::ptx;

/// The address of an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    /// The start, in bytes, of the block's shared memory, or of the array in global memory.
    pub(super) base: u64,
    /// The offset from `base`, in bytes.
    pub(super) offset: u64,
    pub(super) space: Space,
    pub(super) order: Order,
    /// The offset in bytes of the element of the lane's channel in a row, if the order is not the plain one. It is computed
    /// once for an array, because the compiler would repeat the computation.
    pub(super) channel_bytes: u64,
}

/// The order of each sixteen elements of an array in memory. It is as wide as an address, as [`Space`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u64)]
pub(super) enum Order {
    /// The order of their indices.
    Plain,
    /// The eight elements of even index before those of odd index. A half-warp that takes every other element then loads
    /// four at once, see [`View::broadcast_pairs`](super::View::broadcast_pairs).
    EvenFirst,
}

impl Order {
    /// Returns the place of element `i` in memory.
    #[inline(always)]
    pub(super) fn place(self, i: usize) -> usize {
        match self {
            Self::Plain => i,
            Self::EvenFirst => i & !15 | (i & 1) << 3 | (i & 14) >> 1,
        }
    }
}

/// The state space of an array. It is as wide as an address, because LLVM 7 keeps the padding of copied structs in
/// memory.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u64)]
pub(super) enum Space {
    Shared,
    Global,
}

impl Address {
    /// Returns the address of the first element of an array in the plain order.
    #[inline(always)]
    pub(super) fn new(base: u64, offset: u64, space: Space) -> Self {
        Self { base, offset, space, order: Order::Plain, channel_bytes: 0 }
    }

    /// Returns the address of the same memory in the order [`Order::EvenFirst`].
    #[inline(always)]
    pub(super) fn even_first(self) -> Self {
        Self { order: Order::EvenFirst, channel_bytes: ptx::even_first_bytes().into(), ..self }
    }

    /// Returns the offset in bytes of the element of the lane's channel in a row of sixteen elements.
    #[inline(always)]
    pub(super) fn channel_bytes(self) -> u32 {
        match self.order {
            Order::Plain => ptx::channel_bytes(),
            Order::EvenFirst => self.channel_bytes as u32,
        }
    }

    /// Returns the offset in bytes of the lane's element in two rows, of which the second begins `stride` elements after the
    /// first.
    #[inline(always)]
    pub(super) fn halves_bytes(self, stride: usize) -> u32 {
        ptx::half().wrapping_mul(4 * stride as u32).wrapping_add(self.channel_bytes())
    }

    /// Loads the word `lane_bytes` after element `i`. `lane_bytes` may differ from lane to lane.
    #[inline(always)]
    pub(super) fn read(self, i: usize, lane_bytes: u32) -> u32 {
        // SAFETY: the element lies within the array (see `View`).
        unsafe {
            if self.space == Space::Shared {
                ptx::load_shared(self.shared_address(i, lane_bytes))
            } else {
                ptx::load_global(self.global_address(i, lane_bytes))
            }
        }
    }

    /// Loads the four words `lane_bytes` after element `OFFSET + i`, all multiples of four elements.
    #[inline(always)]
    pub(super) fn read4<const OFFSET: usize>(self, i: usize, lane_bytes: u32) -> [u32; 4] {
        // SAFETY: the elements lie within the array (see `View`), which is aligned to sixteen bytes.
        unsafe {
            if self.space == Space::Shared {
                ptx::load_shared4::<OFFSET>(self.shared_address(i, lane_bytes))
            } else {
                ptx::load_global4::<OFFSET>(self.global_address(i, lane_bytes))
            }
        }
    }

    /// Stores a word `lane_bytes` after element `i`.
    #[inline(always)]
    pub(super) fn write(self, i: usize, lane_bytes: u32, x: u32) {
        self.write_at::<0>(i, lane_bytes, x);
    }

    /// Stores a word `lane_bytes` after element `OFFSET + i`.
    #[inline(always)]
    pub(super) fn write_at<const OFFSET: usize>(self, i: usize, lane_bytes: u32, x: u32) {
        // SAFETY: the element lies within the array (see `View`).
        unsafe {
            if self.space == Space::Shared {
                ptx::store_shared::<OFFSET>(self.shared_address(i, lane_bytes), x);
            } else {
                ptx::store_global::<OFFSET>(self.global_address(i, lane_bytes), x);
            }
        }
    }

    /// Stores the four words `lane_bytes` after element `OFFSET + i`, all multiples of four elements.
    #[inline(always)]
    pub(super) fn write4<const OFFSET: usize>(self, i: usize, lane_bytes: u32, x: [u32; 4]) {
        // SAFETY: the elements lie within the array (see `View`), which is aligned to sixteen bytes.
        unsafe {
            if self.space == Space::Shared {
                ptx::store_shared4::<OFFSET>(self.shared_address(i, lane_bytes), x);
            } else {
                ptx::store_global4::<OFFSET>(self.global_address(i, lane_bytes), x);
            }
        }
    }

    /// Loads the four words `lane_bytes` after the first element, a multiple of four elements, if `condition` holds,
    /// otherwise returns zeros.
    #[inline(always)]
    pub(super) fn read4_where(self, condition: bool, lane_bytes: u32) -> [u32; 4] {
        // SAFETY: the elements that are read lie within the array (see `View`), which is aligned to sixteen bytes.
        unsafe {
            if self.space == Space::Shared {
                ptx::load_shared4_where(condition, self.shared_address(0, lane_bytes))
            } else {
                ptx::load_global4_where(condition, self.global_address(0, lane_bytes))
            }
        }
    }

    /// Stores the four words `lane_bytes` after the first element, a multiple of four elements, if `condition` holds.
    #[inline(always)]
    pub(super) fn write4_where(self, condition: bool, lane_bytes: u32, x: [u32; 4]) {
        // SAFETY: the elements that are written lie within the array (see `View`), which is aligned to sixteen bytes.
        unsafe {
            if self.space == Space::Shared {
                ptx::store_shared4_where(condition, self.shared_address(0, lane_bytes), x);
            } else {
                ptx::store_global4_where(condition, self.global_address(0, lane_bytes), x);
            }
        }
    }

    #[inline(always)]
    pub(super) fn shared_address(self, i: usize, lane_bytes: u32) -> u32 {
        (self.base as u32).wrapping_add(lane_bytes).wrapping_add(self.offset as u32).wrapping_add(4 * i as u32)
    }

    #[inline(always)]
    pub(super) fn global_address(self, i: usize, lane_bytes: u32) -> u64 {
        self.base.wrapping_add(lane_bytes.into()).wrapping_add(self.offset).wrapping_add(4 * i as u64)
    }

    #[inline(always)]
    pub(super) fn at(self, offset: usize) -> Self {
        self.at_bytes(4 * offset)
    }

    #[inline(always)]
    pub(super) fn at_bytes(self, offset: usize) -> Self {
        Self { offset: self.offset.wrapping_add(offset as u64), ..self }
    }

    /// Returns the address that a lane takes, some bytes later.
    #[inline(always)]
    pub(super) fn at_byte(self, lane_bytes: u32) -> Self {
        Self { base: self.base.wrapping_add(lane_bytes.into()), ..self }
    }

    /// Hides the address from the optimiser, as a start without an offset.
    #[inline(always)]
    pub(super) fn hide(self) -> Self {
        let start = self.base.wrapping_add(self.offset);
        let base = if self.space == Space::Shared { ptx::hide_b32(start as u32).into() } else { ptx::hide_b64(start) };
        let channel_bytes = match self.order {
            Order::Plain => 0,
            Order::EvenFirst => ptx::hide_b32(self.channel_bytes as u32).into(),
        };
        Self { base, offset: 0, channel_bytes, ..self }
    }
}
