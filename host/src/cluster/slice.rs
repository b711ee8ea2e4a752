//! The training of a member of a sweep for a while.
//!
//! A slice begins with a state and ends with one, so any rank can take the next slice of a member.

use std::time::{Duration, Instant};

use super::message::{SliceResult, SliceTask, pairs};
use crate::config::num_params;
use crate::corpus::Dataset;
use crate::device::{ModelSetup, StepLog, select};
use crate::error::Result;
use crate::run::launch_len;

/// The time after which a slice ends at the next step that a launch ends at. Shipping a state takes little of it, and a
/// stop waits for it.
const SLICE: Duration = Duration::from_millis(200);

/// Trains a member from the state of a task for a while, and validates it when that is due.
pub(super) fn run(task: SliceTask, dataset: &Dataset) -> Result<SliceResult> {
    let SliceTask { stop_after, val_every, val_docs, checkpoint_every, keep_best, .. } = task;
    let begin = Instant::now();
    let setup = ModelSetup::from(task.setup);
    let (shape, batch) = (setup.state.weights.shape, setup.train.batch as u64);
    let work = (3 * num_params(shape) as u64).saturating_mul(u64::from(shape.block_size)).saturating_mul(batch);
    let (mut step, max_launch) = (setup.state.step, launch_len(work));
    let (mut models, _) = select(task.device, dataset, &[setup], &mut |_| ())?;
    let device = models.model(0);
    let (mut logs, mut evaluations, mut states) = (Vec::new(), Vec::new(), Vec::new());
    let mut has_diverged = false;
    while step < stop_after && !has_diverged && begin.elapsed() < SLICE {
        let until_due = |every: u64| if every == 0 { u64::MAX } else { every - step % every };
        let len = max_launch.min(stop_after - step).min(until_due(val_every)).min(until_due(checkpoint_every));
        let taken = device.train(len as usize)?;
        step += taken.len() as u64;
        let is_finite = |x: f64| (x as f32).is_finite();
        has_diverged = taken.iter().any(|log| !is_finite(log.loss) || !is_finite(log.grad_norm));
        logs.extend(taken.iter().map(|&StepLog { loss, grad_norm }| (loss, grad_norm)));
        let is_due = |every: u64| every > 0 && step.is_multiple_of(every);
        let is_validated = is_due(val_every) || step == stop_after;
        if is_validated && !has_diverged {
            evaluations.push((step, pairs(&device.evaluate_each(val_docs.max(1))?)));
        }
        if (keep_best && is_validated) || is_due(checkpoint_every) {
            states.push(device.download()?.into());
        }
    }
    Ok(SliceResult { member: task.member, logs, evaluations, states, last: device.download()?.into(), has_diverged })
}
