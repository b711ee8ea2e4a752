//! The comparison of a checkpoint with the model and the run that it is read for.

use std::collections::HashSet;

use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{RuntimeShape, Shape};
use safetensors::Dtype;
use serde_json::{Value, json};

use super::file::{
    CORPUS, CheckpointFile, DIMENSIONS, PREFIXES, RunInfo, RunSettings, before_stated, dimensions, flag,
};
use crate::config::{ModelConfig, num_params};
use crate::corpus::STDIN;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

const USE_ITS_CORPUS: &str = "use the corpus that the checkpoint was trained on";
const USE_ITS_CHARACTERS: &str =
    "use a corpus with the checkpoint's characters alone, or train a new model, without the checkpoint";
const RESUME_SAVED: &str = "resume a file that `--save` wrote";
const USE_ITS_NAMES: &str = "give the tensors the names and shapes that `--save` writes";

impl CheckpointFile {
    /// Returns the shape and the vocabulary. The metadata has to state what the tensors do not tell.
    pub(super) fn model(&self) -> Result<(RuntimeShape, Tokenizer)> {
        let vocabulary = self.metadata.vocabulary.clone();
        let unstated = [("n_head", self.metadata.dimensions[1].is_none()), ("vocabulary", vocabulary.is_none())];
        let shape = self.stated_shape()?;
        let unstated: Vec<String> =
            unstated.iter().filter(|(_, is_unstated)| *is_unstated).map(|(key, _)| format!("`{key}`")).collect();
        if let Some(vocabulary) = vocabulary.filter(|_| unstated.is_empty()) {
            return Ok((shape, Tokenizer::from_chars(vocabulary).map_err(|error| self.unusable(error))?));
        }
        let hint = "add what is missing to the metadata, which docs/checkpoints.md describes, or train on the weights by \
                    `--init-from`, with a corpus and the flags of the model";
        Err(self.mismatch(format!("does not say its {}", unstated.join(" and ")), hint))
    }

    /// Returns what the header says, if the tensors are those of a model.
    pub(super) fn describe(&self) -> Result<Value> {
        let shape = self.stated_shape()?;
        self.compare_tensors(shape)?;
        let mut description = self.metadata.json.as_object().cloned().unwrap_or_default();
        for (key, size) in DIMENSIONS.into_iter().zip(self.dimensions()) {
            description.insert(key.to_owned(), json!(size));
        }
        description.insert("params".to_owned(), json!(num_params(shape)));
        description.insert("moments".to_owned(), json!(self.has_moments()));
        Ok(Value::Object(description))
    }

    /// Returns the dimensions, in the order of [`DIMENSIONS`], by the metadata or else by the tensors.
    fn dimensions(&self) -> [Option<usize>; 4] {
        let size = |name: &str, i: usize| self.header.info(name)?.shape.get(i).copied();
        let is_layer = |name: &&String| name.starts_with("layer") && name.ends_with(".attn_wq");
        let layers = self.header.offset_keys().iter().filter(is_layer).count();
        let [n_embd, n_head, n_layer, block_size] = self.metadata.dimensions;
        [n_embd.or(size("wte", 1)), n_head, n_layer.or(Some(layers)), block_size.or(size("wpe", 0))]
    }

    /// Returns the shape, with one head if the metadata does not say their number. The tensors are the same for any.
    fn stated_shape(&self) -> Result<RuntimeShape> {
        let rows = || self.header.info("wte")?.shape.first().copied();
        let vocab = self.metadata.vocabulary.as_ref().map(|vocabulary| vocabulary.len() + 1).or_else(rows);
        let ([Some(n_embd), n_head, Some(n_layer), Some(block_size)], Some(vocab)) = (self.dimensions(), vocab) else {
            return Err(self.mismatch("has no tensor `wte` or `wpe`", USE_ITS_NAMES));
        };
        let config = ModelConfig { n_embd, n_head: n_head.unwrap_or(1), n_layer, block_size };
        config.shape(vocab).map_err(|error| self.unusable(error))
    }

