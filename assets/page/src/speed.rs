//! The time of a training step with the native kernels and in the page.

use std::time::Instant;

use anyhow::{Context, Result};
use microgpt::config::{ModelConfig, OptimizerConfig, TrainConfig};
use microgpt::corpus::{self, Dataset};
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::{Device, State};
use microgpt::weights::Weights;
use serde::{Deserialize, Serialize};

use crate::{escape, root, source};

/// The record's path in the repository. `npm --prefix assets/page/tests run speed` writes the file.
const RECORD: &str = "assets/page/speed.json";

/// The number of steps of a run.
const STEPS: u64 = 500;

/// The number of runs. The fastest one counts, since other work on the computer only slows a run.
const RUNS: usize = 100;

/// The measured times on one core, in microseconds a step.
#[derive(Deserialize)]
struct Record {
    processor: String,
    browser: String,
    /// The time of each instruction set, the fastest first.
    native: Vec<(String, f64)>,
    /// The time of the page's module with exact multiply-adds in the browser.
    exact: f64,
    /// The time of the module with relaxed SIMD, which has the processor's fused multiply-add.
    relaxed: f64,
}

/// The native times in microseconds a step. `speed.mjs` reads them as JSON.
#[derive(Serialize)]
pub struct Native {
    steps: u64,
    times: Vec<(&'static str, f64)>,
}

/// Measures the native kernels of each instruction set that has a fused multiply-add.
///
/// # Errors
/// If an allocation fails.
pub fn native() -> Result<Native> {
    let documents: Vec<&str> = corpus::documents(corpus::EMBEDDED).collect();
    let dataset = Dataset::new(&documents, Some(42), None)?;
    let shape = ModelConfig::default().shape(dataset.tokenizer.vocab_size())?;
    let config = TrainConfig { steps: STEPS, batch: 1, optimizer: OptimizerConfig::default() };
    let state = State::new(Weights::init(shape, 42));
    let mut times = Vec::new();
    for kernels in available().into_iter().filter(|kernels| kernels.isa().name() != "baseline") {
        let mut fastest = f64::INFINITY;
        for _ in 0..RUNS {
            let mut cpu = Cpu::with_kernels(kernels, config, &dataset, &state)?;
            let start = Instant::now();
            cpu.train(STEPS as usize)?;
            fastest = fastest.min(start.elapsed().as_secs_f64() * 1e6 / STEPS as f64);
        }
        times.push((kernels.isa().name(), fastest));
    }
    Ok(Native { steps: STEPS, times })
}

/// Returns the page's paragraph about its speed as HTML.
pub(crate) fn text() -> Result<String> {
    let json = source::read(&root(), RECORD)?;
    let Record { processor, browser, native, exact, relaxed } =
        serde_json::from_str(&json).with_context(|| format!("cannot read `{RECORD}`"))?;
    let native: Vec<String> = native.iter().map(|(name, time)| format!("{time:.1} µs with {name}")).collect();
    Ok(escape(&format!(
        "In one thread of {processor}, a native step takes {}. In {browser}, whose vectors have 128 bits, a step takes \
         {relaxed:.0} µs with the processor’s multiply-add and {exact:.0} µs with the exact function.",
        native.join(", "),
    )))
}
