//! The program's reports when the GPU's driver fails, tested on the emulated driver, which fails as its settings say.
#![allow(missing_docs)]
#![cfg(cuda)]

mod common;
mod emulated;

use std::fs;
use std::mem::offset_of;
use std::process::Output;

use assert_cmd::cargo::cargo_bin;
use common::NAMES;
use emulated::Emulator;
use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::generate::GenerateArgs;
use gpu_kernels::part::BatchLaunchArgs;
use gpu_kernels::shape::RuntimeShape;
use gpu_kernels::train::TrainModelsArgs;
use microgpt::device::cuda::PTX;
use simt::GPU_WARPS;

/// Runs the program for two steps on the emulator with these settings.
fn run(emulator: &Emulator, settings: &str, device: &str) -> Output {
    run_batch(emulator, settings, device, 1)
}

fn run_batch(emulator: &Emulator, settings: &str, device: &str, batch: usize) -> Output {
    fs::write(emulator.path("names.txt"), NAMES).unwrap();
    let mut command = emulator.command(cargo_bin!("microgpt"), settings);
    command.args(["--steps", "2", "--val-every", "1", "--samples", "2", "--input"]).arg(emulator.path("names.txt"));
    command.args(["--device", device, "--batch", &batch.to_string()]);
    command.output().unwrap()
}

/// Asserts that the run fails with all of `expected` in its report.
#[track_caller]
fn assert_fails(settings: &str, expected: &[&str]) {
    let output = run(&Emulator::new(), settings, "cuda");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{settings}: it fails:\n{stderr}");
    for text in expected.iter().chain(&["error: ", "\nhint: "]) {
        assert!(stderr.contains(text), "{settings}: `{text}` in:\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{settings}:\n{stderr}");
}

#[test]
fn a_missing_device_is_reported_with_a_hint() {
    assert_fails("devices=0", &["the NVIDIA driver finds no GPU", "use `--device cpu`"]);
    assert_fails("fail=cuInit:1:803", &["cuInit", "803", "restart the computer"]);
    assert_fails("fail=cuInit:1:804", &["cuInit", "804", "cuda-compat"]);
    assert_fails("fail=cuInit:1:802", &["cuInit", "802", "nvidia-fabricmanager"]);
    assert_fails("fail=cuInit:1:999", &["cuInit: CUDA_ERROR_UNKNOWN (999)", "nvidia-modprobe", "restart the computer"]);
    assert_fails("fail=cuInit:1:34", &["cuInit: CUDA_ERROR_STUB_LIBRARY (34)", "`stubs`", "LD_LIBRARY_PATH"]);
    assert_fails("fail=cuDevicePrimaryCtxRetain:1:46", &["cannot open the GPU", "exclusive mode"]);
    assert_fails("fail=cuDevicePrimaryCtxRetain:1:OUT_OF_MEMORY", &["cannot open the GPU", "CUDA_ERROR_OUT_OF_MEMORY"]);
}

#[test]
fn an_empty_list_of_visible_devices_is_named() {
    let emulator = Emulator::new();
    fs::write(emulator.path("names.txt"), NAMES).unwrap();
    let mut command = emulator.command(cargo_bin!("microgpt"), "devices=0");
    command.args(["--device", "cuda", "--input"]).arg(emulator.path("names.txt")).env("CUDA_VISIBLE_DEVICES", "");
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("hint: unset CUDA_VISIBLE_DEVICES, which is ``"), "{stderr}");
}

#[test]
fn a_gpu_that_does_not_exist_is_refused_with_the_number_of_those_that_do() {
    let emulator = Emulator::new();
    fs::write(emulator.path("names.txt"), NAMES).unwrap();
    for (gpu, is_there) in [("auto", true), ("0", true), ("3", false)] {
        let mut command = emulator.command(cargo_bin!("microgpt"), "");
        command.args(["--device", "cuda", "--steps", "1", "--samples", "0", "--gpu", gpu, "--input"]);
        let output = command.arg(emulator.path("names.txt")).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), is_there, "{stderr}");
        let error = "error: `--gpu 3`: the NVIDIA driver finds 1 GPU\nhint: choose a GPU from 0 to 0";
        assert_eq!(stderr.contains(error), !is_there, "{stderr}");
    }
}

