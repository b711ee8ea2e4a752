//! Files that are not a checkpoint of this model.

use super::*;

/// Asserts that loading fails with a report that has all of `parts`, the file's name and a hint.
#[track_caller]
fn refused(bytes: &[u8], parts: &[&str]) {
    let report = load_bytes(bytes).expect_err("it is refused");
    for part in parts.iter().chain(&["model.safetensors`", "\nhint: "]) {
        assert!(report.contains(part), "{part:?} is missing in:\n{report}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = to_bytes(&state());
    assert!(load_bytes(&bytes).is_ok());
    for len in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        refused(&bytes[..len], &["is truncated"]);
    }
    let (len, told) = (bytes.len() + 1, bytes.len());
    let longer = [&bytes[..], &[0]].concat();
    refused(&longer, &["is longer than it should be", &format!("it has {len} bytes, expected {told}")]);
}

// The files are sparse and 20 GB long. A header that does not fit the model is refused before the data is read.
#[test]
fn a_large_file_is_refused_at_once() {
    let header =
        |len: u64| format!("{{\"wte\":{{\"dtype\":\"F32\",\"shape\":[{len}],\"data_offsets\":[0,{}]}}}}", 4 * len);
    let large = header(5_000_000_000);
    for (header_len, header, part) in [
        (0, "", "is not a safetensors file"),
        (u64::MAX, "", "is not a safetensors file"),
        (large.len() as u64, &large, "has no tensor `wpe`"),
    ] {
        let (_folder, path) = file(&[&header_len.to_le_bytes()[..], header.as_bytes()].concat());
        let len = 8 + header.len() as u64 + 20_000_000_000;
        fs::File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
        let start = std::time::Instant::now();
        let report = load(&path, SHAPE, &VOCABULARY).unwrap_err().report();
        assert!(report.contains(part) && report.contains("\nhint: "), "{report}");
        assert!(start.elapsed().as_secs() < 1, "{:?}", start.elapsed());
    }
}

#[test]
fn other_files_than_safetensors_are_refused() {
    refused(b"emma\nolivia\nava\nisabella\n", &["is not a safetensors file", "caused by"]);
    refused(b"\x02\0\0\0\0\0\0\0[]", &["is not a safetensors file", "caused by"]);
    refused(b"\x02\0\0\0\0\0\0\0{}", &["has no tensor `wte`"]);
}

// A file that lost the checksum's own name still has the state that was saved.
#[test]
fn a_changed_bit_is_refused_or_changes_nothing() {
    let good = to_bytes(&state());
    let saved = state();
    let (mut errors, mut tries) = (0, 0);
    for (i, change) in (0..good.len()).step_by(11).zip([0x01, 0x10, 0x80, 0x04].into_iter().cycle()) {
        let mut bytes = good.clone();
        bytes[i] ^= change;
        match load_bytes(&bytes) {
            Ok(loaded) => assert_eq!(bits(&loaded), bits(&saved), "byte {i} changed by {change:#x}"),
            Err(_) => errors += 1,
        }
        tries += 1;
    }
    assert!(errors > tries * 99 / 100, "{errors} of {tries}");
}

#[test]
fn a_damaged_header_never_panics() {
    let good = to_bytes(&state());
    let header_len = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for i in (0..header_len + 8).step_by(5) {
        let mut bytes = good.clone();
        bytes[i] ^= 0xff;
        assert!(load_bytes(&bytes).is_err(), "byte {i}");
    }
}

#[test]
fn damaged_content_is_refused_with_both_checksums() {
    let mut bytes = to_bytes(&state());
    let (last, stated) = (bytes.len() - 1, digits(&bytes).1);
    bytes[last] ^= 0x01;
    let hint = "use another copy of the file; after a change on purpose, remove `crc32` from its metadata";
    refused(&bytes, &["is damaged: its content has the checksum ", &format!(", expected {stated}"), hint]);
}

#[test]
fn a_changed_setting_is_refused() {
    let text = String::from_utf8_lossy(&to_bytes(&state())).into_owned();
    let at = text.find(r#"\"seed\":1844"#).unwrap() + r#"\"seed\":"#.len();
    let mut bytes = to_bytes(&state());
    bytes[at + 1] = b'7';
    refused(&bytes, &["is damaged: its content has the checksum "]);
}

#[test]
fn a_checkpoint_without_checksum_loads() {
    // Another key takes the name's place, as in a file of an earlier version.
    let mut bytes = to_bytes(&state());
    let (at, _) = digits(&bytes);
    let name = at - r#"crc32\":\""#.len();
    bytes[name..name + 5].copy_from_slice(b"other");
    assert_eq!(bits(&load_bytes(&bytes).unwrap()), bits(&state()));
}

/// Returns the place of the checksum's digits in a file, and the digits.
fn digits(bytes: &[u8]) -> (usize, String) {
    let key = br#"\"crc32\":\""#;
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    (at, String::from_utf8(bytes[at..at + 8].to_vec()).unwrap())
}

#[test]
fn another_model_is_refused_with_the_flags_that_fit() {
    let other = RuntimeShape { block_size: 7, n_embd: 8, n_head: 2, n_layer: 1, ..SHAPE };
    let own = to_bytes(&State::new(Weights::zeros(other)));
    refused(&own, &["`--n-embd 8`, not `--n-embd 6`", "`--n-embd 8 --n-head 2 --n-layer 1 --block-size 7`"]);
    let foreign = Tensors::weights(&Weights::zeros(other)).bytes();
    // Without metadata the number of heads is unknown. The hint has a number that divides the channels.
    refused(&foreign, &["no tensor `layer1.attn_wq`", "`--n-embd 8 --n-head 2 --n-layer 1 --block-size 7`"]);
    let longer = Tensors::weights(&Weights::zeros(RuntimeShape { block_size: 7, ..SHAPE })).bytes();
    refused(&longer, &["tensor `wpe` of shape [7, 6], not [5, 6]", "the file fits: `--block-size 7`"]);
    let deeper = Tensors::weights(&Weights::zeros(RuntimeShape { n_layer: 3, ..SHAPE })).bytes();
    refused(&deeper, &["a tensor `layer2.", "the file fits: `--n-layer 3`"]);
    let heads = to_bytes(&State::new(Weights::zeros(RuntimeShape { n_head: 2, ..SHAPE })));
    refused(&heads, &["`--n-head 2`, not `--n-head 3`", "the file fits: `--n-head 2`"]);
}

// The hint must not name flags that the command line would refuse.
#[test]
fn a_file_that_no_flags_fit_has_another_hint() {
    let names = "hint: give the tensors the names and shapes that `--save` writes";
    let mut foreign = Tensors::weights(&state().weights);
    foreign.tensors.iter_mut().for_each(|tensor| tensor.0 = format!("transformer.{}.weight", tensor.0));
    refused(&foreign.bytes(), &["has no tensor `wte`", names]);
    let mut embeddings = Tensors::weights(&Weights::zeros(RuntimeShape { n_embd: 8, n_head: 2, ..SHAPE }));
    embeddings.tensors.truncate(2);
    refused(&embeddings.bytes(), &["has no tensor `layer0.attn_wq`", names]);
    for run in [r#"{"n_layer": 0}"#, r#"{"n_head": 4}"#, r#"{"n_embd": 1152921504606846976}"#] {
        refused(&Tensors::weights(&state().weights).metadata("microgpt", run).bytes(), &["holds a model of", names]);
    }
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
fn other_types_than_f32_are_refused() {
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
    let with = |vocabulary: &[char]| checkpoint::to_bytes(&state(), vocabulary, &description()).unwrap();
    refused(&with(&['"', 'a', 'c']), &["another vocabulary than the corpus: it lacks the character 'ß'"]);
    refused(&with(&['"', 'a']), &["another vocabulary than the corpus: it lacks the character 'ß'"]);
    refused(&with(&['"', 'a', 'ß', 'z']), &["another vocabulary than the corpus: the corpus lacks the character 'z'"]);
    refused(&with(&['"', 'ß', 'a']), &["another vocabulary than the corpus: the characters have another order"]);
    // Without metadata, only the number of tokens tells the vocabularies apart.
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
    refused(&with(r#"{"crc32": "+1234567"}"#), &["`crc32` is \"+1234567\", not eight hexadecimal digits"]);
    refused(&with(r#"{"crc32": 12345678}"#), &["`crc32` is 12345678, not eight hexadecimal digits"]);
    refused(&with(r#"{"vocabulary": "abc"}"#), &["`vocabulary` is not an array of characters"]);
    refused(&with(r#"{"vocabulary": ["a", "bc", "d"]}"#), &["`vocabulary` is not an array of characters"]);
}

#[test]
fn a_missing_file_and_a_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (path, cause) in
        [(folder.path().join("none"), system("No such file")), (folder.path().to_owned(), "not a regular file")]
    {
        let report = load(&path, SHAPE, &VOCABULARY).unwrap_err().report();
        assert!(report.contains(&*path.to_string_lossy()) && report.contains(cause), "{report}");
        assert!(report.contains("\nhint: "), "{report}");
    }
}
