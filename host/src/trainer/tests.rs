//! The tests of training, on a device that only counts.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use gpu_kernels::shape::RuntimeShape;

use super::*;
use crate::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use crate::device::{Sample, State, StepLog};
use crate::run::RunConfig;
use crate::weights::Weights;

mod checkpoints;
mod divergence;
mod stops;

/// A device whose loss is the step's number, counted from 1, except in the step that `bad` replaces.
struct Fake {
    state: State,
    launches: Vec<usize>,
    evaluations: Vec<u64>,
    bad: Option<(u64, StepLog)>,
    nll: f64,
    /// The time that a launch takes.
    time: Duration,
    /// The handle that the launch to this step stops.
    stop_at: Option<(u64, StopHandle)>,
    /// The handle that the validation of this step stops.
    stop_validation: Option<(u64, StopHandle)>,
}

/// A fake that the test can inspect while a trainer owns it.
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
    fn train(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let mut fake = self.get();
        thread::sleep(fake.time);
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
    fn evaluate_each(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        assert_eq!(documents, 20);
        let mut fake = self.get();
        let step = fake.state.step;
        fake.evaluations.push(step);
        if let Some((_, stop)) = fake.stop_validation.as_ref().filter(|&&(at, _)| at == step) {
            stop.stop();
        }
        Ok(vec![Evaluation { nll: fake.nll, tokens: 2 }])
    }
    fn extend(&mut self, _: &SampleConfig, _: &[u32], _: Range<u64>) -> Result<Vec<Sample>> {
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
    Fake {
        state,
        launches: vec![],
        evaluations: vec![],
        bad: None,
        nll: 1.0,
        time: Duration::ZERO,
        stop_at: None,
        stop_validation: None,
    }
}

fn share(fakes: impl IntoIterator<Item = Fake>) -> Vec<Shared> {
    fakes.into_iter().map(|fake| Shared(Arc::new(Mutex::new(fake)))).collect()
}

const TRAIN: TrainConfig = TrainConfig {
    steps: 10,
    batch: 1,
    optimizer: OptimizerConfig {
        learning_rate: 0.1,
        warmup: 0,
        min_lr: 0.0,
        beta1: 0.9,
        beta2: 0.9,
        eps: 1e-8,
        weight_decay: 0.0,
        max_grad_norm: 1.0,
    },
};
const SCHEDULE: Schedule = Schedule {
    stop_after: 10,
    val_every: 4,
    val_docs: 20,
    checkpoint_every: 0,
    keep_best: false,
    stop_early: 0,
    compares: false,
};

fn trainer(schedule: Schedule, models: &[Shared]) -> Trainer {
    let run = |seed| Run { seed, config: RunConfig { swept: vec![], model: ModelConfig::default(), train: TRAIN } };
    let dataset = Dataset::new(&["ab", "ba"], None, None).unwrap();
    let first = models[0].get().state.step;
    let runs = (0..models.len() as u64).map(run).collect();
    Trainer { first, step: first, ..Trainer::on(Box::new(models.to_vec()), runs, &dataset, schedule) }
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

/// Returns the metrics of a training, whether it diverges or not.
fn recorded(trainer: Trainer) -> (Trained, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steps.jsonl");
    let mut metrics =
        crate::metrics::Metrics::create(&path, false, trainer.runs.clone(), serde_json::Map::new()).unwrap();
    let trained = Trained::of(trainer);
    trained.events.iter().for_each(|event| metrics.record(event).unwrap());
    metrics.finish().unwrap();
    (trained, std::fs::read_to_string(&path).unwrap())
}
