//! The benchmark of the kernels on a GPU. Run it with `cargo bench -p host --bench gpu`, or with `.ci/gpu-check` after
//! the GPU's tests.
//!
//! A figure is the median device time of several launches, each measured between two events. `generate` is timed in a
//! single launch, and the whole process in wall time. The GPU must give the bits of the CPU before the timing.
//! `--record FILE` writes the figures to a file. `--readme FILE` writes the table of the README from the record in the
//! repository, and needs no GPU.

#![allow(missing_docs)]

#[path = "../../tests/common/models.rs"]
mod models;
mod record;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Parser;
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::{self, Corpus, Dataset};
use microgpt::device::cpu::Cpu;
use microgpt::device::cuda::{Cuda, CudaModels};
use microgpt::device::{Device, ModelSetup, Models, State};
use microgpt::error::Result;
use microgpt::weights::Weights;

use models::LARGER;
use record::{Figure, Record, failure};

#[derive(Debug, Parser)]
struct Args {
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write the table of this README from the record in the repository, and measure nothing
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
    /// The corpus, one name a line (default: the embedded names)
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The program whose whole run is timed
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_microgpt"))]
    program: PathBuf,
    /// A flag that cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

const SAMPLE: SampleConfig =
    SampleConfig { top_k: 5, temperature: 0.6, min_p: 0.0, top_p: 1.0, seed: 42, prompt: &[], logprobs: false };
/// The number of launches of which the median is taken.
const LAUNCHES: usize = 15;

fn main() {
    let args = Args::parse();
    if let Err(error) = run(&args) {
        eprintln!("{}", error.report());
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<()> {
    if let Some(readme) = &args.readme {
        return record::write_table(readme);
    }
    let dataset = dataset(args.input.as_deref())?;
    let mut figures = Vec::new();
    for (model, name, steps) in [
        (ModelConfig::default(), "n_embd 16, n_layer 1, block_size 8", 1000),
        (LARGER, "n_embd 64, n_layer 2, block_size 32", 20),
    ] {
        let mut gpu = verified(model, 1, &dataset)?;
        let mut figure = |what: &str, value: f64, unit: &str| {
            figures.push(Figure::new(&format!("{what}, {name}"), value, unit));
        };
        let seconds = median(&mut gpu, |gpu| gpu.train(steps).map(drop), Cuda::device_seconds)?;
        figure(&format!("`train`, batch 1, {steps} steps a launch"), seconds / steps as f64 * 1e6, "µs a step");
        let tokens = gpu.evaluate(usize::MAX)?.tokens;
        let seconds = median(&mut gpu, |gpu| gpu.evaluate(usize::MAX).map(drop), Cuda::device_seconds)?;
        figure("`evaluate`, all validation documents", tokens as f64 / seconds / 1e6, "million tokens/s");
        let samples = if model == ModelConfig::default() { 10_000_000 } else { 100_000 };
        let drawn = gpu.generate(&SAMPLE, 0..samples)?;
        // The token that ends a sample is drawn too.
        let tokens: usize = drawn.iter().map(|sample| (sample.tokens.len() + 1).min(model.block_size)).sum();
        figure(
            &format!("`generate`, {samples} samples in one launch"),
            tokens as f64 / gpu.device_seconds() / 1e6,
            "million tokens/s",
        );
    }
    let (steps, seeds) = (100, 132);
    let mut batch = verified(ModelConfig::default(), 1024, &dataset)?;
    let seconds = median(&mut batch, |gpu| gpu.train(steps).map(drop), Cuda::device_seconds)?;
    figures.push(Figure::new("`train`, batch 1,024, default model", seconds / steps as f64 * 1e6, "µs a step"));
    let mut models = CudaModels::new(&dataset, &vec![start(ModelConfig::default(), 1, &dataset)?; seeds])?;
    let train = |gpu: &mut CudaModels| gpu.train(steps, &vec![true; seeds]).map(drop);
    let seconds = median(&mut models, train, CudaModels::device_seconds)?;
    figures.push(Figure::new("`train`, 132 seeds, default model", seconds / steps as f64 * 1e6, "µs a step of all"));
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let mut program = Command::new(&args.program);
        program
            .args(["--device", "cuda", "--steps", "500"])
            .args(args.input.iter().flat_map(|input| [Path::new("--input"), input]));
        program.stdout(Stdio::null()).stderr(Stdio::null());
        let status = program.status().map_err(|error| failure(format!("cannot run the program: {error}")))?;
        if !status.success() {
            return Err(failure(format!("`{}` fails", args.program.display())));
        }
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    figures.push(Figure::new("whole process, `--steps 500`", times[2], "s"));
    if let Some(path) = &args.record {
        Record::of_this_computer(figures)?.write(path)?;
    }
    Ok(())
}

fn dataset(input: Option<&Path>) -> Result<Dataset> {
    let file = input.map(|path| Corpus::load(Some(path))).transpose()?;
    let text = file.as_ref().map_or(corpus::EMBEDDED, |corpus| &corpus.text);
    Dataset::new(&corpus::documents(text).collect::<Vec<_>>(), Some(42), None)
}

/// Returns a model before its first step.
fn start(model: ModelConfig, batch: usize, dataset: &Dataset) -> Result<ModelSetup> {
    let train = TrainConfig { steps: 1_000_000, batch, optimizer: OptimizerConfig::default() };
    let state = State::new(Weights::init(model.shape(dataset.tokenizer.vocab_size())?, 42));
    Ok(ModelSetup { train, state })
}

/// Returns a model on the GPU after some steps, all of which gave the bits of the CPU.
fn verified(model: ModelConfig, batch: usize, dataset: &Dataset) -> Result<Cuda> {
    let ModelSetup { train, state } = start(model, batch, dataset)?;
    let (mut gpu, mut cpu) = (Cuda::new(train, dataset, &state)?, Cpu::new(train, dataset, &state)?);
    let same = gpu.train(50)? == cpu.train(50)?
        && gpu.evaluate(50)? == cpu.evaluate(50)?
        && gpu.generate(&SAMPLE, 0..50)? == cpu.generate(&SAMPLE, 0..50)?
        && gpu.download()? == cpu.download()?;
    if same { Ok(gpu) } else { Err(failure(format!("{model:?}: the GPU does not give the bits of the CPU"))) }
}

/// Returns the median device time of [`LAUNCHES`] launches, in seconds. A warm-up launch comes first.
fn median<G>(
    gpu: &mut G,
    mut launch: impl FnMut(&mut G) -> Result<()>,
    device_seconds: impl Fn(&G) -> f64,
) -> Result<f64> {
    let mut seconds = Vec::new();
    for i in 0..=LAUNCHES {
        launch(gpu)?;
        if i > 0 {
            seconds.push(device_seconds(gpu));
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[LAUNCHES / 2])
}
