//! The rows of the metrics, as JSON objects or as CSV.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::file::SEED;
use crate::device::StepLog;
use crate::run::{Run, Setting};
use crate::trainer::Steps;

/// The names of a row's values, after those of the run.
const NAMES: [&str; 8] = ["step", "loss", "lr", "grad_norm", "tokens", "seconds", "val_loss", "settings"];

/// The writer of a file's rows.
pub(super) struct Rows {
    is_csv: bool,
    runs: Vec<Run>,
    /// The settings as JSON text, until the first row is written.
    settings: Option<String>,
}

/// The values of a row. A number that is not finite is `null` in JSON.
struct Row<'a> {
    step: u64,
    loss: f64,
    lr: f64,
    grad_norm: f64,
    tokens: u64,
    seconds: f64,
    val_loss: Option<f64>,
    settings: Option<&'a str>,
}

impl Rows {
    /// Returns the writer of the rows of these runs, in the format that the file's name asks for.
    pub(super) fn new(path: &Path, runs: Vec<Run>, settings: Map<String, Value>) -> Self {
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let settings = (!settings.is_empty()).then(|| Value::Object(settings).to_string());
        Self { is_csv, runs, settings }
    }

    /// Returns the line before the first row, which is empty in JSON lines.
    pub(super) fn header(&self) -> String {
        if !self.is_csv {
            return String::new();
        }
        let swept = self.runs.first().map(|run| &run.config.swept[..]).unwrap_or_default();
        let swept = swept.iter().map(|setting| setting.flag.as_str());
        let names: Vec<&str> = ["seed"].into_iter().chain(swept).chain(NAMES).collect();
        names.join(",") + "\n"
    }

    /// Writes the rows of a launch in the order of steps.
    pub(super) fn write(&mut self, out: &mut impl Write, steps: &Steps, val_losses: Option<&[f64]>) -> io::Result<()> {
        let settings = self.settings.take();
        let heads: Vec<String> = self.runs.iter().map(head).collect();
        let mut csv = csv::WriterBuilder::new().from_writer(Vec::new());
        for (i, step) in (steps.first..steps.end()).enumerate() {
            let val_losses = val_losses.filter(|_| step + 1 == steps.end());
            for (index, (head, run)) in heads.iter().zip(&self.runs).enumerate() {
                let StepLog { loss, grad_norm } = steps.logs[index][i];
                let row = Row {
                    step: step + 1,
                    loss,
                    lr: run.config.train.optimizer.learning_rate_at(step, run.config.train.steps),
                    grad_norm,
                    tokens: steps.tokens[i + 1],
                    seconds: steps.seconds_after(i),
                    val_loss: val_losses.map(|losses| losses[index]),
                    settings: settings.as_deref().filter(|_| i == 0 && index == 0),
                };
                if self.is_csv { row.write_csv(&mut csv, run)? } else { row.write_json(out, head)? }
            }
        }
        out.write_all(&csv.into_inner().map_err(csv::IntoInnerError::into_error)?)
    }
}

