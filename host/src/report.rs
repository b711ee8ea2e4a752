//! What a run tells: results on stdout, in lines that scripts can rely on; notices and a progress bar on stderr.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use crate::device::StepLog;
use crate::error::{Error, Result};

/// The output of a run. Nothing here panics, whatever becomes of stdout and stderr.
pub struct Report<W> {
    out: W,
    /// Whether the reader of stdout has gone, as `head` does. There is nobody to tell then, not even of an error.
    closed: bool,
    bar: ProgressBar,
}

impl<W: Write> Report<W> {
    /// A report to `out`, which is the program's stdout.
    pub fn new(out: W) -> Self {
        Self { out, closed: false, bar: ProgressBar::hidden() }
    }

    /// Whether nobody reads the results any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// A line on stderr: `corpus: ..`.
    pub fn notice(&self, text: impl Display) {
        // Without stderr there is nobody to tell.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{text}")));
    }

    /// The lines that describe corpus and model.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn header(&mut self, train: usize, val: usize, vocab: usize, params: usize) -> Result<()> {
        let docs = train + val;
        self.write(&format!(
            "num docs: {docs} (train: {train}, val: {val})\nvocab size: {vocab}\nnum params: {params}\n"
        ))
    }

    /// Shows a progress bar on stderr, if that is a terminal, for steps `step..steps`.
    pub fn start_bar(&mut self, step: u64, steps: u64) {
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} steps, {per_sec}, {eta} left{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        self.bar = bar.with_style(style).with_position(step).with_finish(ProgressFinish::AndClear);
        self.bar.reset_eta();
    }

    /// Removes the progress bar.
    pub fn clear_bar(&mut self) {
        self.bar.finish_and_clear();
    }

    /// A line for each of the steps from `first` (from 0) on, which took `ms` each.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn steps(&mut self, first: u64, steps: u64, logs: &[StepLog], ms: f64) -> Result<()> {
        let width = digits(steps).max(4);
        let mut lines = String::new();
        for (step, log) in (first + 1..).zip(logs) {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "step {step:>width$}/{steps:>width$} | loss {:.4} | {ms:.3}ms", log.loss);
        }
        self.write(&lines)?;
        self.bar.set_position(first + logs.len() as u64);
        if let Some(log) = logs.last() {
            self.bar.set_message(format!(", loss {:.4}", log.loss));
        }
        Ok(())
    }

    /// The line of a validation.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn validation(&mut self, loss: f64) -> Result<()> {
        self.write(&format!("  val loss: {loss:.4}\n"))
    }

    /// The line before the samples.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn inference(&mut self) -> Result<()> {
        self.write("--- inference ---\n")
    }

    /// A line for each of the samples from `first` (from 0) on, out of `samples`.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn samples(&mut self, first: u64, samples: u64, texts: &[String]) -> Result<()> {
        let width = digits(samples).max(2);
        let mut lines = String::new();
        for (sample, text) in (first + 1..).zip(texts) {
            let _ = writeln!(lines, "sample {sample:>width$}: {text}");
        }
        self.write(&lines)
    }

    /// Writes whole lines and passes them on at once, so that a reader sees them as they come.
    fn write(&mut self, lines: &str) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let written = self.bar.suspend(|| self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush()));
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => {
                let hint = "the results go there: check the space, or send them elsewhere";
                return Err(Error::new("cannot write to stdout").caused_by(error).hint(hint));
            }
            Ok(()) => {}
        }
        Ok(())
    }
}

/// Decimal digits of `n`.
fn digits(n: u64) -> usize {
    n.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Prints an error on stderr, as far as that is possible.
pub fn print_error(error: &Error) {
    let _ = writeln!(io::stderr(), "{}", error.report());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(tell: impl FnOnce(&mut Report<&mut Vec<u8>>) -> Result<()>) -> String {
        let mut out = Vec::new();
        tell(&mut Report::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_those_of_the_contract() {
        let log = StepLog { loss: 3.318_49, grad_norm: 1.0 };
        assert_eq!(written(|r| r.steps(0, 500, &[log], 0.0042)), "step    1/ 500 | loss 3.3185 | 0.004ms\n");
        assert_eq!(written(|r| r.validation(2.804_27)), "  val loss: 2.8043\n");
        assert_eq!(written(|r| r.samples(0, 20, &["kaela".to_owned()])), "sample  1: kaela\n");
        // A path to the method would name one lifetime.
        #[expect(clippy::redundant_closure_for_method_calls)]
        let heading = written(|r| r.inference());
        assert_eq!(heading, "--- inference ---\n");
        assert_eq!(
            written(|r| r.header(9, 1, 27, 3632)),
            "num docs: 10 (train: 9, val: 1)\nvocab size: 27\nnum params: 3632\n"
        );
    }

    #[test]
    fn columns_grow_with_the_numbers() {
        let logs = [StepLog { loss: 12.0, grad_norm: 1.0 }; 2];
        assert_eq!(
            written(|r| r.steps(99_998, 100_000, &logs, 1234.5)),
            "step  99999/100000 | loss 12.0000 | 1234.500ms\nstep 100000/100000 | loss 12.0000 | 1234.500ms\n"
        );
        assert_eq!(written(|r| r.samples(98, 100, &[String::new()])), "sample  99: \n");
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
    fn a_reader_that_went_is_no_error_but_a_full_disk_is() {
        let mut report = Report::new(Broken(io::ErrorKind::BrokenPipe));
        assert!(report.inference().is_ok() && report.is_closed());
        let mut report = Report::new(Broken(io::ErrorKind::StorageFull));
        assert!(report.inference().unwrap_err().report().contains("hint:"));
        assert!(!report.is_closed());
    }
}