    /// Rejects a file of another model than one of this shape and vocabulary.
    pub(super) fn validate_model(&self, shape: RuntimeShape, vocabulary: &[char]) -> Result<()> {
        if let Some(stored) = self.metadata.vocabulary.as_deref().filter(|&stored| stored != vocabulary) {
            let lacking = |chars: &[char], others: &[char]| others.iter().copied().find(|c| !chars.contains(c));
            let character = match (lacking(stored, vocabulary), lacking(vocabulary, stored)) {
                (Some(c), _) => format!("it lacks the character {c:?}"),
                (None, Some(c)) => format!("the corpus lacks the character {c:?}"),
                (None, None) => "the characters have another order".to_owned(),
            };
            let difference = format!("has another vocabulary than the corpus: {character}");
            return Err(self.mismatch(difference, USE_ITS_CHARACTERS));
        }
        self.validate_dimensions(shape)?;
        self.compare_tensors(shape)
    }

    /// Rejects a file that states other dimensions than those of this shape, whose vocabulary is not compared.
    pub(super) fn validate_dimensions(&self, shape: RuntimeShape) -> Result<()> {
        for ((key, expected), stored) in dimensions(shape).into_iter().zip(self.metadata.dimensions) {
            if let Some(stored) = stored.filter(|&stored| stored != expected) {
                let flag = flag(key);
                let difference = format!("holds a model of `{flag} {stored}`, not `{flag} {expected}`");
                return Err(self.mismatch(difference, self.fitting_flags(shape)));
            }
        }
        Ok(())
    }

    /// Returns a setting of the run, or null if the file does not state it.
    fn stored(&self, key: &str) -> Value {
        let stored = &self.metadata.json[key];
        if stored.is_null() { before_stated(key) } else { stored.clone() }
    }

    /// Rejects a file of another run, or one that lacks data that the run needs to go on.
    pub(super) fn validate_run(&self, run: &RunInfo) -> Result<()> {
        // The settings decide the corpus too, so their differences are told first.
        self.validate_settings(&run.settings)?;
        match self.stored(CORPUS) {
            Value::Null => Err(self.lacks(CORPUS)),
            stored if stored != run.fingerprint() => {
                Err(self.unresumable("belongs to another corpus", &self.use_its_corpus()))
            }
            _ => Ok(()),
        }
    }

