//! The memory of a step, as views.

use simt::{U32View, View};

use super::rows::{RowCounts, Rows};
use super::workspace::Workspace;
use crate::layout::Arrays;
use crate::shape::RuntimeShape;

/// The views of a step.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub s: RuntimeShape,
    pub arrays: Arrays<View>,
    pub squares: View,
    pub rows: Rows<U32View>,
    pub counts: RowCounts,
    pub a: Workspace,
    pub layer: usize,
    pub trains: bool,
    pub is_part: bool,
}

impl Step {
    pub fn rows_len(&self) -> usize {
        self.counts.rows as usize
    }

    /// Returns the factor of the weights' gradients. The gradients of a part are sums.
    pub fn scale(&self) -> f32 {
        if self.is_part { 1.0 } else { 1.0 / self.counts.documents as f32 }
    }
}
