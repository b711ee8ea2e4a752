//! The metrics of a training, a file with a row for every step of every run. A thread writes the file, so that training
//! need not wait.
//!
//! A row is a JSON object on a line, or a line of CSV if the file's name ends in `.csv`. The first row has the settings
//! of the run, too.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde_json::{Map, Value};

use crate::device::threads;
use crate::error::{Error, Result};
use crate::run::Run;
use crate::trainer::{Event, Steps};

mod file;
mod rows;
mod settings;

use file::Output;
use rows::Rows;
pub use settings::settings;

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
    /// with `append`. The first row has these settings, unless there are none.
    ///
    /// # Errors
    /// [`Error::Metrics`] if the file cannot be written, or holds anything but metrics of the same columns.
    pub fn create(path: &Path, append: bool, runs: Vec<Run>, settings: Map<String, Value>) -> Result<Self> {
        let path = path.to_owned();
        let mut rows = Rows::new(&path, runs, settings);
        let file = Output::open(&path, append, rows.header());
        let file = file.map_err(|source| Error::Metrics { path: path.clone(), source })?;
        let (sender, messages) = sync_channel(WAITING);
        let writer = threads::start_one("the thread that writes the metrics", move || {
            let mut out = BufWriter::with_capacity(1 << 16, file);
            // `held` has the steps whose validation losses are not known yet.
            let mut held: Option<Steps> = None;
            for message in messages {
                match message {
                    Message::Steps(steps) if steps.is_validated => held = Some(steps),
                    Message::Steps(steps) => rows.write(&mut out, &steps, None)?,
                    Message::Validation(losses) => {
                        held.take().map_or(Ok(()), |steps| rows.write(&mut out, &steps, Some(&losses)))?;
                    }
                    Message::Flush(answer) => drop(answer.send(())),
                }
                out.flush()?;
            }
            held.map_or(Ok(()), |steps| rows.write(&mut out, &steps, None))?;
            out.flush()
        })?;
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
