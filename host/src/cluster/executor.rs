//! The slices of a sweep that a rank computes, as many at a time as it has threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::message::{SliceResult, SliceTask};
use super::slice;
use crate::corpus::Dataset;
use crate::error::Result;

/// The slices that this rank computes.
pub(super) struct Executor {
    datasets: HashMap<usize, Arc<Dataset>>,
    sender: Sender<Result<SliceResult>>,
    receiver: Receiver<Result<SliceResult>>,
}

impl Default for Executor {
    fn default() -> Self {
        let (sender, receiver) = channel();
        Self { datasets: HashMap::new(), sender, receiver }
    }
}

impl Executor {
    /// Returns the number of slices at a time.
    pub(super) fn slices() -> usize {
        rayon::current_num_threads()
    }

    /// Keeps the documents of a group.
    pub(super) fn keep(&mut self, group: usize, dataset: Arc<Dataset>) {
        self.datasets.insert(group, dataset);
    }

    /// Begins a slice, whose group's documents are kept.
    pub(super) fn spawn(&self, task: SliceTask) {
        let (sender, dataset) = (self.sender.clone(), Arc::clone(&self.datasets[&task.group]));
        rayon::spawn(move || {
            // Nobody waits for a slice once the sweep has ended.
            let _ = sender.send(slice::run(task, &dataset));
        });
    }

    /// Returns the result of a slice that has ended, if there is one.
    pub(super) fn finished(&self) -> Option<Result<SliceResult>> {
        self.receiver.try_recv().ok()
    }
}
