//! The tests of models whose values are no longer finite.

use super::*;

#[test]
fn a_loss_that_is_not_finite_ends_the_training_at_its_step() {
    for (loss, grad_norm, reason) in [
        (f64::NAN, 1.0, "the loss is NaN"),
        (f64::INFINITY, f64::NAN, "the loss is inf"),
        (1.0, f64::NAN, "the gradient norm is NaN"),
        // 1e39 overflows `f32`.
        (1.0, 1e39, "the gradient norm is 1e39"),
    ] {
        let models = share([fake(ModelConfig::default())]);
        models[0].get().bad = Some((6, StepLog { loss, grad_norm }));
        let trained = train(SCHEDULE, &models);
        assert_eq!(trained.losses().last(), Some(&(5, 5.0)));
        assert_eq!(trained.end.unwrap_err().to_string(), format!("training diverged at step 6: {reason}"));
    }
    let error = |fake: Fake| train(SCHEDULE, &share([fake])).end.unwrap_err();
    let diverged = error(Fake { nll: f64::NAN, ..fake(ModelConfig::default()) });
    assert_eq!(diverged.to_string(), "training diverged at step 4: the validation loss is NaN");
    // No loss covers the last update.
    let mut last = fake(ModelConfig::default());
    last.state.weights.values[5] = f32::NEG_INFINITY;
    assert_eq!(error(last).to_string(), "training diverged at step 10: a value of the model is -inf");
    let bad = Some((11, StepLog { loss: 1.0, grad_norm: f64::NAN }));
    let diverged = error(Fake { bad, ..fake(ModelConfig::default()) });
    assert_eq!(diverged.to_string(), "training diverged at step 10: the next step's gradient norm is NaN");
    assert!(!diverged.report().contains("saved"), "no checkpoint was made: {}", diverged.report());
}

#[test]
fn a_launch_in_which_the_only_model_diverges_is_recorded() {
    for (bad, nll, steps) in [(6, 1.0, 8), (99, f64::NAN, 4)] {
        let models = share([Fake { nll, ..fake(ModelConfig::default()) }]);
        models[0].get().bad = Some((bad, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
        let (trained, text) = recorded(trainer(SCHEDULE, &models));
        assert!(trained.end.is_err());
        assert_eq!(text.lines().count(), steps, "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("\"loss\":null")).count(), steps.saturating_sub(5));
        assert_eq!(models[0].get().state.step, steps as u64, "it ends");
    }
}

#[test]
fn the_next_best_model_is_kept_if_the_best_is_about_to_diverge() {
    let models = share([3.0, 2.0, 1.0].map(|nll| Fake { nll, ..fake(ModelConfig::default()) }));
    models[2].get().bad = Some((5, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    let trained = train(Schedule { compares: true, keep_best: true, ..SCHEDULE }, &models);
    let kept = trained.events.iter().filter_map(|event| match event {
        Event::Best(Checkpoint { run, best, state, .. }) => Some((run.seed, best.loss, state.step)),
        _ => None,
    });
    // Later validations are as good, but not better.
    assert_eq!(kept.collect::<Vec<_>>(), [(1, 1.0, 4)]);
    assert!(trained.end.unwrap().val_losses[2].is_nan());
}

#[test]
fn of_several_models_the_best_is_kept_and_one_may_diverge() {
    let models = share([3.0, 2.0, 1.0, 4.0].map(|nll| Fake { nll, ..fake(ModelConfig::default()) }));
    models[2].get().bad = Some((6, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    let trained = train(Schedule { compares: true, ..SCHEDULE }, &models);
    let end = trained.end.as_ref().unwrap();
    assert_eq!(end.best, 1);
    assert_eq!((end.val_losses[0], end.val_losses[1], end.val_losses[3]), (1.5, 1.0, 2.0));
    assert!(end.val_losses[2].is_nan() && end.is_validated);
    let evaluations = |model: &Shared| model.get().evaluations.clone();
    assert!([0, 1, 3].iter().all(|&i| evaluations(&models[i]) == [4, 8, 10]), "the last step is validated, too");
    let validations = trained.validations();
    assert_eq!(validations[0].losses, [1.5, 1.0, 0.5, 2.0]);
    assert_eq!((validations[0].loss(), validations[2].loss()), (1.25, 1.5));
    assert_eq!(trained.losses().len(), 10);
    let diverged = |event: &Event| matches!(event, Event::Diverged { run: Run { seed: 2, .. }, step: 6, .. });
    assert_eq!(trained.events.iter().filter(|event| diverged(event)).count(), 1);
    // The run that diverged takes no step after the launch in which it did.
    assert_eq!(models.iter().map(|model| model.get().state.step).collect::<Vec<_>>(), [10, 10, 8, 10]);
    // The training ends when the last run diverges.
    for model in &models {
        model.get().state.step = 10;
        model.get().bad = Some((12, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    }
    let end = train(Schedule { stop_after: 30, compares: true, ..SCHEDULE }, &models).end.unwrap();
    assert_eq!(models[0].get().state.step, 12);
    assert!(end.val_losses.iter().all(|loss| loss.is_nan()));
}
