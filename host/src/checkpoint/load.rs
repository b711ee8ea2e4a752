//! Reading a checkpoint, and every reason not to.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{RuntimeShape, Shape};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::Value;

use super::{About, FORMAT_VERSION, METADATA, PREFIXES, flags, key};
use crate::config::ModelConfig;
use crate::device::State;
use crate::error::{Error, Result};
use crate::weights::Weights;

/// Reads the checkpoint at `path` for a model of this shape and vocabulary. Step and moments are zero where the file
/// has none.
///
/// # Errors
/// A file that cannot be read, is no safetensors file, or holds another model, another vocabulary, or values that are
/// not finite.
pub fn load(path: &Path, shape: RuntimeShape, vocabulary: &[char]) -> Result<State> {
    File::open(path)?.state(shape, vocabulary)
}

/// Reads the checkpoint at `path` in order to go on with the run that it belongs to, which has to be this one.
///
/// # Errors
/// Those of [`load`], and a checkpoint of another run or without the optimiser's moments.
pub fn resume(path: &Path, shape: RuntimeShape, about: &About) -> Result<State> {
    let file = File::open(path)?;
    let state = file.state(shape, about.vocabulary)?;
    file.check_run(about)?;
    Ok(state)
}

/// The longest header of a safetensors file, in bytes.
const MAX_HEADER: u64 = 100_000_000;

fn cannot_read(name: &str, error: io::Error) -> Error {
    let hint = "give the path of a safetensors file that you may read, for instance one that `--save` wrote";
    Error::new(format!("cannot read the checkpoint `{name}`")).caused_by(error).hint(hint)
}

/// What the metadata says, if it says it.
#[derive(Default)]
struct RunInfo {
    /// All of it.
    metadata: Value,
    step: Option<u64>,
    /// `--n-embd`, `--n-head`, `--n-layer` and `--block-size`.
    config: [Option<u64>; 4],
    vocabulary: Option<Vec<char>>,
}

impl RunInfo {
    fn read(header: &Metadata) -> Result<Self, String> {
        let Some(text) = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA)) else {
            return Ok(Self::default());
        };
        let value: Value = serde_json::from_str(text).map_err(|error| format!("`{METADATA}` is not JSON: {error}"))?;
        let number = |key: &str| match &value[key] {
            Value::Null => Ok(None),
            value => value.as_u64().map(Some).ok_or_else(|| format!("`{key}` is {value}, not a whole number")),
        };
        if let Some(version) = number("format_version")?.filter(|&version| version > FORMAT_VERSION) {
            return Err(format!("its format has version {version}, the newest known here is {FORMAT_VERSION}"));
        }
        let [n_embd, n_head, n_layer, block_size] = super::SHAPE_FLAGS.map(|flag| number(&key(flag)));
        let config = [n_embd?, n_head?, n_layer?, block_size?];
        let vocabulary = match &value["vocabulary"] {
            Value::Null => None,
            value => Some(characters(value).ok_or("`vocabulary` is not an array of characters")?),
        };
        let step = number("step")?;
        Ok(Self { metadata: value, step, config, vocabulary })
    }
}

/// The characters of a JSON array of strings of one character each.
fn characters(value: &Value) -> Option<Vec<char>> {
    value.as_array()?.iter().map(|entry| entry.as_str()?.parse().ok()).collect()
}

/// A checkpoint of which the header is read: the rest is as long as it says, and is read when it has turned out to be the model's.
struct File {
    name: String,
    run: RunInfo,
    header: Metadata,
    data: fs::File,
}

