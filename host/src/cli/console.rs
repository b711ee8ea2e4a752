//! The output of the program, with results on stdout, and notices and a progress bar on stderr.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write};

pub(super) use super::loss::Loss;
use super::progress::Progress;
use crate::error::{Error, Result};
use crate::summary::Summary;
use crate::trainer::{Event, Steps};

/// The output of the program. It never panics, even if stdout or stderr is closed.
pub(super) struct Console<W> {
    out: W,
    /// Whether the reader of stdout has gone, as `head` does. This is not an error.
    pub(super) is_closed: bool,
    /// The number of steps between two that are printed, beside the first and the last, or 0 to print none.
    log_every: u64,
    /// Whether stdout has JSON objects alone. All other lines are on stderr then.
    jsonl: bool,
    /// Whether stderr stays empty.
    quiet: bool,
    /// The number of steps of the training.
    total: u64,
    progress: Progress,
}

impl<W: Write> Console<W> {
    /// Returns the output to `out`, which is the program's stdout.
    pub(super) fn new(out: W, log_every: u64, jsonl: bool) -> Self {
        Self { out, is_closed: false, log_every, jsonl, quiet: false, total: 0, progress: Progress::hidden() }
    }

    /// Returns the output without notices and progress, if `quiet` is set.
    pub(super) fn quiet(self, quiet: bool) -> Self {
        Self { quiet, ..self }
    }

    /// Prints a line on stderr, such as `corpus: ..`.
    pub(super) fn notice(&self, text: impl Display) {
        self.write_stderr(&format!("{text}\n"));
    }

    fn write_stderr(&self, lines: &str) {
        if !self.quiet {
            // A message that stderr refuses is dropped.
            self.progress.suspend(|| drop(io::stderr().write_all(lines.as_bytes())));
        }
    }

    /// Starts to show a training from step `first` to `end` of `total`, whose best validation loss so far is `best`.
    pub(super) fn start(&mut self, first: u64, end: u64, total: u64, best: f64) {
        self.total = total;
        if !self.quiet {
            self.progress = Progress::start(first, end, best, io::stderr().is_terminal());
        }
    }

    /// Prints an event of the training.
    pub(super) fn show(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Steps(steps) => self.steps(steps)?,
            Event::Validation(validation) => {
                self.validation(validation.step, &validation.losses)?;
                if let Some(line) = self.progress.validation(validation) {
                    self.write_stderr(&line);
                }
            }
            Event::Diverged { run, step, reason } => {
                self.notice(format_args!("diverged: {run} at step {step}: {reason}"));
            }
            Event::Stopped { step } => {
                self.progress.finish();
                self.notice(format_args!("interrupted after step {step}"));
            }
            Event::StoppedEarly { step } => {
                self.progress.finish();
                self.notice(format_args!("stopped early after step {step}, since validations no longer became better"));
            }
            Event::Finished(_) => self.progress.finish(),
            Event::Checkpoint(_) | Event::Best(_) => {}
        }
        Ok(())
    }

    /// Prints a line for each of these steps that is due.
    fn steps(&mut self, steps: &Steps) -> Result<()> {
        let Steps { ms, is_last, .. } = *steps;
        let (end, total) = (steps.end(), self.total);
        let width = total.to_string().len().max(4);
        let mut lines = String::new();
        for (step, loss) in steps.losses() {
            let is_due = step == 1 || (is_last && step == end) || step.is_multiple_of(self.log_every);
            if self.log_every > 0 && is_due {
                // Writing to a string cannot fail.
                let _ = writeln!(lines, "step {step:>width$}/{total:>width$} | loss {} | {ms:.3}ms", Loss(loss));
            }
        }
        self.lines(&lines)?;
        if let Some(line) = self.progress.steps(steps) {
            self.write_stderr(&line);
        }
        Ok(())
    }

    /// Prints the validation loss of a lone run, or the mean of several and their spread. A run that diverged has none.
    /// The line names the step if the steps have no lines of their own.
    pub(super) fn validation(&mut self, step: u64, losses: &[f64]) -> Result<()> {
        let Some(Summary { mean, std, min, max }) = Summary::of(losses.iter().copied()) else { return Ok(()) };
        let [mean, std, min, max] = [mean, std, min, max].map(Loss);
        let spread = format!(" (std {std}, best {min}, worst {max})");
        let step = if self.log_every == 0 { format!(" at step {step}") } else { String::new() };
        self.lines(&format!("  val loss: {mean}{step}{}\n", if losses.len() > 1 { &spread } else { "" }))
    }

    /// Prints complete lines of results, which give way to JSON objects.
    pub(super) fn lines(&mut self, lines: &str) -> Result<()> {
        if self.jsonl {
            self.write_stderr(lines);
            return Ok(());
        }
        self.write(lines)
    }

    /// Writes complete lines to stdout and flushes it, so that a reader sees them as they come.
    pub(super) fn write(&mut self, lines: &str) -> Result<()> {
        if self.is_closed || lines.is_empty() {
            return Ok(());
        }
        let written = self.progress.suspend(|| self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush()));
        self.is_closed = written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        printed(written)
    }
}

