//! The benchmarks of a training step, an evaluation, a sample and a step's metrics on one core. Run the benchmarks with
//! `cargo bench`.
//!
//! Each benchmark verifies its result before the timing. The instruction set that runs must give the bits of another,
//! the loss must fall, and the reference must agree. An iteration is one launch, and the items a second are steps or
//! tokens. `MICROGPT_CORPUS` names the corpus. Without it, the corpus is the embedded one.

#![allow(missing_docs)]

#[path = "../tests/common/models.rs"]
mod models;

use std::fs;

use divan::Bencher;
use divan::counter::ItemsCount;
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::reference::Reference;
use microgpt::device::{Device, State};
use microgpt::metrics::Metrics;
use microgpt::run::{Run, RunConfig};
use microgpt::trainer::{Event, Steps};
use microgpt::weights::Weights;

use models::{LARGER, names};

fn main() {
    // The benchmarks measure one core, without the cost of a thread pool.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the pool is built once");
    println!("CPU kernels: {}", available()[0].isa().name());
    divan::main();
}

/// The size of a model, which also sets the number of steps for each launch.
#[derive(Clone, Copy, Debug)]
enum ModelSize {
    Default,
    Embd64Layer2Block32,
}

const MODELS: [ModelSize; 2] = [ModelSize::Default, ModelSize::Embd64Layer2Block32];
const SAMPLE: SampleConfig =
    SampleConfig { top_k: 5, temperature: 0.6, min_p: 0.0, top_p: 1.0, seed: 42, prompt: &[], logprobs: false };

impl ModelSize {
    fn config(self) -> ModelConfig {
        match self {
            Self::Default => ModelConfig::default(),
            Self::Embd64Layer2Block32 => LARGER,
        }
    }

    fn steps(self) -> usize {
        match self {
            Self::Default => 1000,
            Self::Embd64Layer2Block32 => 20,
        }
    }
}

/// Returns a model after `steps` steps. The first 100 steps are verified against another instruction set.
fn verified(model: ModelSize, steps: usize) -> (Cpu, Dataset) {
    let dataset = names(42);
    let shape = model.config().shape(dataset.tokenizer.vocab_size()).expect("the shape is sound");
    let config = TrainConfig { steps: 100_000_000, batch: 1, optimizer: OptimizerConfig::default() };
    let state = State::new(Weights::init(shape, 42));
    let all = available();
    let mut cpu = Cpu::new(config, &dataset, &state).expect("memory suffices");
    let mut other = Cpu::with_kernels(all[all.len().min(2) - 1], config, &dataset, &state).expect("memory suffices");
    let log = cpu.train(100).expect("the CPU does not fail");
    assert!(log == other.train(100).expect("the CPU does not fail"), "instruction sets differ");
    let late = log[80..].iter().map(|step| step.loss).sum::<f64>() / 20.0;
    // The first loss is that of a uniform guess. Losses of single documents vary too much for a mean of the first few.
    assert!(late < log[0].loss, "the loss does not fall");
    cpu.train(steps - 100).expect("the CPU does not fail");
    (cpu, dataset)
}

#[divan::bench(args = MODELS)]
fn train_step(bencher: Bencher, model: ModelSize) {
    let (mut cpu, _) = verified(model, 500);
    bencher.counter(ItemsCount::new(model.steps())).bench_local(|| cpu.train(model.steps()));
}

/// Measures steps of 256 documents on 1 and on 2 threads. The items are documents.
#[divan::bench(args = [1, 2])]
fn train_batch(bencher: Bencher, threads: usize) {
    const BATCH: usize = 256;
    const STEPS: usize = 20;
    let dataset = names(42);
    let shape = ModelSize::Default.config().shape(dataset.tokenizer.vocab_size()).expect("the shape is sound");
    let config = TrainConfig { steps: 100_000_000, batch: BATCH, optimizer: OptimizerConfig::default() };
    let cpu = || Cpu::new(config, &dataset, &State::new(Weights::init(shape, 42))).expect("memory suffices");
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let (mut cpu, mut other, pool) = (cpu(), cpu(), pool(threads));
    let log = pool.install(|| cpu.train(STEPS)).expect("the CPU does not fail");
    assert!(log == other.train(STEPS).expect("the CPU does not fail"), "threads change the bits");
    assert!(log[STEPS - 1].loss < log[0].loss - 0.3, "the loss does not fall");
    let documents = ItemsCount::new(STEPS * BATCH);
    bencher.counter(documents).bench_local(|| pool.install(|| cpu.train(STEPS)));
}

