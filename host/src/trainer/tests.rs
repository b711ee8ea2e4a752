//! Training on a device that only counts.

use std::io;
use std::ops::Range;

use gpu_kernels::shape::RuntimeShape;

use super::*;
use crate::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use crate::device::{Device, Sample};
use crate::experiment::Variant;
use crate::weights::Weights;

mod saves;

/// A device whose loss is the step's number, counted from 1, until it breaks.
struct Fake {
    state: State,
    launches: Vec<usize>,
    evaluations: Vec<u64>,
    bad: Option<(u64, StepLog)>,
    nll: f64,
    interrupt_at: Option<(u64, &'static AtomicBool)>,
    /// Set when this step is validated.
    interrupt_validation: Option<(u64, &'static AtomicBool)>,
}

impl Fake {
    fn log(&self, step: u64) -> StepLog {
        match self.bad {
            Some((bad, log)) if step >= bad => log,
            _ => StepLog { loss: step as f64, grad_norm: 1.0 },
        }
    }
}

impl Device for Fake {
    fn description(&self) -> String {
        String::new()
    }
    fn shape(&self) -> RuntimeShape {
        self.state.weights.shape
    }
    fn step(&self) -> u64 {
        self.state.step
    }
    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        self.launches.push(steps);
        let first = self.state.step + 1;
        self.state.step += steps as u64;
        if let Some((step, interrupt)) = self.interrupt_at {
            interrupt.store(self.state.step >= step, Ordering::Relaxed);
        }
        Ok((first..=self.state.step).map(|step| self.log(step)).collect())
    }
    fn trial_step(&mut self, state: &State) -> Result<StepLog> {
        assert_eq!(state.step, self.state.step);
        Ok(self.log(state.step + 1))
    }
    fn evaluate(&mut self, documents: usize) -> Result<Evaluation> {
        assert_eq!(documents, 20);
        self.evaluations.push(self.state.step);
        if let Some((_, interrupt)) = self.interrupt_validation.filter(|&(step, _)| step == self.state.step) {
            interrupt.store(true, Ordering::Relaxed);
        }
        Ok(Evaluation { nll: self.nll, tokens: 2 })
    }
    fn generate(&mut self, _: &SampleConfig, _: Range<u64>) -> Result<Vec<Sample>> {
        unreachable!()
    }
    fn download(&mut self) -> Result<State> {
        Ok(self.state.clone())
    }
    fn upload(&mut self, _: &State) -> Result<()> {
        unreachable!()
    }
}

fn fake(model: ModelConfig) -> Fake {
    let state = State::new(Weights::zeros(model.shape(3).unwrap()));
    Fake {
        state,
        launches: vec![],
        evaluations: vec![],
        bad: None,
        nll: 1.0,
        interrupt_at: None,
        interrupt_validation: None,
    }
}

static NEVER: AtomicBool = AtomicBool::new(false);
const TRAIN: TrainConfig = TrainConfig {
    steps: 10,
    batch: 1,
    optimizer: OptimizerConfig {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.9,
        eps: 1e-8,
        weight_decay: 0.0,
        max_grad_norm: 1.0,
    },
};
const VOCABULARY: &[char] = &['a', 'b'];
const RUN: RunInfo = RunInfo { train: TRAIN, seed: 1, shuffle: true, corpus: 0 };

fn training() -> Training<'static> {
    Training {
        steps: 10,
        stop_after: 10,
        val_every: 4,
        val_docs: 20,
        save: None,
        best_before: None,
        alone: true,
        interrupt: &NEVER,
    }
}

fn member(seed: u64) -> Member {
    Member { seed, variant: Variant { values: vec![], model: ModelConfig::default(), train: TRAIN } }
}

/// Trains these, and gives what came to `out`.
fn train(training: &Training, models: &mut Vec<Fake>, out: impl Write) -> Result<Outcome> {
    let members: Vec<Member> = (0..models.len() as u64).map(member).collect();
    let mut report = Report::new(out);
    training.execute(models, &members, &mut Outputs { report: &mut report, metrics: None, plot: None })
}

#[test]
fn launches_end_at_validations_and_the_last_step() {
    let mut models = vec![fake(ModelConfig::default())];
    let mut out = Vec::new();
    let outcome = train(&training(), &mut models, &mut out).unwrap();
    assert_eq!(models[0].launches, [4, 4, 2]);
    assert_eq!(models[0].evaluations, [4, 8]);
    assert_eq!((outcome.best, outcome.state.step, &outcome.val_losses[..]), (0, 10, &[0.5][..]));
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = out.lines().map(|line| line.split(" | ").nth(1).unwrap_or(line)).collect();
    let mut expected: Vec<String> = (1..=10).map(|step| format!("loss {step}.0000")).collect();
    expected.insert(8, "  val loss: 0.5000".to_owned());
    expected.insert(4, "  val loss: 0.5000".to_owned());
    assert_eq!(lines, expected);
}

