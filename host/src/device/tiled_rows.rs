//! The rows of a step of the tiled executor, as every device gets them.

use gpu_kernels::shape::{RuntimeShape, Shape};
use gpu_kernels::tiled::rows::{self, RowCounts, fill};
use gpu_kernels::tiled::step::StepArgs;

use crate::error::{Error, Result};

/// The most rows of a forward pass of an evaluation, unless a document has more.
pub(super) const EVALUATE_ROWS: usize = 1024;

/// The largest number of rows for which the length of a tiled workspace is computed. More rows take as much each.
const MAX_ROWS: usize = 1 << 16;

/// Returns the number of shards of a step on these documents, and the documents with their shards.
pub(super) fn in_shards<'a, 'd>(
    shape: RuntimeShape,
    documents: &'a [&'d [u32]],
) -> (usize, impl Iterator<Item = (usize, &'d [u32])> + Clone + use<'a, 'd>) {
    let (count, positions) = (documents.len(), |document: &&[u32]| shape.block_size().min(document.len() - 1));
    let shards = rows::shards(count, documents.iter().map(positions).sum());
    (shards, documents.iter().enumerate().map(move |(i, &document)| (rows::shard_of(i, count, shards), document)))
}

/// Appends the lists that describe the rows of these documents. Returns the numbers of rows.
#[cfg(cuda)]
pub(super) fn append(lists: &mut Vec<u32>, shape: RuntimeShape, documents: &[&[u32]]) -> RowCounts {
    let (shards, documents) = in_shards(shape, documents);
    append_shards(lists, shape, shards, documents)
}

/// Appends the lists that describe the rows of the documents of so many shards, from shard 0 on. Each document comes with
/// its shard.
pub(super) fn append_shards<'d>(
    lists: &mut Vec<u32>,
    shape: RuntimeShape,
    shards: usize,
    documents: impl Iterator<Item = (usize, &'d [u32])> + Clone,
) -> RowCounts {
    let positions = documents.clone().map(|(_, document)| shape.block_size().min(document.len() - 1));
    let counts = RowCounts {
        rows: positions.clone().sum::<usize>() as u32,
        documents: positions.clone().count() as u32,
        longest: positions.max().unwrap_or(0) as u32,
        vocab: shape.vocab,
        shards: shards as u32,
    };
    let first = lists.len();
    lists.resize(first + counts.lists_len(), 0);
    fill(&mut lists[first..], counts, shape.block_size(), documents);
    counts
}

/// Returns the documents of each forward pass of an evaluation.
pub(super) fn evaluation_passes<'a, 'd>(
    shape: RuntimeShape,
    documents: &'a [&'d [u32]],
) -> impl Iterator<Item = &'a [&'d [u32]]> {
    let positions = move |document: &[u32]| shape.block_size().min(document.len() - 1);
    let mut rest = documents;
    std::iter::from_fn(move || {
        let mut rows = positions(rest.first()?);
        let more = rest[1..].iter().take_while(|document| {
            rows += positions(document);
            rows <= EVALUATE_ROWS
        });
        let (pass, left) = rest.split_at(1 + more.count());
        rest = left;
        Some(pass)
    })
}

/// Returns the number of values of a step's workspace and lists.
///
/// # Errors
/// If the step has more rows than 32 bits can index.
pub(super) fn memory_len(shape: RuntimeShape, batch: usize, trains: bool) -> Result<u128> {
    let tokens = batch as u128 * u128::from(shape.block_size);
    if tokens > u128::from(u32::MAX) {
        let expected = format!("at most {}", u32::MAX);
        let hint = "lower --batch or --block-size";
        return Err(Error::argument("the number of a step's tokens", expected, &tokens, hint));
    }
    if tokens == 0 {
        // A rank may have no document to evaluate.
        return Ok(0);
    }
    let some = tokens.min(MAX_ROWS as u128);
    let (documents, vocab) = (batch.min(MAX_ROWS) as u32, shape.vocab);
    let shards = rows::shards(documents as usize, some as usize) as u32;
    let counts = RowCounts { rows: some as u32, documents, longest: shape.block_size.min(some as u32), vocab, shards };
    let len = StepArgs::workspace_len(shape, counts, trains) + counts.lists_len();
    Ok(len as u128 * tokens.div_ceil(some))
}
