//! The tests of training, on a device that only counts.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use gpu_kernels::shape::RuntimeShape;

use super::*;
use crate::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use crate::device::{Sample, State, StepLog};
use crate::run::RunConfig;
use crate::weights::Weights;

mod checkpoints;

/// A device whose loss is the step's number, counted from 1, until it breaks.
struct Fake {
    state: State,
    launches: Vec<usize>,
    evaluations: Vec<u64>,
    bad: Option<(u64, StepLog)>,
    nll: f64,
    /// The handle that the launch to this step stops.
    stop_at: Option<(u64, StopHandle)>,
    /// The handle that the validation of this step stops.
    stop_validation: Option<(u64, StopHandle)>,
}

/// A fake that the test can look at while a trainer has it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Fake>>);

impl Shared {
    fn get(&self) -> MutexGuard<'_, Fake> {
        self.0.lock().unwrap()
    }
}

impl Fake {
    fn log(&self, step: u64) -> StepLog {
        match self.bad {
            Some((bad, log)) if step >= bad => log,
            _ => StepLog { loss: step as f64, grad_norm: 1.0 },
        }
    }
}

impl Device for Shared {
    fn description(&self) -> String {
        String::new()
    }
    fn shape(&self) -> RuntimeShape {
        self.get().state.weights.shape
    }
    fn step(&self) -> u64 {
        self.get().state.step
    }
    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let mut fake = self.get();
        fake.launches.push(steps);
        let first = fake.state.step + 1;
        fake.state.step += steps as u64;
        if let Some((_, stop)) = fake.stop_at.as_ref().filter(|&&(step, _)| fake.state.step >= step) {
            stop.stop();
        }
        Ok((first..=fake.state.step).map(|step| fake.log(step)).collect())
    }
    fn trial_step(&mut self, state: &State) -> Result<StepLog> {
        let fake = self.get();
        assert_eq!(state.step, fake.state.step);
        Ok(fake.log(state.step + 1))
    }
    fn evaluate(&mut self, documents: usize) -> Result<Evaluation> {
        assert_eq!(documents, 20);
        let mut fake = self.get();
        let step = fake.state.step;
        fake.evaluations.push(step);
        if let Some((_, stop)) = fake.stop_validation.as_ref().filter(|&&(at, _)| at == step) {
            stop.stop();
        }
        Ok(Evaluation { nll: fake.nll, tokens: 2 })
    }
    fn generate(&mut self, _: &SampleConfig, _: Range<u64>) -> Result<Vec<Sample>> {
        unreachable!()
    }
    fn download(&mut self) -> Result<State> {
        Ok(self.get().state.clone())
    }
    fn upload(&mut self, _: &State) -> Result<()> {
        unreachable!()
    }
}

fn fake(model: ModelConfig) -> Fake {
    let state = State::new(Weights::zeros(model.shape(3).unwrap()));
    Fake { state, launches: vec![], evaluations: vec![], bad: None, nll: 1.0, stop_at: None, stop_validation: None }
}

fn share(fakes: impl IntoIterator<Item = Fake>) -> Vec<Shared> {
    fakes.into_iter().map(|fake| Shared(Arc::new(Mutex::new(fake)))).collect()
}

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
const SCHEDULE: Schedule =
    Schedule { stop_after: 10, val_every: 4, val_docs: 20, checkpoint_every: 0, compares: false };

fn trainer(schedule: Schedule, models: &[Shared]) -> Trainer {
    let run = |seed| Run { seed, config: RunConfig { swept: vec![], model: ModelConfig::default(), train: TRAIN } };
    let dataset = Dataset::new(&["ab", "ba"], None, None).unwrap();
    Trainer::on(
        Box::new(models.to_vec()),
        String::new(),
        (0..models.len() as u64).map(run).collect(),
        &dataset,
        schedule,
    )
}

/// The events of a training, and its end.
struct Trained {
    events: Vec<Event>,
    end: Result<Finished>,
}

impl Trained {
    fn of(trainer: Trainer) -> Self {
        let mut events = Vec::new();
        let mut end = None;
        for event in trainer {
            assert!(end.is_none(), "an event after the end");
            match event {
                Ok(Event::Finished(finished)) => end = Some(Ok(finished)),
                Ok(event) => events.push(event),
                Err(error) => end = Some(Err(error)),
            }
        }
        Self { events, end: end.expect("every training ends") }
    }

    /// Returns the number and the mean loss of every step.
    fn losses(&self) -> Vec<(u64, f64)> {
        let steps = self.events.iter().filter_map(|event| match event {
            Event::Steps(steps) => Some(steps.losses()),
            _ => None,
        });
        steps.flatten().collect()
    }

    fn validations(&self) -> Vec<&Validation> {
        let validations = self.events.iter().filter_map(|event| match event {
            Event::Validation(validation) => Some(validation),
            _ => None,
        });
        validations.collect()
    }

