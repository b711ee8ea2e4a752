//! The results of a member of a sweep that its trainer has not taken yet.

use std::collections::{BTreeMap, VecDeque};

use super::message::{SliceResult, evaluations};
use crate::device::{Evaluation, State, StepLog};

/// The log of a step after values have become NaN or infinite.
const DIVERGED: StepLog = StepLog { loss: f64::NAN, grad_norm: f64::NAN };

/// The results of a member that no trainer has taken yet.
pub(super) struct Progress {
    pub(super) group: usize,
    /// The index of the member in its group.
    pub(super) run: usize,
    /// Whether a rank trains the member.
    pub(super) is_running: bool,
    pub(super) has_diverged: bool,
    /// The number of steps that the trainer has taken.
    pub(super) taken: u64,
    /// The steps after those.
    pub(super) logs: VecDeque<StepLog>,
    /// The evaluation of each document, by steps.
    pub(super) evaluations: BTreeMap<u64, Vec<Evaluation>>,
    /// States that the trainer may ask for, by steps, with the state of the last slice.
    pub(super) states: BTreeMap<u64, State>,
    /// The step of the last slice's state, which is dropped when a later slice comes, unless the trainer may ask for it.
    passing: Option<u64>,
}

impl Progress {
    /// Returns the results of a member that has taken `taken` steps before the sweep.
    pub(super) fn new(group: usize, run: usize, taken: u64) -> Self {
        Self {
            group,
            run,
            is_running: false,
            has_diverged: false,
            taken,
            logs: VecDeque::new(),
            evaluations: BTreeMap::new(),
            states: BTreeMap::new(),
            passing: None,
        }
    }

    /// Returns the last state, if a slice has ended.
    pub(super) fn last(&self) -> Option<&State> {
        self.states.last_key_value().map(|(_, state)| state)
    }

    /// Returns the number of steps that ranks have taken.
    pub(super) fn step(&self) -> u64 {
        self.last().map_or(self.taken, |state| state.step)
    }

    /// Takes note of the results of a slice.
    pub(super) fn record(&mut self, result: SliceResult) {
        let SliceResult { logs, evaluations: validations, states, last, has_diverged, .. } = result;
        (self.is_running, self.has_diverged) = (false, has_diverged);
        self.logs.extend(logs.into_iter().map(|(loss, grad_norm)| StepLog { loss, grad_norm }));
        self.evaluations.extend(validations.into_iter().map(|(step, pairs)| (step, evaluations(&pairs))));
        if let Some(step) = self.passing.take().filter(|step| *step > self.taken) {
            self.states.remove(&step);
        }
        let is_new = states.last().is_none_or(|state| state.step != last.step);
        self.passing = is_new.then_some(last.step);
        for state in states.into_iter().chain([last]) {
            self.states.insert(state.step, state.into());
        }
        self.drop_past();
    }

    /// Drops what the trainer has passed.
    fn drop_past(&mut self) {
        let before = self.states.range(..=self.taken).next_back().map(|(step, _)| *step);
        self.states = self.states.split_off(&before.unwrap_or(0));
        self.evaluations = self.evaluations.split_off(&self.taken);
    }

    /// Returns whether the next `steps` steps are known, or the member has diverged.
    pub(super) fn has(&self, steps: usize) -> bool {
        self.has_diverged || self.logs.len() >= steps
    }

    /// Takes the next steps, or fewer if no more are known.
    pub(super) fn take(&mut self, steps: usize) -> Vec<StepLog> {
        let known = self.logs.len().min(steps);
        let mut logs: Vec<StepLog> = self.logs.drain(..known).collect();
        if self.has_diverged {
            logs.resize(steps, DIVERGED);
        }
        self.taken += logs.len() as u64;
        self.drop_past();
        logs
    }
}
