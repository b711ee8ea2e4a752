//! Each arithmetic instruction that the emulator accepts, in every variant, against exact results: edge values, and many
//! others. The oracles of exact instructions share nothing with the emulator: whole numbers wide enough to be exact, bits one by one, and for
//! floating-point LLVM's software arithmetic in Rust (`rustc_apfloat`).
//!
//! A family of instructions is a list of [`Case`]s, made from lists of modifiers and types. [`every_variant_is_tested`] asks
//! the emulator for all that it accepts, and fails if the lists lack one.
#![allow(clippy::float_cmp, reason = "results are compared exactly")]
#![allow(clippy::type_complexity, reason = "tables of one-line oracles")]

mod approximate;
mod atomics;
mod bits;
mod case;
mod compare;
mod convert;
#[path = "../driver/mod.rs"]
mod driver;
mod floats;
mod moves;
mod oracle;
mod values;
mod wholes;

use std::collections::HashSet;

use case::Case;
use driver::Driver;

fn cases() -> Vec<Case> {
    [wholes::cases(), bits::cases(), compare::cases(), floats::cases(), moves::cases(), convert::cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn on_the_emulator() {
    let driver = Driver::emulated();
    for case in cases() {
        case.check(&driver);
    }
    atomics::check(&driver);
}

#[test]
#[ignore = "no GPU asked for: run with --ignored where there is one"]
fn on_a_gpu() {
    let driver = Driver::real();
    for case in cases() {
        case.check(&driver);
    }
    atomics::check(&driver);
}

/// The decoder accepts nothing that no case covers, and every case is one that it accepts.
#[test]
fn every_variant_is_tested() {
    let (exact, inexact): (Vec<_>, Vec<_>) = ptx_emulator::variants().into_iter().partition(|variant| variant.exact);
    assert!(exact.len() > 1000, "the decoder names what it accepts");
    for (accepted, tested) in [(exact, cases()), (inexact, approximate::cases())] {
        let accepted: HashSet<_> = accepted.into_iter().map(|variant| variant.form).collect();
        let tested: HashSet<_> = tested.into_iter().map(|case| case.form).collect();
        let mut untested: Vec<_> = accepted.difference(&tested).collect();
        untested.sort();
        assert!(untested.is_empty(), "no case tests {} variants: {untested:#?}", untested.len());
        let mut unknown: Vec<_> = tested.difference(&accepted).collect();
        unknown.sort();
        assert!(unknown.is_empty(), "the emulator does not accept: {unknown:#?}");
    }
}
