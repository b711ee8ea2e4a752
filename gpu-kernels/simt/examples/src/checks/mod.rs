//! Kernels that apply every op once, for the tests.

pub mod atomic_ops;
pub mod block_ops;
pub mod division;
pub mod half_ops;
pub mod lane_ops;
pub mod wide_ops;
