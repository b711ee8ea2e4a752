//! The tests of the end of a training before its last step.

use super::*;

#[test]
fn a_stop_ends_after_the_launch_with_a_validation() {
    let stop = StopHandle::default();
    let models = share([fake(ModelConfig::default())]);
    models[0].get().stop_at = Some((3, stop.clone()));
    let schedule = Schedule { val_every: 6, stop_after: 100, ..SCHEDULE };
    let trained = Trained::of(trainer(schedule, &models).stopped_by(stop.clone()));
    assert_eq!(trained.end.unwrap().state.step, 6);
    assert_eq!(models[0].get().evaluations, [6], "once, though it was due anyway");
    assert!(matches!(trained.events.last(), Some(Event::Stopped { step: 6 })));
}

#[test]
fn a_stop_before_the_first_step_ends_with_neither_a_validation_nor_a_trial() {
    let stop = StopHandle::default();
    stop.stop();
    for compares in [false, true] {
        let models = share([fake(ModelConfig::default())]);
        let schedule = Schedule { compares, ..SCHEDULE };
        let trained = Trained::of(trainer(schedule, &models).stopped_by(stop.clone()));
        assert!(matches!(trained.events.last(), Some(Event::Stopped { step: 0 })));
        let end = trained.end.unwrap();
        assert!(end.is_hurried && !end.is_validated && end.steps == 0 && end.val_losses[0].is_nan());
        assert!(models[0].get().evaluations.is_empty() && models[0].get().launches.is_empty());
    }
}

#[test]
fn a_stop_of_long_steps_leaves_the_best_run_of_the_last_validation() {
    let stop = StopHandle::default();
    let models = share([fake(ModelConfig::default()), fake(ModelConfig::default())]);
    for (model, nll) in models.iter().zip([3.0, 1.0]) {
        (model.get().nll, model.get().time) = (nll, Duration::from_millis(300));
    }
    models[0].get().stop_at = Some((2, stop.clone()));
    let schedule = Schedule { val_every: 1, compares: true, ..SCHEDULE };
    let end = Trained::of(trainer(schedule, &models).stopped_by(stop)).end.unwrap();
    assert_eq!((end.best, end.steps, &end.val_losses[..]), (1, 2, &[1.5, 0.5][..]));
    assert!(end.is_hurried && !end.is_validated);
    assert_eq!(models[1].get().evaluations, [1]);
}

#[test]
fn a_stop_between_two_launches_ends_the_next_and_is_in_its_metrics() {
    let stop = StopHandle::default();
    let models = share([fake(ModelConfig::default())]);
    models[0].get().stop_validation = Some((4, stop.clone()));
    // Launches end at 4, which is validated, and at 6, where a checkpoint is due.
    let schedule = Schedule { stop_after: 5000, checkpoint_every: 6, ..SCHEDULE };
    let (trained, text) = recorded(trainer(schedule, &models).stopped_by(stop));
    let end = trained.end.as_ref().unwrap();
    assert_eq!((end.state.step, end.is_validated), (6, true));
    // The validation at the stop is none of the schedule's.
    assert_eq!(end.bests, [Best { loss: 0.5, step: 4, since: 0 }]);
    assert_eq!(models[0].get().evaluations, [4, 6]);
    assert!(text.lines().last().unwrap().contains("\"step\":6,") && text.ends_with("\"val_loss\":0.5}\n"), "{text}");
    // `is_last` marks the last launch, also when a stop comes between two launches.
    let launches = trained.events.iter().filter_map(|event| match event {
        Event::Steps(steps) => Some((steps.end(), steps.is_last)),
        _ => None,
    });
    assert_eq!(launches.collect::<Vec<_>>(), [(4, false), (6, true)]);
    assert_eq!(trained.checkpoints().len(), 1);
}

#[test]
fn a_training_can_be_ended_between_two_events() {
    let models = share([fake(ModelConfig::default())]);
    let mut trainer = trainer(SCHEDULE, &models);
    assert!(matches!(trainer.next(), Some(Ok(Event::Steps(_)))));
    trainer.end_here();
    assert_eq!(Trained::of(trainer).end.unwrap().steps, 4);
    assert_eq!(models[0].get().launches, [4]);
}

#[test]
fn a_training_ends_after_validations_that_are_not_better_than_the_best() {
    let models = share([3.0, 1.0].map(|nll| Fake { nll, ..fake(ModelConfig::default()) }));
    models[1].get().bad = Some((6, StepLog { loss: f64::NAN, grad_norm: 1.0 }));
    let schedule = Schedule { stop_after: 100, stop_early: 2, compares: true, ..SCHEDULE };
    let trained = train(schedule, &models);
    assert!(matches!(trained.events.last(), Some(Event::StoppedEarly { step: 12 })));
    // The run that has diverged does not keep the training going.
    let end = trained.end.unwrap();
    assert_eq!(end.bests[0], Best { loss: 1.5, step: 4, since: 2 });
    assert_eq!((end.best, end.state.step, end.is_validated), (0, 12, true));
}