#[test]
fn an_old_device_or_driver_is_refused_with_what_it_needs() {
    assert_fails(
        "capability=6.1",
        &["too old", "compute capability 6.1", "the kernels need 7.5", "use `--device cpu`"],
    );
    assert_fails("capability=7.0", &["too old", "compute capability 7.0", "CUDA_ARCH=70"]);
    let old = ["the NVIDIA driver is too old: it is for CUDA 9.2", "update the driver to one for CUDA 1"];
    assert_fails("driver=9.2", &old);
    assert_fails("driver=9.2,fail=cuModuleLoadDataEx:*:218", &old);
    // A driver that is new enough refuses the PTX for another reason, which its compiler's log states.
    assert_fails("fail=cuModuleLoadDataEx:*:222", &["CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "update the driver"]);
}

#[test]
fn a_gpu_that_is_divided_or_held_back_is_a_matter_of_nvidia_smi() {
    assert_fails("devices=0", &["`nvidia-smi -L`", "MIG mode", "container"]);
}

// A driver of another machine stands in for none, because the emulator's folder is not on the search path here.
#[cfg(target_os = "linux")]
#[test]
fn without_a_driver_the_subsystem_for_linux_is_told_where_to_install_it() {
    let folder = common::Folder::new();
    let run = |wsl: bool| {
        let mut command = folder.run("--device cuda");
        command.env_remove("LD_LIBRARY_PATH").env_remove("WSL_DISTRO_NAME");
        if wsl {
            command.env("WSL_DISTRO_NAME", "Ubuntu");
        }
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let (linux, wsl) = (run(false), run(true));
    if !linux.starts_with("error: no NVIDIA driver") {
        return eprintln!("skipped: this computer has a driver");
    }
    assert!(linux.contains("hint: install NVIDIA's driver (the CUDA toolkit is not needed)"), "{linux}");
    assert!(
        wsl.contains("hint: install NVIDIA's driver on Windows, not in WSL") && wsl.contains("/usr/lib/wsl/lib"),
        "{wsl}"
    );
}

#[test]
fn too_little_memory_is_reported() {
    assert_fails("memory=64K", &["memory is too small", "lower --n-embd", "--device cpu"]);
    for call in [1, 5, 10] {
        assert_fails(
            &format!("fail=cuMemAlloc:{call}:2"),
            &["cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"],
        );
    }
}

#[test]
fn a_kernel_that_does_not_load_or_run_is_reported() {
    assert_fails("fail=cuModuleLoadDataEx:1:INVALID_PTX", &["cannot compile the kernels", "CUDA_ERROR_INVALID_PTX"]);
    assert_fails("fail=cuModuleGetFunction:1:NOT_FOUND", &["CUDA_ERROR_NOT_FOUND"]);
    assert_fails("fail=cuLaunchKernel:1:LAUNCH_OUT_OF_RESOURCES", &["cannot launch `train", "701"]);
    assert_fails(
        "fail=cuStreamSynchronize:1:ILLEGAL_ADDRESS",
        &["cannot run `train", "CUDA_ERROR_ILLEGAL_ADDRESS (700)"],
    );
    assert_fails("fail=cuMemcpyDtoH:1:ECC_UNCORRECTABLE", &["cannot copy from the GPU", "214"]);
}

#[test]
fn without_a_device_auto_takes_the_cpu() {
    let output = run(&Emulator::new(), "devices=0", "auto");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("CPU"), "{stderr}");
}

// The test also checks the sizes and some fields of the launches' arguments.
#[test]
fn a_run_calls_the_driver_in_order() {
    let emulator = Emulator::new();
    let log = emulator.path("calls.txt");
    let output = run(&emulator, &format!("log={}", log.display()), "cuda");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = fs::read_to_string(log).unwrap();
    let first =
        |call: &str| log.lines().position(|line| line.starts_with(call)).unwrap_or_else(|| panic!("{call}:\n{log}"));
    let order = ["cuInit(", "cuDevicePrimaryCtxRetain(", "cuModuleLoadDataEx(", "cuMemAlloc_v2(", "cuLaunchKernel("];
    assert!(order.map(first).is_sorted(), "{log}");
    assert!(log.lines().all(|line| line.ends_with(" = 0")), "{log}");
    let launches: Vec<_> = log.lines().filter(|line| line.starts_with("cuLaunchKernel(")).collect();
    // A launch trains until the next validation. The last launch of `train` is the trial step.
    let kernels = ["train", "evaluate", "train", "evaluate", "train", "generate"];
    assert_eq!(launches.len(), kernels.len(), "{log}");
    for (launch, kernel) in launches.iter().zip(kernels) {
        let params = launch.split_once("params=").and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
        assert!(launch.contains(&format!("kernel={kernel}")), "{launch}");
        let size = match kernel {
            "train" => size_of::<TrainModelsArgs>(),
            "evaluate" => size_of::<EvaluateArgs>(),
            _ => size_of::<GenerateArgs>(),
        };
        let block = format!("block_x={},", 32 * GPU_WARPS);
        assert!(launch.contains(&block) && params.len() == 2 * size, "{launch}");
        let bytes: Vec<u8> = (0..size).map(|i| u8::from_str_radix(&params[2 * i..2 * i + 2], 16).unwrap()).collect();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        // The first argument is the address of the models' arguments or of the parameters. Allocations have an
        // alignment of 256 bytes.
        assert!(word(0) % 256 == 0 && (word(0), word(4)) != (0, 0), "{launch}");
        if kernel == "train" {
            assert_eq!(word(offset_of!(TrainModelsArgs, steps)), 1, "{launch}");
            assert_eq!(word(offset_of!(TrainModelsArgs, shape) + offset_of!(RuntimeShape, block_size)), 8, "{launch}");
        }
    }
    let count = |call: &str| log.lines().filter(|line| line.starts_with(call)).count();
    assert_eq!(count("cuMemAlloc_v2("), count("cuMemFree_v2("), "{log}");
}

/// Returns the number of steps, documents or samples of each launch of a kernel, which is at `offset` of the arguments.
fn items_of(log: &str, kernel: &str, offset: usize) -> Vec<u32> {
    let of = |line: &&str| line.contains(&format!("kernel={kernel}_shared,"));
    let items = log.lines().filter(of).map(|line| {
        let params = line.split_once("params=").unwrap().1;
        u32::from_str_radix(&params[2 * offset..2 * offset + 8], 16).unwrap().swap_bytes()
    });
    items.collect()
}

// A GPU that drives a display ends a launch after a time limit.
#[test]
fn launches_are_short_where_the_device_has_a_time_limit_and_give_the_same_bits() {
    for args in ["", "--batch 3", "--seeds 2"] {
        let run = |settings: &str| {
            let emulator = Emulator::new();
            fs::write(emulator.path("names.txt"), NAMES).unwrap();
            let mut command = emulator.command(cargo_bin!("microgpt"), &format!("{settings},log=calls.txt"));
            command.args("--device cuda --steps 9 --val-every 9 --val-docs 2 --samples 9 --input names.txt".split(' '));
            command.args(args.split_whitespace()).args(["--save", "model"]).current_dir(emulator.path(""));
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let stdout = common::untimed(&String::from_utf8(output.stdout).unwrap());
            let read = |name| fs::read(emulator.path(name)).unwrap();
            (stdout, read("model"), String::from_utf8(read("calls.txt")).unwrap())
        };
        let (whole, split) = (run("timeout=0"), run("timeout=1"));
        assert!((&whole.0, &whole.1) == (&split.0, &split.1), "{args}: {}{}", whole.0, split.0);
        let (train, steps) = match args {
            "--batch 3" => ("train_batch", offset_of!(BatchLaunchArgs, batch.train.steps)),
            _ => ("train", offset_of!(TrainModelsArgs, steps)),
        };
        let documents = offset_of!(EvaluateArgs, documents);
        for (kernel, offset) in
            [(train, steps), ("evaluate", documents), ("generate", offset_of!(GenerateArgs, samples))]
        {
            let (whole, split) = (items_of(&whole.2, kernel, offset), items_of(&split.2, kernel, offset));
            assert!(split[0] == 1 && split.len() > whole.len(), "{args}: {kernel}: {whole:?} and {split:?}");
            assert_eq!(split.iter().sum::<u32>(), whole.iter().sum::<u32>(), "{args}: {kernel}");
        }
    }
}

#[test]
fn a_launch_that_exceeds_the_time_limit_is_explained() {
    assert_fails("timeout=1,fail=cuStreamSynchronize:1:702", &["CUDA_ERROR_LAUNCH_TIMEOUT (702)", "drives a display"]);
}

// Blocks wait for each other, so the driver must run all blocks at once, or refuse.
#[test]
fn a_batch_is_launched_cooperatively() {
    let emulator = Emulator::new();
    let log = emulator.path("calls.txt");
    let output = run_batch(&emulator, &format!("log={}", log.display()), "cuda", 5);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = fs::read_to_string(log).unwrap();
    let launches = |call: &str| log.lines().filter(|line| line.starts_with(call)).collect::<Vec<_>>();
    let cooperative = launches("cuLaunchCooperativeKernel(");
    assert!(!cooperative.is_empty() && cooperative.iter().all(|line| line.contains("kernel=train_batch")), "{log}");
    assert!(cooperative[0].contains("grid_x=5") && cooperative[0].ends_with(" = 0"), "{log}");
    assert!(launches("cuLaunchKernel(").iter().all(|line| !line.contains("kernel=train")), "{log}");

    let output = run_batch(&emulator, "fail=cuLaunchCooperativeKernel:1:COOPERATIVE_LAUNCH_TOO_LARGE", "cuda", 5);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("cannot launch `train_batch") && stderr.contains("(720)"), "{stderr}");
}

#[test]
fn the_profile_of_a_run_sums_up() {
    let emulator = Emulator::new();
    let profile = emulator.path("profile.txt");
    let output = run(&emulator, &format!("profile={}", profile.display()), "cuda");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let profile = fs::read_to_string(profile).unwrap();
    let train = profile.split("kernel `").nth(1).unwrap();
    assert!(train.starts_with("train"), "{profile}");
    // The rows by kind and the rows by op have the same sum of instructions.
    let (tables, _) = train.split_once("bound of").unwrap();
    let sums: Vec<u64> = tables
        .split("instructions")
        .skip(1)
        .map(|table| {
            table.lines().skip(1).filter_map(|row| row.split_whitespace().nth_back(6)?.parse::<u64>().ok()).sum()
        })
        .collect();
    assert!(sums.len() == 2 && sums[0] == sums[1] && sums[0] > 10_000, "{sums:?}\n{train}");
    let mut rows = vec!["shared memory", "barrier, fence"];
    // The PTX of rustc's backend names the source of all inlined code, so that every instruction belongs to an op, a
    // kernel or an entry. The PTX of Rust-CUDA's compiler lacks line information.
    if PTX.unwrap().compiler.contains("rustc_codegen_nvvm") {
        rows.push("without a line");
    } else {
        rows.extend(["attention", "adamw"]);
        assert!(!train.contains("elsewhere"), "{train}");
    }
    for row in rows {
        assert!(train.contains(row), "{row}:\n{train}");
    }
}
