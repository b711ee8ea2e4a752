//! What a step of the default model takes natively, to compare the page's with: [`Record`] is what the page states.

use std::time::Instant;

use anyhow::{Context, Result};
use microgpt::config::{ModelConfig, OptimizerConfig, TrainConfig};
use microgpt::corpus::{self, Dataset};
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::{Device, State};
use microgpt::weights::Weights;
use serde::{Deserialize, Serialize};

use crate::module::{self, Fma};
use crate::{escape, root, source};

/// Where the record lies in the repository: `npm --prefix assets/page/tests run speed` writes it.
const RECORD: &str = "assets/page/speed.json";

/// Steps of a run, and the runs of which the fastest counts: other work on the machine only ever slows one.
const STEPS: u64 = 500;
const RUNS: usize = 100;

/// What was measured, on one core: microseconds a step.
#[derive(Deserialize)]
struct Record {
    processor: String,
    browser: String,
    /// Instruction sets with their times, the fastest first.
    native: Vec<(String, f64)>,
    /// The page's module in the browser.
    page: f64,
    /// The same with the processor's own fused multiply-add.
    relaxed: f64,
}

/// What `speed.mjs` asks for: the native times, and the module to compare with, as text.
#[derive(Serialize)]
pub struct Native {
    steps: u64,
    times: Vec<(&'static str, f64)>,
    relaxed: String,
}

/// Measures the native kernels of every instruction set that has a fused multiply-add, and builds the module.
///
/// # Errors
/// A module that does not build, or memory that cannot be had.
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
    Ok(Native { steps: STEPS, times, relaxed: module::build(&root(), Fma::Relaxed)? })
}

/// What the page says of its speed, as HTML.
pub(crate) fn text() -> Result<String> {
    let json = source::read(&root(), RECORD)?;
    let Record { processor, browser, native, page, relaxed } =
        serde_json::from_str(&json).with_context(|| format!("cannot read `{RECORD}`"))?;
    let (_, fastest) = native.first().with_context(|| format!("no native time in `{RECORD}`"))?;
    let native: Vec<String> = native.iter().map(|(name, time)| format!("{time:.1} µs with {name}")).collect();
    Ok(escape(&format!(
        "Measured on one core of {processor}, all in one thread: a native step takes {}, and \
         one of this page {page:.0} µs ({browser}), {:.0} times as long. With the processor’s own fused multiply-add, which \
         WebAssembly offers without a promise how it rounds (relaxed SIMD), it would be {relaxed:.0} µs: the exact one in software is \
         a factor of {:.1}, and vectors of 128 bits, compiled by a browser, are the other {:.1}.",
        native.join(", "),
        page / fastest,
        page / relaxed,
        relaxed / fastest,
    )))
}
