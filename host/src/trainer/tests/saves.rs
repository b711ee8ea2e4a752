//! What is saved on the way, and when.

use super::*;
use crate::checkpoint;

#[test]
fn a_save_takes_the_best_model_whose_values_are_finite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let target = AtomicFile::new(&path).unwrap();
    let save = || Some(Save { target: &target, every: 4, vocabulary: VOCABULARY, run: RUN });
    let mut models: Vec<Fake> = [1.0, 2.0, 3.0].map(|nll| Fake { nll, ..fake(ModelConfig::default()) }).into();
    for (model, value) in models.iter_mut().zip([f32::NAN, 0.25, 0.5]) {
        model.state.weights.values[5] = value;
    }
    let several = Training { alone: false, save: save(), ..training() };
    let outcome = train(&several, &mut models, Vec::new()).unwrap();
    assert_eq!((outcome.best, outcome.state.step), (1, 10));
    assert!(outcome.val_losses[0].is_nan() && outcome.val_losses[1..] == [1.0, 1.5]);
    let saved = checkpoint::resume(&path, outcome.state.weights.shape, VOCABULARY, &RUN).unwrap();
    assert_eq!((saved.step, saved.weights.values[5]), (8, 0.25));
    // A lone one has no other: the run ends, and the file stays.
    models.truncate(1);
    models[0].state.step = 0;
    let error = train(&Training { save: save(), ..training() }, &mut models, Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "training diverged at step 4: a value of the model is NaN");
    assert_eq!(checkpoint::resume(&path, outcome.state.weights.shape, VOCABULARY, &RUN).unwrap().step, 8);
}

/// The loss of the last update is that of the next step, which the run has or has not.
#[test]
fn a_save_takes_a_model_that_could_take_another_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let target = AtomicFile::new(&path).unwrap();
    let save = || Some(Save { target: &target, every: 1, vocabulary: VOCABULARY, run: RUN });
    let shape = ModelConfig::default().shape(3).unwrap();
    for bad in [7, 11] {
        let mut models = vec![fake(ModelConfig::default())];
        models[0].bad = Some((bad, StepLog { loss: f64::INFINITY, grad_norm: 1.0 }));
        let error = train(&Training { save: save(), ..training() }, &mut models, Vec::new()).unwrap_err();
        let what = "the next step's loss is inf";
        assert_eq!(error.to_string(), format!("training diverged at step {}: {what}", bad - 1));
        assert!(error.report().ends_with("what was saved before is still there"), "{}", error.report());
        assert_eq!(checkpoint::resume(&path, shape, VOCABULARY, &RUN).unwrap().step, bad - 2);
    }
    // The best of two, which has a validation loss, gives way to the other.
    let mut models: Vec<Fake> = [1.0, 2.0].map(|nll| Fake { nll, ..fake(ModelConfig::default()) }).into();
    models[0].bad = Some((11, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    let outcome = train(&Training { alone: false, save: save(), ..training() }, &mut models, Vec::new()).unwrap();
    assert!(outcome.best == 1 && outcome.val_losses[0].is_nan(), "{outcome:?}");
}

#[test]
fn a_worse_model_does_not_replace_that_of_the_shape_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let target = AtomicFile::new(&path).unwrap();
    // Validated at 4 and 8, saved at 3, 6 and 9.
    for (before, saved) in [(None, Some(9)), (Some(0.25), None), (Some(0.5), None), (Some(0.75), Some(9))] {
        let _ = std::fs::remove_file(&path);
        let mut models = vec![fake(ModelConfig::default()), fake(ModelConfig::default())];
        let save = Some(Save { target: &target, every: 3, vocabulary: VOCABULARY, run: RUN });
        let training = Training { save, best_before: before, alone: false, ..training() };
        let outcome = train(&training, &mut models, Vec::new()).unwrap();
        assert_eq!(outcome.val_losses, [0.5, 0.5]);
        let step =
            checkpoint::resume(&path, outcome.state.weights.shape, VOCABULARY, &RUN).ok().map(|state| state.step);
        assert_eq!(step, saved, "{before:?}");
    }
}

#[test]
fn a_model_is_saved_every_so_often() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let target = AtomicFile::new(&path).unwrap();
    let mut models = vec![fake(ModelConfig::default())];
    let save = Some(Save { target: &target, every: 3, vocabulary: VOCABULARY, run: RUN });
    train(&Training { save, ..training() }, &mut models, Vec::new()).unwrap();
    assert_eq!(models[0].launches, [3, 1, 2, 2, 1, 1]);
    let saved = checkpoint::resume(&path, models[0].state.weights.shape, VOCABULARY, &RUN).unwrap();
    assert_eq!(saved.step, 9, "the last save is not of the training");
}
