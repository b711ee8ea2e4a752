//! `exp` and `ln`, which `simt` computes from IEEE operations alone.

pub use simt::math::{EXP_MIN, exp, ln};