impl File {
    fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let read = || {
            // To read a device or a pipe may never end.
            if !fs::metadata(path)?.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            let mut data = fs::File::open(path)?;
            let (len, mut start, mut header) = (data.metadata()?.len(), Vec::new(), Vec::new());
            (&mut data).take(size_of::<u64>() as u64).read_to_end(&mut start)?;
            let header_len = start.try_into().ok().map(u64::from_le_bytes);
            (&mut data).take(header_len.unwrap_or(0).min(MAX_HEADER)).read_to_end(&mut header)?;
            Ok((data, len, header_len, header))
        };
        let (data, len, header_len, header) = read().map_err(|error| cannot_read(&name, error))?;
        let refused = |what: &str, cause: String, hint: &str| {
            Err(Error::new(format!("the checkpoint `{name}` {what}")).caused_by(cause).hint(hint))
        };
        let other = "a checkpoint is a file that `--save` or a safetensors library wrote";
        if header_len.is_some_and(|header_len| header_len > MAX_HEADER) {
            return refused("is not a safetensors file", "header too large".to_owned(), other);
        }
        let Some(header_len) = header_len.filter(|&header_len| header_len == header.len() as u64) else {
            let cause = format!("it ends after {len} bytes, in its header");
            return refused("is truncated, or not a safetensors file", cause, "copy or save it again");
        };
        let header: Metadata = match serde_json::from_slice(&header) {
            Ok(header) => header,
            Err(error) => return refused("is not a safetensors file", format!("invalid header: {error}"), other),
        };
        let told = (size_of::<u64>() as u64 + header_len).saturating_add(header.data_len() as u64);
        if len != told {
            let what = if len < told { "is truncated" } else { "is longer than it should be" };
            let cause = format!("it has {len} bytes, by its header {told}");
            return refused(what, cause, "copy or save it again");
        }
        let run = RunInfo::read(&header).map_err(|error| {
            Error::new(format!("cannot use the metadata of the checkpoint `{name}`"))
                .caused_by(error)
                .hint("it was changed, or written by a newer version: update microgpt, or remove the file's metadata")
        })?;
        Ok(Self { name, run, header, data })
    }

    /// The state that the file holds, if it is that of a model of this shape and vocabulary.
    fn state(&self, shape: RuntimeShape, vocabulary: &[char]) -> Result<State> {
        self.check_vocabulary(vocabulary)?;
        self.check_config(shape)?;
        self.check_tensors(shape)?;
        let mut data = Vec::new();
        (&self.data).read_to_end(&mut data).map_err(|error| cannot_read(&self.name, error))?;
        let [weights, m, v] = PREFIXES;
        let mut state = State::new(self.array(weights, shape, &data)?);
        state.step = self.run.step.unwrap_or(0);
        if self.has_moments() {
            (state.m, state.v) = (self.array(m, shape, &data)?, self.array(v, shape, &data)?);
        }
        Ok(state)
    }

    /// The file has to say that it belongs to this run, and hold all that the run needs to go on.
    fn check_run(&self, about: &About) -> Result<()> {
        const FROM_WEIGHTS: &str = "`--init-from` starts a new run from its weights";
        for (key, here) in about.fields() {
            let there = &self.run.metadata[key];
            let flag = format!("--{}", key.replace('_', "-"));
            let (what, hint) = match key {
                _ if *there == here => continue,
                _ if there.is_null() => {
                    return Err(self
                        .error(&format!("cannot be resumed: it does not say its `{key}`"))
                        .hint(format!("only what `--save` wrote can; {FROM_WEIGHTS}")));
                }
                "corpus" => ("another corpus".to_owned(), USE_ITS_CORPUS.to_owned()),
                "shuffle" if here == Value::Bool(true) => {
                    ("a run with `--no-shuffle`".to_owned(), "give `--no-shuffle`".to_owned())
                }
                "shuffle" => ("a run without `--no-shuffle`".to_owned(), "leave `--no-shuffle` out".to_owned()),
                _ => (format!("a run of `{flag} {there}`, not `{flag} {here}`"), format!("give `{flag} {there}`")),
            };
            return Err(self.error(&format!("belongs to {what}")).hint(format!("{hint}, or: {FROM_WEIGHTS}")));
        }
        let Some(step) = self.run.step.filter(|_| self.has_moments()) else {
            return Err(self
                .error("cannot be resumed: it lacks its step or the optimiser's moments")
                .hint(FROM_WEIGHTS));
        };
        let steps = about.train.steps;
        if step > steps {
            let error = self.error(&format!("cannot be resumed: it is at step {step} of a run of `--steps {steps}`"));
            return Err(error.hint(format!("it was changed: use an earlier one; {FROM_WEIGHTS}")));
        }
        Ok(())
    }

    fn error(&self, what: &str) -> Error {
        Error::new(format!("the checkpoint `{}` {what}", self.name))
    }

    fn check_vocabulary(&self, expected: &[char]) -> Result<()> {
        let Some(got) = self.run.vocabulary.as_deref().filter(|&got| got != expected) else { return Ok(()) };
        let difference = got.iter().zip(expected).position(|(got, expected)| got != expected);
        // The one may be the beginning of the other.
        let token = difference.unwrap_or(got.len().min(expected.len()));
        let describe = |chars: &[char]| chars.get(token).map_or("missing".to_owned(), |c| format!("{c:?}"));
        let (got, expected) = (describe(got), describe(expected));
        let first = format!("token {} is {got} in the checkpoint and {expected} in the corpus", token + 1);
        Err(self.error(&format!("has another vocabulary than the corpus: {first}")).hint(USE_ITS_CORPUS))
    }

    fn check_config(&self, shape: RuntimeShape) -> Result<()> {
        for ((flag, expected), got) in flags(shape).into_iter().zip(self.run.config) {
            if let Some(got) = got.filter(|&got| got != expected as u64) {
                let error = self.error(&format!("holds a model of `{flag} {got}`, not `{flag} {expected}`"));
                return Err(error.hint(self.fitting_flags(shape)));
            }
        }
        Ok(())
    }

    /// Every tensor of the model has to be there, and no other: a tensor that is left out is another model.
    fn check_tensors(&self, shape: RuntimeShape) -> Result<()> {
        let arrays = if self.has_moments() { &PREFIXES[..] } else { &PREFIXES[..1] };
        let tensors = || arrays.iter().flat_map(|prefix| Layout(shape).tensors().map(move |tensor| (prefix, tensor)));
        let names: Vec<String> = tensors().map(|(prefix, tensor)| format!("{prefix}{tensor}")).collect();
        if let Some(name) = names.iter().find(|name| self.header.info(name).is_none()) {
            return Err(self.error(&format!("has no tensor `{name}`")).hint(self.fitting_flags(shape)));
        }
        for ((_, tensor), name) in tensors().zip(&names) {
            self.check_tensor(name, self.info(name), tensor.shape, shape)?;
        }
        let known: HashSet<String> = names.into_iter().collect();
        match self.header.offset_keys().iter().find(|name| !known.contains(*name)) {
            Some(name) => {
                let error = self.error(&format!("has a tensor `{name}`, which this model does not have"));
                Err(error.hint(self.fitting_flags(shape)))
            }
            None => Ok(()),
        }
    }

    /// What the header says of a tensor that is there.
    fn info(&self, name: &str) -> &TensorInfo {
        self.header.info(name).expect("the names are checked")
    }

    fn has_moments(&self) -> bool {
        self.header.offset_keys().iter().any(|name| PREFIXES[1..].iter().any(|prefix| name.starts_with(prefix)))
    }

    /// The weights or the moments whose names begin with `prefix`.
    fn array(&self, prefix: &str, shape: RuntimeShape, data: &[u8]) -> Result<Weights> {
        let mut array = Weights::zeros(shape);
        for (tensor, values) in array.tensors_mut() {
            let name = format!("{prefix}{tensor}");
            let info = self.info(&name);
            // The file may have been cut since.
            let bytes = data.get(info.data_offsets.0..info.data_offsets.1);
            let bytes = bytes.ok_or_else(|| cannot_read(&self.name, io::ErrorKind::UnexpectedEof.into()))?;
            let (bytes, _) = bytes.as_chunks();
            values.iter_mut().zip(bytes).for_each(|(value, &bytes)| *value = f32::from_le_bytes(bytes));
            if let Some(i) = values.iter().position(|value| !value.is_finite()) {
                let (row, col) = (i / tensor.shape[1], i % tensor.shape[1]);
                return Err(self
                    .error(&format!("has the value {} in tensor `{name}` at [{row}, {col}]", values[i]))
                    .hint("the run that wrote it diverged: use an earlier checkpoint"));
            }
        }
        Ok(array)
    }

    fn check_tensor(&self, name: &str, info: &TensorInfo, expected: [usize; 2], shape: RuntimeShape) -> Result<()> {
        if info.shape != expected {
            let error = self.error(&format!("has tensor `{name}` of shape {:?}, not {expected:?}", info.shape));
            // With the model's channels, only the vocabulary can differ.
            let other_vocabulary = name.ends_with("wte") && info.shape.get(1) == Some(&expected[1]);
            return Err(error.hint(if other_vocabulary { USE_ITS_CORPUS.into() } else { self.fitting_flags(shape) }));
        }
        if info.dtype != Dtype::F32 {
            let hint = "convert it before saving: `tensor.float()` in PyTorch, `array.astype(\"float32\")` in NumPy";
            return Err(self.error(&format!("has tensor `{name}` as {}, not F32", info.dtype)).hint(hint));
        }
        Ok(())
    }

    /// A hint: the flags that the file fits, by its metadata, or else by its tensors, if there are any.
    fn fitting_flags(&self, shape: RuntimeShape) -> String {
        let fitting = self.fitting_model(shape).map_or(vec![], |there| {
            let pairs = flags(there).into_iter().zip(flags(shape)).filter(|(there, here)| there != here);
            pairs.map(|((flag, size), _)| format!("{flag} {size}")).collect()
        });
        if fitting.is_empty() {
            return "the tensors' names and shapes have to be those that `--save` writes".to_owned();
        }
        format!("the file fits `{}`", fitting.join(" "))
    }

    /// The shape of the model that the file seems to hold, if there can be such a model.
    fn fitting_model(&self, shape: RuntimeShape) -> Option<RuntimeShape> {
        let dimension = |name: &str, i: usize| self.header.info(name)?.shape.get(i).copied();
        let is_layer = |name: &&String| name.starts_with("layer") && name.ends_with(".attn_wq");
        let layers = self.header.offset_keys().iter().filter(is_layer).count();
        let [n_embd, n_head, n_layer, block_size] =
            self.run.config.map(|told| told.and_then(|told| told.try_into().ok()));
        let n_embd = n_embd.or(dimension("wte", 1))?;
        // The tensors do not tell the heads: as many as are asked for, if they divide the channels.
        let n_head = n_head.or_else(|| (1..=shape.n_head()).rev().find(|&n_head| n_embd.is_multiple_of(n_head)))?;
        let block_size = block_size.or(dimension("wpe", 0))?;
        ModelConfig { n_embd, n_head, n_layer: n_layer.unwrap_or(layers), block_size }.shape(shape.vocab()).ok()
    }
}

const USE_ITS_CORPUS: &str = "use the corpus that the checkpoint was trained on";
