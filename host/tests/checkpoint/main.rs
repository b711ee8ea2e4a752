//! The tests of checkpoints. A state round-trips bit for bit, and an unusable file is refused with a reason.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use gpu_kernels::shape::RuntimeShape;
use microgpt::Model;
use microgpt::atomic_file::AtomicFile;
use microgpt::checkpoint::{self, Description, RunInfo, RunSettings, load, resume, validate_run};
use microgpt::config::{OptimizerConfig, TrainConfig};
use microgpt::corpus::{CorpusMode, DocumentConfig};
use microgpt::device::State;
use microgpt::weights::Weights;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

mod atomic_file;
#[path = "../common/mod.rs"]
mod common;
mod damaged;
mod resume;

use common::system;

/// A shape whose dimensions all differ.
const SHAPE: RuntimeShape = RuntimeShape { vocab: 4, block_size: 5, n_embd: 6, n_head: 3, n_layer: 2 };
const VOCABULARY: [char; 3] = ['"', 'a', 'ß'];

/// Returns a state whose values all differ. Some values are extreme.
fn state() -> State {
    let mut state = State::new(Weights::init(SHAPE, 1));
    state.step = 1 << 40;
    let odd = [-0.0, f32::MIN_POSITIVE / 2.0, f32::MAX, -f32::MAX, f32::EPSILON];
    for (array, scale) in [&mut state.weights, &mut state.m, &mut state.v].into_iter().zip([1.0f32, 3.0, 7.0]) {
        for (i, value) in array.values.iter_mut().enumerate() {
            *value = odd.get(i).copied().unwrap_or(scale * i as f32);
        }
    }
    state
}

/// The settings of the run that the state belongs to.
const SETTINGS: RunSettings = RunSettings {
    train: TrainConfig {
        steps: 1 << 41,
        batch: 3,
        optimizer: OptimizerConfig {
            learning_rate: 0.1,
            warmup: 1,
            min_lr: 0.01,
            beta1: 0.7,
            beta2: 1.0 / 3.0,
            eps: 1e-9,
            weight_decay: 0.0,
            max_grad_norm: 2.5,
        },
    },
    seed: u64::MAX,
    shuffle: true,
    documents: DocumentConfig { mode: CorpusMode::Lines, keep_spaces: true, nfc: false, dedup: false },
};

/// The run that the state belongs to.
const RUN: RunInfo = RunInfo { settings: SETTINGS, corpus: 0x0123_4567_89ab_cdef };

fn description() -> Description {
    Description { run: Some(RUN), ..Description::default() }
}

fn to_bytes(state: &State) -> Vec<u8> {
    checkpoint::to_bytes(state, &VOCABULARY, &description()).unwrap()
}

fn bits(state: &State) -> [Vec<u32>; 3] {
    [&state.weights, &state.m, &state.v].map(|array| array.values.iter().map(|value| value.to_bits()).collect())
}

/// The tensors of another program's checkpoint. A test changes them before it writes the file.
struct Tensors {
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
    metadata: Option<HashMap<String, String>>,
}

impl Tensors {
    /// Returns the weights alone.
    fn weights(weights: &Weights) -> Self {
        let tensor = |(tensor, values): (gpu_kernels::tensor::Tensor, &[f32])| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (tensor.to_string(), Dtype::F32, tensor.shape().to_vec(), bytes)
        };
        Self { tensors: weights.tensors().map(tensor).collect(), metadata: None }
    }

    fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        self
    }

    fn get(&mut self, name: &str) -> &mut (String, Dtype, Vec<usize>, Vec<u8>) {
        self.tensors.iter_mut().find(|tensor| tensor.0 == name).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self
            .tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        safetensors::serialize(views, self.metadata.clone()).unwrap()
    }
}

/// Writes a file with these bytes in a folder of its own.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn load_bytes(bytes: &[u8]) -> Result<State, String> {
    let (_folder, path) = file(bytes);
    load(&path, SHAPE, &VOCABULARY).map_err(|error| error.report())
}

