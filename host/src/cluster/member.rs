//! The members of a group of a sweep, as a trainer on rank 0 sees them.
//!
//! Ranks train members ahead of the trainer, which takes the logs and the evaluations from here, in the order of steps. It
//! needs the state of a member only at a checkpoint and at the end. If no rank has sent that state, rank 0 trains the
//! member there from an earlier state, with the same bits.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use gpu_kernels::shape::RuntimeShape;

use super::message::{SliceResult, evaluations};
use super::sweep::Sweep;
use crate::config::SampleConfig;
use crate::device::{Device, Evaluation, ModelSetup, Models, Sample, State, StepLog, select};
use crate::error::Result;

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
    taken: u64,
    /// The steps after those.
    logs: VecDeque<StepLog>,
    /// The evaluation of each document, by steps.
    evaluations: BTreeMap<u64, Vec<Evaluation>>,
    /// States that the trainer may ask for, by steps, with the state of the last slice.
    states: BTreeMap<u64, State>,
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
    fn has(&self, steps: usize) -> bool {
        self.has_diverged || self.logs.len() >= steps
    }

    /// Takes the next steps, or fewer if no more are known.
    fn take(&mut self, steps: usize) -> Vec<StepLog> {
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

/// The members of a group, on whichever ranks.
pub(super) struct Members {
    sweep: Rc<RefCell<Sweep>>,
    members: Vec<Member>,
}

impl Members {
    pub(super) fn new(sweep: &Rc<RefCell<Sweep>>, group: usize) -> Self {
        let (first, count) = (sweep.borrow().first_member(group), sweep.borrow().groups[group].runs.len());
        let member = |i| Member { sweep: Rc::clone(sweep), index: first + i, local: None };
        Self { sweep: Rc::clone(sweep), members: (0..count).map(member).collect() }
    }
}

impl Models for Members {
    fn train(&mut self, steps: usize, active: &[bool]) -> Result<Vec<Vec<StepLog>>> {
        let mut sweep = self.sweep.borrow_mut();
        let indices: Vec<usize> =
            self.members.iter().zip(active).filter(|(_, active)| **active).map(|(member, _)| member.index).collect();
        sweep.run_until(|sweep| indices.iter().all(|&i| sweep.members[i].has(steps)))?;
        // A stop leaves all members at the same step.
        let known = |&i: &usize| if sweep.members[i].has(steps) { steps } else { sweep.members[i].logs.len() };
        let steps = indices.iter().map(known).min().unwrap_or(0);
        let take = |(member, &active): (&Member, &bool)| {
            if active { sweep.members[member.index].take(steps) } else { Vec::new() }
        };
        Ok(self.members.iter().zip(active).map(take).collect())
    }

    fn evaluate(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        self.members.iter_mut().map(|member| member.evaluate(documents)).collect()
    }

    fn model(&mut self, i: usize) -> &mut dyn Device {
        &mut self.members[i]
    }
}

/// A member at the step that the trainer has come to.
struct Member {
    sweep: Rc<RefCell<Sweep>>,
    index: usize,
    /// The member on a device of rank 0, and the step that it is at.
    local: Option<(u64, Box<dyn Models>)>,
}

impl Member {
    /// Returns the number of steps that the trainer has taken.
    fn step(&self) -> u64 {
        self.sweep.borrow().members[self.index].taken
    }

    /// Puts the member on a device of rank 0, at the step that the trainer has come to.
    fn local(&mut self) -> Result<&mut dyn Device> {
        let step = self.step();
        if self.local.as_ref().is_none_or(|(at, _)| *at != step) {
            let sweep = self.sweep.borrow();
            let member = &sweep.members[self.index];
            let known = member.states.range(..=step).next_back().map(|(_, state)| state.clone());
            let state = known.map_or_else(|| sweep.start(member.group, member.run), Ok)?;
            let group = &sweep.groups[member.group];
            let steps = step - state.step;
            let setup = ModelSetup { train: group.runs[member.run].config.train, state };
            let (mut models, _) = select(sweep.device, &group.dataset, &[setup], &mut |_| ())?;
            if steps > 0 {
                models.model(0).train(steps as usize)?;
            }
            self.local = Some((step, models));
        }
        let (_, models) = self.local.as_mut().expect("the member is on a device now");
        Ok(models.model(0))
    }
}

impl Device for Member {
    fn description(&self) -> String {
        String::new()
    }

    fn shape(&self) -> RuntimeShape {
        let sweep = self.sweep.borrow();
        let member = &sweep.members[self.index];
        let group = &sweep.groups[member.group];
        let shape = group.runs[member.run].config.model.shape(group.dataset.tokenizer.vocab_size());
        shape.expect("the session has checked every shape")
    }

    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        self.local()?.train(steps)
    }

    fn trial_step(&mut self, state: &State) -> Result<StepLog> {
        self.local()?.trial_step(state)
    }

    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let step = self.step();
        let known = {
            let sweep = self.sweep.borrow();
            let member = &sweep.members[self.index];
            let documents = documents.min(sweep.groups[member.group].dataset.val.len());
            if member.has_diverged && step >= member.step() {
                return Ok(vec![Evaluation { nll: f64::NAN, tokens: 1 }; documents]);
            }
            member.evaluations.get(&step).filter(|known| known.len() == documents).cloned()
        };
        known.map_or_else(|| self.local()?.evaluate_each(documents), Ok)
    }

    fn extend(&mut self, config: &SampleConfig, starts: &[u32], samples: Range<u64>) -> Result<Vec<Sample>> {
        self.local()?.extend(config, starts, samples)
    }

    fn download(&mut self) -> Result<State> {
        let step = self.step();
        let known = self.sweep.borrow().members[self.index].states.get(&step).cloned();
        known.map_or_else(|| self.local()?.download(), Ok)
    }

    fn upload(&mut self, state: &State) -> Result<()> {
        self.local()?.upload(state)
    }
}
