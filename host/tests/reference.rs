//! The reference as a device, and against golden values.

use std::fmt::Display;

use gpu_kernels::shape::{RuntimeShape, Shape as _};
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::reference::{Reference, adamw_at, to_model};
use microgpt::device::{Device, State};
use microgpt::weights::Weights;
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use reference::TrainState;
use reference::model::Shape;

#[track_caller]
fn assert_close(what: impl Display, index: usize, expected: f64, got: f64, bound: f64) {
    let error = (got - expected).abs();
    assert!(error <= bound, "{what}[{index}]: expected {expected:e}, got {got:e}, off by {error:e}, bound {bound:e}");
}

fn shape(vocab: usize, block_size: usize, n_embd: usize, n_head: usize, n_layer: usize) -> RuntimeShape {
    ModelConfig { n_embd, n_head, n_layer, block_size }.shape(vocab).unwrap()
}

fn sampling(top_k: usize, temperature: f64) -> SampleConfig<'static> {
    SampleConfig { top_k, temperature, min_p: 0.0, top_p: 1.0, seed: 42, prompt: &[], logprobs: false }
}

// The tape of a document of 80,000 positions would have 3 TB. By its defaults, Linux refuses more memory than it has.
#[cfg(target_os = "linux")]
#[test]
fn a_document_whose_tape_does_not_fit_in_memory_is_refused() {
    if std::fs::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|mode| mode.trim() == "1") {
        return eprintln!("skipped: this system refuses no memory");
    }
    let config = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
    let (state, long) = (State::new(Weights::zeros(shape(3, 80_000, 16, 4, 1))), "ab".repeat(40_000));
    for (documents, fits) in [(["ab", "ba"], true), (["ab", &long], false)] {
        let dataset = Dataset::new(&documents, None, None).unwrap();
        let report = Reference::new(config, &dataset, &state).err().map(|error| error.report());
        assert_eq!(report.is_none(), fits, "{report:?}");
        assert!(report.is_none_or(|report| report.starts_with("error: out of memory: cannot allocate 3")));
    }
}

#[test]
fn a_model_of_zeros_draws_tokens_as_the_random_stream_says() {
    let state = State::new(Weights::zeros(shape(27, 8, 16, 4, 1)));
    let config = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
    let mut device = Reference::new(config, &Dataset::new(&["a", "b"], None, None).unwrap(), &state).unwrap();
    let samples = device.generate(&sampling(27, 0.6), 0..40).unwrap();
    let mut lengths = [0; 9];
    for (sample_index, sample) in (0u64..).zip(&samples) {
        let seed = 42u64.wrapping_add(sample_index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
        // All tokens are equally likely, so the draw is floor(27 u).
        let stream = std::iter::repeat_with(|| ((u64::from(rng.next_u32() >> 8) * 27) >> 24) as u32);
        let expected: Vec<u32> = stream.take(8).take_while(|&token| token != 0).collect();
        assert_eq!(sample.tokens, expected, "sample {sample_index}");
        lengths[expected.len()] += 1;
    }
    assert!(lengths[8] > 0 && lengths[8] < 40, "both ends of a sample are met: {lengths:?}");
    let greedy = &device.generate(&sampling(1, 0.6), 0..1).unwrap()[0];
    assert!(greedy.tokens.is_empty(), "all logits are equal, so that greedy sampling takes `<BOS>`");
}

/// Returns the weights of `golden/microgpt.py`, multiples of 1/256 up to 1/2 in magnitude.
fn weights(shape: Shape) -> Vec<f64> {
    let value = |i: i64| ((7 * i * i + 37 * i + 11) % 257 - 128) as f64 / 256.0;
    (0..shape.num_params() as i64).map(value).collect()
}

/// Compares with the losses of `golden/microgpt.py`, which computes in `f64` too but sums in another order.
///
/// Both implementations round at 1e-16, and the losses are near 3. The update divides by the root of the second moment,
/// which magnifies the rounding of small gradients. The bound of 1e-11 leaves room for this rounding and for another
/// `exp`. Any other step, eps or decay moves the losses by more.
#[test]
fn losses_agree_with_an_independent_implementation() {
    let golden = include_str!("golden/losses.txt");
    let mut runs: Vec<(TrainState, TrainConfig)> = Vec::new();
    let mut checked = 0;
    for (i, line) in golden.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        let mut fields = line.split(' ');
        let kind = fields.next().unwrap();
        let numbers: Vec<f64> = fields.map(|field| field.parse().unwrap()).collect();
        if kind == "shape" {
            let [vocab, block_size, n_embd, n_head, n_layer] = std::array::from_fn(|i| numbers[i] as usize);
            let shape = Shape { vocab, block_size, n_embd, n_head, n_layer };
            let optimizer = OptimizerConfig { max_grad_norm: numbers[5], ..OptimizerConfig::default() };
            runs.push((TrainState::new(shape, weights(shape)), TrainConfig { steps: 20, batch: 1, optimizer }));
            continue;
        }
        let (model, config) = runs.last_mut().unwrap();
        let tokens: Vec<u32> = numbers[2..].iter().map(|&token| token as u32).collect();
        let what = format!("losses.txt, line {}, {kind}", i + 1);
        if kind == "step" {
            let adamw = adamw_at(config, model.step);
            let log = model.train_step(&[&tokens], &adamw);
            assert_close(&what, 0, numbers[0], log.loss, 1e-11);
            assert_close(&what, 1, numbers[1], log.grad_norm, 1e-11);
        } else {
            assert_close(&what, 0, numbers[0], model.loss_and_gradients(&tokens).0, 1e-11);
        }
        checked += 1;
    }
    assert_eq!((runs.len(), checked), (2, 42));
}

