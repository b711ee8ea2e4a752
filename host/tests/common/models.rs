//! The corpora and models that tests and benchmarks of the kernels have in common.
#![allow(dead_code, reason = "no test uses all of it")]

use std::env;
use std::fs;

use gpu_kernels::shape::RuntimeShape;
use microgpt::config::ModelConfig;
use microgpt::corpus::{self, Dataset};
use microgpt::weights::Weights;

/// The default model, then models of unusual shapes.
pub const ODD: [ModelConfig; 6] = [
    ModelConfig { n_embd: 16, n_head: 4, n_layer: 1, block_size: 8 },
    ModelConfig { n_embd: 20, n_head: 5, n_layer: 2, block_size: 7 },
    ModelConfig { n_embd: 9, n_head: 3, n_layer: 1, block_size: 5 },
    ModelConfig { n_embd: 48, n_head: 2, n_layer: 2, block_size: 17 },
    ModelConfig { n_embd: 34, n_head: 1, n_layer: 1, block_size: 3 },
    ModelConfig { n_embd: 7, n_head: 7, n_layer: 3, block_size: 1 },
];

/// A model too large for the shared memory of any GPU, and too narrow for the tiled executor.
pub const LARGER: ModelConfig = ModelConfig { n_embd: 60, n_head: 4, n_layer: 2, block_size: 32 };

/// Models of the tiled executor, where a step has rows enough. Their heads fill a half-warp, and partly fill two.
pub const TILED: [ModelConfig; 2] = [
    ModelConfig { n_embd: 96, n_head: 3, n_layer: 1, block_size: 37 },
    ModelConfig { n_embd: 68, n_head: 2, n_layer: 2, block_size: 20 },
];

/// Returns a data set of these documents, shuffled by `seed`. Without a seed, the documents keep their order.
pub fn dataset(documents: &[impl AsRef<str>], seed: Option<u64>) -> Dataset {
    Dataset::new(&documents.iter().map(AsRef::as_ref).collect::<Vec<_>>(), seed, None).unwrap()
}

/// Returns a data set of the embedded names, or of the file in `MICROGPT_CORPUS`.
pub fn names(seed: u64) -> Dataset {
    let file = env::var_os("MICROGPT_CORPUS").map(|path| fs::read_to_string(path).unwrap());
    dataset(&corpus::documents(file.as_deref().unwrap_or(corpus::EMBEDDED)).collect::<Vec<_>>(), Some(seed))
}

/// Documents shorter and longer than a block, with characters that few documents share.
pub const FEW: [&str; 6] = ["ab", "c", "fedcba", "gabcdefgabcdefg", "hijklmnopqrstuvwxyz", "bbb"];

/// Returns short and long documents with more than 256 distinct characters.
pub fn odd() -> Dataset {
    let wide: String = ('\u{4e00}'..'\u{4f10}').collect();
    dataset(&[&FEW[..], &["zaza", &wide]].concat(), None)
}

/// Returns weights with nonzero values in every tensor, so that gradients reach every tensor.
pub fn nonzero_weights(shape: RuntimeShape) -> Weights {
    let mut weights = Weights::init(shape, 7);
    for (i, w) in weights.values.iter_mut().enumerate() {
        *w = *w * 5.0 + 0.1 * (1.0 + 0.7 * i as f32).sin();
    }
    weights
}
