//! The emulator gives the results of a naive interpreter for any kernel that the bytes describe.
#![no_main]

#[path = "../../../gpu-kernels/ptx-emulator/tests/generated/compare.rs"]
mod compare;
#[path = "../../../gpu-kernels/ptx-emulator/tests/generated/interpreter.rs"]
mod interpreter;
#[path = "../../../gpu-kernels/ptx-emulator/tests/generated/operations.rs"]
mod operations;
#[path = "../../../gpu-kernels/ptx-emulator/tests/generated/program.rs"]
mod program;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| compare::compare(bytes));
