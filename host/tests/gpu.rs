//! The kernels on a GPU against the CPU, bit for bit. The tests are ignored by default, because they need an NVIDIA GPU
//! and its driver.
//!
//! Run them with `cargo test --release --test gpu -- --ignored`.
//!
//! Without a GPU they run on the emulator, see [`emulated`].
#![allow(missing_docs)]
#![cfg(cuda)]

mod emulated;
#[path = "common/models.rs"]
mod models;
#[path = "common/refusals.rs"]
mod refusals;

use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::Cpu;
use microgpt::device::cuda::{Cuda, CudaModels};
use microgpt::device::{Device, ModelSetup, Models, State, StepLog};
use microgpt::weights::Weights;

use models::{FEW, LARGER, ODD, TILED, dataset, names, nonzero_weights, odd};

/// Trains `steps` steps in launches of `launch` steps. Returns the log, in which a trial step follows each launch, the
/// validation losses after each launch, samples, and the state.
fn run(device: &mut dyn Device, steps: usize, launch: usize, samples: u64) -> (Vec<StepLog>, Vec<u64>, String, State) {
    let (mut log, mut validation) = (Vec::new(), Vec::new());
    for _ in 0..steps / launch {
        log.extend(device.train(launch).unwrap());
        let state = device.download().unwrap();
        log.push(device.trial_step(&state).unwrap());
        validation.push(device.evaluate(50).unwrap().nll.to_bits());
    }
    let drawn =
        SampleConfig { top_k: 5, temperature: 0.6, min_p: 0.0, top_p: 1.0, seed: 42, prompt: &[], logprobs: true };
    // The prompt leaves room for a token.
    let prompt = &[1][..usize::from(device.shape().block_size > 1)];
    let greedy = SampleConfig { top_k: 1, temperature: 0.0, min_p: 0.0, top_p: 1.0, seed: 1, prompt, logprobs: true };
    // The last samples start at an index that exceeds 32 bits.
    let texts = [
        device.generate(&drawn, 0..samples).unwrap(),
        device.generate(&greedy, 0..3).unwrap(),
        device.generate(&drawn, (1 << 40)..(1 << 40) + 7).unwrap(),
    ];
    (log, validation, format!("{texts:?}"), device.download().unwrap())
}

/// Asserts that `gpu` and `cpu` have the same bits. The message has the tensor, the index and both values.
#[track_caller]
fn assert_same_bits(what: &str, gpu: &Weights, cpu: &Weights) {
    for ((tensor, gpu), (_, cpu)) in gpu.tensors().zip(cpu.tensors()) {
        for (i, (gpu, cpu)) in gpu.iter().zip(cpu).enumerate() {
            let (row, col) = (i / tensor.shape()[1], i % tensor.shape()[1]);
            assert!(
                gpu.to_bits() == cpu.to_bits(),
                "{what}: {tensor}[{row}, {col}]: CPU {cpu:e}, GPU {gpu:e}, bound 0"
            );
        }
    }
}

#[track_caller]
fn compare(model: ModelConfig, batch: usize, dataset: &Dataset, steps: usize, launch: usize, samples: u64) {
    let shape = model.shape(dataset.tokenizer.vocab_size()).unwrap();
    let config = TrainConfig { steps: steps as u64, batch, optimizer: OptimizerConfig::default() };
    let state = State::new(Weights::init(shape, 42));
    let mut cuda = Cuda::new(config, dataset, &state).unwrap_or_else(|error| panic!("{}", error.report()));
    let mut cpu = Cpu::new(config, dataset, &state).unwrap();
    let gpu = run(&mut cuda, steps, launch, samples);
    let cpu = run(&mut cpu, steps, launch, samples);
    for (step, (gpu, cpu)) in gpu.0.iter().zip(&cpu.0).enumerate() {
        assert_eq!(gpu, cpu, "{model:?}: step {step}");
    }
    assert_eq!(gpu.1, cpu.1, "{model:?}: validation");
    assert_eq!(gpu.2, cpu.2, "{model:?}: samples");
    for (what, gpu, cpu) in
        [("weights", &gpu.3.weights, &cpu.3.weights), ("m", &gpu.3.m, &cpu.3.m), ("v", &gpu.3.v, &cpu.3.v)]
    {
        assert_same_bits(&format!("{model:?}: {what}"), gpu, cpu);
    }
}