#[test]
fn a_state_comes_back_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    AtomicFile::new(&path).unwrap().save(&to_bytes(&state())).unwrap();
    let loaded = load(&path, SHAPE, &VOCABULARY).unwrap();
    assert_eq!(bits(&loaded), bits(&state()));
    assert_eq!((loaded.step, loaded.weights.shape), (1 << 40, SHAPE));
}

/// Returns the bytes of a file after its header.
fn tensors_of(file: &[u8]) -> &[u8] {
    &file[8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize..]
}

/// Returns the CRC-32 of zip, gzip and PNG, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}

#[test]
fn the_file_has_the_names_layout_and_metadata_that_other_programs_expect() {
    let bytes = to_bytes(&state());
    assert_eq!(bytes, to_bytes(&state()), "the same state gives the same bytes");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), 3 * (2 + 2 * 6));
    for (name, shape) in [
        ("wte", [4, 6]),
        ("wpe", [5, 6]),
        ("layer0.attn_wq", [6, 6]),
        ("layer1.mlp_fc1", [24, 6]),
        ("layer1.mlp_fc2", [6, 24]),
        ("adamw.m.wte", [4, 6]),
        ("adamw.v.layer1.mlp_fc2", [6, 24]),
    ] {
        assert_eq!(
            (tensors.tensor(name).unwrap().shape(), tensors.tensor(name).unwrap().dtype()),
            (&shape[..], Dtype::F32)
        );
    }
    // The file is row-major and little-endian. Element [1, 2] of `wpe` is weight 24 + 6 + 2 of the state.
    let element = (6 + 2) * 4;
    assert_eq!(tensors.tensor("wpe").unwrap().data()[element..element + 4], 32.0f32.to_le_bytes());
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let run: serde_json::Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["microgpt"]).unwrap();
    let checksum = run["crc32"].as_str().unwrap();
    let mut others = run.clone();
    others.as_object_mut().unwrap().remove("crc32");
    assert_eq!(checksum, format!("{:08x}", crc32(&[tensors_of(&bytes), others.to_string().as_bytes()].concat())));
    assert_eq!(
        run,
        serde_json::json!({
            "format_version": 1, "step": 1u64 << 40, "vocabulary": ["\"", "a", "ß"],
            "n_embd": 6, "n_head": 3, "n_layer": 2, "block_size": 5,
            "steps": 1u64 << 41, "batch": 3, "learning_rate": 0.1, "warmup": 1, "min_lr": 0.01,
            "beta1": 0.7, "beta2": 1.0 / 3.0, "eps": 1e-9,
            "weight_decay": 0.0, "max_grad_norm": 2.5,
            "seed": u64::MAX, "shuffle": true, "keep_spaces": true, "normalize": "none", "dedup": false,
            "corpus": "0123456789abcdef",
            "corpus_mode": "lines", "crc32": checksum,
        })
    );
}

#[test]
fn weights_alone_are_a_checkpoint() {
    let mut tensors = Tensors::weights(&state().weights).metadata("format", "pt");
    tensors.tensors.reverse();
    let loaded = load_bytes(&tensors.bytes()).unwrap();
    assert_eq!(bits(&loaded), bits(&State::new(state().weights)));
    assert_eq!(loaded.step, 0);
}

#[test]
fn a_checkpoint_states_its_model() {
    let (_folder, path) = file(&checkpoint::to_bytes(&state(), &VOCABULARY, &Description::default()).unwrap());
    let Model { tokenizer, state: stored } = Model::load(&path).unwrap();
    assert_eq!((tokenizer.chars(), stored.weights.shape), (&VOCABULARY[..], SHAPE));
    assert_eq!((bits(&stored), stored.step), (bits(&state()), 1 << 40));
    let report = resume(&path, SHAPE, &VOCABULARY, &RUN).unwrap_err().report();
    assert!(report.contains("cannot be resumed: it does not say its `shuffle`"), "{report}");
    let (_folder, path) = file(&Tensors::weights(&state().weights).bytes());
    let report = Model::load(&path).unwrap_err().report();
    assert!(report.contains("does not say its `n_head` and `vocabulary`") && report.contains("\nhint: "), "{report}");
}
