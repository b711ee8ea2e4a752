//! The number of tokens that a run trains on.

use crate::corpus::Dataset;

/// The predicted tokens of the training documents, which the steps take in turn. Windows of a text have as many tokens as
/// a block.
pub(super) struct TokenCount {
    /// The number of predicted tokens of the first documents, from none to all.
    sums: Vec<u64>,
    /// The number of documents of a step.
    batch: usize,
}

impl TokenCount {
    pub(super) fn new(dataset: &Dataset, block_size: usize, batch: usize) -> Self {
        let (documents, mut sums) = (&dataset.train, vec![0]);
        for i in 0..documents.len() {
            sums.push(sums[i] + documents.positions(i, block_size) as u64);
        }
        Self { sums, batch }
    }

    /// Returns the number of tokens that a run has trained on after `steps` steps.
    pub(super) fn until(&self, steps: u64) -> u64 {
        let (all, taken) = (self.sums.len() - 1, u128::from(steps) * self.batch as u128);
        let (rounds, rest) = (taken / all as u128, taken % all as u128);
        let tokens = rounds.saturating_mul(self.sums[all].into()).saturating_add(self.sums[rest as usize].into());
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_counted_in_turn_and_up_to_a_block() {
        // Two of the three documents train. They have 2 and 4 predicted tokens, of which a block of 3 takes 2 and 3.
        let dataset = Dataset::new(&["a", "bca", "b"], None, None).unwrap();
        let count = |batch| {
            let tokens = TokenCount::new(&dataset, 3, batch);
            (0..5).map(|steps| tokens.until(steps)).collect::<Vec<_>>()
        };
        assert_eq!(count(1), [0, 2, 5, 7, 10]);
        assert_eq!(count(3), [0, 7, 15, 22, 30]);
        assert_eq!(TokenCount::new(&dataset, 3, usize::MAX).until(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_window_of_a_text_counts_as_a_block() {
        let dataset = Dataset::continuous(&"abcd".repeat(20), 42, None, 5).unwrap();
        assert_eq!(TokenCount::new(&dataset, 5, 3).until(7), 5 * 3 * 7);
    }
}
