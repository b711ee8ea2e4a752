//! A run: training with validations in between, then saving, then sampling.

use std::io::Write;
use std::time::Instant;

use crate::checkpoint::Target;
use crate::config::{SampleConfig, num_params};
use crate::corpus::Dataset;
use crate::device::{Device, State};
use crate::error::{Error, Result};
use crate::report::Report;

/// What to do with a device that holds a model and its corpus.
pub struct Run<'a> {
    /// Train until this step.
    pub steps: u64,
    /// Validate after every this many steps; 0 never.
    pub val_every: u64,
    /// Validation documents.
    pub val_docs: usize,
    /// Samples to generate at the end.
    pub samples: u64,
    /// How to sample.
    pub sample: SampleConfig,
    /// The documents that the device holds.
    pub dataset: &'a Dataset,
    /// Where the trained model is saved.
    pub save: Option<&'a Target>,
}

/// The most steps of a launch, so that results come as they arise.
const MAX_LAUNCH: u64 = 4096;
/// The most work of a launch or of a call for samples, in multiplications: a second or so on the slowest device.
const LAUNCH_WORK: u64 = 1 << 29;

impl Run<'_> {
    /// Does it.
    ///
    /// If nobody reads the results any more, it ends early, but not before the model that `save` asks for is saved.
    ///
    /// # Errors
    /// A loss that is not finite, an output that cannot be written, or what the device reports.
    pub fn execute(&self, device: &mut dyn Device, report: &mut Report<impl Write>) -> Result<()> {
        let State { step, weights, .. } = device.download()?;
        // Each parameter is multiplied at each position, in a step once forward and twice backward.
        let work = num_params(weights.shape) as u64 * u64::from(weights.shape.block_size);
        self.train(device, report, step, (LAUNCH_WORK / (3 * work)).clamp(1, MAX_LAUNCH))?;
        if self.nobody_waits(report) {
            return Ok(());
        }
        let state = device.download()?;
        // The last update is in no loss.
        let mut values = [&state.weights, &state.m, &state.v].into_iter().flat_map(|array| &array.values);
        if let Some(value) = values.find(|value| !value.is_finite()) {
            return Err(diverged_at(state.step, &format!("a value of the model is {value}")));
        }
        // Saved before sampling, so that nothing that happens there can lose the model.
        if let Some(target) = self.save {
            target.save(&state, self.dataset.tokenizer.chars(), self.sample.seed)?;
            report.notice(format_args!("saved: `{}`", target.name()));
        }
        self.generate(device, report, (LAUNCH_WORK / work).clamp(1, MAX_LAUNCH))
    }

    /// Trains from `step` on, in launches of at most `max_launch` steps.
    fn train(
        &self,
        device: &mut dyn Device,
        report: &mut Report<impl Write>,
        mut step: u64,
        max_launch: u64,
    ) -> Result<()> {
        report.start_bar(step, self.steps);
        while step < self.steps && !self.nobody_waits(report) {
            let until_validation = self.val_every.checked_sub(step % self.val_every.max(1)).filter(|&n| n > 0);
            let launch = (self.steps - step).min(until_validation.unwrap_or(u64::MAX)).min(max_launch);
            let start = Instant::now();
            let logs = device.train(launch as usize)?;
            let ms = start.elapsed().as_secs_f64() * 1e3 / launch as f64;
            let diverged = logs.iter().position(|log| !log.loss.is_finite() || !log.grad_norm.is_finite());
            report.steps(step, self.steps, &logs[..diverged.unwrap_or(logs.len())], ms)?;
            if let Some(i) = diverged {
                let what = if logs[i].loss.is_finite() { "gradient norm" } else { "loss" };
                let value = if logs[i].loss.is_finite() { logs[i].grad_norm } else { logs[i].loss };
                return Err(diverged_at(step + i as u64 + 1, &format!("the {what} is {value}")));
            }
            step += launch;
            if Some(launch) == until_validation {
                self.validate(device, report, step)?;
            }
        }
        report.clear_bar();
        Ok(())
    }

    fn validate(&self, device: &mut dyn Device, report: &mut Report<impl Write>, step: u64) -> Result<()> {
        let loss = device.evaluate(self.val_docs)?.loss();
        if !loss.is_finite() {
            return Err(diverged_at(step, &format!("the validation loss is {loss}")));
        }
        report.validation(loss)
    }

    /// Samples, `chunk` at a time.
    fn generate(&self, device: &mut dyn Device, report: &mut Report<impl Write>, chunk: u64) -> Result<()> {
        report.inference()?;
        let mut first = 0;
        while first < self.samples && !report.is_closed() {
            let end = self.samples.min(first + chunk);
            let samples = device.generate(&self.sample, first..end)?;
            let texts: Vec<String> = samples.iter().map(|tokens| self.dataset.tokenizer.decode(tokens)).collect();
            report.samples(first, self.samples, &texts)?;
            first = end;
        }
        Ok(())
    }

    /// Whether nothing that is still to be computed would reach anyone.
    fn nobody_waits(&self, report: &Report<impl Write>) -> bool {
        report.is_closed() && self.save.is_none()
    }
}

