//! The sum over the leaves of a step's tree, of which each rank has computed whole subtrees.

use std::ops::Range;

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

/// Returns the additions that make the total of the sums over `trees`, which together have the leaves from 0 to the number
/// of leaves. An addition has the index of the sum that it replaces, and that of the addend, which is larger.
pub(super) fn additions(trees: &[Range<usize>]) -> Vec<(usize, usize)> {
    let starts: Vec<usize> = trees.iter().map(|tree| tree.start).collect();
    let mut additions = Vec::new();
    join(&starts, 0, 0..trees.last().map_or(0, |tree| tree.end), &mut additions);
    additions
}

/// Appends the additions of the subtrees that start at `starts`, of which the first one has the index `first`. Together
/// they have these leaves.
fn join(starts: &[usize], first: usize, leaves: Range<usize>, additions: &mut Vec<(usize, usize)>) {
    if starts.len() < 2 {
        return;
    }
    // A subtree of several nodes has several leaves.
    let middle = leaves.start + (leaves.len().next_power_of_two() / 2);
    let split = starts.partition_point(|&start| start < middle);
    join(&starts[..split], first, leaves.start..middle, additions);
    join(&starts[split..], first + split, middle..leaves.end, additions);
    additions.push((first, first + split));
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
                let mut sums: Vec<f32> = trees.iter().map(|range| tree(&values[range.clone()])).collect();
                let additions = additions(&trees);
                for &(to, from) in &additions {
                    sums[to] += sums[from];
                }
                assert_eq!(sums[0].to_bits(), tree(&values).to_bits(), "{leaves} leaves, {ranks} ranks");
                assert!(additions.len() == trees.len() - 1 && additions.iter().all(|(to, from)| to < from));
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
