//! The progress of a training on stderr, a bar on a terminal and a line every so many steps elsewhere.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::loss::Loss;
use crate::trainer::{Steps, Validation};

/// The approximate number of lines of a training.
const LINES: u64 = 10;

/// The progress of a training.
pub(super) struct Progress {
    /// The bar, which is hidden where lines are printed.
    bar: ProgressBar,
    /// The number of steps between two lines, or 0 for none.
    every: u64,
    /// The step that the training starts from.
    first: u64,
    /// The last step of the training.
    end: u64,
    /// The mean loss of the last validation.
    last: Option<f64>,
    /// The least loss of a validation, or infinity before the first.
    best: f64,
    /// The line of steps whose validation follows.
    held: Option<Line>,
}

/// The values of a line after some steps.
#[derive(Clone, Copy)]
struct Line {
    step: u64,
    tokens_per_second: f64,
    elapsed: f64,
}

impl Progress {
    /// Returns the progress that shows nothing.
    pub(super) fn hidden() -> Self {
        let bar = ProgressBar::hidden();
        Self { bar, every: 0, first: 0, end: 0, last: None, best: f64::INFINITY, held: None }
    }

    /// Starts to show a training from step `first` to `end`, whose best validation loss so far is `best`.
    pub(super) fn start(first: u64, end: u64, best: f64, is_terminal: bool) -> Self {
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} steps{msg} | {elapsed} elapsed, {eta} left");
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(end), target);
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_position(first);
        bar.reset_eta();
        let every = if is_terminal { 0 } else { round_interval(end, LINES) };
        let bar = bar.with_finish(ProgressFinish::AndClear);
        Self { bar, every, first, end, last: None, best, held: None }
    }

    /// Hides the bar while `print` writes.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Takes note of steps, and returns a line if one is due now.
    pub(super) fn steps(&mut self, steps: &Steps) -> Option<String> {
        let (before, step) = (steps.first, steps.end());
        let line = Line { step, tokens_per_second: steps.tokens_per_second(), elapsed: steps.seconds };
        self.bar.set_position(step);
        self.bar.set_message(format!(" | {:.0} tokens/s{}", line.tokens_per_second, self.losses(", ")));
        let is_due = self.every > 0 && (before / self.every < step / self.every || step == self.end);
        let line = Some(line).filter(|_| is_due)?;
        if steps.is_validated {
            self.held = Some(line);
            return None;
        }
        Some(self.line(line))
    }

    /// Takes note of a validation, and returns the line of the steps before it if one is due.
    pub(super) fn validation(&mut self, validation: &Validation) -> Option<String> {
        self.last = Some(validation.loss());
        self.best = validation.losses.iter().copied().fold(self.best, f64::min);
        self.held.take().map(|line| self.line(line))
    }

    /// Returns the last and the best validation loss, each after a separator.
    fn losses(&self, separator: &str) -> String {
        let mut text = String::new();
        for (name, loss) in [("val loss", self.last), ("best", Some(self.best))] {
            if let Some(loss) = loss.filter(|loss| loss.is_finite()) {
                // Writing to a string cannot fail.
                let _ = write!(text, "{separator}{name} {}", Loss(loss));
            }
        }
        text
    }

    fn line(&self, Line { step, tokens_per_second, elapsed }: Line) -> String {
        let left = elapsed / (step - self.first).max(1) as f64 * self.end.saturating_sub(step) as f64;
        let [elapsed, left] = [elapsed, left].map(clock);
        let (end, losses) = (self.end, self.losses(" | "));
        format!(
            "progress: step {step}/{end} | {tokens_per_second:.0} tokens/s | {elapsed} elapsed | {left} left{losses}\n"
        )
    }
}

/// Returns seconds as hours, minutes and seconds.
fn clock(seconds: f64) -> String {
    // A time that is too long to count is shown as the longest.
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Returns the least round number, such as 1, 2, 5 or 10, that divides `steps` into at most `parts` parts.
pub(super) fn round_interval(steps: u64, parts: u64) -> u64 {
    let mut round = (0..16).flat_map(|power| [1, 2, 5].map(|digit| digit * 10u64.pow(power)));
    round.find(|every| steps / every <= parts).unwrap_or(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::StepLog;

    /// Returns steps of 7 tokens, each of which took a second.
    fn steps(first: u64, len: usize, is_validated: bool) -> Steps {
        Steps {
            first,
            logs: vec![vec![StepLog { loss: 1.0, grad_norm: 1.0 }; len]],
            ms: 1000.0,
            seconds: (first + len as u64) as f64,
            tokens: (first..=first + len as u64).map(|step| 7 * step).collect(),
            finite: len,
            is_last: false,
            is_validated,
        }
    }

    #[test]
    fn a_line_has_speed_times_and_validations() {
        let mut progress = Progress::start(0, 7300, 2.5, false);
        let line = "progress: step 3700/7300 | 7 tokens/s | 1:01:40 elapsed | 1:00:00 left | best 2.5000\n";
        assert_eq!(progress.steps(&steps(0, 3700, false)).unwrap(), line);
        // The line waits for the validation that follows.
        assert_eq!(progress.steps(&steps(3700, 3600, true)), None);
        let line = progress.validation(&Validation { step: 7300, losses: vec![3.0, 2.0] }).unwrap();
        assert!(line.ends_with("0:00:00 left | val loss 2.5000 | best 2.0000\n"), "{line}");
        assert_eq!(progress.validation(&Validation { step: 7300, losses: vec![f64::NAN] }), None);
    }

    #[test]
    fn about_ten_lines_are_printed_and_none_beside_a_bar() {
        let count = |is_terminal| {
            let mut progress = Progress::start(30, 503, f64::INFINITY, is_terminal);
            (30..503).filter(|&step| progress.steps(&steps(step, 1, false)).is_some()).count()
        };
        assert_eq!((count(false), count(true)), (11, 0));
        assert_eq!([1, 10, 20, 500, 501, 1000].map(|steps| round_interval(steps, 10)), [1, 1, 2, 50, 50, 100]);
    }
}
