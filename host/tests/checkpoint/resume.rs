//! The resumption of a run from a checkpoint.

use microgpt::Error;

use super::*;

/// Asserts that resuming `run` fails with a report that has all of `parts`, the file's name and a hint.
#[track_caller]
fn not_resumed(bytes: &[u8], run: &RunInfo, parts: &[&str]) {
    let (_folder, path) = file(bytes);
    assert_report(&resume(&path, SHAPE, &VOCABULARY, run).expect_err("it is refused"), parts);
}

/// Asserts that resuming a run with these settings fails as in [`not_resumed`], even before the corpus is read.
#[track_caller]
fn not_resumed_with(bytes: &[u8], settings: RunSettings, parts: &[&str]) {
    not_resumed(bytes, &RunInfo { settings, ..RUN }, parts);
    let (_folder, path) = file(bytes);
    assert_report(&validate_run(&path, SHAPE, &settings).expect_err("it is refused"), parts);
}

#[track_caller]
fn assert_report(error: &Error, parts: &[&str]) {
    let report = error.report();
    for part in parts.iter().chain(&["model.safetensors`", "\nhint: "]) {
        assert!(report.contains(part), "{part:?} is missing in:\n{report}");
    }
}

#[test]
fn a_checkpoint_resumes_only_its_own_run() {
    let bytes = to_bytes(&state());
    let (_folder, path) = file(&bytes);
    assert_eq!(bits(&resume(&path, SHAPE, &VOCABULARY, &RUN).unwrap().0), bits(&state()));
    validate_run(&path, RuntimeShape { vocab: 1, ..SHAPE }, &SETTINGS).unwrap();
    let train = |change: fn(&mut TrainConfig)| {
        let mut settings = SETTINGS;
        change(&mut settings.train);
        settings
    };
    for (settings, flag, there, here) in [
        (train(|t| t.steps = 9), "--steps", "2199023255552", "9"),
        (train(|t| t.batch = 2), "--batch", "3", "2"),
        (train(|t| t.optimizer.learning_rate = 0.01), "--learning-rate", "0.1", "0.01"),
        (train(|t| t.optimizer.beta1 = 0.8), "--beta1", "0.7", "0.8"),
        // This `beta2` is the next larger `f64`.
        (
            train(|t| t.optimizer.beta2 = f64::next_up(1.0 / 3.0)),
            "--beta2",
            "0.3333333333333333",
            "0.33333333333333337",
        ),
        (train(|t| t.optimizer.eps = 0.5), "--eps", "1e-9", "0.5"),
        (train(|t| t.optimizer.weight_decay = 0.5), "--weight-decay", "0.0", "0.5"),
        (train(|t| t.optimizer.max_grad_norm = 0.5), "--max-grad-norm", "2.5", "0.5"),
        (RunSettings { seed: 7, ..SETTINGS }, "--seed", "18446744073709551615", "7"),
    ] {
        let parts = [&*format!("`{flag} {there}`, not `{flag} {here}`"), &format!("give `{flag} {there}`")];
        not_resumed_with(&bytes, settings, &parts);
    }
    not_resumed_with(&bytes, RunSettings { shuffle: false, ..SETTINGS }, &["without `--no-shuffle`"]);
    not_resumed(&bytes, &RunInfo { corpus: 1, ..RUN }, &["another corpus"]);
    let default = DocumentConfig::default();
    for (documents, part) in [
        (default, "run with `--keep-spaces`"),
        (DocumentConfig { nfc: true, ..SETTINGS.documents }, "run of `--normalize none`"),
        (DocumentConfig { dedup: true, ..SETTINGS.documents }, "run without `--dedup`"),
    ] {
        not_resumed_with(&bytes, RunSettings { documents, ..SETTINGS }, &[part]);
    }
    let report = resume(&path, SHAPE, &['"', 'b'], &RUN).unwrap_err().report();
    assert!(report.contains("it lacks the character 'b'"), "{report}");
    let other = RuntimeShape { n_layer: 1, ..SHAPE };
    for error in [
        resume(&path, other, &VOCABULARY, &RUN).unwrap_err(),
        validate_run(&path, RuntimeShape { vocab: 1, ..other }, &SETTINGS).unwrap_err(),
    ] {
        assert_report(
            &error,
            &["`--n-layer 2`, not `--n-layer 1`", "choose the flags that the file fits: `--n-layer 2`"],
        );
    }
}

#[test]
fn weights_alone_cannot_be_resumed() {
    let weights = || Tensors::weights(&state().weights);
    not_resumed(&weights().bytes(), &RUN, &["cannot be resumed: it does not say its `shuffle`", "--init-from"]);
    let metadata = {
        let bytes = to_bytes(&state());
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        // A program that changes a file removes its checksum.
        header.metadata().as_ref().unwrap()["microgpt"].replace("crc32", "removed")
    };
    not_resumed(&weights().metadata("microgpt", &metadata).bytes(), &RUN, &["lacks", "moments", "--init-from"]);
}

#[test]
fn a_run_is_not_resumed_beyond_its_end() {
    let at = |step| to_bytes(&State { step, ..state() });
    let (_folder, path) = file(&at(1 << 41));
    assert_eq!(resume(&path, SHAPE, &VOCABULARY, &RUN).unwrap().0.step, 1 << 41, "it only samples");
    for step in [(1 << 41) + 1, u64::MAX] {
        not_resumed(&at(step), &RUN, &[&format!("is at step {step} of a run of `--steps 2199023255552`")]);
    }
}
