//! Prompts, whose positions go through the kernels many at once, against the tokens that samples draw one by one. And samples
//! that several threads divide.
#![allow(missing_docs)]

#[path = "common/models.rs"]
mod models;

use gpu_kernels::shape::Shape;
use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::device::cpu::{Cpu, available};
use microgpt::device::{Device, Sample, State};

use models::{FEW, dataset, nonzero_weights};

/// Models with short blocks and with blocks longer than the rows that go through a layer together.
const MODELS: [ModelConfig; 4] = [
    ModelConfig { n_embd: 34, n_head: 2, n_layer: 2, block_size: 150 },
    ModelConfig { n_embd: 48, n_head: 3, n_layer: 1, block_size: 33 },
    ModelConfig { n_embd: 9, n_head: 3, n_layer: 3, block_size: 17 },
    ModelConfig { n_embd: 16, n_head: 4, n_layer: 1, block_size: 8 },
];

/// Returns the kernels of each instruction set with a model.
fn models(model: ModelConfig) -> Vec<Cpu> {
    let dataset = dataset(&FEW, None);
    let state = State::new(nonzero_weights(model.shape(dataset.tokenizer.vocab_size()).unwrap()));
    let config = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
    available().into_iter().map(|kernels| Cpu::with_kernels(kernels, config, &dataset, &state).unwrap()).collect()
}

/// Returns the likeliest continuations of these starts.
fn continued(cpu: &mut Cpu, starts: &[&[u32]], logprobs: bool) -> Vec<Sample> {
    let config = SampleConfig { top_k: 1, temperature: 0.0, logprobs, ..SampleConfig::default() };
    cpu.extend(&config, &starts.concat(), 0..starts.len() as u64).unwrap()
}

#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn a_prompt_goes_on_as_the_sample_whose_beginning_it_is() {
    for model in MODELS {
        for mut cpu in models(model) {
            let block_size = cpu.shape().block_size();
            let first: Vec<[u32; 1]> = (1..12).map(|token| [token]).collect();
            let whole = continued(&mut cpu, &first.iter().map(<[u32; 1]>::as_slice).collect::<Vec<_>>(), true);
            let whole: Vec<(Vec<u32>, &Sample)> = (first.iter().zip(&whole))
                .filter(|(_, sample)| sample.tokens.len() == block_size)
                .map(|(first, sample)| ([&first[..], &sample.tokens].concat(), sample))
                .collect();
            assert!(whole.len() > 2, "{model:?}: only {} samples fill the block", whole.len());
            for len in [2, 8, 9, 10, 17, 33, 129, 130, 150] {
                for count in [1, 3] {
                    if len > block_size {
                        continue;
                    }
                    let starts: Vec<&[u32]> = whole[..count].iter().map(|(tokens, _)| &tokens[..len]).collect();
                    for (threads, logprobs) in [(1, true), (2, false)] {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                        let samples = pool.install(|| continued(&mut cpu, &starts, logprobs));
                        for (got, (_, expected)) in samples.iter().zip(&whole) {
                            let place = format!("{model:?}, {len} tokens, {count} samples, {threads} threads");
                            assert_eq!(got.tokens, expected.tokens, "{place}");
                            assert!(!logprobs || got.logprobs == expected.logprobs, "{place}");
                        }
                    }
                }
            }
        }
    }
}

// A sample that has ended begins with `<BOS>` while others beside it go on.
#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn a_prompt_ends_where_it_has_a_bos() {
    for mut cpu in models(MODELS[0]) {
        let prompt: Vec<u32> = (0..140).map(|i| 1 + i * 7 % 23).collect();
        let whole = continued(&mut cpu, &[&prompt], true).remove(0);
        for end in [0, 1, 5, 8, 20, 129, 139] {
            let mut cut = prompt.clone();
            cut[end] = 0;
            let samples = continued(&mut cpu, &[&cut, &prompt, &cut], true);
            assert_eq!(samples[1], whole, "{end}");
            if end > 0 {
                assert_eq!(samples[0].tokens, prompt[1..end], "{end}");
                assert_eq!(samples[0].logprobs.len(), end, "{end}");
                assert_eq!(samples[0].logprobs[..end - 1], whole.logprobs[..end - 1], "{end}");
            }
            assert_eq!(samples[0], samples[2], "{end}");
        }
    }
}

/// Wide models, whose products several threads divide. The widths are no multiples of the groups that a thread takes.
const WIDE: [ModelConfig; 2] = [
    ModelConfig { n_embd: 272, n_head: 4, n_layer: 2, block_size: 21 },
    ModelConfig { n_embd: 261, n_head: 29, n_layer: 1, block_size: 21 },
];

#[test]
#[cfg_attr(feature = "race-check", ignore = "too slow under the race checker")]
fn threads_that_divide_a_sample_change_nothing() {
    let config = SampleConfig { temperature: 1.5, logprobs: true, ..SampleConfig::default() };
    let prompt: Vec<u32> = (0..42).map(|i| 1 + i * 5 % 11).collect();
    for model in WIDE {
        for mut cpu in models(model) {
            for (count, len) in [(1, 1), (2, 1), (1, 18), (2, 18)] {
                let starts = &prompt[..count * len];
                let samples = [1, 2, 5].map(|threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| cpu.extend(&config, starts, 0..count as u64).unwrap())
                });
                let [expected, others @ ..] = &samples;
                assert!(expected.iter().any(|sample| sample.tokens.len() > len), "{expected:?}");
                for got in others {
                    assert_eq!(got, expected, "{model:?}, {count} samples of {len} tokens");
                }
            }
        }
    }
}
