//! A stop handle ends computations on the CPU at any moment, and leaves the model of the last whole step.
#![allow(missing_docs)]

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::Cpu;
use microgpt::device::reference::Reference;
use microgpt::device::{Device, State};
use microgpt::error::Error;
use microgpt::{StopHandle, weights::Weights};

#[path = "common/models.rs"]
mod models;

/// More steps than a device takes before it is stopped.
const STEPS: usize = 20_000;

fn start(model: ModelConfig, batch: usize) -> (TrainConfig, Dataset, State) {
    let dataset = models::odd();
    let shape = model.shape(dataset.tokenizer.vocab_size()).unwrap();
    let config = TrainConfig { steps: STEPS as u64, batch, optimizer: OptimizerConfig::default() };
    (config, dataset, State::new(Weights::init(shape, 3)))
}

/// Runs `work` with a handle that another thread stops after this time.
fn stopped_after<R>(time: Duration, work: impl FnOnce(StopHandle) -> R) -> R {
    let (stop, barrier) = (StopHandle::default(), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            barrier.wait();
            thread::sleep(time);
            stop.stop();
        });
        barrier.wait();
        work(stop.clone())
    })
}

#[test]
fn a_stop_at_any_moment_leaves_the_bits_of_the_whole_steps_before_it() {
    let mut cut = 0;
    for (model, batch) in
        [(models::ODD[0], 1), (models::ODD[1], 7), (models::LARGER, 1), (models::LARGER, 5), (models::TILED[0], 5)]
    {
        let (config, dataset, state) = start(model, batch);
        for i in 0..12u32 {
            let mut cpu = Cpu::new(config, &dataset, &state).unwrap();
            let logs = stopped_after(Duration::from_micros(u64::from(371 * i * i)), |stop| {
                cpu.stopped_by(stop);
                cpu.train(STEPS).unwrap()
            });
            cut += usize::from(logs.len() < STEPS);
            let mut whole = Cpu::new(config, &dataset, &state).unwrap();
            assert_eq!(whole.train(logs.len()).unwrap(), logs, "{model:?}, batch {batch}");
            assert!(whole.download().unwrap() == cpu.download().unwrap(), "{model:?}, batch {batch}, {}", logs.len());
            // The gradients of the step that was dropped do not matter to the next.
            cpu.stopped_by(StopHandle::default());
            assert_eq!(cpu.train(3).unwrap(), whole.train(3).unwrap());
            assert!(whole.download().unwrap() == cpu.download().unwrap(), "{model:?}, batch {batch}");
        }
    }
    assert!(cut > 40, "most launches are cut: {cut} of 48");
}

// A step of the reference on a thousand documents takes a tenth of a second or more.
#[test]
fn a_stop_within_a_step_of_the_reference_leaves_the_model_before_it() {
    let (config, dataset, state) = start(models::ODD[0], 1000);
    let mut reference = Reference::new(config, &dataset, &state).unwrap();
    let start = Instant::now();
    let logs = stopped_after(Duration::from_millis(30), |stop| {
        reference.stopped_by(stop);
        reference.train(STEPS).unwrap()
    });
    assert!(logs.len() < 3 && start.elapsed() < Duration::from_secs(3), "{} steps, {:?}", logs.len(), start.elapsed());
    let mut whole = Reference::new(config, &dataset, &state).unwrap();
    assert_eq!(whole.train(logs.len()).unwrap(), logs);
    assert!(whole.download().unwrap() == reference.download().unwrap());
    reference.stopped_by(StopHandle::default());
    assert_eq!(reference.train(1).unwrap(), whole.train(1).unwrap());
}

#[test]
fn a_device_that_is_stopped_computes_nothing_until_the_handle_is_replaced() {
    let (config, dataset, state) = start(models::ODD[1], 3);
    let cpu: Box<dyn Device> = Box::new(Cpu::new(config, &dataset, &state).unwrap());
    let reference: Box<dyn Device> = Box::new(Reference::new(config, &dataset, &state).unwrap());
    for mut device in [cpu, reference] {
        let sampling = SampleConfig { top_k: 3, temperature: 1.0, seed: 5, logprobs: true, ..SampleConfig::default() };
        let before = (device.evaluate(2).unwrap(), device.generate(&sampling, 0..4).unwrap());
        let stop = StopHandle::default();
        stop.stop();
        device.stopped_by(stop);
        assert!(device.train(5).unwrap().is_empty());
        assert!(matches!(device.trial_step(&state), Err(Error::Stopped)));
        assert!(matches!(device.evaluate(2), Err(Error::Stopped)));
        assert!(matches!(device.generate(&sampling, 0..4), Err(Error::Stopped)));
        device.stopped_by(StopHandle::default());
        assert_eq!((device.evaluate(2).unwrap(), device.generate(&sampling, 0..4).unwrap()), before);
        assert_eq!(device.train(2).unwrap().len(), 2);
    }
}