#[test]
fn a_run_goes_on_from_the_step_of_the_device_and_stops_where_it_is_told() {
    let mut models = vec![fake(ModelConfig::default())];
    models[0].state.step = 3;
    train(&Training { stop_after: 7, ..training() }, &mut models, Vec::new()).unwrap();
    assert_eq!(models[0].launches, [1, 3]);
    train(&training(), &mut models, Vec::new()).unwrap();
    assert_eq!(models[0].launches, [1, 3, 1, 2]);
}

#[test]
fn large_models_train_in_small_launches() {
    let mut models = vec![fake(ModelConfig { n_embd: 512, n_layer: 2, block_size: 64, ..ModelConfig::default() })];
    train(&Training { val_every: 0, ..training() }, &mut models, Vec::new()).unwrap();
    assert_eq!(models[0].launches, [1; 10]);
    let mut models = vec![fake(ModelConfig::default())];
    let steps = 10_000;
    train(&Training { val_every: 0, steps, stop_after: steps, ..training() }, &mut models, Vec::new()).unwrap();
    assert_eq!(models[0].launches, [4096, 4096, 10_000 - 2 * 4096]);
    assert!(models[0].evaluations.is_empty());
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_at_its_step() {
    for (loss, grad_norm, what) in [
        (f64::NAN, 1.0, "the loss is NaN"),
        (f64::INFINITY, f64::NAN, "the loss is inf"),
        (1.0, f64::NAN, "the gradient norm is NaN"),
        // More than the kernels' numbers, and those of a checkpoint, can be.
        (1.0, 1e39, "the gradient norm is 1e39"),
    ] {
        let mut models = vec![fake(ModelConfig::default())];
        models[0].bad = Some((6, StepLog { loss, grad_norm }));
        let mut out = Vec::new();
        let error = train(&training(), &mut models, &mut out).unwrap_err();
        assert_eq!(error.to_string(), format!("training diverged at step 6: {what}"));
        let out = String::from_utf8(out).unwrap();
        assert!(out.lines().last().unwrap().starts_with("step    5/  10"), "{out}");
    }
    let mut models = vec![fake(ModelConfig::default())];
    models[0].nll = f64::NAN;
    let error = train(&training(), &mut models, Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "training diverged at step 4: the validation loss is NaN");
    // After the last update, which is in no loss.
    let mut models = vec![fake(ModelConfig::default())];
    models[0].state.weights.values[5] = f32::NEG_INFINITY;
    let error = train(&training(), &mut models, Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "training diverged at step 10: a value of the model is -inf");
    let mut models = vec![fake(ModelConfig::default())];
    models[0].bad = Some((11, StepLog { loss: 1.0, grad_norm: f64::NAN }));
    let error = train(&training(), &mut models, Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "training diverged at step 10: the next step's gradient norm is NaN");
    assert!(!error.report().contains("saved"), "nothing was: {}", error.report());
}

#[test]
fn a_launch_in_which_the_only_model_diverges_is_recorded() {
    for (bad, nll, steps) in [(6, 1.0, 8), (99, f64::NAN, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.jsonl");
        let mut models = vec![Fake { nll, ..fake(ModelConfig::default()) }];
        models[0].bad = Some((bad, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
        let members = [member(0)];
        let metrics = Some(Metrics::create(&path, false, members.to_vec()).unwrap());
        let mut report = Report::new(Vec::new());
        let mut outputs = Outputs { report: &mut report, metrics, plot: None };
        assert!(training().execute(&mut models, &members, &mut outputs).is_err());
        outputs.metrics.unwrap().finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), steps, "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("\"loss\":null")).count(), steps.saturating_sub(5));
        assert_eq!(models[0].state.step, steps as u64, "it ends");
    }
}

