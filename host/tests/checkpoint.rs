//! Checkpoints: what is written comes back to the bit, and what cannot be used is refused with a reason.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use gpu_kernels::shape::RuntimeShape;
use microgpt::checkpoint::{self, About, load, resume};
use microgpt::config::{OptimizerConfig, TrainConfig};
use microgpt::device::State;
use microgpt::target::Target;
use microgpt::weights::Weights;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

/// No dimension equals another.
const SHAPE: RuntimeShape = RuntimeShape { vocab: 4, block_size: 5, n_embd: 6, n_head: 3, n_layer: 2 };
const VOCABULARY: [char; 3] = ['a', '"', 'ß'];

/// A state in which every value is another, and some are odd.
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

/// The run that the state belongs to.
const ABOUT: About = About {
    vocabulary: &VOCABULARY,
    train: TrainConfig {
        steps: 1 << 41,
        batch: 3,
        optimizer: OptimizerConfig {
            learning_rate: 0.1,
            beta1: 0.7,
            beta2: 1.0 / 3.0,
            eps: 1e-9,
            weight_decay: 0.0,
            max_grad_norm: 2.5,
        },
    },
    seed: u64::MAX,
    shuffle: true,
    corpus: 0x0123_4567_89ab_cdef,
};

fn to_bytes(state: &State) -> Vec<u8> {
    checkpoint::to_bytes(state, &ABOUT).unwrap()
}

fn bits(state: &State) -> [Vec<u32>; 3] {
    [&state.weights, &state.m, &state.v].map(|array| array.values.iter().map(|value| value.to_bits()).collect())
}

/// Tensors to be changed and written, as another program would.
struct Tensors {
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
    metadata: Option<HashMap<String, String>>,
}

