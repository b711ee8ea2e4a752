//! Tests of each arithmetic instruction that the emulator accepts, in every variant, against exact results for edge
//! values and random values. The oracles of exact instructions share no code with the emulator. An oracle for integers
//! computes bit by bit, or with integers that are wide enough to be exact. An oracle for floating point uses LLVM's
//! software arithmetic in Rust (`rustc_apfloat`).
//!
//! A family of instructions is a list of [`Case`]s, made from lists of modifiers and types.
//! [`every_variant_that_the_decoder_accepts_has_a_case`] fails if the emulator accepts a variant without a case.
#![allow(clippy::float_cmp, reason = "results must be exact")]
#![allow(clippy::type_complexity, reason = "tables of one-line oracles")]

mod approximate;
mod atomics;
mod bits;
mod carry;
mod case;
mod compare;
mod compare_halves;
mod convert;
#[path = "../driver/mod.rs"]
mod driver;
mod floats;
mod halves;
mod integers;
mod moves;
mod narrow;
mod oracle;
mod rare;
mod values;
mod warp;

use std::collections::HashSet;

use case::Case;
use driver::Driver;

/// Returns the cases of exact instructions.
fn cases() -> Vec<Case> {
    [
        integers::cases(),
        bits::cases(),
        compare::cases(),
        compare_halves::cases(),
        narrow::cases(),
        floats::cases(),
        moves::cases(),
        convert::cases(),
        halves::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs every case on a driver.
fn check(driver: &Driver) {
    for case in cases() {
        case.check(driver);
    }
    atomics::check(driver);
    carry::check(driver);
    warp::check(driver);
    rare::check(driver);
}

#[test]
fn the_emulator_agrees_with_the_oracles() {
    check(&Driver::emulated());
}

#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn a_gpu_agrees_with_the_oracles() {
    check(&Driver::real());
}

#[test]
fn every_variant_that_the_decoder_accepts_has_a_case() {
    let (exact, inexact): (Vec<_>, Vec<_>) = ptx_emulator::variants().into_iter().partition(|variant| variant.exact);
    assert!(exact.len() > 1000, "expected more than 1000 variants, got {}", exact.len());
    for (accepted, tested) in [(exact, cases()), (inexact, approximate::cases())] {
        let accepted: HashSet<_> = accepted.into_iter().map(|variant| variant.form).collect();
        let tested: HashSet<_> = tested.into_iter().map(|case| case.form).collect();
        let mut untested: Vec<_> = accepted.difference(&tested).collect();
        untested.sort();
        assert!(untested.is_empty(), "{} variants have no case: {untested:#?}", untested.len());
        let mut unknown: Vec<_> = tested.difference(&accepted).collect();
        unknown.sort();
        assert!(unknown.is_empty(), "the decoder refuses {} cases: {unknown:#?}", unknown.len());
    }
}
