//! The windows of a continuous text. A window of a model of T tokens has T + 1 tokens, of which all but the first are
//! predicted.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::documents::Documents;

/// The distance between the seeds of two windows, which is the fraction of the golden ratio in 64 bits.
const STREAM: u64 = 0x9e37_79b9_7f4a_7c15;

/// The drawing of windows at random offsets.
///
/// The offset of a window follows from the seed and from the number of the window in the run. So it is the same on every
/// device, in a run that is resumed, and for every model that is trained beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// The seed of window 0.
    first: u64,
}

impl Drawing {
    /// Returns the drawing of a run with this seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        // The jump makes the windows independent of the initial weights, which are drawn from the same seed.
        rng.long_jump();
        Self { first: rng.next_u64() }
    }

    /// Returns the drawing whose window 0 has this seed.
    #[cfg(feature = "mpi")]
    pub(super) fn with_seed(first: u64) -> Self {
        Self { first }
    }

    /// Returns the seed of window 0.
    #[cfg(feature = "mpi")]
    pub(crate) fn seed(self) -> u64 {
        self.first
    }

    /// Returns the offset of window `n` of a run among `offsets` offsets.
    fn offset(self, n: u64, offsets: usize) -> usize {
        let seed = self.first.wrapping_add(n.wrapping_mul(STREAM));
        let random = Xoshiro256PlusPlus::seed_from_u64(seed).next_u64();
        // The product maps the random number from 0..2^64 to 0..offsets.
        ((u128::from(random) * offsets as u128) >> 64) as usize
    }

    /// Returns the windows `first..first + count` of a run on these tokens, for a model of `block_size` tokens.
    pub(super) fn draw(self, tokens: &[u32], first: u64, count: usize, block_size: usize) -> Documents {
        let len = block_size + 1;
        let mut drawn = Vec::with_capacity(count * len);
        for n in 0..count as u64 {
            let offset = self.offset(first.wrapping_add(n), tokens.len() - block_size);
            drawn.extend_from_slice(&tokens[offset..offset + len]);
        }
        Documents::new(drawn, (0..=count).map(|i| (i * len) as u32).collect())
    }
}

/// Returns the windows side by side of two tokens or more, for a model of `block_size` tokens. Each token but the first is
/// predicted once. The last window may be shorter.
pub(super) fn side_by_side(tokens: &[u32], block_size: usize) -> Documents {
    let mut windows = Vec::with_capacity(tokens.len() + tokens.len() / block_size);
    let mut offsets = vec![0];
    // The last token of a window is the first of the next.
    for start in (0..tokens.len() - 1).step_by(block_size) {
        windows.extend_from_slice(&tokens[start..tokens.len().min(start.saturating_add(block_size + 1))]);
        offsets.push(windows.len() as u32);
    }
    Documents::new(windows, offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_side_by_side_predict_every_token_but_the_first_once() {
        let tokens: Vec<u32> = (1..=11).collect();
        let windows = side_by_side(&tokens, 4);
        let all: Vec<&[u32]> = (0..windows.len()).map(|i| windows.get(i)).collect();
        assert_eq!(all, [&[1, 2, 3, 4, 5][..], &[5, 6, 7, 8, 9], &[9, 10, 11]]);
        for block_size in [1, 2, 3, 5, 10, 100] {
            let windows = side_by_side(&tokens, block_size);
            let predicted: Vec<u32> = (0..windows.len()).flat_map(|i| windows.get(i)[1..].to_vec()).collect();
            assert_eq!(predicted, tokens[1..], "{block_size}");
        }
    }

    #[test]
    fn windows_are_drawn_by_their_number_alone() {
        let tokens: Vec<u32> = (0..1000).collect();
        let drawing = Drawing::new(42);
        let all = drawing.draw(&tokens, 5, 12, 7);
        for i in 0..12 {
            let window = all.get(i);
            assert!(window.len() == 8 && window.is_sorted_by(|a, b| a + 1 == *b), "{window:?}");
            assert_eq!(drawing.draw(&tokens, 5 + i as u64, 1, 7).get(0), window);
        }
        assert_ne!(Drawing::new(43).draw(&tokens, 5, 12, 7), all);
        // The number of a window may pass the end of 64 bits.
        assert_eq!(drawing.draw(&tokens, u64::MAX, 2, 7).get(1), drawing.draw(&tokens, 0, 1, 7).get(0));
    }

    #[test]
    fn every_offset_is_drawn_equally_often() {
        let (drawing, tokens) = (Drawing::new(7), [1, 2, 3, 4, 5, 6]);
        let mut counts = [0i32; 4];
        (0..40_000).for_each(|n| counts[drawing.draw(&tokens, n, 1, 2).get(0)[0] as usize - 1] += 1);
        // The standard deviation of a count is 87.
        assert!(counts.iter().all(|count| (count - 10_000).abs() < 400), "{counts:?}");
    }
}