#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn the_default_model_has_the_bits_of_the_cpu() {
    compare(ModelConfig::default(), 1, &names(42), 500, 100, 2000);
}

#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn odd_shapes_have_the_bits_of_the_cpu() {
    let dataset = odd();
    for model in ODD {
        compare(model, 1, &dataset, 24, 8, 40);
    }
}

#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn a_model_in_global_memory_has_the_bits_of_the_cpu() {
    compare(LARGER, 1, &odd(), 6, 3, 20);
}

// There are more documents than shards.
#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn a_large_batch_has_the_bits_of_the_cpu() {
    compare(ModelConfig::default(), 300, &names(42), 2, 2, 20);
}

// The batches have fewer documents than shards, in shared and in global memory.
#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn batches_have_the_bits_of_the_cpu() {
    let odd = odd();
    compare(ODD[1], 5, &odd, 6, 3, 20);
    compare(LARGER, 3, &odd, 2, 1, 3);
}

// The samples need transposed copies of the weights, which the tiled executor does not update.
#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn tiled_steps_have_the_bits_of_the_cpu() {
    let dataset = dataset(&FEW, None);
    for (model, batch) in [(TILED[0], 3), (TILED[1], 5)] {
        let state = State::new(nonzero_weights(model.shape(dataset.tokenizer.vocab_size()).unwrap()));
        let config = TrainConfig { steps: 3, batch, optimizer: OptimizerConfig::default() };
        let run = |device: &mut dyn Device| {
            let mut log = device.train(2).unwrap();
            log.extend(device.train(1).unwrap());
            let sampling = SampleConfig { logprobs: true, ..SampleConfig::default() };
            let samples = device.generate(&sampling, 0..1).unwrap();
            (log, device.evaluate_each(usize::MAX).unwrap(), format!("{samples:?}"), device.download().unwrap())
        };
        let mut cuda = Cuda::new(config, &dataset, &state).unwrap_or_else(|error| panic!("{}", error.report()));
        let (gpu, cpu) = (run(&mut cuda), run(&mut Cpu::new(config, &dataset, &state).unwrap()));
        assert!(cuda.description().ends_with(", tiled"), "{}", cuda.description());
        assert_eq!((gpu.0, gpu.1, gpu.2), (cpu.0, cpu.1, cpu.2), "{model:?}");
        assert_same_bits(&format!("{model:?}: weights"), &gpu.3.weights, &cpu.3.weights);
        assert!(gpu.3 == cpu.3, "{model:?}: moments");
    }
}

/// Returns a data set of a continuous text for this model.
fn continuous(model: ModelConfig) -> Dataset {
    let text: String = (0..2000u32).map(|i| char::from(b'a' + (i * i % 97 + i % 7) as u8 % 26)).collect();
    Dataset::continuous(&text, 3, None, model.block_size).unwrap()
}

// The samples start from tokens other than `<BOS>`, each from its own.
#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn windows_of_a_text_have_the_bits_of_the_cpu() {
    for (model, batch) in [(ModelConfig::default(), 1), (ODD[1], 4), (LARGER, 3)] {
        let dataset = continuous(model);
        compare(model, batch, &dataset, 2, 1, 3);
        let state = State::new(Weights::init(model.shape(dataset.tokenizer.vocab_size()).unwrap(), 1));
        let config = TrainConfig { steps: 1, batch, optimizer: OptimizerConfig::default() };
        let sampling = SampleConfig { logprobs: true, ..SampleConfig::default() };
        for len in [1, 3, model.block_size] {
            let starts: Vec<u32> = (0..11 * len as u32).map(|i| 1 + i * i % 23).collect();
            let gpu = Cuda::new(config, &dataset, &state).unwrap().extend(&sampling, &starts, 5..16).unwrap();
            let cpu = Cpu::new(config, &dataset, &state).unwrap().extend(&sampling, &starts, 5..16).unwrap();
            assert_eq!(gpu, cpu, "{model:?}, {len}");
        }
    }
}