    /// Rejects a file of a run with other settings, or one that lacks data that the run needs to go on, apart from its corpus.
    pub(super) fn validate_settings(&self, settings: &RunSettings) -> Result<()> {
        if let Some((key, _)) = settings.entries().into_iter().find(|(key, _)| self.stored(key).is_null()) {
            return Err(self.lacks(key));
        }
        let steps = settings.train.steps;
        for (key, expected) in settings.entries() {
            let stored = self.stored(key);
            let is_longer = key == "steps" && stored.as_u64().is_some_and(|stored| stored < steps);
            // A program that rewrites the metadata may write 1.0 as 1.
            let is_same = stored == expected || stored.is_number() && stored.as_f64() == expected.as_f64();
            if !is_same && !is_longer {
                return Err(self.other_setting(key, stored, expected));
            }
        }
        match self.metadata.step.filter(|_| self.has_moments()) {
            None => {
                let difference = "cannot be resumed: it lacks its step or the optimiser's moments";
                Err(self.unresumable(difference, RESUME_SAVED))
            }
            Some(step) if step > steps => {
                let difference = format!("cannot be resumed: it is at step {step} of a run of `--steps {steps}`");
                Err(self.unresumable(&difference, "use an earlier checkpoint"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Returns the error of a run with another value of a setting than the stored one.
    fn other_setting(&self, key: &str, stored: Value, expected: Value) -> Error {
        if let "shuffle" | "keep_spaces" | "dedup" = key {
            let (flag, switched) =
                if key == "shuffle" { ("--no-shuffle".to_owned(), false) } else { (flag(key), true) };
            return if expected == switched {
                self.unresumable(&format!("belongs to a run without `{flag}`"), &format!("leave `{flag}` out"))
            } else {
                self.unresumable(&format!("belongs to a run with `{flag}`"), &format!("give `{flag}`"))
            };
        }
        let [stored, expected] =
            [stored, expected].map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let (flag, or_more) = (flag(key), if key == "steps" { " or more" } else { "" });
        let difference = format!("belongs to a run of `{flag} {stored}`, not `{flag} {expected}`");
        self.unresumable(&difference, &format!("give `{flag} {stored}`{or_more}"))
    }

    /// Returns the error of a file that does not state what a resumed run needs.
    fn lacks(&self, key: &str) -> Error {
        self.unresumable(&format!("cannot be resumed: it does not say its `{key}`"), RESUME_SAVED)
    }

    /// Returns the error of a file that a run cannot go on from.
    fn unresumable(&self, difference: &str, cure: &str) -> Error {
        self.mismatch(difference, format!("{cure}, or start a new run from its weights by `--init-from`"))
    }

    /// Returns the hint to use the corpus of the run, with its name if the file states it.
    fn use_its_corpus(&self) -> String {
        match self.metadata.json["settings"]["input"].as_str() {
            Some(STDIN) => "give the corpus that the run read from standard input".to_owned(),
            Some(path) => format!("give the corpus of the run, `--input {path}`, as it was when the run began"),
            None => USE_ITS_CORPUS.to_owned(),
        }
    }

    /// Rejects a missing tensor, and an unknown one, since a file with more tensors holds another model.
    fn compare_tensors(&self, shape: RuntimeShape) -> Result<()> {
        let arrays = if self.has_moments() { &PREFIXES[..] } else { &PREFIXES[..1] };
        let tensors = arrays.iter().flat_map(|prefix| {
            Layout(shape).tensors().map(move |tensor| (format!("{prefix}{tensor}"), tensor.shape()))
        });
        let tensors: Vec<(String, [usize; 2])> = tensors.collect();
        let refused = |difference: String| Err(self.mismatch(difference, self.fitting_flags(shape)));
        if let Some((name, _)) = tensors.iter().find(|(name, _)| self.header.info(name).is_none()) {
            return refused(format!("has no tensor `{name}`"));
        }
        for (name, expected) in &tensors {
            let (stored, dtype) = (&self.info(name).shape, self.info(name).dtype);
            if stored != expected {
                let difference = format!("has tensor `{name}` of shape {stored:?}, not {expected:?}");
                // With the model's channels, only the vocabulary can differ.
                let is_vocabulary = name.ends_with("wte") && stored.get(1) == Some(&expected[1]);
                return if is_vocabulary {
                    Err(self.mismatch(difference, USE_ITS_CORPUS))
                } else {
                    refused(difference)
                };
            }
            if dtype != Dtype::F32 {
                let cure =
                    "convert it before saving: `tensor.float()` in PyTorch, `array.astype(\"float32\")` in NumPy";
                return Err(self.mismatch(format!("has tensor `{name}` as {dtype}, not F32"), cure));
            }
        }
        let known: HashSet<String> = tensors.into_iter().map(|(name, _)| name).collect();
        match self.header.offset_keys().into_iter().find(|name| !known.contains(name)) {
            Some(name) => refused(format!("has a tensor `{name}`, which this model does not have")),
            None => Ok(()),
        }
    }

    /// Returns the hint to choose the flags that fit the file but not `shape`, such as `--n-embd 8`.
    fn fitting_flags(&self, shape: RuntimeShape) -> String {
        let fitting = self.fitting_shape(shape).into_iter().flat_map(dimensions).zip(dimensions(shape));
        let other = fitting.filter(|(there, here)| there != here);
        let flags: Vec<String> = other.map(|((key, size), _)| format!("{} {size}", flag(key))).collect();
        if flags.is_empty() {
            return USE_ITS_NAMES.to_owned();
        }
        format!("choose the flags that the file fits: `{}`", flags.join(" "))
    }

    /// Returns the shape that the file has by its metadata, or else by its tensors, if there can be such a model.
    fn fitting_shape(&self, shape: RuntimeShape) -> Option<RuntimeShape> {
        let [Some(n_embd), n_head, Some(n_layer), Some(block_size)] = self.dimensions() else { return None };
        // No tensor's shape depends on the number of heads. So the hint takes the largest divisor of `n_embd` up to the
        // `n_head` of `shape`, to change `--n-head` as little as possible.
        let n_head = n_head.or_else(|| (1..=shape.n_head()).rev().find(|&n_head| n_embd.is_multiple_of(n_head)))?;
        ModelConfig { n_embd, n_head, n_layer, block_size }.shape(shape.vocab()).ok()
    }
}
