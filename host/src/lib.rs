//! A tiny GPT, trained and sampled by kernels written in Rust.
//!
//! A [`Trainer`] trains a model on a [`Corpus`] as an iterator of [`Event`]s. The [`Model`] that it leaves can be
//! saved, loaded and sampled from with a [`Sampler`].
//!
//! ```
//! use microgpt::{Config, Corpus, Event, Sampler, Sampling, Trainer};
//!
//! let corpus = Corpus::from_text("emma\nolivia\nava\nisabella\nsophia\n")?;
//! let mut trainer = Trainer::new(&Config { steps: 50, ..Config::default() }, &corpus)?;
//! for event in &mut trainer {
//!     if let Event::Steps(steps) = event? {
//!         println!("{} steps, {:.3} ms each", steps.end(), steps.ms);
//!     }
//! }
//! let model = trainer.into_model()?;
//! for sample in Sampler::new(&model, &Sampling::default())?.take(3) {
//!     println!("{}", sample?.text);
//! }
//! # Ok::<(), microgpt::Error>(())
//! ```
//!
//! The kernels run on the CPU and on NVIDIA GPUs with the same bits. A [`Device`] is a model on the CPU or a GPU.

#![cfg_attr(windows, feature(windows_by_handle))]

#[cfg(feature = "program")]
pub mod atomic_file;
#[cfg(feature = "program")]
pub mod checkpoint;
#[cfg(feature = "program")]
pub mod cli;
#[cfg(feature = "program")]
pub mod cluster;
pub mod config;
pub mod corpus;
pub mod device;
pub mod error;
#[cfg(feature = "program")]
pub mod metrics;
pub mod model;
#[cfg(feature = "program")]
pub mod plot;
pub mod run;
#[cfg(feature = "program")]
pub mod run_lock;
pub mod sampler;
pub mod stop;
mod summary;
pub mod tokenizer;
pub mod trainer;
pub mod weights;

pub use config::{ModelConfig, OptimizerConfig};
#[cfg(feature = "program")]
pub use corpus::Corpus;
pub use device::{Device, DeviceKind};
pub use error::{Error, Result};
pub use model::Model;
pub use sampler::{Sampler, Sampling, TextSample};
pub use stop::StopHandle;
pub use tokenizer::Tokenizer;
pub use trainer::{Config, Event, Trainer};
