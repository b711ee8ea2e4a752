//! The members of a sweep that have one shape.

use crate::corpus::Dataset;
use crate::device::State;
use crate::run::Run;
use crate::trainer::Schedule;

/// The members of a sweep that one [`Trainer`](crate::Trainer) trains, before they are trained.
pub struct SweepGroup {
    /// The members.
    pub runs: Vec<Run>,
    /// The state that every member starts from. Without one, a member's weights are drawn from its seed.
    pub start: Option<State>,
    /// The documents.
    pub dataset: Dataset,
    /// The steps at which members are validated and end.
    pub schedule: Schedule,
}
