//! The division of a step's sum between ranks, and the additions of its slices.

use std::ops::Range;

use gpu_kernels::layout::Layout;
use gpu_kernels::shape::RuntimeShape;
use gpu_kernels::tiled::share::StepShare;
use rayon::prelude::*;

use super::types::Executor;

/// The values that a thread adds at a time.
const CHUNK: usize = 1 << 14;

/// The largest number of values of a sum that each rank adds up itself. More values take longer to send to all ranks than
/// the latency of another exchange.
const WHOLE_LEN: usize = 1 << 13;

/// The multiple of a slice's length, which a warp of a GPU adds at a time.
const SLICE_MULTIPLE: usize = 32;

/// The division of the work on a step's sum between ranks.
pub(crate) struct Division {
    /// The ranges of a sum that the ranks add up. Each list has a range for every rank. Either the ranges follow each other,
    /// or each rank has the whole range.
    pub(crate) slices: Vec<Vec<Range<usize>>>,
    /// The share of each rank in the end of the step, or none if each rank updates all weights.
    pub(crate) shares: Vec<StepShare>,
}

impl Division {
    /// Returns whether each rank adds up the whole sum.
    pub(crate) fn is_whole(&self) -> bool {
        let slices = &self.slices[0];
        self.shares.is_empty() && slices.len() > 1 && slices[0] == slices[1]
    }

    /// Returns the division between `ranks` ranks.
    ///
    /// The tiled executor's ranks update a part of the weights each, because that takes long for a large model. The fused
    /// executor's models are small, and another exchange would take longer than the update. The sums of the smallest go
    /// whole to every rank, in one exchange instead of two.
    pub(super) fn new(shape: RuntimeShape, executor: Executor, ranks: usize) -> Self {
        if executor == Executor::Tiled {
            let shares: Vec<StepShare> = (0..ranks).map(|rank| StepShare::new(shape, rank, ranks)).collect();
            let weights = shares.iter().map(|share| share.weights.clone()).collect();
            let embedding = shares.iter().map(|share| share.embedding.clone()).collect();
            return Self { slices: vec![weights, embedding], shares };
        }
        let len = Layout(shape).len();
        if len <= WHOLE_LEN {
            return Self { slices: vec![vec![0..len; ranks]], shares: Vec::new() };
        }
        let start = |rank: usize| len.min((rank * len / ranks).next_multiple_of(SLICE_MULTIPLE));
        Self { slices: vec![(0..ranks).map(|rank| start(rank)..start(rank + 1)).collect()], shares: Vec::new() }
    }
}

/// The additions of slices in the order of the step's tree.
pub(crate) struct Additions {
    /// The index of the slice that an addition replaces by the sum, with that of the addend. The last one makes the total.
    pub(crate) pairs: Vec<(usize, usize)>,
    /// The number of values of a slice.
    pub(crate) len: usize,
}

impl Additions {
    /// Returns the distance of two slices.
    pub(crate) fn stride(len: usize) -> usize {
        len.next_multiple_of(SLICE_MULTIPLE)
    }

    /// Returns the range of a slice.
    pub(super) fn slice(&self, i: usize) -> Range<usize> {
        let start = i * Self::stride(self.len);
        start..start + self.len
    }

    /// Adds up slices in the host's memory.
    pub(super) fn run(&self, slices: &mut [f32], total: &mut [f32]) {
        let Some((&(last, addend), pairs)) = self.pairs.split_last() else {
            total.copy_from_slice(&slices[self.slice(0)]);
            return;
        };
        for &(to, from) in pairs {
            let (before, after) = slices.split_at_mut(self.slice(from).start);
            let (sum, addend) = (&mut before[self.slice(to)], &after[..self.len]);
            let add = |(sum, x): (&mut [f32], &[f32])| sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
            sum.par_chunks_mut(CHUNK).zip(addend.par_chunks(CHUNK)).for_each(add);
        }
        let addends = [last, addend].map(|i| slices[self.slice(i)].par_chunks(CHUNK));
        let [a, b] = addends;
        total.par_chunks_mut(CHUNK).zip(a).zip(b).for_each(|((total, a), b)| {
            total.iter_mut().zip(a.iter().zip(b)).for_each(|(total, (a, b))| *total = a + b);
        });
    }
}

#[cfg(test)]
mod tests {
    use gpu_kernels::shape::Shape;
    use gpu_kernels::tiled::squares::squares_len;
    use gpu_kernels::tiled::step::StepArgs;

    use super::*;

    #[test]
    fn the_shares_of_all_ranks_follow_each_other_and_are_about_as_large() {
        for (vocab, block_size, n_embd, n_head, n_layer) in
            [(27, 9, 66, 3, 1), (300, 16, 64, 4, 3), (1000, 37, 96, 2, 2)]
        {
            let shape = RuntimeShape { vocab, block_size, n_embd, n_head, n_layer };
            let (len, part_len) = (Layout(shape).len(), StepArgs::part_len(shape));
            for ranks in [1, 2, 3, 5, 128] {
                let Division { slices, shares } = Division::new(shape, Executor::Tiled, ranks);
                let squares: Vec<Range<usize>> = shares.iter().map(|share| share.squares.clone()).collect();
                let strips: Vec<Range<usize>> = shares.iter().map(|share| share.strips.clone()).collect();
                let last = strips[ranks - 1].end;
                for (ranges, all) in [
                    (&slices[0], 0..len),
                    (&slices[1], len..part_len),
                    (&squares, 0..squares_len(shape)),
                    (&strips, 0..last),
                ] {
                    assert_eq!(ranges.iter().map(Range::len).sum::<usize>(), all.len(), "{ranks} ranks, {all:?}");
                    assert_eq!((ranges[0].start, ranges[ranks - 1].end), (all.start, all.end));
                    assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranks} ranks: {ranges:?}");
                }
                // A strip of the widest matrix has sixteen rows of 4C channels.
                let strip = 16 * 4 * shape.n_embd_padded();
                assert!(slices[0].iter().all(|slice| slice.len() <= len / ranks + strip), "{ranks} ranks: {slices:?}");
            }
        }
    }

    #[test]
    fn slices_of_a_fused_model_follow_each_other_or_are_whole() {
        let shape = RuntimeShape { vocab: 27, block_size: 5, n_embd: 32, n_head: 4, n_layer: 1 };
        let division = Division::new(shape, Executor::Fused, 7);
        assert!(!division.is_whole() && division.slices[0].windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((division.slices[0][0].start, division.slices[0][6].end), (0, Layout(shape).len()));
        let division = Division::new(RuntimeShape { n_embd: 16, ..shape }, Executor::Fused, 7);
        assert!(division.is_whole() && division.slices[0].iter().all(|slice| slice.start == 0));
    }

    #[test]
    fn slices_are_added_in_the_order_of_the_pairs() {
        let additions = Additions { pairs: vec![(0, 1), (2, 3), (0, 2)], len: 40 };
        let stride = Additions::stride(additions.len);
        let value = |i: usize, at: usize| 1.0 / (3 + 5 * i + at) as f32;
        let mut slices: Vec<f32> = (0..4).flat_map(|i| (0..stride).map(move |at| value(i, at))).collect();
        let mut total = vec![0.0; 40];
        additions.run(&mut slices, &mut total);
        for (at, total) in total.iter().enumerate() {
            let expected = (value(0, at) + value(1, at)) + (value(2, at) + value(3, at));
            assert_eq!(total.to_bits(), expected.to_bits());
        }
        Additions { pairs: Vec::new(), len: 40 }.run(&mut slices, &mut total);
        assert_eq!(total, slices[..40]);
    }
}