// The models train side by side, each with an optimiser of its own.
#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn seeds_have_the_bits_of_the_cpu() {
    let dataset = names(42);
    for model in [ModelConfig::default(), ODD[1]] {
        let shape = model.shape(dataset.tokenizer.vocab_size()).unwrap();
        let setups: Vec<ModelSetup> = (0..5u32)
            .map(|i| {
                // The first model learns nothing, so its denominators are infinite.
                let learning_rate = 0.002 * f64::from(i);
                let optimizer = OptimizerConfig { learning_rate, ..OptimizerConfig::default() };
                let state = State::new(Weights::init(shape, i.into()));
                ModelSetup { train: TrainConfig { steps: 10, batch: 1, optimizer }, state }
            })
            .collect();
        let mut gpu = CudaModels::new(&dataset, &setups).unwrap_or_else(|error| panic!("{}", error.report()));
        let cpu = setups.iter().map(|setup| Cpu::new(setup.train, &dataset, &setup.state));
        let mut cpu = cpu.collect::<Result<Vec<_>, _>>().unwrap();
        // The third model drops out.
        for active in [[true; 5], [true, true, false, true, true]] {
            let logs =
                [gpu.train(5, &active), Models::train(&mut cpu, 5, &active)].map(|logs| format!("{:?}", logs.unwrap()));
            assert_eq!(logs[0], logs[1], "{model:?}: log");
            assert_eq!(gpu.evaluate(9).unwrap(), Models::evaluate(&mut cpu, 9).unwrap(), "{model:?}: validation");
        }
        for (i, cpu) in cpu.iter_mut().enumerate() {
            let states = (gpu.model(i).download().unwrap(), cpu.download().unwrap());
            assert_same_bits(&format!("{model:?}: weights of {i}"), &states.0.weights, &states.1.weights);
            assert!(states.0 == states.1, "{model:?}: moments of {i}");
        }
    }
}

