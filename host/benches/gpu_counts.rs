//! The counts of the kernels on a GPU, from profiles of the emulator, without a GPU.
//!
//! `cargo bench -p host --bench gpu-counts` runs the program on the emulated driver and prints the instructions, the longest
//! chain of dependences, the bound and the bank conflicts of each kernel, for a step, a document or a sample. It then
//! prints the parts of a step of large batches, how fast an H200 could sample at most, what the imagined variants of the
//! training kernel would save, the products of the tiled executor beside the least counts, and the latencies of the model
//! with their sources. `-- --record FILE` writes the counts as JSON, such as those in `assets/gpu-counts.json`. The counts
//! are the same on every computer.

#![allow(missing_docs)]

#[path = "../tests/emulated/mod.rs"]
mod emulated;
#[path = "gpu_counts/products.rs"]
mod products;
#[path = "../tests/emulated/step_parts.rs"]
mod step_parts;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Add as _;
use std::path::{Path, PathBuf};

use clap::Parser;
use emulated::Emulator;
use gpu_kernels::shape::{ConstShape, DefaultShape, Shape as _};
use ptx_emulator::{INSTRUCTION_CLASSES, InstructionClass};
use serde::Serialize;
use serde_json::{Value, json};
use simt::GPU_WARPS;
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

/// The multiprocessors of an H200 and their highest clock.
const MULTIPROCESSORS: usize = 132;
const GHZ: f64 = 1.98;

/// The counts of launches, summed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counts {
    /// The executed instructions of all warps.
    warp_instructions: u64,
    /// The longest chain of dependences, in cycles.
    chain_cycles: u64,
    /// The bound of the slowest block, in cycles.
    bound_cycles: u64,
    /// The rounds that bank conflicts of shared memory add.
    conflicts: u64,
}

impl Counts {
    /// Combines each count with the other's.
    fn with(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            warp_instructions: f(self.warp_instructions, other.warp_instructions),
            chain_cycles: f(self.chain_cycles, other.chain_cycles),
            bound_cycles: f(self.bound_cycles, other.bound_cycles),
            conflicts: f(self.conflicts, other.conflicts),
        }
    }
}

/// Returns the counts of a launch, from its part of a profile.
fn counts(launch: &str) -> Counts {
    let after = |text: &str| {
        let rest = launch.split_once(text).unwrap_or_else(|| panic!("no `{text}` in:\n{launch}")).1;
        number(rest.split_whitespace().next().unwrap_or_default())
    };
    let (instructions, conflicts) = kinds(launch).into_values().fold((0, 0), |(instructions, conflicts), row| {
        (instructions + row["instructions"], conflicts + row["conflicts"])
    });
    Counts {
        warp_instructions: instructions,
        chain_cycles: after("longest chain of dependences "),
        bound_cycles: after("bound of the slowest block: "),
        conflicts,
    }
}

/// Returns the count that a text says.
fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no count"))
}

/// Returns the whole counts of each kind of instructions in a part of a profile, by their titles.
fn kinds(launch: &str) -> BTreeMap<&str, BTreeMap<&str, u64>> {
    let mut rows = launch.lines().skip_while(|line| !line.starts_with("kind "));
    let titles: Vec<&str> = rows.next().expect("a profile has kinds").split_whitespace().skip(1).collect();
    let kind = |row| {
        let (kind, values) = split_row(row, titles.len());
        let counts = titles.iter().zip(values).filter(|(title, _)| **title != "lanes");
        (kind, counts.map(|(title, value)| (*title, number(value))).collect())
    };
    rows.take_while(|row| !row.is_empty()).map(kind).collect()
}

/// Returns the name of a row of a table, and its `columns` values.
fn split_row(row: &str, columns: usize) -> (&str, Vec<&str>) {
    let words: Vec<&str> = row.split_whitespace().collect();
    let name = row.find("  ").map_or(row, |end| &row[..end]);
    (name, words[words.len() - columns..].to_vec())
}

/// Returns the counts of a launch of products.
fn product_counts(launch: &str) -> products::Profiled {
    let kinds = kinds(launch);
    let count = |kind: &str, title: &str| kinds.get(kind).map_or(0, |row| row[title]);
    let arithmetic = [
        "float arithmetic",
        "integer arithmetic, logic",
        "comparison, selection, move",
        "conversion",
        "division, square root",
        "integer division",
    ];
    products::Profiled {
        arithmetic: arithmetic.iter().map(|kind| count(kind, "instructions")).sum(),
        shared: count("shared memory", "instructions"),
        conflicts: count("shared memory", "conflicts"),
        global_bytes: 32 * count("global or generic memory", "transactions"),
    }
}

/// Runs the program on the emulator, and returns the parts of the profile for the launches of a kernel.
fn launches(kernel: &str, flags: &str) -> Vec<String> {
    launches_with(&[kernel], flags, &format!("sms={MULTIPROCESSORS}"))
}