    fn checkpoints(&self) -> Vec<&Checkpoint> {
        let checkpoints = self.events.iter().filter_map(|event| match event {
            Event::Checkpoint(checkpoint) => Some(checkpoint),
            _ => None,
        });
        checkpoints.collect()
    }
}

fn train(schedule: Schedule, models: &[Shared]) -> Trained {
    Trained::of(trainer(schedule, models))
}

#[test]
fn launches_end_at_validations_and_the_last_step() {
    let models = share([fake(ModelConfig::default())]);
    let trained = train(SCHEDULE, &models);
    assert_eq!(models[0].get().launches, [4, 4, 2]);
    assert_eq!(models[0].get().evaluations, [4, 8]);
    let end = trained.end.as_ref().unwrap();
    assert_eq!((end.best, end.state.step, &end.val_losses[..]), (0, 10, &[0.5][..]));
    assert_eq!((end.steps, end.is_validated), (10, false));
    assert_eq!(trained.losses(), (1..=10).map(|step| (step, step as f64)).collect::<Vec<_>>());
    // A validation follows the steps that announce it.
    let order: Vec<(u64, bool)> = trained
        .events
        .iter()
        .map(|event| match event {
            Event::Steps(steps) => (steps.end(), steps.is_validated),
            Event::Validation(Validation { step, losses }) => {
                assert_eq!(losses[..], [0.5]);
                (*step, false)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, [(4, true), (4, false), (8, true), (8, false), (10, false)]);
}

#[test]
fn a_training_goes_on_from_the_step_of_the_device_and_stops_where_it_is_told() {
    let models = share([fake(ModelConfig::default())]);
    models[0].get().state.step = 3;
    train(Schedule { stop_after: 7, ..SCHEDULE }, &models).end.unwrap();
    assert_eq!(models[0].get().launches, [1, 3]);
    train(SCHEDULE, &models).end.unwrap();
    assert_eq!(models[0].get().launches, [1, 3, 1, 2]);
}

#[test]
fn large_models_train_in_small_launches() {
    let large = ModelConfig { n_embd: 512, n_layer: 2, block_size: 64, ..ModelConfig::default() };
    let models = share([fake(large)]);
    train(Schedule { val_every: 0, ..SCHEDULE }, &models).end.unwrap();
    assert_eq!(models[0].get().launches, [1; 10]);
    let models = share([fake(ModelConfig::default())]);
    train(Schedule { val_every: 0, stop_after: 10_000, ..SCHEDULE }, &models).end.unwrap();
    assert_eq!(models[0].get().launches, [4096, 4096, 10_000 - 2 * 4096]);
    assert!(models[0].get().evaluations.is_empty());
}

#[test]
fn a_loss_that_is_not_finite_ends_the_training_at_its_step() {
    for (loss, grad_norm, reason) in [
        (f64::NAN, 1.0, "the loss is NaN"),
        (f64::INFINITY, f64::NAN, "the loss is inf"),
        (1.0, f64::NAN, "the gradient norm is NaN"),
        // This exceeds single precision.
        (1.0, 1e39, "the gradient norm is 1e39"),
    ] {
        let models = share([fake(ModelConfig::default())]);
        models[0].get().bad = Some((6, StepLog { loss, grad_norm }));
        let trained = train(SCHEDULE, &models);
        assert_eq!(trained.losses().last(), Some(&(5, 5.0)));
        assert_eq!(trained.end.unwrap_err().to_string(), format!("training diverged at step 6: {reason}"));
    }
    let error = |fake: Fake| train(SCHEDULE, &share([fake])).end.unwrap_err();
    let diverged = error(Fake { nll: f64::NAN, ..fake(ModelConfig::default()) });
    assert_eq!(diverged.to_string(), "training diverged at step 4: the validation loss is NaN");
    // No loss covers the last update.
    let mut last = fake(ModelConfig::default());
    last.state.weights.values[5] = f32::NEG_INFINITY;
    assert_eq!(error(last).to_string(), "training diverged at step 10: a value of the model is -inf");
    let bad = Some((11, StepLog { loss: 1.0, grad_norm: f64::NAN }));
    let diverged = error(Fake { bad, ..fake(ModelConfig::default()) });
    assert_eq!(diverged.to_string(), "training diverged at step 10: the next step's gradient norm is NaN");
    assert!(!diverged.report().contains("saved"), "no checkpoint was made: {}", diverged.report());
}

/// Returns the metrics of a training, whether it diverges or not.
fn recorded(trainer: Trainer) -> (Trained, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steps.jsonl");
    let mut metrics = crate::metrics::Metrics::create(&path, false, trainer.runs.clone()).unwrap();
    let trained = Trained::of(trainer);
    trained.events.iter().for_each(|event| metrics.record(event).unwrap());
    metrics.finish().unwrap();
    (trained, std::fs::read_to_string(&path).unwrap())
}

#[test]
fn a_launch_in_which_the_only_model_diverges_is_recorded() {
    for (bad, nll, steps) in [(6, 1.0, 8), (99, f64::NAN, 4)] {
        let models = share([Fake { nll, ..fake(ModelConfig::default()) }]);
        models[0].get().bad = Some((bad, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
        let (trained, text) = recorded(trainer(SCHEDULE, &models));
        assert!(trained.end.is_err());
        assert_eq!(text.lines().count(), steps, "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("\"loss\":null")).count(), steps.saturating_sub(5));
        assert_eq!(models[0].get().state.step, steps as u64, "it ends");
    }
}

#[test]
fn of_several_models_the_best_is_kept_and_one_may_diverge() {
    let models = share([3.0, 2.0, 1.0, 4.0].map(|nll| Fake { nll, ..fake(ModelConfig::default()) }));
    models[2].get().bad = Some((6, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    let trained = train(Schedule { compares: true, ..SCHEDULE }, &models);
    let end = trained.end.as_ref().unwrap();
    assert_eq!(end.best, 1);
    assert_eq!((end.val_losses[0], end.val_losses[1], end.val_losses[3]), (1.5, 1.0, 2.0));
    assert!(end.val_losses[2].is_nan() && end.is_validated);
    let evaluations = |model: &Shared| model.get().evaluations.clone();
    assert!(models.iter().all(|model| evaluations(model) == [4, 8, 10]), "the last step is validated, too");
    let validations = trained.validations();
    assert_eq!(validations[0].losses, [1.5, 1.0, 0.5, 2.0]);
    assert_eq!((validations[0].loss(), validations[2].loss()), (1.25, 1.5));
    assert_eq!(trained.losses().len(), 10);
    let diverged = |event: &Event| matches!(event, Event::Diverged { run: Run { seed: 2, .. }, step: 6, .. });
    assert_eq!(trained.events.iter().filter(|event| diverged(event)).count(), 1);
    // The training ends with the last run that is left.
    for model in &models {
        model.get().bad = Some((12, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    }
    let end = train(Schedule { stop_after: 30, compares: true, ..SCHEDULE }, &models).end.unwrap();
    assert_eq!(models[0].get().state.step, 12);
    assert!(end.val_losses.iter().all(|loss| loss.is_nan()));
}

#[test]
fn a_stop_ends_after_the_launch_with_a_validation() {
    let stop = StopHandle::default();
    let models = share([fake(ModelConfig::default())]);
    models[0].get().stop_at = Some((3, stop.clone()));
    let schedule = Schedule { val_every: 6, stop_after: 100, ..SCHEDULE };
    let trained = Trained::of(trainer(schedule, &models).stopped_by(stop.clone()));
    assert_eq!(trained.end.unwrap().state.step, 6);
    assert_eq!(models[0].get().evaluations, [6], "once, though it was due anyway");
    assert!(matches!(trained.events.last(), Some(Event::Stopped { step: 6 })));
    // This stop comes before the first launch.
    let end = Trained::of(trainer(SCHEDULE, &models).stopped_by(stop)).end.unwrap();
    assert_eq!((end.state.step, &models[0].get().evaluations[..]), (6, &[6, 6][..]));
}

// The stop comes between two launches, and takes effect at the end of the next.
#[test]
fn a_stop_between_two_launches_ends_the_next_and_is_in_its_metrics() {
    let stop = StopHandle::default();
    let models = share([fake(ModelConfig::default())]);
    models[0].get().stop_validation = Some((4, stop.clone()));
    // Launches end at 4, which is validated, and at 6, where a checkpoint is due.
    let schedule = Schedule { stop_after: 5000, checkpoint_every: 6, ..SCHEDULE };
    let (trained, text) = recorded(trainer(schedule, &models).stopped_by(stop));
    let end = trained.end.as_ref().unwrap();
    assert_eq!((end.state.step, end.is_validated), (6, true));
    assert_eq!(models[0].get().evaluations, [4, 6]);
    assert!(text.lines().last().unwrap().contains("\"step\":6,") && text.ends_with("\"val_loss\":0.5}\n"), "{text}");
    // `is_last` marks the last launch, also when a stop comes between two launches.
    let launches = trained.events.iter().filter_map(|event| match event {
        Event::Steps(steps) => Some((steps.end(), steps.is_last)),
        _ => None,
    });
    assert_eq!(launches.collect::<Vec<_>>(), [(4, false), (6, true)]);
    assert_eq!(trained.checkpoints().len(), 1);
}

#[test]
fn a_training_can_be_ended_between_two_events() {
    let models = share([fake(ModelConfig::default())]);
    let mut trainer = trainer(SCHEDULE, &models);
    assert!(matches!(trainer.next(), Some(Ok(Event::Steps(_)))));
    trainer.end_here();
    assert_eq!(Trained::of(trainer).end.unwrap().steps, 4);
    assert_eq!(models[0].get().launches, [4]);
}