/// The run cannot go on: `what` is not finite after or at step `step`, counted from 1 as in the report.
fn diverged_at(step: u64, what: &str) -> Error {
    Error::new(format!("training diverged at step {step}: {what}"))
        .hint("nothing was saved; lower `--learning-rate`, or start from other weights")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::ops::Range;

    use super::*;
    use crate::checkpoint;
    use crate::config::ModelConfig;
    use crate::device::{Evaluation, StepLog};
    use crate::weights::Weights;

    /// A device whose loss is the step's number, counted from 1, until it breaks.
    struct Fake {
        state: State,
        launches: Vec<usize>,
        evaluations: Vec<u64>,
        samples: Vec<Range<u64>>,
        bad: Option<(u64, StepLog)>,
        nll: f64,
    }

    impl Device for Fake {
        fn description(&self) -> String {
            String::new()
        }
        fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
            self.launches.push(steps);
            let first = self.state.step + 1;
            self.state.step += steps as u64;
            let log = |step| match self.bad {
                Some((bad, log)) if step >= bad => log,
                _ => StepLog { loss: step as f64, grad_norm: 1.0 },
            };
            Ok((first..=self.state.step).map(log).collect())
        }
        fn evaluate(&mut self, documents: usize) -> Result<Evaluation> {
            assert_eq!(documents, 20);
            self.evaluations.push(self.state.step);
            Ok(Evaluation { nll: self.nll, tokens: 2 })
        }
        fn generate(&mut self, _: &SampleConfig, samples: Range<u64>) -> Result<Vec<Vec<u32>>> {
            self.samples.push(samples.clone());
            Ok(samples.map(|_| vec![1, 2]).collect())
        }
        fn download(&mut self) -> Result<State> {
            Ok(self.state.clone())
        }
        fn upload(&mut self, _: &State) -> Result<()> {
            unreachable!()
        }
    }

    fn dataset() -> Dataset {
        Dataset::new(&["ab", "b"], None, None).unwrap()
    }

    fn fake(model: ModelConfig) -> Fake {
        let state = State::new(Weights::zeros(model.shape(3).unwrap()));
        Fake { state, launches: vec![], evaluations: vec![], samples: vec![], bad: None, nll: 1.0 }
    }

    fn run(dataset: &Dataset) -> Run<'_> {
        let sample = SampleConfig { top_k: 1, temperature: 0.0, seed: 42 };
        Run { steps: 10, val_every: 4, val_docs: 20, samples: 3, sample, dataset, save: None }
    }

    #[test]
    fn launches_end_at_validations_and_the_last_step() {
        let dataset = dataset();
        let mut device = fake(ModelConfig::default());
        let mut out = Vec::new();
        run(&dataset).execute(&mut device, &mut Report::new(&mut out)).unwrap();
        assert_eq!(device.launches, [4, 4, 2]);
        assert_eq!(device.evaluations, [4, 8]);
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().map(|line| line.split(" | ").nth(1).unwrap_or(line)).collect();
        let step = |step: u32| format!("loss {step}.0000");
        let mut expected: Vec<String> = (1..=10).map(step).collect();
        expected.insert(8, "  val loss: 0.5000".to_owned());
        expected.insert(4, "  val loss: 0.5000".to_owned());
        expected.push("--- inference ---".to_owned());
        expected.extend((1..=3).map(|sample| format!("sample  {sample}: ab")));
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_run_goes_on_from_the_step_of_the_device() {
        let dataset = dataset();
        let mut device = fake(ModelConfig::default());
        device.state.step = 3;
        run(&dataset).execute(&mut device, &mut Report::new(Vec::new())).unwrap();
        assert_eq!(device.launches, [1, 4, 2]);
    }

    #[test]
    fn large_models_train_and_sample_in_small_launches() {
        let dataset = dataset();
        let run = Run { val_every: 0, samples: 10_000, ..run(&dataset) };
        let mut device = fake(ModelConfig { n_embd: 512, n_layer: 2, block_size: 64, ..ModelConfig::default() });
        run.execute(&mut device, &mut Report::new(Vec::new())).unwrap();
        assert_eq!(device.launches, [1; 10]);
        assert_eq!(device.samples.len(), 10_000);
        let mut device = fake(ModelConfig::default());
        Run { steps: 10_000, ..run }.execute(&mut device, &mut Report::new(Vec::new())).unwrap();
        assert_eq!(device.launches, [4096, 4096, 10_000 - 2 * 4096]);
        assert_eq!(device.samples, [0..4096, 4096..8192, 8192..10_000]);
        assert!(device.evaluations.is_empty());
    }

    #[test]
    fn a_loss_that_is_not_finite_ends_the_run_at_its_step() {
        let dataset = dataset();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let target = Target::new(&path).unwrap();
        let run = Run { save: Some(&target), ..run(&dataset) };
        for (loss, grad_norm, what) in [
            (f64::NAN, 1.0, "the loss is NaN"),
            (f64::INFINITY, f64::NAN, "the loss is inf"),
            (1.0, f64::NAN, "the gradient norm is NaN"),
        ] {
            let mut device = fake(ModelConfig::default());
            device.bad = Some((6, StepLog { loss, grad_norm }));
            let mut out = Vec::new();
            let error = run.execute(&mut device, &mut Report::new(&mut out)).unwrap_err();
            assert_eq!(error.to_string(), format!("training diverged at step 6: {what}"));
            let out = String::from_utf8(out).unwrap();
            assert!(out.lines().last().unwrap().starts_with("step    5/  10"), "{out}");
        }
        let mut device = fake(ModelConfig::default());
        device.nll = f64::NAN;
        let error = run.execute(&mut device, &mut Report::new(Vec::new())).unwrap_err();
        assert_eq!(error.to_string(), "training diverged at step 4: the validation loss is NaN");
        let mut device = fake(ModelConfig::default());
        device.state.weights.values[5] = f32::NEG_INFINITY;
        let error = run.execute(&mut device, &mut Report::new(Vec::new())).unwrap_err();
        assert_eq!(error.to_string(), "training diverged at step 10: a value of the model is -inf");
        assert!(!path.exists());
    }

    /// Takes this many writes, then fails.
    struct Failing(usize, io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(self.1)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_model_is_saved_before_sampling_and_for_nobody_too() {
        let dataset = dataset();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let target = Target::new(&path).unwrap();
        let run = Run { save: Some(&target), ..run(&dataset) };
        // Three launches and two validations, then `--- inference ---` finds the disk full.
        for (writes, kind, done) in [(5, io::ErrorKind::StorageFull, false), (1, io::ErrorKind::BrokenPipe, true)] {
            let mut device = fake(ModelConfig::default());
            let result = run.execute(&mut device, &mut Report::new(Failing(writes, kind)));
            assert_eq!(result.is_ok(), done);
            let saved = checkpoint::load(&path, device.state.weights.shape, dataset.tokenizer.chars()).unwrap();
            assert_eq!(saved, device.state);
            assert_eq!(saved.step, 10);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_run_that_nobody_reads_and_nothing_saves_ends() {
        let dataset = dataset();
        let mut device = fake(ModelConfig::default());
        run(&dataset).execute(&mut device, &mut Report::new(Failing(0, io::ErrorKind::BrokenPipe))).unwrap();
        assert_eq!(device.launches, [4]);
        assert!(device.samples.is_empty());
    }
}
