//! The benchmark of the kernels on a GPU. Run it with `cargo bench -p host --bench gpu`, or with `.ci/gpu-check` after
//! the GPU's tests.
//!
//! A figure is the median device time of several launches, each measured between two events. `generate` is timed in a
//! single launch, and the whole process in wall time. The GPU must give the bits of the CPU before the timing.
//! `--record FILE` writes the figures to a file. `--readme FILE` writes the table of the README from the record in the
//! repository, and needs no GPU. `--short` measures little, so that the emulator runs the whole benchmark in CI.

#![allow(missing_docs)]

mod launches;
mod measure;
#[path = "../../tests/common/models.rs"]
mod models;
mod predicted;
mod record;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Parser;
use microgpt::config::ModelConfig;
use microgpt::corpus::{self, Corpus, Dataset};
use microgpt::device::cuda::{Cuda, CudaModels};
use microgpt::device::{Device, Models};
use microgpt::error::Result;

use measure::{SAMPLE, median, start, verified};
use models::LARGER;
use record::{Computer, Figure, Record, failure};

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
    /// Measure few steps, models and samples
    #[arg(long)]
    short: bool,
    /// A flag that cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// The sizes of the measurements.
struct Sizes {
    /// The documents of the corpus.
    documents: usize,
    /// The steps before the bits are compared.
    verified_steps: usize,
    /// The launches of which the median is taken.
    launches: usize,
    /// The steps of a launch of the default model.
    steps: usize,
    /// The steps of a launch of larger models, of batches and of several models.
    few_steps: usize,
    /// The documents of a batch.
    batches: [usize; 2],
    /// The models that train side by side.
    seeds: [usize; 2],
    /// The samples of the default model and of a larger one.
    samples: [u64; 2],
    /// The steps of the whole process.
    process_steps: usize,
    /// A model of the tiled executor and its batch.
    tiled: (ModelConfig, usize),
}

const FULL: Sizes = Sizes {
    documents: usize::MAX,
    verified_steps: 50,
    launches: 15,
    steps: 1000,
    few_steps: 20,
    batches: [256, 1024],
    seeds: [132, 1056],
    samples: [10_000_000, 100_000],
    process_steps: 500,
    tiled: (ModelConfig { n_embd: 384, n_head: 6, n_layer: 6, block_size: 256 }, 4),
};

const SHORT: Sizes = Sizes {
    documents: 40,
    verified_steps: 1,
    launches: 1,
    steps: 2,
    few_steps: 1,
    batches: [3, 5],
    seeds: [2, 3],
    samples: [40, 20],
    process_steps: 2,
    tiled: (ModelConfig { n_embd: 64, n_head: 2, n_layer: 1, block_size: 16 }, 4),
};

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
    let sizes = if args.short { SHORT } else { FULL };
    let dataset = dataset(args.input.as_deref(), sizes.documents)?;
    let mut figures = Vec::new();
    for (model, steps, samples) in
        [(ModelConfig::default(), sizes.steps, sizes.samples[0]), (LARGER, sizes.few_steps, sizes.samples[1])]
    {
        model_figures(model, steps, samples, &sizes, &dataset, &mut figures)?;
    }
    training_figures(&sizes, &dataset, &mut figures)?;
    let launches = launches::of_a_tiled_step(&sizes, &mut figures)?;
    let computer = Computer::this()?;
    let predicted = predicted::compare(&computer, &sizes, &dataset)?;
    let seconds = process_seconds(args, &sizes)?;
    figures.push(Figure::new(&format!("whole process, `--steps {}`", sizes.process_steps), seconds, "s"));
    if let Some(path) = &args.record {
        Record::new(computer, figures, launches, predicted)?.write(path)?;
    }
    Ok(())
}

/// Measures training, evaluation and sampling of a model of the fused executor.
fn model_figures(
    model: ModelConfig,
    steps: usize,
    samples: u64,
    sizes: &Sizes,
    dataset: &Dataset,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let ModelConfig { n_embd, n_layer, block_size, .. } = model;
    let name = format!("n_embd {n_embd}, n_layer {n_layer}, block_size {block_size}");
    let mut gpu = verified(model, 1, dataset, sizes.verified_steps)?;
    let mut figure =
        |what: &str, value: f64, unit: &str| figures.push(Figure::new(&format!("{what}, {name}"), value, unit));
    let seconds = median(&mut gpu, sizes, |gpu| gpu.train(steps).map(drop), Cuda::device_seconds)?;
    figure(&format!("`train`, batch 1, {steps} steps a launch"), seconds / steps as f64 * 1e6, "µs a step");
    let tokens = gpu.evaluate(usize::MAX)?.tokens;
    let seconds = median(&mut gpu, sizes, |gpu| gpu.evaluate(usize::MAX).map(drop), Cuda::device_seconds)?;
    figure("`evaluate`, all validation documents", tokens as f64 / seconds / 1e6, "million tokens/s");
    let drawn = gpu.generate(&SAMPLE, 0..samples)?;
    // The token that ends a sample is drawn too.
    let tokens: usize = drawn.iter().map(|sample| (sample.tokens.len() + 1).min(block_size)).sum();
    let rate = tokens as f64 / gpu.device_seconds() / 1e6;
    figure(&format!("`generate`, {samples} samples in one launch"), rate, "million tokens/s");
    Ok(())
}

/// Measures steps of batches and of several models at once.
fn training_figures(sizes: &Sizes, dataset: &Dataset, figures: &mut Vec<Figure>) -> Result<()> {
    let (model, steps) = (ModelConfig::default(), sizes.few_steps);
    for batch in sizes.batches {
        let mut gpu = verified(model, batch, dataset, sizes.verified_steps)?;
        let seconds = median(&mut gpu, sizes, |gpu| gpu.train(steps).map(drop), Cuda::device_seconds)?;
        let name = format!("`train`, batch {batch}, default model");
        figures.push(Figure::new(&name, seconds / steps as f64 * 1e6, "µs a step"));
    }
    for seeds in sizes.seeds {
        let mut models = CudaModels::new(dataset, &vec![start(model, 1, dataset)?; seeds])?;
        let train = |gpu: &mut CudaModels| gpu.train(steps, &vec![true; seeds]).map(drop);
        let seconds = median(&mut models, sizes, train, CudaModels::device_seconds)?;
        let name = format!("`train`, {seeds} seeds, default model");
        figures.push(Figure::new(&name, seconds / steps as f64 * 1e6, "µs a step of all"));
    }
    Ok(())
}

/// Returns the median wall time of a run of the program, in seconds.
fn process_seconds(args: &Args, sizes: &Sizes) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..if args.short { 1 } else { 5 } {
        let start = Instant::now();
        let mut program = Command::new(&args.program);
        program
            .args(["--device", "cuda", "--steps", &sizes.process_steps.to_string()])
            .args(args.input.iter().flat_map(|input| [Path::new("--input"), input]));
        program.stdout(Stdio::null()).stderr(Stdio::null());
        let status = program.status().map_err(|error| failure(format!("cannot run the program: {error}")))?;
        if !status.success() {
            return Err(failure(format!("`{}` fails", args.program.display())));
        }
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Returns at most this many documents of a corpus.
fn dataset(input: Option<&Path>, documents: usize) -> Result<Dataset> {
    let file = input.map(|path| Corpus::load(Some(path))).transpose()?;
    let text = file.as_ref().map_or(corpus::EMBEDDED, |corpus| &corpus.text);
    Dataset::new(&corpus::documents(text).take(documents).collect::<Vec<_>>(), Some(42), None)
}
