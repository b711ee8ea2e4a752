//! The shared memory in which a block of a GPU stages the operands of a product.

use simt::{F32x32, WARP};

/// The most rows of an item.
pub(super) const MOST_ROWS: usize = 128;

/// The most columns of an item.
pub(super) const MOST_COLS: usize = 64;

/// The columns of a warp's tile.
pub(super) const TILE_COLS: usize = 32;

/// The rows and the columns that a lane computes.
pub(super) const QUAD: usize = 4;

/// The elements that a warp copies at once.
pub(super) const BLOCK_LEN: usize = 2 * QUAD * WARP;

/// The contracted indices that are staged at once.
pub(super) const DEPTH: usize = 32;

/// The first column of the right operand in a buffer, after the left operand.
pub(super) const RIGHT: usize = MOST_ROWS;

/// The stride of a buffer's rows, which hold a contracted index each. A stride that is four modulo eight puts elements whose
/// contracted indices differ by four into different halves of the 32 banks, so that transposing stores do not conflict.
pub(super) const STRIDE: usize = RIGHT + MOST_COLS + QUAD;

/// The length of a buffer.
pub(super) const BUFFER: usize = DEPTH * STRIDE;

/// The number of elements in which a block stages the operands, two buffers.
pub const STAGED_LEN: usize = 2 * BUFFER;

/// Four adjacent elements in each lane.
pub(super) type Quad = [F32x32; QUAD];
