//! The parts of a training step in a profile of the emulator, for the default model.
#![allow(dead_code, reason = "no user takes all of it")]

use std::path::Path;

use super::emulated::Emulator;

/// The bounds of a training launch in its slowest block, in cycles. The kernel's files tell the parts, because the profile names
/// the file of the barrier at the end of each region. What a launch does once, before and after its steps, is in no part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepParts {
    /// The number of documents of the block.
    pub documents: u64,
    /// The forward and the backward pass and the gradients of the weights, of all documents of the block.
    pub passes: u64,
    /// The sum of the gradients of all blocks, from their stores on.
    pub tree: u64,
    /// The update of the weights, and the barriers of the grid.
    pub update: u64,
}

impl StepParts {
    /// Returns the parts of a launch, from its part of a profile.
    ///
    /// # Panics
    /// If the profile names a file of unknown part, or no region.
    pub fn new(launch: &str) -> Self {
        let mut parts = Self::default();
        for row in launch.lines().filter_map(|line| line.strip_prefix("up to PTX line ")) {
            let mut words = row.split_whitespace().skip(1);
            let op = words.next().expect("a region has an op");
            let [times, cycles] = [(); 2].map(|()| words.next().and_then(|word| word.parse().ok()).expect("a count"));
            match op {
                "train/held_gradients" => (parts.documents, parts.passes) = (times, parts.passes + cycles),
                "model" => parts.passes += cycles,
                "train/held_tree" => parts.tree += cycles,
                "train/held_update" | "entry/gpu" => parts.update += cycles,
                "train/held_batch" => {}
                op => panic!("the part of `{op}` is unknown"),
            }
        }
        assert!(parts.documents > 0, "no document in:\n{launch}");
        parts
    }

    /// Returns the parts of the first launch of `kernel`, in a run with these flags on an emulated H200.
    ///
    /// # Panics
    /// If the program fails, or launches no such kernel.
    pub fn of_run(kernel: &str, flags: &str) -> Self {
        let emulator = Emulator::new();
        let profile = emulator.path("profile.txt");
        let ops = "ops=gpu-kernels/src/model,ops=gpu-kernels/src/train/held_";
        let settings = format!("checks=memory,sms=132,{ops},profile={}", profile.display());
        let mut command = emulator.command(Path::new(env!("CARGO_BIN_EXE_microgpt")), &settings);
        command.args("--device cuda --samples 0 --val-every 0 --input".split(' '));
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/names.txt")).args(flags.split(' '));
        let output = command.output().expect("the program starts");
        assert!(output.status.success(), "{flags}: {}", String::from_utf8_lossy(&output.stderr));
        let text = std::fs::read_to_string(profile).expect("the emulator has written a profile");
        let launch = text.split("kernel `").find(|launch| launch.starts_with(&format!("{kernel}`")));
        Self::new(launch.unwrap_or_else(|| panic!("{flags}: no launch of `{kernel}`")))
    }

    /// Returns the bound of a document.
    pub fn document(&self) -> f64 {
        self.passes as f64 / self.documents as f64
    }

    /// Returns the bound of a launch of one step.
    pub fn step(&self) -> u64 {
        self.passes + self.tree + self.update
    }

    /// Returns the share of the tree in a launch of one step.
    pub fn tree_share(&self) -> f64 {
        self.tree as f64 / self.step() as f64
    }
}
