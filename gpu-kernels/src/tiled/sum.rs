//! The order of the sums of a product.
//!
//! A contraction runs over segments, which are the shards of a step for gradients of weights and one segment for every
//! other product. A segment is cut into chunks of [`CHUNK`] terms. The terms of a chunk are added in order, from zero.
//! The chunks of a segment form a binary tree, and so do the segments. A tree over `n` leaves joins the tree over the
//! first `p` leaves, for the largest power of two `p < n`, with the tree over the rest.
//!
//! The leaves are computed in order with a stack of partial sums, as a binary counter carries. [`Leaf::merges`] is the
//! number of partial sums that a leaf is added to.

use simt::U32View;

/// The largest number of terms that are added in order.
pub const CHUNK: usize = 256;

/// A chunk of a contraction, in the order of computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The first contracted index.
    pub start: usize,
    /// The number of contracted indices, at most [`CHUNK`].
    pub len: usize,
    /// The number of partial sums on the stack before the leaf.
    pub depth: usize,
    /// The number of partial sums that are taken from the stack. Each is added to the left of the sum so far.
    pub merges: usize,
    /// Whether the leaf is the last one, whose sum is the result.
    pub is_last: bool,
}

/// The indices that a product is contracted over.
#[derive(Clone, Copy)]
pub enum Contraction {
    /// One segment of this many indices.
    Whole(usize),
    /// Segments that begin where the view says, `count + 1` elements with the end of the last segment.
    Segments {
        /// The first index of each segment, and the end of the last one.
        bounds: U32View,
        /// The number of segments.
        count: usize,
    },
}

impl Contraction {
    /// Calls `work` for each leaf in order.
    #[inline(always)]
    pub fn each_leaf(self, mut work: impl FnMut(Leaf)) {
        let segments = match self {
            Self::Whole(_) => 1,
            Self::Segments { count, .. } => count,
        };
        let mut depth = 0;
        for segment in 0..segments {
            let (first, end) = match self {
                Self::Whole(len) => (0, len),
                Self::Segments { bounds, .. } => (bounds.load_uniform(segment), bounds.load_uniform(segment + 1)),
            };
            let chunks = (end - first).div_ceil(CHUNK);
            for chunk in 0..chunks {
                let start = first + chunk * CHUNK;
                let mut merges = merges(chunk, chunks);
                if chunk + 1 == chunks {
                    merges += self::merges(segment, segments);
                }
                let is_last = segment + 1 == segments && chunk + 1 == chunks;
                work(Leaf { start, len: CHUNK.min(end - start), depth, merges, is_last });
                depth += 1;
                depth -= merges;
            }
        }
    }
}

/// Returns how many partial sums leaf `i` of a tree over `n` leaves is added to.
fn merges(i: usize, n: usize) -> usize {
    // Rust-CUDA's compiler miscounts bits of 64-bit integers, so 32 bits are used.
    if i + 1 == n { (i as u32).count_ones() as usize } else { (i as u32 + 1).trailing_zeros() as usize }
}

/// Returns a bound of the number of partial sums on the stack, for segments of at most `longest` indices.
pub fn stack_len(segments: usize, longest: usize) -> usize {
    let bits = |leaves: usize| (u32::BITS - (leaves as u32).saturating_sub(1).leading_zeros()) as usize;
    bits(segments) + bits(longest.div_ceil(CHUNK))
}
