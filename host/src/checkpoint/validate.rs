//! The comparison of a checkpoint with the model and the run that it is read for.

use std::collections::HashSet;

use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{RuntimeShape, Shape};
use safetensors::Dtype;
use serde_json::Value;

use super::file::CheckpointFile;
use super::format::{DIMENSION_FLAGS, PREFIXES, RunInfo, dimensions, key};
use crate::config::ModelConfig;
use crate::error::{Mismatch, Result};

impl CheckpointFile {
    /// Returns the dimensions and the vocabulary that the metadata states.
    pub(super) fn model(&self) -> Result<(ModelConfig, Vec<char>)> {
        let dimension = |i: usize| {
            let size = self.metadata.dimensions[i].and_then(|size| size.try_into().ok());
            size.ok_or_else(|| self.mismatch(Mismatch::Unstated { key: key(DIMENSION_FLAGS[i]) }))
        };
        let (n_embd, n_head, n_layer, block_size) = (dimension(0)?, dimension(1)?, dimension(2)?, dimension(3)?);
        let unstated = || self.mismatch(Mismatch::Unstated { key: "vocabulary".to_owned() });
        let vocabulary = self.metadata.vocabulary.clone().ok_or_else(unstated)?;
        Ok((ModelConfig { n_embd, n_head, n_layer, block_size }, vocabulary))
    }

    /// Rejects a file of another model than one of this shape and vocabulary.
    pub(super) fn validate_model(&self, shape: RuntimeShape, vocabulary: &[char]) -> Result<(), Mismatch> {
        if let Some(stored) = self.metadata.vocabulary.as_deref().filter(|&stored| stored != vocabulary) {
            let difference = stored.iter().zip(vocabulary).position(|(stored, expected)| stored != expected);
            // Without a difference, one is the beginning of the other.
            let i = difference.unwrap_or(stored.len().min(vocabulary.len()));
            let (stored, expected) = (stored.get(i).copied(), vocabulary.get(i).copied());
            return Err(Mismatch::Vocabulary { token: i + 1, stored, expected });
        }
        for ((flag, expected), stored) in dimensions(shape).into_iter().zip(self.metadata.dimensions) {
            if let Some(stored) = stored.filter(|&stored| stored != expected as u64) {
                return Err(Mismatch::Dimension { flag, stored, expected, fitting: self.fitting_flags(shape) });
            }
        }
        self.compare_tensors(shape)
    }

    /// Rejects a file of another run, or one that lacks data that the run needs to go on.
    pub(super) fn validate_run(&self, run: &RunInfo) -> Result<(), Mismatch> {
        for (key, expected) in run.entries() {
            let stored = &self.metadata.json[key];
            if *stored == expected {
                continue;
            }
            return Err(match key {
                _ if stored.is_null() => Mismatch::MissingEntry { key },
                "corpus" => Mismatch::Corpus,
                "shuffle" => Mismatch::Shuffle { shuffled: expected == Value::Bool(false) },
                _ => {
                    let flag = format!("--{}", key.replace('_', "-"));
                    Mismatch::Setting { flag, stored: stored.to_string(), expected: expected.to_string() }
                }
            });
        }
        let steps = run.train.steps;
        match self.metadata.step.filter(|_| self.has_moments()) {
            None => Err(Mismatch::WeightsOnly),
            Some(step) if step > steps => Err(Mismatch::BeyondEnd { step, steps }),
            Some(_) => Ok(()),
        }
    }

    /// Rejects a missing tensor, and an unknown one, since a file with more tensors holds another model.
    fn compare_tensors(&self, shape: RuntimeShape) -> Result<(), Mismatch> {
        let arrays = if self.has_moments() { &PREFIXES[..] } else { &PREFIXES[..1] };
        let tensors = || arrays.iter().flat_map(|prefix| Layout(shape).tensors().map(move |tensor| (prefix, tensor)));
        let names: Vec<String> = tensors().map(|(prefix, tensor)| format!("{prefix}{tensor}")).collect();
        let fitting = || self.fitting_flags(shape);
        if let Some(name) = names.iter().find(|name| self.header.info(name).is_none()) {
            return Err(Mismatch::MissingTensor { tensor: name.clone(), fitting: fitting() });
        }
        for ((_, tensor), name) in tensors().zip(&names) {
            let (name, stored, expected) = (name.clone(), self.info(name), tensor.shape());
            if stored.shape != expected {
                let stored = stored.shape.clone();
                return Err(Mismatch::TensorShape { tensor: name, stored, expected, fitting: fitting() });
            }
            if stored.dtype != Dtype::F32 {
                return Err(Mismatch::TensorType { tensor: name, dtype: stored.dtype.to_string() });
            }
        }
        let known: HashSet<String> = names.into_iter().collect();
        match self.header.offset_keys().into_iter().find(|name| !known.contains(name)) {
            Some(tensor) => Err(Mismatch::UnknownTensor { tensor, fitting: fitting() }),
            None => Ok(()),
        }
    }

    /// Returns the flags that fit the file but not `shape`, such as `--n-embd 8`, or an empty text if there are none.
    fn fitting_flags(&self, shape: RuntimeShape) -> String {
        let fitting = self.fitting_shape(shape).into_iter().flat_map(dimensions).zip(dimensions(shape));
        let flags = fitting.filter(|(there, here)| there != here).map(|((flag, size), _)| format!("{flag} {size}"));
        flags.collect::<Vec<_>>().join(" ")
    }

    /// Returns the shape that the file has by its metadata, or else by its tensors, if there can be such a model.
    fn fitting_shape(&self, shape: RuntimeShape) -> Option<RuntimeShape> {
        let dimension = |name: &str, i: usize| self.header.info(name)?.shape.get(i).copied();
        let is_layer = |name: &&String| name.starts_with("layer") && name.ends_with(".attn_wq");
        let layers = self.header.offset_keys().iter().filter(is_layer).count();
        let [n_embd, n_head, n_layer, block_size] =
            self.metadata.dimensions.map(|stated| stated.and_then(|size| usize::try_from(size).ok()));
        let n_embd = n_embd.or(dimension("wte", 1))?;
        // The tensors do not tell the heads. The largest number up to that of `shape` that divides the channels is
        // closest.
        let n_head = n_head.or_else(|| (1..=shape.n_head()).rev().find(|&n_head| n_embd.is_multiple_of(n_head)))?;
        let block_size = block_size.or(dimension("wpe", 0))?;
        ModelConfig { n_embd, n_head, n_layer: n_layer.unwrap_or(layers), block_size }.shape(shape.vocab()).ok()
    }
}
