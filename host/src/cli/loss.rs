//! Losses as text, and the table of a sweep.

use std::fmt::{self, Display};
use std::iter;

use crate::run::{RunConfig, Setting};
use crate::summary::Summary;

/// A loss to four decimals. The loss of a model that diverges, a million or more, is in exponent form.
pub(super) struct Loss(pub(super) f64);

impl Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < 1e6 { write!(f, "{:.4}", self.0) } else { write!(f, "{:.4e}", self.0) }
    }
}

/// A configuration of a sweep, and the validation losses of its seeds; NaN for one that diverged.
pub(super) struct SweepResult {
    pub(super) config: RunConfig,
    pub(super) val_losses: Vec<f64>,
}

/// Returns the table at the end of a sweep, which has a line for each configuration.
pub(super) fn table(results: &[SweepResult]) -> String {
    let swept = results.first().map(|result| &result.config.swept[..]).unwrap_or_default();
    let mut head: Vec<String> = swept.iter().map(|setting| setting.flag.clone()).collect();
    head.extend(["val loss", "std", "best", "worst", "diverged"].map(str::to_owned));
    let rows: Vec<Vec<String>> = iter::once(head).chain(results.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(|(i, cell)| format!("{cell:>w$}", w = width(i))).collect();
        cells.join("  ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(SweepResult { config, val_losses }: &SweepResult) -> Vec<String> {
    let mut row: Vec<String> = config.swept.iter().map(|Setting { value, .. }| value.clone()).collect();
    match Summary::of_finite(val_losses) {
        Some(Summary { mean, std, min, max }) => row.extend([mean, std, min, max].map(|x| Loss(x).to_string())),
        None => row.extend([const { "-" }; 4].map(str::to_owned)),
    }
    row.push(val_losses.iter().filter(|loss| !loss.is_finite()).count().to_string());
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, OptimizerConfig, TrainConfig};

    #[test]
    fn the_table_has_a_line_for_each_configuration() {
        let result = |rate: &str, n_embd: &str, val_losses: Vec<f64>| {
            let swept = [("learning-rate", rate), ("n-embd", n_embd)]
                .map(|(flag, value)| Setting { flag: flag.to_owned(), value: value.to_owned() });
            let train = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
            SweepResult { config: RunConfig { swept: swept.into(), model: ModelConfig::default(), train }, val_losses }
        };
        let results = [result("0.01", "16", vec![2.5, f64::NAN, 2.7]), result("0.1", "8", vec![f64::NAN])];
        let expected = "\
learning-rate  n-embd  val loss     std    best   worst  diverged
         0.01      16    2.6000  0.1414  2.5000  2.7000         1
          0.1       8         -       -       -       -         1";
        assert_eq!(table(&results), expected);
    }
}
