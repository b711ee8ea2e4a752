//! What a run tells: results on stdout, in lines that scripts can rely on; notices and a progress bar on stderr.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::experiment::Summary;

/// The output of a run. Nothing here panics, whatever becomes of stdout and stderr.
pub struct Report<W> {
    out: W,
    /// Whether the reader of stdout has gone, as `head` does. There is nobody to tell then, not even of an error.
    closed: bool,
    /// Every how many steps one is told; 0 for none.
    log_every: u64,
    /// Whether stdout has JSON objects and nothing else; other lines are on stderr then.
    jsonl: bool,
    /// Whether stdout is a terminal, which would obey the control characters of a corpus.
    terminal: bool,
    bar: ProgressBar,
}

/// A loss to four decimals; one of a million or more, of a model that diverges, in exponent form.
pub struct Loss(pub f64);

impl Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < 1e6 { write!(f, "{:.4}", self.0) } else { write!(f, "{:.4e}", self.0) }
    }
}

impl<W: Write> Report<W> {
    /// A report to `out`, which is the program's stdout.
    pub fn new(out: W) -> Self {
        Self { out, closed: false, log_every: 1, jsonl: false, terminal: false, bar: ProgressBar::hidden() }
    }

    /// Tells every n-th step only, and the first and the last; none for 0.
    #[must_use]
    pub fn log_every(self, log_every: u64) -> Self {
        Self { log_every, ..self }
    }

    /// Keeps everything but JSON objects from stdout.
    #[must_use]
    pub fn jsonl(self, jsonl: bool) -> Self {
        Self { jsonl, ..self }
    }

    /// Escapes the control characters of samples. A script gets them as they are.
    #[must_use]
    pub fn terminal(self, terminal: bool) -> Self {
        Self { terminal, ..self }
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
        self.line(&format!("num docs: {docs} (train: {train}, val: {val})\nvocab size: {vocab}\nnum params: {params}"))
    }

    /// Shows a progress bar on stderr, if that is a terminal, for steps `step..steps`.
    pub fn start_bar(&mut self, step: u64, steps: u64) {
        // As wide as the terminal, whatever the numbers.
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} steps, {rate}, {eta} left{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = write!(out, "{:.0}/s", state.per_sec());
            });
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        self.bar = bar.with_style(style).with_position(step).with_finish(ProgressFinish::AndClear);
        self.bar.reset_eta();
    }

    /// Removes the progress bar.
    pub fn clear_bar(&mut self) {
        self.bar.finish_and_clear();
    }

    /// A line for each of the steps from `first` (from 0) on that is told; they took `ms` each. The run has `steps`, but
    /// may end after step `last`.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn steps(&mut self, first: u64, last: u64, steps: u64, losses: &[f64], ms: f64) -> Result<()> {
        let width = digits(steps).max(4);
        let mut lines = String::new();
        for (step, loss) in (first + 1..).zip(losses) {
            let told = step == 1 || step == last || step.is_multiple_of(self.log_every);
            if self.log_every > 0 && told {
                // Writing to a string cannot fail.
                let _ = writeln!(lines, "step {step:>width$}/{steps:>width$} | loss {} | {ms:.3}ms", Loss(*loss));
            }
        }
        self.lines(&lines)?;
        self.bar.set_position(first + losses.len() as u64);
        if let Some(&loss) = losses.last() {
            self.bar.set_message(format!(", loss {}", Loss(loss)));
        }
        Ok(())
    }

    /// The line of a validation: the loss of the one model, or the mean over several and how they are spread; a model that
    /// diverged has no finite loss.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn validation(&mut self, losses: &[f64]) -> Result<()> {
        let finite = losses.iter().copied().filter(|loss| loss.is_finite());
        let Some(Summary { mean, std, min, max }) = Summary::of(finite) else { return Ok(()) };
        let [mean, std, min, max] = [mean, std, min, max].map(Loss);
        if losses.len() == 1 {
            return self.line(&format!("  val loss: {mean}"));
        }
        self.line(&format!("  val loss: {mean} (std {std}, best {min}, worst {max})"))
    }

    /// A line for each of these samples, out of `samples`, with its number.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn samples<'a>(&mut self, texts: impl Iterator<Item = (u64, &'a str)>, samples: u64) -> Result<()> {
        let width = digits(samples).max(2);
        let mut lines = String::new();
        for (sample, text) in texts {
            let _ = write!(lines, "sample {sample:>width$}: ");
            for c in text.chars() {
                let _ = if self.terminal && c.is_control() {
                    write!(lines, "{}", c.escape_default())
                } else {
                    lines.write_char(c)
                };
            }
            lines.push('\n');
        }
        self.lines(&lines)
    }

    /// A JSON object for each of these samples.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn samples_jsonl(&mut self, records: impl Iterator<Item = impl Serialize>) -> Result<()> {
        let mut lines = String::new();
        for record in records {
            let object = serde_json::to_string(&record).map_err(|error| Error::new("no JSON").caused_by(error))?;
            lines += &object;
            lines.push('\n');
        }
        self.write(&lines)
    }

    /// A line of results.
    ///
    /// # Errors
    /// stdout cannot be written to.
    pub fn line(&mut self, line: &str) -> Result<()> {
        self.lines(&format!("{line}\n"))
    }

    /// Whole lines of results, which give way to JSON.
    fn lines(&mut self, lines: &str) -> Result<()> {
        if self.jsonl {
            self.bar.suspend(|| drop(io::stderr().write_all(lines.as_bytes())));
            return Ok(());
        }
        self.write(lines)
    }

    /// Writes whole lines and passes them on at once, so that a reader sees them as they come.
    fn write(&mut self, lines: &str) -> Result<()> {
        if self.closed || lines.is_empty() {
            return Ok(());
        }
        let written = self.bar.suspend(|| self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush()));
        self.closed = written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        printed(written)
    }
}

