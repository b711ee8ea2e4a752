//! The counts of the kernels in profiles of the emulator, without a GPU.
#![allow(dead_code, reason = "no user takes all of it")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Add as _;
use std::path::Path;

use gpu_kernels::shape::{ConstShape, DefaultShape, Shape as _};
use serde::Serialize;
use simt::GPU_WARPS;

use super::emulated::Emulator;

/// The multiprocessors of an H200 and their highest clock.
pub const MULTIPROCESSORS: usize = 132;
pub const GHZ: f64 = 1.98;

/// The counts of launches, summed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    /// The executed instructions of all warps.
    pub warp_instructions: u64,
    /// The longest chain of dependences, in cycles.
    pub chain_cycles: u64,
    /// The bound of the slowest block, in cycles.
    pub bound_cycles: u64,
    /// The rounds that bank conflicts of shared memory add.
    pub conflicts: u64,
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

    /// Returns the counts of a launch, from its part of a profile.
    fn of_launch(launch: &str) -> Self {
        let after = |text: &str| {
            let rest = launch.split_once(text).unwrap_or_else(|| panic!("no `{text}` in:\n{launch}")).1;
            number(rest.split_whitespace().next().unwrap_or_default())
        };
        let (instructions, conflicts) = kinds(launch).into_values().fold((0, 0), |(instructions, conflicts), row| {
            (instructions + row["instructions"], conflicts + row["conflicts"])
        });
        Self {
            warp_instructions: instructions,
            chain_cycles: after("longest chain of dependences "),
            bound_cycles: after("bound of the slowest block: "),
            conflicts,
        }
    }

    /// Returns the sums of the counts of launches.
    pub fn of_launches(launches: &[String]) -> Self {
        launches.iter().fold(Self::default(), |sum, launch| sum.with(Self::of_launch(launch), u64::add))
    }

    /// Returns the counts of each of `units` units that these launches have beside others.
    pub fn of_each(self, others: Self, units: u64) -> Self {
        self.with(others, |all, others| (all - others) / units)
    }
}

/// Returns the count that a text says.
fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no count"))
}

/// Returns the whole counts of each kind of instructions in a part of a profile, by their titles.
pub fn kinds(launch: &str) -> BTreeMap<&str, BTreeMap<&str, u64>> {
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

/// Runs the program on an emulated H200, and returns the parts of the profile for the launches of a kernel.
pub fn launches(kernel: &str, flags: &str) -> Vec<String> {
    profiled(&[kernel], flags, &format!("sms={MULTIPROCESSORS}")).0
}

/// Runs the program on the emulator with these settings. Returns the parts of the profile for the launches of kernels, and the
/// program's output.
pub fn profiled(kernels: &[&str], flags: &str, settings: &str) -> (Vec<String>, String) {
    let emulator = Emulator::new();
    let heads: Vec<_> = kernels.iter().map(|kernel| format!("kernel `{kernel}`")).collect();
    let profile = emulator.path("profile.txt");
    // The counts are those of any checks, and fewer checks are faster. The last value of a setting counts.
    let settings = format!("checks=memory,{settings},profile={}", profile.display());
    let mut command = emulator.command(Path::new(env!("CARGO_BIN_EXE_microgpt")), &settings);
    let names = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/names.txt");
    let defaults = [("--input", names), ("--steps", "1"), ("--samples", "0"), ("--val-every", "0")];
    command.args(["--device", "cuda"]);
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

/// A launch that samples from the default model, with a sample for each warp of a block on each multiprocessor.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// The number of samples.
    pub samples: usize,
    /// The number of tokens. The token that ends a sample is drawn too.
    pub tokens: usize,
    /// The counts of the launch.
    pub counts: Counts,
}

impl Sampling {
    /// Trains the default model on the emulator, and draws samples.
    pub fn of_default() -> Self {
        const DEFAULT: DefaultShape = ConstShape;
        let samples = MULTIPROCESSORS * GPU_WARPS;
        let flags = format!("--steps 500 --samples {samples}");
        let (launches, output) = profiled(&["generate"], &flags, &format!("sms={MULTIPROCESSORS}"));
        assert_eq!(launches.len(), 1, "one launch draws all samples");
        let texts = output.lines().filter_map(|line| line.strip_prefix("sample ")?.split_once(": "));
        let tokens: Vec<usize> = texts.map(|(_, text)| (text.len() + 1).min(DEFAULT.block_size())).collect();
        assert_eq!(tokens.len(), samples);
        Self { samples, tokens: tokens.iter().sum(), counts: Counts::of_launches(&launches) }
    }

    /// Returns how many tokens a second an H200 could draw, if each multiprocessor took the bound of a block.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 * GHZ * 1e9 / self.counts.bound_cycles as f64
    }
}