/// Runs the program on the emulator with these settings, and returns the parts of the profile for the launches of kernels.
fn launches_with(kernels: &[&str], flags: &str, settings: &str) -> Vec<String> {
    profiled(kernels, flags, settings).0
}

/// Runs the program on the emulator. Returns the parts of the profile for the launches of kernels, and the program's output.
fn profiled(kernels: &[&str], flags: &str, settings: &str) -> (Vec<String>, String) {
    let emulator = Emulator::new();
    let heads: Vec<_> = kernels.iter().map(|kernel| format!("kernel `{kernel}`")).collect();
    let profile = emulator.path("profile.txt");
    // The counts are those of any checks, and fewer checks are faster. The last value of a setting counts.
    let settings = format!("checks=memory,{settings},profile={}", profile.display());
    let mut command = emulator.command(Path::new(env!("CARGO_BIN_EXE_microgpt")), &settings);
    let defaults = [("--steps", "1"), ("--samples", "0"), ("--val-every", "0")];
    command.args("--device cuda --input".split(' ')).arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/names.txt"));
    for (flag, value) in defaults.iter().filter(|(flag, _)| !flags.contains(flag)) {
        command.args([flag, value]);
    }
    let output = command.args(flags.split_whitespace()).output().expect("the program starts");
    assert!(output.status.success(), "{flags}: {}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(profile).expect("the emulator has written a profile");
    let parts = text.split("kernel `").skip(1).map(|part| format!("kernel `{part}"));
    let launches: Vec<String> = parts.filter(|part| heads.iter().any(|head| part.starts_with(head))).collect();
    assert!(!launches.is_empty(), "{flags}: no launch of {kernels:?}");
    (launches, String::from_utf8(output.stdout).expect("the names are UTF-8"))
}

/// Prints how many tokens a second the default model could sample on an H200, if each multiprocessor took the bound of a
/// block and every block had a sample for each of its warps.
fn print_sampling() {
    const SAMPLES: usize = MULTIPROCESSORS * GPU_WARPS;
    const DEFAULT: DefaultShape = ConstShape;
    let flags = format!("--steps 500 --samples {SAMPLES}");
    let (launches, output) = profiled(&["generate"], &flags, &format!("sms={MULTIPROCESSORS}"));
    let [launch] = &launches[..] else { panic!("one launch draws all samples") };
    let samples: Vec<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("sample ")?.split_once(": "))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(samples.len(), SAMPLES);
    // The token that ends a sample is drawn too.
    let tokens: usize = samples.iter().map(|text| (text.len() + 1).min(DEFAULT.block_size())).sum();
    let Counts { warp_instructions, bound_cycles, .. } = counts(launch);
    println!(
        "generate default, {SAMPLES} samples of {tokens} tokens: {:.0} warp-instructions a token, {bound_cycles} bound cycles, at most {:.0} million tokens/s by {MULTIPROCESSORS} multiprocessors of {} GHz",
        warp_instructions as f64 / tokens as f64,
        tokens as f64 * GHZ * 1e3 / bound_cycles as f64,
        GHZ
    );
}

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

fn main() {
    let args = Args::parse();
    let (mut record, mut variants) = (BTreeMap::new(), None);
    for Case { name, kernel, flags, without } in CASES {
        let sum = |launches: &[String]| {
            launches.iter().fold(Counts::default(), |sum, launch| sum.with(counts(launch), u64::add))
        };
        let launches_of_all = launches(kernel, flags);
        let mut counts = sum(&launches_of_all);
        if let Some((flags, units)) = without {
            counts = counts.with(sum(&launches(kernel, flags)), |all, fewer| (all - fewer) / units);
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
    let settings = format!("sms={}", products::MULTIPROCESSORS);
    let launches = launches_with(&["tiled_forward", "tiled_backward"], products::FLAGS, &settings);
    // The names and the end of a line are 27 characters, beside the token that begins a text.
    let planned = products::planned(28);
    // The launches of the step come first. Those of the trial of the next step follow.
    let profiled: Vec<_> = launches.iter().take(planned.len()).map(|launch| product_counts(launch)).collect();
    products::print(&profiled, &planned);
    println!("\n{:<32} {:>8}  source", "class of instructions", "latency");
    for InstructionClass { name, latency, source } in &INSTRUCTION_CLASSES {
        println!("{name:<32} {latency:>8}  {source}");
    }
    if let Some(file) = args.record {
        let text = serde_json::to_string_pretty(&record).expect("counts are JSON");
        if let Err(error) = fs::write(&file, text + "\n") {
            eprintln!("error: cannot write `{}`: {error}", file.display());
            std::process::exit(1);
        }
    }
}
