//! Inputs that every device must refuse. The kernels index without bounds checks.

use gpu_kernels::shape::RuntimeShape;
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::{Device, State};
use microgpt::error::Result;
use microgpt::weights::Weights;

/// A function that puts a model on a device.
type Open<'a> = &'a dyn Fn(TrainConfig, &Dataset, &State) -> Result<Box<dyn Device>>;

/// Asserts that the device of `open` refuses every invalid input with the expected message.
#[track_caller]
pub fn assert_refuses_what_kernels_do_not_check(open: Open) {
    let dataset = |documents: &[&str]| Dataset::new(documents, None, None).unwrap();
    let state = |model: ModelConfig, vocab: usize| State::new(Weights::init(model.shape(vocab).unwrap(), 1));
    let refused = |result: Result<()>, expected: &str| {
        let report = result.expect_err(expected).report();
        assert!(report.contains(expected) && report.contains("hint: "), "`{expected}` in:\n{report}");
    };
    let config = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
    let (model, small) = (ModelConfig::default(), dataset(&["abc", "cab"]));
    let fitting = state(model, 4);

    // The vocabularies of the model, the training documents and the validation documents differ.
    refused(open(config, &dataset(&["abcd", "a"]), &fitting).map(drop), "must be below 4, got 4");
    refused(open(config, &dataset(&["a", "abcd"]), &fitting).map(drop), "must be below 4, got 4");
    let mixed = Dataset { val: dataset(&["a", "vwxyz"]).val, ..small.clone() };
    refused(open(config, &mixed, &fitting).map(drop), "document tokens must be below 4, got 4");
    // The shape is impossible, or an array has another shape.
    let shape = fitting.weights.shape;
    let odd = State::new(Weights::zeros(RuntimeShape { n_head: 3, ..shape }));
    refused(open(config, &small, &odd).map(drop), "not divisible");
    let other = state(ModelConfig { n_embd: 8, ..model }, 4);
    refused(
        open(config, &small, &State { m: other.m.clone(), ..fitting.clone() }).map(drop),
        &format!("got {} of RuntimeShape", other.m.values.len()),
    );
    let mut short = fitting.clone();
    short.v.values.pop();
    refused(open(config, &small, &short).map(drop), "an array of a state must be");
    refused(open(TrainConfig { batch: 0, ..config }, &small, &fitting).map(drop), "documents, got 0");
    for (optimizer, expected) in [
        (OptimizerConfig { eps: 1e30, ..config.optimizer }, "eps must be from 1e-37 to 1.0, got 1e30"),
        (
            OptimizerConfig { max_grad_norm: f64::NAN, ..config.optimizer },
            "max_grad_norm must be from 1e-6 to 1e38, got NaN",
        ),
    ] {
        refused(open(TrainConfig { optimizer, ..config }, &small, &fitting).map(drop), expected);
    }

    let mut device = open(config, &small, &fitting).unwrap_or_else(|error| panic!("{}", error.report()));
    refused(device.upload(&other), "an array of a state must be");
    let sample =
        SampleConfig { top_k: 4, temperature: 1.0, min_p: 0.0, top_p: 1.0, seed: 1, prompt: &[3; 7], logprobs: true };
    assert_eq!(device.generate(&sample, 0..3).unwrap().len(), 3);
    refused(device.generate(&sample, 0..1 << 32).map(drop), "at most 4294967295, got 4294967296");
    assert_eq!(device.evaluate(0).unwrap().tokens, 0);
    for (wrong, expected) in [
        (SampleConfig { prompt: &[1, 4_000_000_000], ..sample }, "between 1 and 3, got 4000000000"),
        (SampleConfig { prompt: &[4], ..sample }, "between 1 and 3, got 4"),
        (SampleConfig { prompt: &[1, 0], ..sample }, "between 1 and 3, got 0"),
        (SampleConfig { prompt: &[1; 8], ..sample }, "shorter than 8 tokens, got 8"),
        (SampleConfig { top_k: 0, ..sample }, "top-k must be from 1 to 4, got 0"),
        (SampleConfig { top_k: 5, ..sample }, "top-k must be from 1 to 4, got 5"),
        (SampleConfig { temperature: -1.0, ..sample }, "3.4e38, got -1"),
        (SampleConfig { temperature: f64::NAN, ..sample }, "3.4e38, got NaN"),
        (SampleConfig { temperature: f64::INFINITY, ..sample }, "3.4e38, got inf"),
        (SampleConfig { min_p: -0.1, ..sample }, "min-p must be from 0 to 1, got -0.1"),
        (SampleConfig { top_p: f64::NAN, ..sample }, "top-p must be from 0 to 1, got NaN"),
    ] {
        refused(device.generate(&wrong, 0..3).map(drop), expected);
    }
}
