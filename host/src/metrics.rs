//! The metrics of a training, a file with one JSON object on a line for every step of every run. A thread writes the
//! file, so that training need not wait.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use serde_json::{Map, Value};

use crate::device::{StepLog, threads};
use crate::error::{Error, Result};
use crate::run::{Run, Setting};
use crate::trainer::{Event, Steps};

mod file;
use file::{Output, SEED};

/// The metrics file of a training, and the thread that writes it.
pub struct Metrics {
    path: PathBuf,
    thread: Option<(SyncSender<Message>, JoinHandle<io::Result<()>>)>,
}

/// A message to the thread.
enum Message {
    Steps(Steps),
    /// The validation losses of the runs after the last step sent before.
    Validation(Vec<f64>),
    /// A request for an answer once all earlier messages are written.
    Flush(SyncSender<()>),
}

/// The number of messages that may wait before training waits.
const WAITING: usize = 8;

impl Metrics {
    /// Opens the file for the steps of these runs. The first step replaces the file's content, or is added to it
    /// with `append`.
    ///
    /// # Errors
    /// [`Error::Metrics`] if the file cannot be written, or holds anything but metrics.
    pub fn create(path: &Path, append: bool, runs: Vec<Run>) -> Result<Self> {
        let path = path.to_owned();
        let file = Output::open(&path, append).map_err(|source| Error::Metrics { path: path.clone(), source })?;
        let (sender, messages) = sync_channel(WAITING);
        let writer = thread::Builder::new().spawn(move || {
            let mut out = BufWriter::with_capacity(1 << 16, file);
            // `held` has the steps whose validation losses are not known yet.
            let mut held: Option<Steps> = None;
            for message in messages {
                match message {
                    Message::Steps(steps) if steps.is_validated => held = Some(steps),
                    Message::Steps(steps) => write(&mut out, &runs, &steps, None)?,
                    Message::Validation(losses) => {
                        held.take().map_or(Ok(()), |steps| write(&mut out, &runs, &steps, Some(&losses)))?;
                    }
                    Message::Flush(answer) => drop(answer.send(())),
                }
                out.flush()?;
            }
            held.map_or(Ok(()), |steps| write(&mut out, &runs, &steps, None))?;
            out.flush()
        });
        let writer = writer.map_err(|error| threads::refused("start the thread that writes the metrics", error))?;
        Ok(Self { path, thread: Some((sender, writer)) })
    }

    /// Writes the steps of an event, or the validation losses of the steps before it. Other events have no metrics.
    ///
    /// # Errors
    /// [`Error::Metrics`] if the file could not be written.
    pub fn record(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Steps(steps) => self.send(Message::Steps(steps.clone())),
            Event::Validation(validation) => self.send(Message::Validation(validation.losses.clone())),
            _ => Ok(()),
        }
    }

    fn send(&mut self, message: Message) -> Result<()> {
        match &self.thread {
            Some((sender, _)) if sender.send(message).is_ok() => Ok(()),
            // The thread has ended with the error that `finish` returns.
            _ => self.finish(),
        }
    }

    /// Waits until all steps so far are written.
    ///
    /// # Errors
    /// [`Error::Metrics`] if the file could not be written.
    pub fn flush(&mut self) -> Result<()> {
        let (answer, answered) = sync_channel(1);
        self.send(Message::Flush(answer))?;
        answered.recv().or_else(|_| self.finish())
    }

    /// Waits until everything is written, and closes the file.
    ///
    /// # Errors
    /// [`Error::Metrics`] if the file could not be written.
    pub fn finish(&mut self) -> Result<()> {
        let Some((sender, writer)) = self.thread.take() else { return Ok(()) };
        drop(sender);
        let written = writer.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes it panicked")));
        written.map_err(|source| Error::Metrics { path: self.path.clone(), source })
    }
}

