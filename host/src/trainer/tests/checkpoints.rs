//! The tests of checkpoints, with their steps and the model that they hold.

use super::*;

#[test]
fn a_checkpoint_has_the_best_model_whose_values_are_finite() {
    let mut models = share([1.0, 2.0, 3.0].map(|nll| Fake { nll, ..fake(ModelConfig::default()) }));
    for (model, value) in models.iter().zip([f32::NAN, 0.25, 0.5]) {
        model.get().state.weights.values[5] = value;
    }
    let schedule = Schedule { checkpoint_every: 4, ..SCHEDULE };
    let trained = train(Schedule { compares: true, ..schedule }, &models);
    let end = trained.end.as_ref().unwrap();
    assert_eq!((end.best, end.state.step), (1, 10));
    assert!(end.val_losses[0].is_nan() && end.val_losses[1..] == [1.0, 1.5]);
    let last = trained.checkpoints().pop().unwrap();
    assert_eq!((last.run.seed, last.state.step, last.state.weights.values[5], last.val_loss), (1, 8, 0.25, 1.0));
    // A lone model has no other to replace it, so the training ends without a checkpoint.
    models.truncate(1);
    models[0].get().state.step = 0;
    let trained = train(schedule, &models);
    assert!(trained.checkpoints().is_empty());
    assert_eq!(trained.end.unwrap_err().to_string(), "training diverged at step 4: a value of the model is NaN");
}

// No reported loss covers the last update, so the next step is tried before the model is kept.
#[test]
fn a_checkpoint_has_a_model_that_could_take_another_step() {
    let schedule = Schedule { checkpoint_every: 1, ..SCHEDULE };
    for bad in [7, 11] {
        let models = share([fake(ModelConfig::default())]);
        models[0].get().bad = Some((bad, StepLog { loss: f64::INFINITY, grad_norm: 1.0 }));
        let trained = train(schedule, &models);
        assert_eq!(trained.checkpoints().pop().unwrap().state.step, bad - 2);
        let reason = "the next step's loss is inf";
        assert_eq!(trained.end.unwrap_err().to_string(), format!("training diverged at step {}: {reason}", bad - 1));
    }
    // The run with the least validation loss diverges in the trial step, so the other run is kept.
    let models = share([1.0, 2.0].map(|nll| Fake { nll, ..fake(ModelConfig::default()) }));
    models[0].get().bad = Some((11, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    let end = train(Schedule { compares: true, ..schedule }, &models).end.unwrap();
    assert!(end.best == 1 && end.val_losses[0].is_nan(), "{end:?}");
}

#[test]
fn a_checkpoint_is_made_every_so_often() {
    let models = share([fake(ModelConfig::default())]);
    let trained = train(Schedule { checkpoint_every: 3, ..SCHEDULE }, &models);
    assert_eq!(models[0].get().launches, [3, 1, 2, 2, 1, 1]);
    let steps: Vec<u64> = trained.checkpoints().iter().map(|checkpoint| checkpoint.state.step).collect();
    assert_eq!(steps, [3, 6, 9]);
}
