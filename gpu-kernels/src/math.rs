//! `exp` and `ln`, which `simt` computes from IEEE operations alone.

pub use simt::math::{EXP_MIN, exp, exp_up_to_88, ln};
