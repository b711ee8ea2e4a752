//! `--metrics`: a JSON object for every step, one a line.
//!
//! A thread of its own writes them, so that training need not wait.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::device::StepLog;
use crate::error::{Error, Result};
use crate::experiment::Member;

mod file;
use file::{Output, SEED};

/// The steps of a launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The first step, from 0.
    pub first: u64,
    /// What each step reports, model by model.
    pub logs: Vec<Vec<StepLog>>,
    /// What a step took, in milliseconds.
    pub ms: f64,
    /// The validation loss of each model after the last step, if it was measured.
    pub val_losses: Option<Vec<f64>>,
}

/// What the thread that writes is told.
enum Message {
    /// Write these steps.
    Write(Launch),
    /// Answer: all that came before is written.
    Answer(SyncSender<()>),
}

/// The file, and the thread that writes it.
pub struct Metrics {
    name: String,
    sender: Option<SyncSender<Message>>,
    writer: Option<JoinHandle<io::Result<()>>>,
}

/// Launches that may wait to be written before training waits.
const WAITING: usize = 8;

impl Metrics {
    /// Opens the file for the steps of these models: to add to it, or to replace it, as soon as there is one.
    ///
    /// # Errors
    /// It cannot be written to, or has something else than metrics.
    pub fn create(path: &Path, append: bool, members: Vec<Member>) -> Result<Self> {
        let name = path.display().to_string();
        let file = Output::open(path, append).map_err(|error| {
            let hint =
                "give `--metrics` a new file, or one of metrics that you may read and write, in a folder that exists";
            cannot_write(&name, error).hint(hint)
        })?;
        let (sender, messages) = sync_channel(WAITING);
        let writer = thread::spawn(move || {
            let mut out = BufWriter::with_capacity(1 << 16, file);
            let heads: Vec<Vec<u8>> = members.iter().map(head).collect();
            messages.into_iter().try_for_each(|message| match message {
                Message::Write(launch) => write(&mut out, &members, &heads, &launch).and_then(|()| out.flush()),
                Message::Answer(sender) => sender.send(()).map_err(io::Error::other),
            })
        });
        Ok(Self { name, sender: Some(sender), writer: Some(writer) })
    }

    /// Writes the steps of a launch.
    ///
    /// # Errors
    /// The file could not be written to.
    pub fn record(&mut self, launch: Launch) -> Result<()> {
        match &self.sender {
            Some(sender) if sender.send(Message::Write(launch)).is_ok() => Ok(()),
            // The thread ended early: it says why.
            _ => self.finish(),
        }
    }

    /// Waits until all steps so far are written.
    ///
    /// # Errors
    /// The file could not be written to.
    pub fn flush(&mut self) -> Result<()> {
        let (answer, answered) = sync_channel(1);
        match &self.sender {
            Some(sender) if sender.send(Message::Answer(answer)).is_ok() && answered.recv().is_ok() => Ok(()),
            _ => self.finish(),
        }
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// The file could not be written to.
    pub fn finish(&mut self) -> Result<()> {
        self.sender = None;
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let written = writer.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes it panicked")));
        written.map_err(|error| cannot_write(&self.name, error).hint("check the space, or leave `--metrics` out"))
    }
}

/// So that an error elsewhere does not lose the steps before it.
impl Drop for Metrics {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// What the objects of a model begin with, up to the step's number: the seed of its initial weights and, in a sweep, the
/// swept values.
fn head(member: &Member) -> Vec<u8> {
    let (seed, sweep) = (member.seed, Value::Object(member.sweep()));
    let sweep = if member.variant.values.is_empty() { String::new() } else { format!("\"sweep\":{sweep},") };
    format!("{SEED}{seed},{sweep}\"step\":").into()
}

/// The objects of a launch, in the order of steps, of models whose objects begin with `heads`. What all steps have in
/// common is put into words once: this is work for each step, beside which the smallest model's is little.
fn write(out: &mut impl Write, members: &[Member], heads: &[Vec<u8>], launch: &Launch) -> io::Result<()> {
    let steps = launch.logs.first().map_or(0, Vec::len);
    let mut ms = b",\"ms\":".to_vec();
    number(&mut ms, launch.ms)?;
    for i in 0..steps {
        let step = launch.first + i as u64;
        for (model, Member { variant, .. }) in members.iter().enumerate() {
            let StepLog { loss, grad_norm } = launch.logs[model][i];
            out.write_all(&heads[model])?;
            serde_json::to_writer(&mut *out, &(step + 1))?;
            out.write_all(b",\"loss\":")?;
            number(out, loss)?;
            out.write_all(b",\"grad_norm\":")?;
            number(out, grad_norm)?;
            out.write_all(b",\"learning_rate\":")?;
            number(out, variant.train.optimizer.learning_rate_at(step, variant.train.steps))?;
            out.write_all(&ms)?;
            if let Some(losses) = launch.val_losses.as_ref().filter(|_| i + 1 == steps) {
                out.write_all(b",\"val_loss\":")?;
                number(out, losses[model])?;
            }
            out.write_all(b"}\n")?;
        }
    }
    Ok(())
}

/// A number; `null` if it is not finite, for which JSON has none. One of single precision, as the kernels' are, has no more digits
/// than tell it from other such numbers.
fn number(out: &mut impl Write, number: f64) -> io::Result<()> {
    let single = number as f32;
    if f64::from(single).to_bits() == number.to_bits() {
        return Ok(serde_json::to_writer(out, &single)?);
    }
    Ok(serde_json::to_writer(out, &number)?)
}

fn cannot_write(name: &str, cause: io::Error) -> Error {
    Error::new(format!("cannot write the metrics to `{name}`")).caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, OptimizerConfig, TrainConfig};
    use crate::experiment::Variant;

    #[test]
    fn an_object_is_a_step_of_a_model() {
        let train = TrainConfig { steps: 4, batch: 1, optimizer: OptimizerConfig::default() };
        let values = vec![("learning-rate".to_owned(), "0.01".to_owned())];
        let members = [(7, vec![]), (8, values)]
            .map(|(seed, values)| Member { seed, variant: Variant { values, model: ModelConfig::default(), train } });
        let log = |loss| StepLog { loss, grad_norm: 0.5 };
        let logs = vec![vec![log(1.5), log(2.0)], vec![log(3.25), log(f64::NAN)]];
        let launch = Launch { first: 2, logs, ms: 0.004, val_losses: Some(vec![2.5, f64::INFINITY]) };
        let mut out = Vec::new();
        write(&mut out, &members, &members.each_ref().map(head), &launch).unwrap();
        let lines: Vec<Value> =
            out.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[0],
            serde_json::json!({
                "seed": 7, "step": 3, "loss": 1.5, "grad_norm": 0.5, "ms": 0.004,
                "learning_rate": train.optimizer.learning_rate_at(2, 4),
            })
        );
        assert_eq!(lines[1]["sweep"], serde_json::json!({ "learning-rate": 0.01 }));
        assert_eq!((&lines[1]["seed"], &lines[1]["loss"]), (&8.into(), &3.25.into()));
        assert_eq!((&lines[2]["step"], &lines[2]["val_loss"]), (&4.into(), &2.5.into()));
        // JSON has no number for these.
        assert!(lines[3]["loss"].is_null() && lines[3]["val_loss"].is_null());
    }
}
