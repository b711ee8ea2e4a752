//! The tiled executor, which computes a step as products of matrices whose rows are the tokens of all documents.
//!
//! A step is a list of phases ([`phases`]), each of independent items, which [`step`] computes. [`sum`] states the order
//! of every sum, and [`product`] computes the products. [`rows`] describes the rows, and [`workspace`] places the
//! activations.

pub mod attention_backward;
pub mod attention_forward;
mod copies;
mod embedding_gradient;
mod ends;
pub mod items;
mod join;
mod lane_values;
pub mod launch;
pub mod operand;
mod ops;
pub mod output;
mod packed;
pub mod phases;
pub mod product;
mod products;
pub mod rows;
#[cfg(not(target_arch = "nvptx64"))]
pub mod share;
pub mod squares;
mod staged;
pub mod staging;
pub mod step;
pub mod sum;
mod tile;
mod update;
mod views;
pub mod work;
pub mod workspace;