// The default model divides otherwise on a GPU than on a CPU, and must not meet quotients that it rounds otherwise.
#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn settings_at_the_ends_of_their_ranges_have_the_bits_of_the_cpu() {
    let (dataset, default) = (names(42), OptimizerConfig::default());
    let shape = ModelConfig::default().shape(dataset.tokenizer.vocab_size()).unwrap();
    let state = State::new(Weights::init(shape, 42));
    let ([least_eps, most_eps], [least_norm, most_norm]) = (
        [*OptimizerConfig::EPS.start(), *OptimizerConfig::EPS.end()],
        [*OptimizerConfig::MAX_GRAD_NORM.start(), *OptimizerConfig::MAX_GRAD_NORM.end()],
    );
    let below_one = f64::from(1.0f32.next_down());
    for optimizer in [
        OptimizerConfig { eps: least_eps, ..default },
        OptimizerConfig { eps: most_eps, ..default },
        OptimizerConfig { max_grad_norm: least_norm, ..default },
        OptimizerConfig { max_grad_norm: most_norm, ..default },
        OptimizerConfig { eps: most_eps, max_grad_norm: least_norm, ..default },
        // Learning rates that nearly count as 0, and one that does.
        OptimizerConfig { learning_rate: 1e-10, eps: most_eps, max_grad_norm: least_norm, ..default },
        OptimizerConfig { learning_rate: 1e-17, ..default },
        OptimizerConfig { learning_rate: 1e-38, ..default },
        OptimizerConfig { learning_rate: 0.0, beta1: 0.1, ..default },
        OptimizerConfig { learning_rate: 100.0, ..default },
        // Moments become denormal, because each step begins with weights of nearly 0.
        OptimizerConfig { learning_rate: 1.0, weight_decay: 1.0, beta1: 1e-12, ..default },
        OptimizerConfig { beta1: 0.0, ..default },
        OptimizerConfig { beta2: 0.0, ..default },
        OptimizerConfig { beta1: 0.0, beta2: 0.0, ..default },
        OptimizerConfig { beta1: below_one, beta2: below_one, ..default },
        OptimizerConfig { weight_decay: 0.0, ..default },
        OptimizerConfig { weight_decay: 100.0, ..default },
    ] {
        for (batch, steps) in [(1, 96), (3, 8)] {
            let config = TrainConfig { steps: 2 * steps as u64, batch, optimizer };
            let run = |device: &mut dyn Device| {
                let logs = format!("{:?}", device.train(steps).unwrap());
                (logs, device.download().unwrap())
            };
            let gpu =
                run(&mut Cuda::new(config, &dataset, &state).unwrap_or_else(|error| panic!("{}", error.report())));
            let cpu = run(&mut Cpu::new(config, &dataset, &state).unwrap());
            assert_eq!(gpu.0, cpu.0, "{optimizer:?}: logs");
            for (what, gpu, cpu) in
                [("weights", &gpu.1.weights, &cpu.1.weights), ("m", &gpu.1.m, &cpu.1.m), ("v", &gpu.1.v, &cpu.1.v)]
            {
                assert_same_bits(&format!("{optimizer:?}, batch {batch}: {what}"), gpu, cpu);
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU: run with --ignored where there is one"]
fn what_kernels_do_not_check_is_refused() {
    refusals::assert_refuses_what_kernels_do_not_check(&|config, dataset, state| {
        Ok(Box::new(Cuda::new(config, dataset, state)?))
    });
}

/// The settings of the emulator for blocks and warps in ascending order, and in two permutations.
const ORDERS: [&str; 3] = ["order=0", "order=1", "order=2"];

#[test]
fn the_emulator_gives_the_default_model_the_bits_of_the_cpu() {
    emulated::rerun("the_default_model_has_the_bits_of_the_cpu", ORDERS[0]);
}

#[test]
fn the_emulator_gives_odd_shapes_the_bits_of_the_cpu() {
    for order in ORDERS {
        emulated::rerun("odd_shapes_have_the_bits_of_the_cpu", order);
    }
}

#[test]
fn the_emulator_gives_a_model_in_global_memory_the_bits_of_the_cpu() {
    for order in ORDERS {
        emulated::rerun("a_model_in_global_memory_has_the_bits_of_the_cpu", order);
    }
}

#[test]
fn the_emulator_gives_a_large_batch_the_bits_of_the_cpu() {
    for order in ORDERS {
        emulated::rerun("a_large_batch_has_the_bits_of_the_cpu", order);
    }
    // A device of 3 multiprocessors holds fewer blocks than there are shards.
    emulated::rerun("a_large_batch_has_the_bits_of_the_cpu", "sms=3");
}

#[test]
fn the_emulator_gives_batches_the_bits_of_the_cpu() {
    for order in ORDERS {
        emulated::rerun("batches_have_the_bits_of_the_cpu", order);
    }
    emulated::rerun("batches_have_the_bits_of_the_cpu", "sms=3");
}

#[test]
fn the_emulator_gives_tiled_steps_the_bits_of_the_cpu() {
    emulated::rerun("tiled_steps_have_the_bits_of_the_cpu", ORDERS[1]);
    // A device of 3 multiprocessors gets larger items.
    emulated::rerun("tiled_steps_have_the_bits_of_the_cpu", "sms=3");
}

#[test]
fn the_emulator_gives_windows_of_a_text_the_bits_of_the_cpu() {
    emulated::rerun("windows_of_a_text_have_the_bits_of_the_cpu", ORDERS[1]);
}

#[test]
fn the_emulator_gives_seeds_the_bits_of_the_cpu() {
    for order in ORDERS {
        emulated::rerun("seeds_have_the_bits_of_the_cpu", order);
    }
}

#[test]
fn the_emulator_gives_settings_at_the_ends_of_their_ranges_the_bits_of_the_cpu() {
    emulated::rerun("settings_at_the_ends_of_their_ranges_have_the_bits_of_the_cpu", ORDERS[0]);
}

#[test]
fn the_host_refuses_on_the_emulator_what_kernels_do_not_check() {
    emulated::rerun("what_kernels_do_not_check_is_refused", ORDERS[0]);
}
