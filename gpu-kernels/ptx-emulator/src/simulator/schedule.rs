//! The order in which the clusters of a grid start and warps take turns.

use std::ops::Range;

/// The number of instructions of a warp's turn in ascending order.
const QUANTUM: usize = 1 << 14;

/// The number of clusters that are brought into an order together.
const WINDOW: u32 = 1 << 16;

/// A generator of permutations from a seed (Marsaglia, "Xorshift RNGs", 2003), or of ascending orders if the seed is 0.
pub(super) struct Orders(u64);

impl Orders {
    /// Returns the orders of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % n.max(1) as u64) as usize
    }

    /// Returns the numbers below `n` in the next order.
    pub(super) fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        if self.0 != 0 {
            for i in (1..n).rev() {
                order.swap(i, self.below(i + 1));
            }
        }
        order
    }

    /// Returns the number of instructions of the next turn.
    pub(super) fn quantum(&mut self) -> usize {
        if self.0 == 0 { QUANTUM } else { 1 + self.below(256) }
    }
}

/// The clusters of a range that have not started. Without clusters, each block is one.
pub(super) struct Waiting {
    /// The clusters that are not in the window.
    rest: Range<u32>,
    /// The clusters that start next, the last one first.
    window: Vec<u32>,
}

impl Waiting {
    /// Returns all clusters of a range.
    pub(super) fn new(clusters: Range<u32>) -> Self {
        Self { rest: clusters, window: Vec::new() }
    }

    /// Returns the number of clusters.
    pub(super) fn len(&self) -> usize {
        self.rest.len() + self.window.len()
    }

    /// Takes the cluster that starts next.
    pub(super) fn pop(&mut self, orders: &mut Orders) -> Option<u32> {
        if self.window.is_empty() {
            let len = WINDOW.min(self.rest.len() as u32);
            self.window = orders.order(len as usize).into_iter().rev().map(|i| self.rest.start + i as u32).collect();
            self.rest.start += len;
        }
        self.window.pop()
    }
}
