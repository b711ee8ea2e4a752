//! The order of the sums of a product.
//!
//! A contraction runs over segments, which are the shards of a step for gradients of weights and one segment for every
//! other product. The terms of a segment are added in order, from zero. The sums of the segments form the binary tree of
//! [`tree`](crate::tree).
//!
//! A segment is computed in parts, whose operands are packed at once. A part goes on with the sum of the part before it,
//! so the lengths of parts change no bits. The segments are computed in order with a stack of partial sums, as a binary
//! counter carries. [`Segment::merges`] is the number of partial sums that a segment's sum is added to.

use simt::{HALF_WARP, U32View, inline, round_up};

use crate::tree::merges;

/// The largest number of terms of a part. So many rows of an item's columns of the right operand fit in the L2 cache.
pub const PART: usize = 384;

/// A part of a contraction, in the order of computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first contracted index.
    pub start: usize,
    /// The number of contracted indices, at most [`PART`].
    pub len: usize,
    /// Whether the part is the first one of its segment.
    pub is_first: bool,
    /// The number of partial sums on the stack before the segment.
    pub depth: usize,
    /// The number of partial sums that are taken from the stack after the part. Each is added to the left of the sum so
    /// far.
    pub merges: usize,
    /// Whether the part is the last one of all, after which the sum is the result.
    pub is_last: bool,
}

/// A segment of a contraction, in the order of computation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// The first contracted index.
    pub start: usize,
    /// The number of contracted indices.
    pub len: usize,
    /// The number of partial sums on the stack before the segment.
    pub depth: usize,
    /// The number of partial sums that are taken from the stack after the segment. Each is added to the left of the sum so
    /// far.
    pub merges: usize,
    /// Whether the segment is the last one, after which the sum is the result.
    pub is_last: bool,
}

/// The indices that a product is contracted over.
#[derive(Clone, Copy, Debug)]
#[repr(C, u32)]
pub enum Contraction<V = U32View> {
    /// One segment of this many indices.
    Whole(usize),
    /// Segments that begin where the view says, `count + 1` elements with the end of the last segment.
    Segments {
        /// The first index of each segment, and the end of the last one.
        bounds: V,
        /// The number of segments.
        count: usize,
    },
}

impl<V> Contraction<V> {
    /// Returns the contraction, which is one of a single segment, so that the compiler leaves out the code for others.
    #[inline(always)]
    pub(super) fn whole(self) -> Self {
        match self {
            Self::Whole(len) => Self::Whole(len),
            Self::Segments { .. } => Self::Whole(0),
        }
    }

    /// Applies `f` to the bounds, if there are any.
    #[inline(always)]
    pub(super) fn map<W>(self, f: impl FnOnce(V) -> W) -> Contraction<W> {
        match self {
            Self::Whole(len) => Contraction::Whole(len),
            Self::Segments { bounds, count } => Contraction::Segments { bounds: f(bounds), count },
        }
    }
}

impl<V> Contraction<V> {
    /// Returns a bound of the number of partial sums on the stack, for segments of at most `longest` indices.
    pub(super) fn stack_len(&self, longest: usize) -> usize {
        match *self {
            Self::Whole(len) => stack_len(1, len),
            Self::Segments { count, .. } => stack_len(count, longest),
        }
    }
}

impl Contraction {
    /// Calls `work` for each segment in order.
    #[inline(always)]
    pub(super) fn each_segment(self, mut work: impl FnMut(Segment)) {
        let segments = match self {
            Self::Whole(_) => 1,
            Self::Segments { count, .. } => count,
        };
        let mut depth = 0;
        for segment in 0..segments {
            let (start, end) = match self {
                Self::Whole(len) => (0, len),
                Self::Segments { bounds, .. } => (bounds.load_uniform(segment), bounds.load_uniform(segment + 1)),
            };
            let merges = merges(segment, segments);
            work(Segment { start, len: end - start, depth, merges, is_last: segment + 1 == segments });
            depth = depth + 1 - merges;
        }
    }

    /// Calls `work` for each part in order.
    #[inline(always)]
    pub fn each_part(self, mut work: impl FnMut(Part)) {
        self.each_segment(inline!(|segment| {
            let (first, end) = (segment.start, segment.start + segment.len);
            let len = part_len(segment.len);
            let mut start = first;
            while start < end {
                let ends_segment = start + len >= end;
                let (len, is_first, depth) = (len.min(end - start), start == first, segment.depth);
                let merges = if ends_segment { segment.merges } else { 0 };
                work(Part { start, len, is_first, depth, merges, is_last: ends_segment && segment.is_last });
                start += len;
            }
        }));
    }
}

/// Returns the length of the parts of a segment, of which the last one may be shorter. A part begins at a multiple of
/// half-warps in its segment.
#[inline(always)]
fn part_len(segment: usize) -> usize {
    round_up(segment.div_ceil(segment.div_ceil(PART).max(1)), HALF_WARP)
}

/// Returns a bound of the number of partial sums on the stack, for segments of at most `longest` indices.
pub fn stack_len(segments: usize, longest: usize) -> usize {
    let levels = u32::BITS - (segments as u32).saturating_sub(1).leading_zeros();
    levels as usize + usize::from(longest > PART)
}