impl Tensors {
    /// The weights alone.
    fn weights(weights: &Weights) -> Self {
        let tensor = |(tensor, values): (gpu_kernels::layout::Tensor, &[f32])| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (tensor.to_string(), Dtype::F32, tensor.shape.to_vec(), bytes)
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

/// A file with these bytes, in a folder of its own.
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

/// Loading fails with a report that has all of `parts`, and a hint.
#[track_caller]
fn refused(bytes: &[u8], parts: &[&str]) {
    let report = load_bytes(bytes).expect_err("it is refused");
    for part in parts.iter().chain(&["model.safetensors`", "\nhint: "]) {
        assert!(report.contains(part), "{part:?} is missing in:\n{report}");
    }
}

#[test]
fn a_state_comes_back_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    Target::new(&path).unwrap().save(&to_bytes(&state())).unwrap();
    let loaded = load(&path, SHAPE, &VOCABULARY).unwrap();
    assert_eq!(bits(&loaded), bits(&state()));
    assert_eq!((loaded.step, loaded.weights.shape), (1 << 40, SHAPE));
}

#[test]
fn the_file_is_what_other_programs_expect() {
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
    // Row-major and little-endian: element [1, 2] of `wpe`, which follows the 24 elements of `wte`.
    let element = (6 + 2) * 4;
    assert_eq!(tensors.tensor("wpe").unwrap().data()[element..element + 4], 32.0f32.to_le_bytes());
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let run: serde_json::Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["microgpt"]).unwrap();
    assert_eq!(
        run,
        serde_json::json!({
            "format_version": 1, "step": 1u64 << 40, "vocabulary": ["a", "\"", "ß"],
            "n_embd": 6, "n_head": 3, "n_layer": 2, "block_size": 5,
            "steps": 1u64 << 41, "batch": 3, "learning_rate": 0.1, "beta1": 0.7, "beta2": 1.0 / 3.0, "eps": 1e-9,
            "weight_decay": 0.0, "max_grad_norm": 2.5,
            "seed": u64::MAX, "shuffle": true, "corpus": "0123456789abcdef",
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
fn a_file_cut_anywhere_is_refused() {
    let bytes = to_bytes(&state());
    assert!(load_bytes(&bytes).is_ok());
    for len in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        refused(&bytes[..len], &["is truncated"]);
    }
    refused(&[&bytes[..], &[0]].concat(), &["is truncated"]);
}

#[test]
fn what_is_no_safetensors_file_is_refused() {
    refused(b"emma\nolivia\nava\nisabella\n", &["is not a safetensors file", "caused by"]);
    refused(b"\x02\0\0\0\0\0\0\0[]", &["is not a safetensors file", "caused by"]);
    refused(b"\x02\0\0\0\0\0\0\0{}", &["has no tensor `wte`"]);
}

#[test]
fn no_damage_to_the_header_gets_further_than_an_error() {
    let good = to_bytes(&state());
    let header_len = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let (mut errors, mut tries) = (0, 0);
    for (i, change) in (0..header_len + 8).step_by(5).zip([0x01, 0x10, 0xff].into_iter().cycle()) {
        let mut bytes = good.clone();
        bytes[i] ^= change;
        // A changed seed or step is still a checkpoint; nothing may panic.
        errors += usize::from(load_bytes(&bytes).is_err());
        tries += 1;
    }
    assert!(errors > tries / 2, "{errors} of {tries}");
}

#[test]
fn another_model_is_refused_with_the_flags_that_fit() {
    let other = RuntimeShape { block_size: 7, n_embd: 8, n_head: 2, n_layer: 1, ..SHAPE };
    let own = to_bytes(&State::new(Weights::zeros(other)));
    refused(&own, &["`--n-embd 8`, not `--n-embd 6`", "`--n-embd 8 --n-head 2 --n-layer 1 --block-size 7`"]);
    let foreign = Tensors::weights(&Weights::zeros(other)).bytes();
    refused(&foreign, &["no tensor `layer1.attn_wq`", "`--n-embd 8 --n-layer 1 --block-size 7`"]);
    let longer = Tensors::weights(&Weights::zeros(RuntimeShape { block_size: 7, ..SHAPE })).bytes();
    refused(&longer, &["tensor `wpe` of shape [7, 6], not [5, 6]", "fits `--block-size 7`"]);
    let deeper = Tensors::weights(&Weights::zeros(RuntimeShape { n_layer: 3, ..SHAPE })).bytes();
    refused(&deeper, &["a tensor `layer2.", "fits `--n-layer 3`"]);
    let heads = to_bytes(&State::new(Weights::zeros(RuntimeShape { n_head: 2, ..SHAPE })));
    refused(&heads, &["`--n-head 2`, not `--n-head 3`", "fits `--n-head 2`"]);
}

#[test]
fn a_damaged_set_of_tensors_is_refused() {
    let good = || Tensors::weights(&state().weights);
    let mut missing = good();
    missing.tensors.remove(3);
    refused(&missing.bytes(), &["has no tensor `layer0.attn_wk`"]);
    let mut extra = good();
    extra.tensors.push(("lm_head".to_owned(), Dtype::F32, vec![4, 6], vec![0; 96]));
    refused(&extra.bytes(), &["has a tensor `lm_head`"]);
    let mut moment = good();
    moment.tensors.push(("adamw.m.wte".to_owned(), Dtype::F32, vec![4, 6], vec![0; 96]));
    refused(&moment.bytes(), &["has no tensor `adamw.m.wpe`"]);
    for shape in [vec![36], vec![6, 6, 1], vec![4, 9], vec![9, 4]] {
        let mut reshaped = good();
        reshaped.get("layer1.attn_wo").2 = shape.clone();
        refused(&reshaped.bytes(), &[&format!("tensor `layer1.attn_wo` of shape {shape:?}, not [6, 6]")]);
    }
}

#[test]
fn other_types_are_refused() {
    for (dtype, size) in [(Dtype::F64, 8), (Dtype::F16, 2), (Dtype::BF16, 2), (Dtype::I32, 4)] {
        let mut tensors = Tensors::weights(&state().weights);
        let (_, stored, shape, bytes) = tensors.get("wpe");
        (*stored, *bytes) = (dtype, vec![0; shape.iter().product::<usize>() * size]);
        refused(&tensors.bytes(), &[&format!("tensor `wpe` as {dtype}, not F32"), "tensor.float()"]);
    }
}

#[test]
fn values_that_are_not_finite_are_refused() {
    for (value, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut state = state();
        state.weights.values[24 + 6 + 2] = value;
        refused(&to_bytes(&state), &[&format!("the value {text} in tensor `wpe` at [1, 2]")]);
    }
}

#[test]
fn another_vocabulary_is_refused() {
    let with = |vocabulary: &[char]| checkpoint::to_bytes(&state(), &About { vocabulary, ..ABOUT }).unwrap();
    refused(&with(&['a', '"', 'c']), &["token 3 is 'c' in the checkpoint and 'ß' in the corpus"]);
    refused(&with(&['a', '"']), &["token 3 is missing in the checkpoint and 'ß' in the corpus"]);
    refused(&with(&['a', '"', 'ß', 'z']), &["token 4 is 'z' in the checkpoint and missing in the corpus"]);
    // Without metadata only the number of tokens can tell.
    let larger = Tensors::weights(&Weights::zeros(RuntimeShape { vocab: 5, ..SHAPE })).bytes();
    refused(&larger, &["tensor `wte` of shape [5, 6], not [4, 6]", "the corpus that the checkpoint was trained on"]);
}

#[test]
fn metadata_that_cannot_be_understood_is_refused() {
    let with = |run: &str| Tensors::weights(&state().weights).metadata("microgpt", run).bytes();
    assert_eq!(load_bytes(&with(r#"{"step": 7}"#)).unwrap().step, 7);
    refused(&with(r#"{"format_version": 2}"#), &["version 2, the newest known here is 1", "update microgpt"]);
    refused(&with("{"), &["`microgpt` is not JSON"]);
    refused(&with(r#"{"step": -1}"#), &["`step` is -1, not a whole number"]);
    refused(&with(r#"{"vocabulary": "abc"}"#), &["`vocabulary` is not an array of characters"]);
    refused(&with(r#"{"vocabulary": ["a", "bc", "d"]}"#), &["`vocabulary` is not an array of characters"]);
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (path, cause) in
        [(folder.path().join("none"), "No such file"), (folder.path().to_owned(), "not a regular file")]
    {
        let report = load(&path, SHAPE, &VOCABULARY).unwrap_err().report();
        assert!(report.contains(&*path.to_string_lossy()) && report.contains(cause), "{report}");
        assert!(report.contains("\nhint: "), "{report}");
    }
}

#[test]
fn places_that_cannot_be_written_are_refused_and_left_as_they_are() {
    let (folder, path) = file(b"old");
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    for (bad, cause) in [
        (folder.path().to_owned(), "directory"),
        (folder.path().join("none").join("model.safetensors"), "No such file"),
        (path.join("model.safetensors"), "Not a directory"),
        (path.clone(), "read-only"),
        (folder.path().join("n".repeat(300)), "too long"),
        (PathBuf::from("/dev/null"), "not a regular file"),
    ] {
        let report = Target::new(&bad).unwrap_err().report();
        assert!(report.contains(&*bad.to_string_lossy()) && report.contains(cause), "{cause}: {report}");
        assert!(report.contains("\nhint: "), "{report}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left in the folder");
}

#[test]
fn the_probe_leaves_everything_as_it_is() {
    let (folder, path) = file(b"old");
    Target::new(&path).unwrap();
    Target::new(&folder.path().join("new")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_save_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let target = Target::new(&path).unwrap();
    // What takes the name after the probe: the last step, the rename, fails.
    fs::create_dir(&path).unwrap();
    fs::write(path.join("inside"), "old").unwrap();
    let report = target.save(&to_bytes(&state())).unwrap_err().report();
    assert!(report.contains("cannot save") && report.contains("hint:"), "{report}");
    assert_eq!(fs::read(path.join("inside")).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn the_file_has_ordinary_permissions_or_those_it_had() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let (plain, saved) = (folder.path().join("plain"), folder.path().join("saved"));
    fs::write(&plain, "").unwrap();
    let target = Target::new(&saved).unwrap();
    target.save(&to_bytes(&state())).unwrap();
    assert_eq!(mode(&saved), mode(&plain), "as the umask has it");
    fs::set_permissions(&saved, fs::Permissions::from_mode(0o640)).unwrap();
    target.save(&to_bytes(&state())).unwrap();
    assert_eq!(mode(&saved), 0o640);
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link() {
    let (folder, path) = file(b"old");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    Target::new(&link).unwrap().save(&to_bytes(&state())).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(load(&path, SHAPE, &VOCABULARY).is_ok());
}

/// Going on with the run `about` fails with a report that has all of `parts`, and a hint.
#[track_caller]
fn not_resumed(bytes: &[u8], about: &About, parts: &[&str]) {
    let (_folder, path) = file(bytes);
    let report = resume(&path, SHAPE, about).expect_err("it is refused").report();
    for part in parts.iter().chain(&["model.safetensors`", "\nhint: "]) {
        assert!(report.contains(part), "{part:?} is missing in:\n{report}");
    }
}

#[test]
fn a_run_goes_on_only_as_the_run_that_it_was() {
    let bytes = to_bytes(&state());
    let (_folder, path) = file(&bytes);
    assert_eq!(bits(&resume(&path, SHAPE, &ABOUT).unwrap()), bits(&state()));
    let train = |change: fn(&mut TrainConfig)| {
        let mut about = ABOUT;
        change(&mut about.train);
        about
    };
    for (about, flag, there, here) in [
        (train(|t| t.steps = 9), "--steps", "2199023255552", "9"),
        (train(|t| t.batch = 2), "--batch", "3", "2"),
        (train(|t| t.optimizer.learning_rate = 0.01), "--learning-rate", "0.1", "0.01"),
        (train(|t| t.optimizer.beta1 = 0.8), "--beta1", "0.7", "0.8"),
        // The nearest other number.
        (
            train(|t| t.optimizer.beta2 = f64::next_up(1.0 / 3.0)),
            "--beta2",
            "0.3333333333333333",
            "0.33333333333333337",
        ),
        (train(|t| t.optimizer.eps = 0.5), "--eps", "1e-9", "0.5"),
        (train(|t| t.optimizer.weight_decay = 0.5), "--weight-decay", "0.0", "0.5"),
        (train(|t| t.optimizer.max_grad_norm = 0.5), "--max-grad-norm", "2.5", "0.5"),
        (About { seed: 7, ..ABOUT }, "--seed", "18446744073709551615", "7"),
    ] {
        not_resumed(
            &bytes,
            &about,
            &[&format!("`{flag} {there}`, not `{flag} {here}`"), &format!("give `{flag} {there}`")],
        );
    }
    not_resumed(&bytes, &About { shuffle: false, ..ABOUT }, &["without `--no-shuffle`"]);
    not_resumed(&bytes, &About { corpus: 1, ..ABOUT }, &["another corpus"]);
    not_resumed(&bytes, &About { vocabulary: &['a', 'b'], ..ABOUT }, &["token 2 is '\"' in the checkpoint and 'b'"]);
    let other = RuntimeShape { n_layer: 1, ..SHAPE };
    let report = resume(&path, other, &ABOUT).unwrap_err().report();
    assert!(report.contains("`--n-layer 2`, not `--n-layer 1`"), "{report}");
}

#[test]
fn weights_alone_are_nothing_to_resume() {
    let weights = || Tensors::weights(&state().weights);
    not_resumed(&weights().bytes(), &ABOUT, &["cannot be resumed: it does not say its `corpus`", "--init-from"]);
    let metadata = {
        let bytes = to_bytes(&state());
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        header.metadata().as_ref().unwrap()["microgpt"].clone()
    };
    not_resumed(&weights().metadata("microgpt", &metadata).bytes(), &ABOUT, &["lacks", "moments", "--init-from"]);
}
