//! The members of a group of a sweep, as a trainer on rank 0 sees them.
//!
//! Ranks train members ahead of the trainer, which takes the logs and the evaluations from here, in the order of steps. It
//! needs the state of a member only at a checkpoint and at the end. If no rank has sent that state, rank 0 trains the
//! member there from an earlier state, with the same bits.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use gpu_kernels::shape::RuntimeShape;

use super::sweep::Sweep;
use crate::config::SampleConfig;
use crate::device::{Device, Evaluation, ModelSetup, Models, Sample, State, StepLog, select};
use crate::error::Result;

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
