//! The copies of a product's operands into the shared memory of a block of a GPU.

use simt::{F32x32, HALF_WARP, U32x32, View, div, inline, rem};

use super::staging::{DEPTH, QUAD, Quad, STRIDE, TILE_COLS};

/// The operands of an item.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    pub left: Operand,
    pub right: Operand,
}

impl Operands {
    /// Returns the operands from this contracted index on.
    #[inline(always)]
    pub fn from(self, k: usize) -> Self {
        Self { left: self.left.from(k), right: self.right.from(k) }
    }
}

/// An operand of an item.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    /// The first element of the item's rows or columns.
    view: View,
    /// The stride of the first axis.
    stride: usize,
    /// Whether the first axis is the contracted one.
    is_contracted_first: bool,
}

impl Operand {
    /// Returns an operand from row or column `first` on.
    #[inline(always)]
    pub fn new(view: View, stride: usize, is_contracted_first: bool, first: usize) -> Self {
        Self { view: view.at(if is_contracted_first { first } else { first * stride }), stride, is_contracted_first }
    }

    #[inline(always)]
    pub fn from(self, k: usize) -> Self {
        Self { view: self.view.at(if self.is_contracted_first { k * self.stride } else { k }), ..self }
    }
}

/// The copies that a warp makes of an operand, four elements in each lane. An operand with the contracted axis first is
/// copied in blocks of four contracted indices by 32 others. One with the contracted axis last is copied in blocks of 16 by
/// eight contracted indices, and transposed.
#[derive(Clone, Copy)]
pub(super) struct Copies {
    /// The first contracted index of the block, or a large one if the warp copies nothing.
    first: u32,
    /// The index of the lane's elements in the operand.
    from: U32x32,
    /// The index of the lane's elements in a buffer.
    to: U32x32,
    /// The elements on their way from one to the other.
    pub elements: Quad,
}

impl Copies {
    #[inline(always)]
    pub fn none() -> Self {
        let zero = U32x32::splat(0);
        Self { first: 0, from: zero, to: zero, elements: [F32x32::splat(0.0); QUAD] }
    }

    /// Returns the copies of a block of an operand with `len` rows or columns, of which `valid` are to be computed. Copies
    /// of others repeat the last ones. They go to the columns of a buffer from `to` on.
    #[inline(always)]
    pub fn new(operand: Operand, block: usize, [len, valid]: [usize; 2], to: usize) -> Self {
        let (lane, splat) = (U32x32::lane_index(), inline!(|x: usize| U32x32::splat(x as u32)));
        let is_direct = operand.is_contracted_first;
        let (width, depth) = if is_direct { (TILE_COLS, QUAD) } else { (HALF_WARP, 2 * QUAD) };
        let across = len.div_ceil(width);
        let (other, first) = (rem(block, across) * width, div(block, across) * depth);
        let (k, other, last) = if is_direct {
            (lane >> 3, splat(other) + ((lane & splat(7)) << 2), valid.next_multiple_of(HALF_WARP) - QUAD)
        } else {
            ((lane >> 4) << 2, splat(other) + (lane & splat(HALF_WARP - 1)), valid.next_multiple_of(HALF_WARP) - 1)
        };
        let (k, stride, from) = (k + splat(first), splat(operand.stride), other.min(splat(last)));
        Self {
            first: if first < DEPTH { first as u32 } else { u32::MAX },
            from: if is_direct { k * stride + from } else { from * stride + k },
            to: k * splat(STRIDE) + splat(to) + other,
            ..Self::none()
        }
    }

    /// Loads the elements, if `len` contracted indices are left.
    #[inline(always)]
    pub fn load(&mut self, operand: Operand, len: u32) {
        if self.first < len {
            self.elements = operand.view.load_quads::<0>(self.from);
        }
    }

    /// Stores the elements in a buffer, if `len` contracted indices are left.
    #[inline(always)]
    pub fn store(&self, operand: Operand, len: u32, buffer: View) {
        let x = self.elements;
        if self.first < len {
            if operand.is_contracted_first {
                buffer.store_quads::<0>(self.to, x);
            } else {
                buffer.scatter_at::<0>(self.to, x[0]);
                buffer.scatter_at::<{ STRIDE }>(self.to, x[1]);
                buffer.scatter_at::<{ 2 * STRIDE }>(self.to, x[2]);
                buffer.scatter_at::<{ 3 * STRIDE }>(self.to, x[3]);
            }
        }
    }
}