impl Row<'_> {
    /// Writes the row as a JSON object that starts with `head`. No value allocates a string, because a step of the
    /// smallest model takes little longer than writing its row.
    fn write_json(&self, out: &mut impl Write, head: &str) -> io::Result<()> {
        out.write_all(head.as_bytes())?;
        serde_json::to_writer(&mut *out, &self.step)?;
        for (key, value) in [(r#","loss":"#, self.loss), (r#","lr":"#, self.lr), (r#","grad_norm":"#, self.grad_norm)] {
            out.write_all(key.as_bytes())?;
            number(out, value)?;
        }
        out.write_all(br#","tokens":"#)?;
        serde_json::to_writer(&mut *out, &self.tokens)?;
        out.write_all(br#","seconds":"#)?;
        number(out, to_microseconds(self.seconds))?;
        if let Some(val_loss) = self.val_loss {
            out.write_all(br#","val_loss":"#)?;
            number(out, val_loss)?;
        }
        if let Some(settings) = self.settings {
            write!(out, r#","settings":{settings}"#)?;
        }
        out.write_all(b"}\n")
    }

    /// Writes the row as a record of CSV.
    fn write_csv(&self, csv: &mut csv::Writer<Vec<u8>>, run: &Run) -> io::Result<()> {
        csv.write_field(run.seed.to_string())?;
        for Setting { value, .. } in &run.config.swept {
            csv.write_field(value)?;
        }
        csv.write_field(self.step.to_string())?;
        let mut text = Vec::new();
        for value in [self.loss, self.lr, self.grad_norm] {
            csv.write_field(csv_number(&mut text, value)?)?;
        }
        csv.write_field(self.tokens.to_string())?;
        csv.write_field(csv_number(&mut text, to_microseconds(self.seconds))?)?;
        match self.val_loss {
            Some(val_loss) => csv.write_field(csv_number(&mut text, val_loss)?)?,
            None => csv.write_field("")?,
        }
        csv.write_field(self.settings.unwrap_or_default())?;
        csv.write_record(None::<&[u8]>)?;
        Ok(())
    }
}

/// Rounds seconds to whole microseconds.
fn to_microseconds(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
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

/// Writes a JSON number, or `null` for a value that is not finite. A value in single precision, as the kernels compute
/// it, gets the shortest decimal that rounds to the value.
fn number(out: &mut impl Write, value: f64) -> io::Result<()> {
    let single = value as f32;
    let is_single = f64::from(single).to_bits() == value.to_bits();
    Ok(if is_single { serde_json::to_writer(out, &single) } else { serde_json::to_writer(out, &value) }?)
}

/// Returns a number as [`number`] writes it, in `text`, or else `NaN`, `inf` or `-inf`.
fn csv_number(text: &mut Vec<u8>, value: f64) -> io::Result<&[u8]> {
    text.clear();
    if value.is_finite() {
        number(text, value)?;
    } else {
        write!(text, "{value}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, OptimizerConfig, TrainConfig};
    use crate::run::RunConfig;

    fn setting(flag: &str, value: &str) -> Setting {
        Setting { flag: flag.to_owned(), value: value.to_owned() }
    }

    const TRAIN: TrainConfig = TrainConfig {
        steps: 4,
        batch: 1,
        optimizer: OptimizerConfig {
            learning_rate: 0.1,
            warmup: 0,
            min_lr: 0.0,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
        },
    };

    fn run(seed: u64, swept: Vec<Setting>) -> Run {
        Run { seed, config: RunConfig { swept, model: ModelConfig::default(), train: TRAIN } }
    }

    /// Returns two steps of two runs, and the losses of their validation.
    fn steps() -> (Steps, [f64; 2]) {
        let log = |loss| StepLog { loss, grad_norm: 0.5 };
        let logs = vec![vec![log(1.5), log(2.0)], vec![log(3.25), log(f64::NAN)]];
        let tokens = vec![10, 14, 21];
        let (ms, seconds) = (0.004_638_842_000_000_001, 1.25);
        let steps = Steps { first: 2, logs, ms, seconds, tokens, finite: 2, is_last: true, is_validated: true };
        (steps, [2.5, f64::INFINITY])
    }

    fn written(name: &str, runs: Vec<Run>) -> String {
        let settings = Map::from_iter([("prompt".to_owned(), Value::from("a, \"b\""))]);
        let mut rows = Rows::new(name.as_ref(), runs, settings);
        let mut out = rows.header().into_bytes();
        let (steps, val_losses) = steps();
        rows.write(&mut out, &steps, Some(&val_losses)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_object_is_a_step_of_a_run() {
        let text = written("steps.jsonl", vec![run(7, vec![]), run(8, vec![setting("learning-rate", "0.01")])]);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[0],
            serde_json::json!({
                "seed": 7, "step": 3, "loss": 1.5, "lr": 0.05, "grad_norm": 0.5, "tokens": 14, "seconds": 1.249_995,
                "settings": { "prompt": "a, \"b\"" },
            })
        );
        assert_eq!(lines[1]["sweep"], serde_json::json!({ "learning-rate": 0.01 }));
        assert_eq!((&lines[1]["seed"], &lines[1]["loss"]), (&8.into(), &3.25.into()));
        assert_eq!((&lines[2]["step"], &lines[2]["val_loss"]), (&4.into(), &2.5.into()));
        assert!(lines[1..].iter().all(|line| line["settings"].is_null()));
        // JSON has no number for NaN and infinity.
        assert!(lines[3]["loss"].is_null() && lines[3]["val_loss"].is_null());
    }

    #[test]
    fn a_line_of_csv_is_a_step_of_a_run() {
        let swept = |value| vec![setting("n-embd", value)];
        let text = written("steps.CSV", vec![run(7, swept("8")), run(8, swept("16"))]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "seed,n-embd,step,loss,lr,grad_norm,tokens,seconds,val_loss,settings");
        assert_eq!(lines[1], r#"7,8,3,1.5,0.05,0.5,14,1.249995,,"{""prompt"":""a, \""b\""""}""#);
        assert_eq!(lines[2], "8,16,3,3.25,0.05,0.5,14,1.249995,,");
        assert_eq!(lines[4].rsplit_once(",0.5,").unwrap().1, "21,1.25,inf,");
        assert!(lines[4].starts_with("8,16,4,NaN,"), "{text}");
        assert_eq!(lines.len(), 5);
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