#[test]
fn of_several_models_the_best_is_kept_and_one_may_diverge() {
    let mut models: Vec<Fake> = [3.0, 2.0, 1.0, 4.0].map(|nll| Fake { nll, ..fake(ModelConfig::default()) }).into();
    models[2].bad = Some((6, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    let mut out = Vec::new();
    let outcome = train(&Training { alone: false, ..training() }, &mut models, &mut out).unwrap();
    assert_eq!(outcome.best, 1);
    assert_eq!((outcome.val_losses[0], outcome.val_losses[1], outcome.val_losses[3]), (1.5, 1.0, 2.0));
    assert!(outcome.val_losses[2].is_nan());
    assert!(models.iter().all(|model| model.evaluations == [4, 8, 10]), "the last step is validated, too");
    let out = String::from_utf8(out).unwrap();
    let validations: Vec<&str> = out.lines().filter(|line| line.contains("val loss")).collect();
    assert_eq!(validations[0], "  val loss: 1.2500 (std 0.6455, best 0.5000, worst 2.0000)");
    assert_eq!(validations[2], "  val loss: 1.5000 (std 0.5000, best 1.0000, worst 2.0000)");
    assert_eq!(out.lines().filter(|line| line.starts_with("step")).count(), 10);
    // With the last one the training is over.
    for model in &mut models {
        model.bad = Some((12, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    }
    let longer = Training { stop_after: 30, steps: 30, alone: false, ..training() };
    let outcome = train(&longer, &mut models, Vec::new()).unwrap();
    assert_eq!(models[0].state.step, 12);
    assert!(outcome.val_losses.iter().all(|loss| loss.is_nan()));
}

#[test]
fn ctrl_c_ends_after_the_launch_with_a_validation() {
    static INTERRUPT: AtomicBool = AtomicBool::new(false);
    let mut models = vec![fake(ModelConfig::default())];
    models[0].interrupt_at = Some((3, &INTERRUPT));
    let outcome = train(
        &Training { val_every: 6, steps: 100, stop_after: 100, interrupt: &INTERRUPT, ..training() },
        &mut models,
        Vec::new(),
    );
    assert_eq!(outcome.unwrap().state.step, 6);
    assert_eq!(models[0].evaluations, [6], "once, though it was due anyway");
    // Before the first launch.
    let outcome = train(&Training { interrupt: &INTERRUPT, ..training() }, &mut models, Vec::new()).unwrap();
    assert_eq!((outcome.state.step, &models[0].evaluations[..]), (6, &[6, 6][..]));
}

/// Wherever it comes, all that follows from it follows at the end of the same launch.
#[test]
fn ctrl_c_between_two_launches_comes_into_the_next_and_its_metrics() {
    static INTERRUPT: AtomicBool = AtomicBool::new(false);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steps.jsonl");
    let mut models = vec![fake(ModelConfig::default())];
    models[0].interrupt_validation = Some((4, &INTERRUPT));
    let members = [member(0)];
    let metrics = Some(Metrics::create(&path, false, members.to_vec()).unwrap());
    let mut out = Vec::new();
    let mut report = Report::new(&mut out).log_every(100);
    let mut outputs = Outputs { report: &mut report, metrics, plot: None };
    let save = AtomicFile::new(&folder.path().join("model.safetensors")).unwrap();
    // Launches end at 4, validated; at 6, saved; ..
    let save = Some(Save { target: &save, every: 6, vocabulary: VOCABULARY, run: RUN });
    let training = Training { steps: 5000, stop_after: 5000, save, interrupt: &INTERRUPT, ..training() };
    let outcome = training.execute(&mut models, &members, &mut outputs).unwrap();
    assert_eq!((outcome.state.step, outcome.is_validated), (6, true));
    assert_eq!(models[0].evaluations, [4, 6]);
    outputs.metrics.unwrap().finish().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().last().unwrap().contains("\"step\":6,") && text.ends_with("\"val_loss\":0.5}\n"), "{text}");
    // The last step is told, wherever it is.
    let out = String::from_utf8(out).unwrap();
    assert!(out.lines().any(|line| line.starts_with("step    6/5000")), "{out}");
}

/// A reader that has gone.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_run_that_nobody_reads_ends_unless_it_saves() {
    let mut models = vec![fake(ModelConfig::default())];
    train(&training(), &mut models, Gone).unwrap();
    assert_eq!(models[0].launches, [4]);
    let folder = tempfile::tempdir().unwrap();
    let target = AtomicFile::new(&folder.path().join("model.safetensors")).unwrap();
    let save = Some(Save { target: &target, every: 0, vocabulary: VOCABULARY, run: RUN });
    let mut models = vec![fake(ModelConfig::default())];
    train(&Training { save, ..training() }, &mut models, Gone).unwrap();
    assert_eq!(models[0].launches, [4, 4, 2]);
}
