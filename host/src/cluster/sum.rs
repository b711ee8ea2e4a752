//! The sum over the leaves of a step's tree, of which each rank has computed whole subtrees.

use std::ops::Range;

use rayon::prelude::*;

/// The values that a thread adds at a time.
const CHUNK: usize = 1 << 14;

/// Returns the leaves of a rank, which are consecutive and as many as those of the other ranks, or one more.
pub(super) fn share(leaves: usize, rank: usize, ranks: usize) -> Range<usize> {
    rank * leaves / ranks..(rank + 1) * leaves / ranks
}

/// Returns the largest subtrees of a tree of `leaves` leaves that consist of leaves of `own`, in order.
pub(super) fn subtrees(own: Range<usize>, leaves: usize) -> Vec<Range<usize>> {
    let (mut trees, mut start) = (Vec::new(), own.start);
    while start < own.end {
        // A subtree of `2^k` leaves begins at a multiple of `2^k`. The last one of its size may have fewer leaves.
        let fits = |&len: &usize| start % len == 0 && (start + len).min(leaves) <= own.end;
        let sizes = (0..usize::BITS - 1).map(|k| 1 << k).take_while(|&len| len < 2 * leaves);
        let len = sizes.filter(fits).last().unwrap_or(1);
        trees.push(start..(start + len).min(leaves));
        start = (start + len).min(leaves);
    }
    trees
}

/// Adds up the sums over `trees`, which together have the leaves from 0 to the number of leaves. The sum over tree `i` is
/// `sums[i len .. (i + 1) len]`, and the total replaces the first of them.
pub(super) fn add_up(trees: &[Range<usize>], sums: &mut [f32], len: usize) {
    if len == 0 {
        return;
    }
    let mut nodes: Vec<(usize, &mut [f32])> = trees.iter().map(|tree| tree.start).zip(sums.chunks_mut(len)).collect();
    let leaves = trees.last().map_or(0, |tree| tree.end);
    join(&mut nodes, 0..leaves);
}

/// Adds up the nodes of the subtree with these leaves into the first of them.
fn join(nodes: &mut [(usize, &mut [f32])], leaves: Range<usize>) {
    if nodes.len() < 2 {
        return;
    }
    // A subtree of several nodes has several leaves.
    let middle = leaves.start + (leaves.len().next_power_of_two() / 2);
    let split = nodes.partition_point(|(start, _)| *start < middle);
    let (left, right) = nodes.split_at_mut(split);
    join(left, leaves.start..middle);
    join(right, middle..leaves.end);
    let (sum, addend) = (&mut left[0].1, &right[0].1);
    let add = |(sum, addend): (&mut [f32], &[f32])| sum.iter_mut().zip(addend).for_each(|(sum, x)| *sum += x);
    if sum.len() <= CHUNK {
        add((sum, addend));
    } else {
        sum.par_chunks_mut(CHUNK).zip(addend.par_chunks(CHUNK)).for_each(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the sum over leaves by the definition of the tree.
    fn tree(leaves: &[f32]) -> f32 {
        if let [leaf] = leaves {
            return *leaf;
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        tree(left) + tree(right)
    }

    #[test]
    fn any_number_of_ranks_has_the_sum_of_the_tree() {
        for leaves in [1, 2, 3, 5, 7, 8, 13, 32, 100, 128] {
            let values: Vec<f32> = (0..leaves).map(|i| 1.0 / (3 + 7 * i) as f32).collect();
            for ranks in 1..=leaves + 2 {
                let trees: Vec<_> = (0..ranks).flat_map(|rank| subtrees(share(leaves, rank, ranks), leaves)).collect();
                assert_eq!(trees.iter().cloned().flatten().collect::<Vec<_>>(), (0..leaves).collect::<Vec<_>>());
                let mut sums: Vec<f32> = trees.iter().flat_map(|range| [tree(&values[range.clone()]), 1.0]).collect();
                add_up(&trees, &mut sums, 2);
                assert_eq!(sums[0].to_bits(), tree(&values).to_bits(), "{leaves} leaves, {ranks} ranks");
                assert_eq!(sums[1].to_bits(), (trees.len() as f32).to_bits());
            }
        }
    }

    #[test]
    fn a_power_of_two_of_ranks_has_one_subtree_each() {
        for ranks in [1, 2, 4, 8, 64] {
            assert!((0..ranks).all(|rank| subtrees(share(64, rank, ranks), 64).len() == 1));
        }
    }
}
