//! Kernels that do not compile, because their control flow is not uniform or their memory escapes.
//!
//! The files in `compile_fail` are what an author may write by mistake, and the files `.stderr` the compiler's answers.
//! `TRYBUILD=overwrite cargo test -p microgpt-simt --test compile_fail` writes the answers anew.
#![cfg(not(feature = "race-check"))]
#![allow(missing_docs)]

#[test]
fn mistakes_of_control_flow_and_lifetime_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
