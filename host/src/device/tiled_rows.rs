//! The rows of a step of the tiled executor, as every device gets them.

use gpu_kernels::shape::{RuntimeShape, Shape};
use gpu_kernels::tiled::rows::{RowCounts, fill};
use gpu_kernels::tiled::step::StepArgs;

use crate::error::{Error, Result};

/// The most rows of a forward pass of an evaluation, unless a document has more.
pub(super) const EVALUATE_ROWS: usize = 1024;

/// The largest number of rows for which the length of a tiled workspace is computed. More rows take as much each.
const MAX_ROWS: usize = 1 << 16;

/// Appends the lists that describe the rows of these documents. Returns the numbers of rows.
pub(super) fn append(lists: &mut Vec<u32>, shape: RuntimeShape, documents: &[&[u32]]) -> RowCounts {
    let positions = |document: &&[u32]| shape.block_size().min(document.len() - 1);
    let counts = RowCounts {
        rows: documents.iter().map(positions).sum::<usize>() as u32,
        documents: documents.len() as u32,
        longest: documents.iter().map(positions).max().unwrap_or(0) as u32,
        vocab: shape.vocab,
    };
    let first = lists.len();
    lists.resize(first + counts.lists_len(), 0);
    fill(&mut lists[first..], counts, shape.block_size(), documents.iter().copied());
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
    let rows = batch as u128 * u128::from(shape.block_size);
    if rows > u128::from(u32::MAX) {
        let expected = format!("at most {}", u32::MAX);
        let hint = "lower --batch or --block-size";
        return Err(Error::argument("the number of a step's tokens", expected, &rows, hint));
    }
    let some = rows.min(MAX_ROWS as u128);
    let (documents, vocab) = (batch.min(MAX_ROWS) as u32, shape.vocab);
    let counts = RowCounts { rows: some as u32, documents, longest: shape.block_size.min(some as u32), vocab };
    let len = StepArgs::workspace_len(shape, counts, trains) + counts.lists_len();
    Ok(len as u128 * rows.div_ceil(some))
}