/// Decimal digits of `n`.
fn digits(n: u64) -> usize {
    n.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// What became of text that was written to stdout: that nobody reads it is no error.
///
/// # Errors
/// stdout cannot be written to.
pub fn printed(written: io::Result<()>) -> Result<()> {
    written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }).map_err(
        |error| {
            let hint = "the results go there: check the space, or send them elsewhere";
            Error::new("cannot write to stdout").caused_by(error).hint(hint)
        },
    )
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
        assert_eq!(written(|r| r.steps(0, 500, 500, &[3.318_49], 0.0042)), "step    1/ 500 | loss 3.3185 | 0.004ms\n");
        assert_eq!(written(|r| r.validation(&[2.804_27])), "  val loss: 2.8043\n");
        assert_eq!(
            written(|r| r.validation(&[1.0, 5.0, 3.0])),
            "  val loss: 3.0000 (std 2.0000, best 1.0000, worst 5.0000)\n"
        );
        assert_eq!(written(|r| r.samples([(1, "kaela")].into_iter(), 20)), "sample  1: kaela\n");
        assert_eq!(
            written(|r| r.header(9, 1, 27, 3632)),
            "num docs: 10 (train: 9, val: 1)\nvocab size: 27\nnum params: 3632\n"
        );
    }

    #[test]
    fn a_loss_that_grows_beyond_bounds_keeps_its_line() {
        let lines = |loss| written(|r| r.steps(0, 9, 9, &[loss], 1.0).and_then(|()| r.validation(&[loss])));
        assert_eq!(lines(999_999.0), "step    1/   9 | loss 999999.0000 | 1.000ms\n  val loss: 999999.0000\n");
        assert_eq!(lines(1.144_4e32), "step    1/   9 | loss 1.1444e32 | 1.000ms\n  val loss: 1.1444e32\n");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let samples = |terminal| {
            let mut out = Vec::new();
            Report::new(&mut out).terminal(terminal).samples([(1, "a\u{1b}[2J\tß\u{9b}")].into_iter(), 1).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(samples(true), "sample  1: a\\u{1b}[2J\\tß\\u{9b}\n");
        assert_eq!(samples(false), "sample  1: a\u{1b}[2J\tß\u{9b}\n");
    }

    #[test]
    fn columns_grow_with_the_numbers() {
        assert_eq!(
            written(|r| r.steps(99_998, 100_000, 100_000, &[12.0; 2], 1234.5)),
            "step  99999/100000 | loss 12.0000 | 1234.500ms\nstep 100000/100000 | loss 12.0000 | 1234.500ms\n"
        );
        assert_eq!(written(|r| r.samples([(99, "")].into_iter(), 100)), "sample  99: \n");
    }

    #[test]
    fn some_steps_are_told_and_the_first_and_the_last() {
        let told = |log_every, last| {
            let mut out = Vec::new();
            let mut report = Report::new(&mut out).log_every(log_every);
            report.steps(0, last, 10, &[1.0; 6], 1.0).unwrap();
            report.steps(6, last, 10, &vec![1.0; last as usize - 6], 1.0).unwrap();
            let out = String::from_utf8(out).unwrap();
            out.lines().map(|line| line[5..9].trim().parse().unwrap()).collect::<Vec<u64>>()
        };
        assert_eq!(told(1, 10), (1..=10).collect::<Vec<_>>());
        assert_eq!(told(4, 10), [1, 4, 8, 10]);
        assert_eq!(told(4, 9), [1, 4, 8, 9]);
        assert_eq!(told(100, 10), [1, 10]);
        assert!(told(0, 10).is_empty());
    }

    #[test]
    fn with_jsonl_stdout_has_objects_only() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out).jsonl(true);
        report.line("--- inference ---").and_then(|()| report.validation(&[1.0])).unwrap();
        report.samples_jsonl([[1, 2]].into_iter()).unwrap();
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
    fn a_reader_that_went_is_no_error_but_a_full_disk_is() {
        let mut report = Report::new(Broken(io::ErrorKind::BrokenPipe));
        assert!(report.line("").is_ok() && report.is_closed());
        let mut report = Report::new(Broken(io::ErrorKind::StorageFull));
        assert!(report.line("").unwrap_err().report().contains("hint:"));
        assert!(!report.is_closed());
    }
}