// A drop writes the pending objects, so that an error elsewhere does not lose the steps before it.
impl Drop for Metrics {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// Returns the start of a run's objects, up to the number of the step.
fn head(run: &Run) -> String {
    let swept = &run.config.swept;
    let sweep = if swept.is_empty() { String::new() } else { format!("\"sweep\":{},", Value::Object(values(swept))) };
    format!("{SEED}{},{sweep}\"step\":", run.seed)
}

/// Returns the swept values as JSON numbers. The flags read more notations than JSON has, such as `.01`.
fn values(swept: &[Setting]) -> Map<String, Value> {
    let number = |text: &str| {
        let whole = text.parse::<u64>().map(Value::from);
        whole.unwrap_or_else(|_| text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from))
    };
    swept.iter().map(|Setting { flag, value }| (flag.clone(), number(value))).collect()
}

/// Writes the objects of a launch in the order of steps. No value allocates a string, because a step of the smallest
/// model takes little longer than writing its object.
fn write(out: &mut impl Write, runs: &[Run], steps: &Steps, val_losses: Option<&[f64]>) -> io::Result<()> {
    let heads: Vec<String> = runs.iter().map(head).collect();
    for (i, step) in (steps.first..steps.end()).enumerate() {
        let val_losses = val_losses.filter(|_| step + 1 == steps.end());
        for (index, (head, run)) in heads.iter().zip(runs).enumerate() {
            let StepLog { loss, grad_norm } = steps.logs[index][i];
            let learning_rate = run.config.train.optimizer.learning_rate_at(step, run.config.train.steps);
            out.write_all(head.as_bytes())?;
            serde_json::to_writer(&mut *out, &(step + 1))?;
            let values = [
                (r#","loss":"#, loss),
                (r#","grad_norm":"#, grad_norm),
                (r#","learning_rate":"#, learning_rate),
                (r#","ms":"#, steps.ms),
            ];
            let val_loss = val_losses.map(|losses| (r#","val_loss":"#, losses[index]));
            for (key, value) in values.into_iter().chain(val_loss) {
                out.write_all(key.as_bytes())?;
                number(out, value)?;
            }
            out.write_all(b"}\n")?;
        }
    }
    Ok(())
}

/// Writes a JSON number, or `null` for a value that is not finite. A value in single precision, as the kernels compute
/// it, gets the shortest decimal that rounds to the value.
fn number(out: &mut impl Write, value: f64) -> io::Result<()> {
    let single = value as f32;
    let is_single = f64::from(single).to_bits() == value.to_bits();
    Ok(if is_single { serde_json::to_writer(out, &single) } else { serde_json::to_writer(out, &value) }?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, OptimizerConfig, TrainConfig};
    use crate::run::RunConfig;

    fn setting(flag: &str, value: &str) -> Setting {
        Setting { flag: flag.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn an_object_is_a_step_of_a_run() {
        let train = TrainConfig { steps: 4, batch: 1, optimizer: OptimizerConfig::default() };
        let runs = [(7, vec![]), (8, vec![setting("learning-rate", "0.01")])]
            .map(|(seed, swept)| Run { seed, config: RunConfig { swept, model: ModelConfig::default(), train } });
        let log = |loss| StepLog { loss, grad_norm: 0.5 };
        let logs = vec![vec![log(1.5), log(2.0)], vec![log(3.25), log(f64::NAN)]];
        let steps = Steps { first: 2, logs, ms: 0.004, finite: 2, is_last: true, is_validated: true };
        let mut out = Vec::new();
        write(&mut out, &runs, &steps, Some(&[2.5, f64::INFINITY])).unwrap();
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
        // JSON has no number for NaN and infinity.
        assert!(lines[3]["loss"].is_null() && lines[3]["val_loss"].is_null());
    }

    #[test]
    fn swept_values_are_numbers_however_they_are_spelt() {
        for (text, number) in [
            ("16", "16"),
            ("0.003", "0.003"),
            (".01", "0.01"),
            ("+0.5", "0.5"),
            ("+8", "8"),
            ("1.", "1.0"),
            ("1E-3", "0.001"),
        ] {
            let values = Value::Object(values(&[setting("eps", text)]));
            assert_eq!(values.to_string(), format!("{{\"eps\":{number}}}"), "{text}");
        }
    }
}