#[test]
fn the_device_trains_evaluates_and_samples() {
    let documents = ["ab", "b", "cab", "abcabcabcabc", "bca", "cc", "a", "bb", "abc", "cb", "ca", "acb"];
    let dataset = Dataset::new(&documents, None, None).unwrap();
    let shape = shape(dataset.tokenizer.vocab_size(), 5, 6, 3, 1);
    let train_config = TrainConfig { steps: 30, batch: 1, optimizer: OptimizerConfig::default() };
    let start = State::new(Weights::init(shape, 7));
    let mut device = Reference::new(train_config, &dataset, &start).unwrap();
    assert_eq!(device.description(), "reference (scalar autograd, f64)");
    assert_eq!(device.download().unwrap(), start);

    // There are two validation documents, "ca" and "acb", of 3 and 4 positions. `attn_wo` and `mlp_fc2` start
    // at zero and the other weights near 0.02, so the model holds all 4 tokens for about equally likely.
    let before = device.evaluate(20).unwrap();
    assert_eq!(before.tokens, 7);
    assert_close("val loss", 0, 4f64.ln(), before.loss(), 0.1);
    assert_eq!(device.evaluate(1).unwrap().tokens, 3);

    // Twelve steps, in parts or at once, wrap around the ten training documents.
    let mut log = device.train(7).unwrap();
    log.extend(device.train(5).unwrap());
    let mut model = to_model(&start);
    for (step, log) in log.iter().enumerate() {
        let adamw = adamw_at(&train_config, model.step);
        assert_eq!(model.train_step(&[dataset.train.get(step % 10)], &adamw), *log, "step {step}");
    }
    let state = device.download().unwrap();
    assert_eq!((state.step, model.step), (12, 12));
    for (got, expected) in [(&state.weights, &model.weights), (&state.m, &model.m), (&state.v, &model.v)] {
        assert_eq!(got.values, expected.iter().map(|&x| x as f32).collect::<Vec<_>>());
    }

    // The model has learned, and a sample depends on its index alone.
    device.train(18).unwrap();
    assert!(device.evaluate(20).unwrap().loss() < before.loss());
    let config = sampling(3, 0.8);
    let samples = device.generate(&config, 0..6).unwrap();
    assert_eq!(device.generate(&config, 4..6).unwrap(), samples[4..]);
    assert!(
        samples
            .iter()
            .map(|sample| &sample.tokens)
            .all(|sample| sample.len() <= shape.block_size() && !sample.contains(&0))
    );

    // The device continues from the step of the uploaded state.
    let mut resumed = Reference::new(train_config, &dataset, &start).unwrap();
    resumed.upload(&state).unwrap();
    assert_eq!(resumed.download().unwrap(), state);
    assert_eq!(resumed.train(1).unwrap().len(), 1);
    assert_eq!(resumed.download().unwrap().step, 13);
}
