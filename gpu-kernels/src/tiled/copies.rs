//! The copies of a product's operands into the shared memory of a block of a GPU.

use simt::{F32x32, HALF_WARP, U32x32, View, inline};

use super::staging::{DEPTH, QUAD, Quad, STRIDE, TILE_COLS};

/// The operands of an item.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    pub left: Operand,
    pub right: Operand,
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
        Self {
            // Otherwise the compiler would keep the item's offset in registers, beside the addresses of the lanes.
            view: view.at(if is_contracted_first { first } else { first * stride }).rematerialize(),
            stride,
            is_contracted_first,
        }
    }

    #[inline(always)]
    pub fn from(self, k: usize) -> Self {
        Self { view: self.view.at(if self.is_contracted_first { k * self.stride } else { k }), ..self }
    }
}

/// The copies that a warp makes of an operand, two times four elements in each lane. A block of an operand with the contracted
/// axis first has eight contracted indices by 32 others. One of an operand with the contracted axis last has 16 by 16, and is
/// transposed.
#[derive(Clone, Copy)]
pub(super) struct Copies {
    /// The first contracted index of the block. It is at least [`DEPTH`] if the warp copies nothing.
    first: u32,
    /// The index of the lane's elements in the operand.
    from: U32x32,
    /// The index of the lane's elements in a buffer.
    to: U32x32,
    /// The elements on their way from one to the other.
    elements: [Quad; 2],
}

impl Copies {
    #[inline(always)]
    pub fn none() -> Self {
        let zero = U32x32::splat(0);
        Self { first: 0, from: zero, to: zero, elements: [[F32x32::splat(0.0); QUAD]; 2] }
    }

    /// Returns the copies of a block of an operand with `len` rows or columns in the item. The product has `remaining`, a
    /// multiple of 16, from the item on. Copies of others repeat the last ones. They go to the columns of a buffer from `to` on.
    #[inline(always)]
    pub fn new(operand: Operand, block: usize, [len, remaining]: [usize; 2], to: usize) -> Self {
        let (lane, splat) = (U32x32::lane_index(), inline!(|x: usize| U32x32::splat(x as u32)));
        let is_direct = operand.is_contracted_first;
        let (width, depth) = if is_direct { (TILE_COLS, 2 * QUAD) } else { (HALF_WARP, 4 * QUAD) };
        let (first, other) = (block % (DEPTH / depth) * depth, block / (DEPTH / depth) * width);
        // A large number instead would cost each comparison with it two instructions more.
        let beyond = if other < len { 0 } else { DEPTH };
        let (k, other, last) = if is_direct {
            (lane >> 3, splat(other) + ((lane & splat(7)) << 2), remaining - QUAD)
        } else {
            ((lane >> 4) << 2, splat(other) + (lane & splat(HALF_WARP - 1)), remaining - 1)
        };
        let (k, stride, from) = (k + splat(first), splat(operand.stride), other.min(splat(last)));
        Self {
            first: (first + beyond) as u32,
            from: if is_direct { k * stride + from } else { from * stride + k },
            to: k * splat(STRIDE) + splat(to) + other,
            ..Self::none()
        }
    }

    /// Returns the copies, whose elements take no registers.
    #[inline(always)]
    pub fn without_elements(self) -> Self {
        Self { elements: Self::none().elements, ..self }
    }

    /// Loads the elements from contracted index `start` on, if they are among `len` contracted indices.
    #[inline(always)]
    pub fn load(&mut self, operand: Operand, start: usize, len: u32) {
        if self.first < len {
            let operand = operand.from(start);
            let Operand { view, is_contracted_first, .. } = operand;
            self.elements = [
                view.load_quads::<0>(self.from),
                if is_contracted_first {
                    operand.from(QUAD).view.load_quads::<0>(self.from)
                } else {
                    view.load_quads::<{ 2 * QUAD }>(self.from)
                },
            ];
        }
    }

    /// Stores the elements in a buffer, if they are among `len` contracted indices.
    #[inline(always)]
    pub fn store(&self, operand: Operand, len: u32, buffer: View) {
        let [x, y] = self.elements;
        if self.first < len {
            if operand.is_contracted_first {
                buffer.store_quads::<0>(self.to, x);
                buffer.store_quads::<{ QUAD * STRIDE }>(self.to, y);
            } else {
                macro_rules! scatter {
                    ($($element:expr, $k:literal;)*) => {$( buffer.scatter_at::<{ $k * STRIDE }>(self.to, $element); )*};
                }
                scatter!(x[0], 0; x[1], 1; x[2], 2; x[3], 3; y[0], 8; y[1], 9; y[2], 10; y[3], 11;);
            }
        }
    }
}