/// Returns the outcome of writing to stdout. A reader that has gone is not an error.
pub(super) fn printed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed("write to stdout", "check the space, or redirect the results elsewhere", error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::StepLog;

    /// Returns what `print` writes in a training of `total` steps.
    fn written(total: u64, print: impl FnOnce(&mut Console<&mut Vec<u8>>) -> Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut Console { total, ..Console::new(&mut out, 1, false) }).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Returns steps of one run.
    fn steps(first: u64, losses: &[f64], ms: f64, is_last: bool) -> Event {
        let logs = vec![losses.iter().map(|&loss| StepLog { loss, grad_norm: 1.0 }).collect()];
        let (tokens, finite) = (vec![0; losses.len() + 1], losses.len());
        Event::Steps(Steps { first, logs, ms, seconds: 0.0, tokens, finite, is_last, is_validated: false })
    }

    #[test]
    fn lines_are_those_of_the_contract() {
        assert_eq!(
            written(500, |c| c.show(&steps(0, &[3.318_49], 0.0042, false))),
            "step    1/ 500 | loss 3.3185 | 0.004ms\n"
        );
        assert_eq!(written(500, |c| c.validation(20, &[2.804_27])), "  val loss: 2.8043\n");
        assert_eq!(
            written(500, |c| c.validation(20, &[1.0, 5.0, 3.0])),
            "  val loss: 3.0000 (std 2.0000, best 1.0000, worst 5.0000)\n"
        );
        // Without the lines of steps, nothing else says the step.
        let mut out = Vec::new();
        Console::new(&mut out, 0, false).validation(20, &[2.804_27]).unwrap();
        assert_eq!(out, b"  val loss: 2.8043 at step 20\n");
    }

    #[test]
    fn a_loss_that_grows_beyond_bounds_has_an_exponent() {
        let lines =
            |loss| written(9, |c| c.show(&steps(0, &[loss], 1.0, false)).and_then(|()| c.validation(20, &[loss])));
        assert_eq!(lines(999_999.0), "step    1/   9 | loss 999999.0000 | 1.000ms\n  val loss: 999999.0000\n");
        assert_eq!(lines(1.144_4e32), "step    1/   9 | loss 1.1444e32 | 1.000ms\n  val loss: 1.1444e32\n");
    }

    #[test]
    fn columns_grow_with_the_number_of_steps() {
        assert_eq!(
            written(100_000, |c| c.show(&steps(99_998, &[12.0; 2], 1234.5, true))),
            "step  99999/100000 | loss 12.0000 | 1234.500ms\nstep 100000/100000 | loss 12.0000 | 1234.500ms\n"
        );
    }

    #[test]
    fn every_nth_step_is_printed_with_the_first_and_the_last() {
        let printed = |log_every, last: usize| {
            let mut out = Vec::new();
            let mut console = Console { total: 10, ..Console::new(&mut out, log_every, false) };
            console.show(&steps(0, &[1.0; 6], 1.0, false)).unwrap();
            console.show(&steps(6, &vec![1.0; last - 6], 1.0, true)).unwrap();
            let out = String::from_utf8(out).unwrap();
            out.lines().map(|line| line[5..9].trim().parse().unwrap()).collect::<Vec<u64>>()
        };
        assert_eq!(printed(1, 10), (1..=10).collect::<Vec<_>>());
        assert_eq!(printed(4, 10), [1, 4, 8, 10]);
        assert_eq!(printed(4, 9), [1, 4, 8, 9]);
        assert_eq!(printed(100, 10), [1, 10]);
        assert!(printed(0, 10).is_empty());
    }

    #[test]
    fn with_jsonl_stdout_has_objects_only() {
        let mut out = Vec::new();
        let mut console = Console::new(&mut out, 1, true);
        console.lines("--- inference ---\n").and_then(|()| console.validation(1, &[1.0])).unwrap();
        console.write("[1,2]\n").unwrap();
        assert_eq!(out, b"[1,2]\n");
    }

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_stdout_is_no_error_but_a_full_disk_is() {
        let mut console = Console::new(Broken(io::ErrorKind::BrokenPipe), 1, false);
        assert!(console.lines("\n").is_ok() && console.is_closed);
        let mut console = Console::new(Broken(io::ErrorKind::StorageFull), 1, false);
        assert!(console.lines("\n").unwrap_err().report().contains("hint:"));
        assert!(!console.is_closed);
    }
}
