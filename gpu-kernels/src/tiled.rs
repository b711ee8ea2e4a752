//! The tiled executor, which computes a step as products of matrices whose rows are the tokens of all documents.
//!
//! [`sum`] states the order of every sum, and [`product`] computes the products.

pub mod phase;
pub mod product;
pub mod sum;
