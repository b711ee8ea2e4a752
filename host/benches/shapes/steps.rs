//! The training steps of both executors.

use std::env;
use std::process::Command;
use std::time::Instant;

use microgpt::config::{ModelConfig, OptimizerConfig, TrainConfig, num_params};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::{Device, Executor, Executors, State};
use microgpt::weights::Weights;

use crate::clock::seconds;
use crate::{models, peak};

/// The environment variable that names the step which a process measures.
pub const VARIABLE: &str = "MICROGPT_BENCH_STEP";

/// The least number of rounds of a measurement.
const ROUNDS: usize = 6;
/// The seconds that a measurement takes, unless its rounds take more.
const SECONDS: f64 = 2.0;
/// The seconds that the steps of a round take, unless a step takes more.
const ROUND_SECONDS: f64 = 0.05;

/// The kind of documents of a step.
#[derive(Clone, Copy, PartialEq)]
enum Documents {
    /// Names of about seven positions.
    Names,
    /// Documents that fill the block.
    Full,
}

/// The dimensions `[C, H, L, T]`, the batch and the documents of each step.
const STEPS: [([usize; 4], usize, Documents); 11] = [
    ([16, 4, 1, 8], 1, Documents::Names),
    ([16, 4, 1, 8], 256, Documents::Names),
    ([64, 4, 2, 32], 1, Documents::Names),
    ([64, 4, 2, 32], 64, Documents::Names),
    ([128, 4, 4, 16], 32, Documents::Names),
    ([256, 4, 1, 16], 256, Documents::Names),
    ([64, 4, 4, 64], 1, Documents::Full),
    ([64, 4, 4, 64], 64, Documents::Full),
    ([128, 4, 4, 128], 8, Documents::Full),
    ([384, 6, 6, 256], 1, Documents::Full),
    ([384, 6, 6, 256], 4, Documents::Full),
];

/// Prints the table of the steps whose shape and batch contain `filter`.
pub fn print(filter: Option<&str>) {
    println!(
        "{:>16} {:>6} {:>6} {:>8}  {:>10} {:>9} {:>6} {:>7} {:>11}",
        "C/H/L/T", "batch", "docs", "executor", "ms a step", "GFLOP/s", "peak", "MB", "first step s"
    );
    let program = env::current_exe().expect("the program has a path");
    for (i, ([c, h, l, t], batch, documents)) in STEPS.into_iter().enumerate() {
        let model = format!("{c}/{h}/{l}/{t}");
        if filter.is_some_and(|filter| !format!("{model}x{batch}").contains(filter)) {
            continue;
        }
        for executor in ["fused", "tiled"] {
            // Heads of four channels share half-warps, which the tiled executor does not support.
            if executor == "tiled" && c / h < 9 {
                continue;
            }
            let output = Command::new(&program).env(VARIABLE, format!("{i} {executor}")).output();
            let output = output.expect("the program can start itself");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let documents = if documents == Documents::Names { "names" } else { "full" };
            print!("{model:>16} {batch:>6} {documents:>6} {executor:>8}  {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// Measures a step, given as its index and its executor, and prints the figures.
pub fn measure(step: &str) {
    let (index, executor) = step.split_once(' ').expect("the step has an index and an executor");
    let ([n_embd, n_head, n_layer, block_size], batch, documents) = STEPS[index.parse::<usize>().expect("an index")];
    let model = ModelConfig { n_embd, n_head, n_layer, block_size };
    let executor = if executor == "tiled" { Executor::Tiled } else { Executor::Fused };
    let dataset = match documents {
        Documents::Names => models::names(42),
        Documents::Full => full(block_size),
    };
    let start = Instant::now();
    let shape = model.shape(dataset.tokenizer.vocab_size()).expect("the shape is sound");
    let config = TrainConfig { steps: 1_000_000, batch, optimizer: OptimizerConfig::default() };
    let (kernels, state) = (available()[0], State::new(Weights::init(shape, 42)));
    let mut cpu =
        Cpu::with_executors(kernels, Executors::both(executor), config, &dataset, &state).expect("memory suffices");
    drop(state);
    let mut step = 0;
    let mut train = |steps: usize| {
        let documents = (step * batch..(step + steps) * batch).map(|i| dataset.train.get(i % dataset.train.len()));
        let positions: Vec<_> = documents.map(|document| block_size.min(document.len() - 1)).collect();
        step += steps;
        let time = seconds(|| drop(cpu.train(steps).expect("the CPU does not fail")));
        (time, positions.into_iter().map(|n| flop(model, num_params(shape), n)).sum::<f64>())
    };
    train(1);
    let first = start.elapsed().as_secs_f64();
    let steps = (ROUND_SECONDS / train(2).0 * 2.0).ceil() as usize;
    let (mut best, mut peak, mut flop_per_step) = (f64::INFINITY, f64::INFINITY, 0.0);
    let (start, mut rounds) = (Instant::now(), 0);
    while rounds < ROUNDS || start.elapsed().as_secs_f64() < SECONDS {
        let (time, flop) = train(steps);
        best = best.min(time / flop);
        peak = peak.min(peak::seconds_per_flop(kernels.isa()));
        flop_per_step += flop / steps as f64;
        rounds += 1;
    }
    println!(
        "{:>10.3} {:>9.1} {:>6.2} {:>7.0} {first:>11.2}",
        best * flop_per_step / rounds as f64 * 1e3,
        1e-9 / best,
        peak / best,
        resident_megabytes()
    );
}

/// Returns the floating-point operations of a document of `n` positions in a step. A weight takes part in one
/// multiply-add a position in the forward pass, and in two in the backward pass. So does each channel of each pair of a
/// query and a key, in the scores and in the output.
fn flop(model: ModelConfig, params: usize, n: usize) -> f64 {
    let pairs = n * (n + 1) / 2;
    // Positions are added rather than multiplied.
    let weights = params - model.block_size * model.n_embd;
    6.0 * (weights * n + 2 * model.n_layer * model.n_embd * pairs) as f64
}

/// Returns documents that fill a block, of 64 distinct characters.
fn full(block_size: usize) -> Dataset {
    let letter = |i: usize| char::from(b'0' + ((i * i / 7 + i * 31 + i / 1000) % 64) as u8);
    let document = |d: usize| (0..block_size).map(|t| letter(d * block_size + t)).collect::<String>();
    models::dataset(&(0..200).map(document).collect::<Vec<_>>(), None)
}

/// Returns the most megabytes of memory that the process has used.
#[cfg(unix)]
fn resident_megabytes() -> f64 {
    // SAFETY: a `rusage` of zeros is valid, and the call fills it.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    // Linux counts kilobytes, and macOS bytes.
    usage.ru_maxrss as f64 / if cfg!(target_os = "macos") { 1e6 } else { 1e3 }
}

/// Returns NaN, because the system has no such call.
#[cfg(not(unix))]
fn resident_megabytes() -> f64 {
    f64::NAN
}
