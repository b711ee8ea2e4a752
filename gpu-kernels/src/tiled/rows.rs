//! The rows of a step's matrices, which are the positions of all its documents, one document after the other.

use simt::U32View;

use crate::train::batch;

/// The least mean number of rows of a shard, if a step has several shards. Gradients of weights are added up shard by
/// shard, so that short shards cost more than their rows.
const SHARD_ROWS: usize = 256;

/// The numbers of rows and of what they consist of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RowCounts {
    /// R, the number of rows.
    pub rows: u32,
    /// B, the number of documents.
    pub documents: u32,
    /// The number of positions of the longest document.
    pub longest: u32,
    /// V, the number of distinct tokens.
    pub vocab: u32,
    /// The number of shards.
    pub shards: u32,
}

/// Returns the number of shards of a step of so many documents and rows. Shard `s` begins at document
/// `s documents / shards`, rounded down.
pub fn shards(documents: usize, rows: usize) -> usize {
    batch::shards(documents).min((rows / SHARD_ROWS).max(1))
}

/// Returns the shard of document `i` of `documents`.
pub fn shard_of(i: usize, documents: usize, shards: usize) -> usize {
    ((i + 1) * shards).div_ceil(documents) - 1
}

/// Defines the lists and their places, from a table of each list's name and length.
macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident: $len:expr,)*) => {
        /// The lists that describe a step's rows.
        #[derive(Clone, Copy)]
        pub struct Rows<L> {
            $($(#[$doc])* pub $name: L,)*
        }

        impl RowCounts {
            /// Returns the ranges of the lists in their array, as the index of the first element and the length.
            #[inline(always)]
            pub fn lists(self) -> Rows<(usize, usize)> {
                let next = 0;
                $(
                    let len = ($len)(self);
                    let ($name, next) = ((next, len), next + len);
                )*
                let _ = next;
                Rows { $($name,)* }
            }

            /// Returns the number of elements in the lists' array.
            pub fn lists_len(self) -> usize {
                0 $(+ ($len)(self))*
            }
        }

        impl<L> Rows<L> {
            /// Applies `f` to each list.
            #[inline(always)]
            pub fn map<M>(self, mut f: impl FnMut(L) -> M) -> Rows<M> {
                Rows { $($name: f(self.$name),)* }
            }
        }
    };
}

lists! {
    /// `[R]`: the row's token.
    tokens: |c: RowCounts| c.rows as usize,
    /// `[R]`: the token that follows the row's token, which the row predicts.
    targets: |c: RowCounts| c.rows as usize,
    /// `[R]`: the row's position in its document.
    positions: |c: RowCounts| c.rows as usize,
    /// `[R]`: the number of positions of the row's document.
    lengths: |c: RowCounts| c.rows as usize,
    /// `[R]`: the shard of the row's document.
    shards: |c: RowCounts| c.rows as usize,
    /// `[R]`: the rows, ordered by their tokens. Rows of a token are in ascending order.
    by_token: |c: RowCounts| c.rows as usize,
    /// `[V + 1]`: the first index in `by_token` of each token, and the end.
    token_bounds: |c: RowCounts| c.vocab as usize + 1,
    /// `[B + 1]`: the first row of each document, and the end.
    bounds: |c: RowCounts| c.documents as usize + 1,
    /// `[shards + 1]`: the first row of each shard, and the end.
    shard_bounds: |c: RowCounts| c.shards as usize + 1,
}

impl Rows<U32View> {
    /// Returns views of the lists in the array at `lists`.
    ///
    /// # Safety
    /// The conditions of [`U32View::new`] hold for [`RowCounts::lists_len`] elements.
    #[inline(always)]
    pub unsafe fn new(lists: *const u32, counts: RowCounts) -> Self {
        // SAFETY: the caller keeps the contract.
        let all = unsafe { U32View::new(lists, counts.lists_len()) };
        counts.lists().map(|(first, _)| all.at(first))
    }
}

/// Fills the lists' array for these documents, each with its shard and `[BOS, .., BOS]`, of which at most `block_size`
/// positions count. The shards are in ascending order, from 0.
///
/// # Panics
/// If the documents do not have the numbers of `counts`, or a token is not below the vocabulary.
pub fn fill<'a>(
    lists: &mut [u32],
    counts: RowCounts,
    block_size: usize,
    documents: impl Iterator<Item = (usize, &'a [u32])>,
) {
    let ranges = counts.lists().map(|(first, len)| first..first + len);
    let (mut row, mut last_shard) = (0, None);
    let mut set = |range: &core::ops::Range<usize>, i: usize, value: usize| lists[range.clone()][i] = value as u32;
    for (i, (shard, document)) in documents.enumerate() {
        let n = block_size.min(document.len() - 1);
        set(&ranges.bounds, i, row);
        if last_shard != Some(shard) {
            set(&ranges.shard_bounds, shard, row);
            last_shard = Some(shard);
        }
        for t in 0..n {
            set(&ranges.tokens, row, document[t] as usize);
            set(&ranges.targets, row, document[t + 1] as usize);
            set(&ranges.positions, row, t);
            set(&ranges.lengths, row, n);
            set(&ranges.shards, row, shard);
            row += 1;
        }
    }
    set(&ranges.bounds, counts.documents as usize, row);
    set(&ranges.shard_bounds, counts.shards as usize, row);
    sort_by_token(lists, &ranges);
}

/// Fills `by_token` and `token_bounds` by counting.
fn sort_by_token(lists: &mut [u32], ranges: &Rows<core::ops::Range<usize>>) {
    let (tokens, bounds) = (ranges.tokens.clone(), ranges.token_bounds.clone());
    lists[bounds.clone()].fill(0);
    for row in tokens.clone() {
        let token = lists[row] as usize;
        lists[bounds.clone()][token + 1] += 1;
    }
    for i in bounds.clone().skip(1) {
        lists[i] += lists[i - 1];
    }
    // Each row moves its token's bound on by one, so afterwards a bound is that of the next token.
    for row in 0..tokens.len() {
        let token = lists[tokens.clone()][row] as usize;
        let at = lists[bounds.clone()][token];
        lists[ranges.by_token.clone()][at as usize] = row as u32;
        lists[bounds.clone()][token] += 1;
    }
    for i in bounds.clone().skip(1).rev() {
        lists[i] = lists[i - 1];
    }
    lists[bounds.start] = 0;
}
