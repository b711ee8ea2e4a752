//! The counts of the kernels on a GPU, from profiles of the emulator, without a GPU.
//!
//! `cargo bench -p host --bench gpu-counts` runs the program on the emulated driver and prints the instructions, the longest
//! chain of dependences, the bound and the bank conflicts of each kernel, for a step, a document or a sample. It then
//! prints the parts of a step of large batches, how fast an H200 could sample at most, what the imagined variants of the
//! training kernel would save, the products of the tiled executor beside the least counts, and the latencies of the model
//! with their sources. `-- --record FILE` writes the counts as JSON, such as those in `assets/gpu-counts.json`. The counts
//! are the same on every computer.

#![allow(missing_docs)]

#[path = "../tests/emulated/counts.rs"]
mod counts;
#[path = "../tests/emulated/mod.rs"]
mod emulated;
#[path = "../tests/emulated/products.rs"]
mod products;
#[path = "../tests/emulated/step_parts.rs"]
mod step_parts;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Parser;
use counts::{Counts, GHZ, MULTIPROCESSORS, Sampling, launches};
use products::ProductLaunch;
use ptx_emulator::{INSTRUCTION_CLASSES, InstructionClass, LATENCY_PUBLICATIONS};
use serde_json::{Value, json};
use step_parts::StepParts;

#[derive(Debug, Parser)]
struct Args {
    /// Write the counts to this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// A flag that cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// A measurement, with the kernel whose launches are counted.
struct Case {
    name: &'static str,
    kernel: &'static str,
    /// The flags of a run.
    flags: &'static str,
    /// The flags of the same run without some steps, whose number divides the difference of the counts.
    without: Option<(&'static str, u64)>,
}

const CASES: [Case; 8] = [
    case("train default", "train", "--steps 5", Some(("--steps 1", 4))),
    case("train_batch default, 8 documents", "train_batch", "--batch 8 --steps 3", Some(("--batch 8 --steps 1", 2))),
    case("evaluate default, a document", "evaluate", "--steps 1 --val-every 1 --val-docs 1", None),
    case("generate default, a sample", "generate", "--steps 1 --samples 1", None),
    case("train_shared 16/4/1/16", "train_shared", "--block-size 16 --steps 3", Some(("--block-size 16 --steps 1", 2))),
    case("tiled_forward 64/4/1/16, 8 documents", "tiled_forward", TILED, None),
    case("tiled_backward 64/4/1/16, 8 documents", "tiled_backward", TILED, None),
    case("tiled_attention 64/4/1/16, 8 documents", "tiled_attention", TILED, None),
];

const fn case(
    name: &'static str,
    kernel: &'static str,
    flags: &'static str,
    without: Option<(&'static str, u64)>,
) -> Case {
    Case { name, kernel, flags, without }
}

/// The flags of a step of the tiled executor.
const TILED: &str = "--n-embd 64 --block-size 16 --batch 8 --steps 1";

/// Prints the parts of a step of large batches beside a document's part of the steps of `train`. Returns them for the record.
fn print_batches() -> Vec<(String, Value)> {
    let alone = StepParts::of_run("train", "--steps 20").document();
    let batch = |documents: usize| {
        let parts = StepParts::of_run("train_batch", &format!("--batch {documents} --steps 1"));
        let (document, tree, update, step) = (parts.document(), parts.tree, parts.update, parts.step());
        println!(
            "train_batch default, {documents} documents: {step} bound cycles, {document:.0} a document of the slowest block ({:.2} of the {alone:.0} of `train`), {tree} the gradient tree ({:.1} %), {update} AdamW and barriers ({:.1} %)",
            document / alone,
            100.0 * parts.tree_share(),
            100.0 * update as f64 / step as f64
        );
        let record = json!({ "bound_cycles": step, "document_cycles": document.round() as u64, "tree_cycles": tree, "update_cycles": update });
        (format!("train_batch default, {documents} documents"), record)
    };
    [256, 1024].map(batch).into()
}

/// Prints how many tokens a second the default model could sample on an H200.
fn print_sampling() {
    let sampling = Sampling::of_default();
    let Sampling { samples, tokens, counts } = sampling;
    println!(
        "generate default, {samples} samples of {tokens} tokens: {:.0} warp-instructions a token, {} bound cycles, at most {:.0} million tokens/s by {MULTIPROCESSORS} multiprocessors of {GHZ} GHz",
        counts.warp_instructions as f64 / tokens as f64,
        counts.bound_cycles,
        sampling.tokens_per_second() / 1e6
    );
}

/// Prints a row for each launch of products of the tiled executor.
fn print_products() {
    println!(
        "\nThe products of a layer of 384/6/6/256 with batch 4 and 65 tokens on {MULTIPROCESSORS} multiprocessors:"
    );
    println!("launch            blocks   multiply-adds  conflicts  global bytes, of the least");
    for launch in ProductLaunch::of_a_step() {
        println!(
            "{:<16} {:>7} {:>13.1} % {:>8.1} % {:>13} {:>12.2}",
            format!("{:?}", launch.op),
            launch.blocks,
            100.0 * launch.multiply_adds(),
            100.0 * launch.conflicts(),
            launch.global_bytes(),
            launch.of_least_bytes()
        );
    }
}

fn main() {
    let args = Args::parse();
    let (mut record, mut variants) = (BTreeMap::new(), None);
    for Case { name, kernel, flags, without } in CASES {
        let launches_of_all = launches(kernel, flags);
        let mut counts = Counts::of_launches(&launches_of_all);
        if let Some((flags, units)) = without {
            counts = counts.of_each(Counts::of_launches(&launches(kernel, flags)), units);
        }
        variants = variants.or_else(|| {
            let (_, bound) = launches_of_all[0].split_once("bound of")?;
            Some(bound.trim_end().to_owned())
        });
        println!(
            "{name}: {} warp-instructions, {} chain cycles, {} bound cycles, {} conflicts",
            counts.warp_instructions, counts.chain_cycles, counts.bound_cycles, counts.conflicts
        );
        record.insert(name.to_owned(), json!(counts));
    }
    record.extend(print_batches());
    print_sampling();
    println!("\nThe bound, in a launch of 5 steps of `train`, of{}", variants.unwrap_or_default());
    print_products();
    println!("\n{:<32} {:>8}  source", "class of instructions", "latency");
    for InstructionClass { name, latency, source } in &INSTRUCTION_CLASSES {
        println!("{name:<32} {latency:>8}  {source}");
    }
    for [publication, description] in LATENCY_PUBLICATIONS {
        println!("{publication}: {description}");
    }
    if let Some(file) = args.record {
        let text = serde_json::to_string_pretty(&record).expect("counts are JSON");
        if let Err(error) = fs::write(&file, text + "\n") {
            eprintln!("error: cannot write `{}`: {error}", file.display());
            std::process::exit(1);
        }
    }
}