/// Measures `train_step` from step 200,000 on. By then many moments have decayed, and denormals would slow a step.
#[divan::bench]
fn train_step_after_200_000(bencher: Bencher) {
    let (mut cpu, _) = verified(ModelSize::Default, 200_000);
    let steps = ModelSize::Default.steps();
    bencher.counter(ItemsCount::new(steps)).bench_local(|| cpu.train(steps));
}

#[divan::bench(args = MODELS)]
fn evaluate(bencher: Bencher, model: ModelSize) {
    let (mut cpu, dataset) = verified(model, 100);
    let documents = 200.min(dataset.val.len());
    let evaluation = cpu.evaluate(documents).expect("the CPU does not fail");
    let config = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
    let mut reference = Reference::new(config, &dataset, &cpu.download().expect("the CPU does not fail"))
        .expect("the reference takes the model");
    let few = |device: &mut dyn Device| device.evaluate(20).expect("it does not fail").loss();
    assert!((few(&mut cpu) - few(&mut reference)).abs() < 1e-5, "the reference disagrees");
    bencher.counter(ItemsCount::new(evaluation.tokens)).bench_local(|| cpu.evaluate(documents));
}

#[divan::bench(args = MODELS)]
fn generate(bencher: Bencher, model: ModelSize) {
    let (mut cpu, _) = verified(model, 500);
    let samples = cpu.generate(&SAMPLE, 0..1000).expect("the CPU does not fail");
    let block_size = model.config().block_size;
    // The token that ends a sample is drawn too.
    let tokens: usize = samples.iter().map(|sample| (sample.tokens.len() + 1).min(block_size)).sum();
    assert!(samples[..100].iter().all(|sample| sample.tokens.len() <= block_size) && samples[0] != samples[1]);
    assert!(
        cpu.generate(&SAMPLE, 10..20).expect("the CPU does not fail") == samples[10..20],
        "a sample is not its own"
    );
    bencher.counter(ItemsCount::new(tokens)).bench_local(|| cpu.generate(&SAMPLE, 0..1000));
}

/// Measures the writing of a launch's `--metrics` objects to a file. In a run, a separate thread writes the objects.
/// Without a core of its own, this thread adds to the time of `train_step`.
#[divan::bench]
fn metrics(bencher: Bencher) {
    let (mut cpu, _) = verified(ModelSize::Default, 100);
    let (model, steps) = (ModelConfig::default(), ModelSize::Default.steps());
    let logs = vec![cpu.train(steps).expect("the CPU does not fail")];
    let launch = Event::Steps(Steps {
        first: 100,
        logs,
        ms: 0.003_612_345,
        seconds: 1.234_567,
        tokens: (0..=steps as u64).map(|i| 7 * (100 + i)).collect(),
        finite: steps,
        is_last: false,
        is_validated: false,
    });
    let train = TrainConfig { steps: 100_000_000, batch: 1, optimizer: OptimizerConfig::default() };
    let runs = vec![Run { seed: 42, config: RunConfig { swept: vec![], model, train } }];
    let file = tempfile::NamedTempFile::new().expect("there is room for a file");
    let mut metrics =
        Metrics::create(file.path(), false, runs, serde_json::Map::new()).expect("the file can be written");
    let mut write = || metrics.record(&launch).and_then(|()| metrics.flush()).expect("the file can be written");
    write();
    let text = fs::read_to_string(file.path()).expect("the file can be read");
    assert!(text.lines().count() == steps && text.ends_with("}\n"), "an object a step");
    bencher.counter(ItemsCount::new(steps)).bench_local(write);
}
