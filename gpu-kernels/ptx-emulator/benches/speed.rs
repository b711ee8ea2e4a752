//! The speed of the emulator, in millions of warp-instructions per second on one core, and what more threads
//! save.
//!
//! `cargo bench -p ptx-emulator --bench speed` multiplies two matrices by a tiled kernel with each level of checks. With
//! `-- PROGRAM ARGUMENTS`, it also measures the launches of a program that takes `--steps`, such as
//! `$PWD/target/release/microgpt --device cuda --samples 0 --val-every 0`.

#![allow(missing_docs)]
#![allow(clippy::format_push_string, reason = "the texts are short")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Instant;

use ptx_emulator::{Checks, DeviceProperties, Dims, Gpu};

/// The levels of checks, under their names as settings.
const LEVELS: [(&str, Checks); 3] = [("memory", Checks::Memory), ("cuda", Checks::Cuda), ("strict", Checks::Strict)];

/// The rows and columns of the matrices.
const SIZE: usize = 256;

/// The rows and columns of the result of a block, and of the part that a thread computes.
const TILE: usize = 64;
const PART: usize = 4;

/// The depth of the tiles that a block stages in shared memory.
const DEPTH: usize = 16;

/// Returns a kernel that computes `c = aᵀ b` for square matrices, with the parameters `a`, `b`, `c`. A block has 256 threads
/// and computes 64 by 64 values, 4 by 4 for each thread.
fn product() -> String {
    let mut text = format!(
        ".version 7.0\n.target sm_75\n.address_size 64\n\
         .visible .entry product(.param .u64 a, .param .u64 b, .param .u64 c)\n{{\n\
         .reg .pred %p;\n.reg .b32 %r<20>;\n.reg .b64 %d<20>;\n.reg .f32 %a<4>;\n.reg .f32 %b<4>;\n.reg .f32 %c<16>;\n\
         .shared .align 16 .b8 as[{bytes}];\n.shared .align 16 .b8 bs[{bytes}];\n\
         mov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %ctaid.y;\n\
         ld.param.u64 %d0, [a];\nld.param.u64 %d1, [b];\nld.param.u64 %d2, [c];\n",
        bytes = 4 * TILE * DEPTH
    );
    // A thread stages four values of each tile, in row `tid / 16` and column `4 * (tid % 16)`.
    let row = 4 * SIZE;
    let _ = write!(
        text,
        "shr.u32 %r3, %r0, 4;\nand.b32 %r4, %r0, 15;\nshl.b32 %r5, %r4, 4;\nshl.b32 %r6, %r3, 4;\n\
         mad.lo.u32 %r7, %r3, {row}, %r5;\nmul.lo.u32 %r8, %r1, {tile};\nmul.lo.u32 %r9, %r2, {tile};\n\
         add.u32 %r10, %r7, %r8;\ncvt.u64.u32 %d3, %r10;\nadd.s64 %d0, %d0, %d3;\n\
         add.u32 %r10, %r7, %r9;\ncvt.u64.u32 %d3, %r10;\nadd.s64 %d1, %d1, %d3;\n\
         mov.u32 %r11, as;\nmov.u32 %r12, bs;\nshl.b32 %r13, %r0, 4;\nadd.u32 %r14, %r11, %r13;\n\
         add.u32 %r15, %r12, %r13;\nadd.u32 %r16, %r11, %r6;\nadd.u32 %r17, %r12, %r5;\n",
        tile = 4 * TILE
    );
    (0..PART * PART).for_each(|i| text += &format!("mov.f32 %c{i}, 0f00000000;\n"));
    text += "mov.u32 %r18, 0;\n\
             loop:\nld.global.v4.f32 {%a0, %a1, %a2, %a3}, [%d0];\nld.global.v4.f32 {%b0, %b1, %b2, %b3}, [%d1];\n\
             bar.sync 0;\nst.shared.v4.f32 [%r14], {%a0, %a1, %a2, %a3};\n\
             st.shared.v4.f32 [%r15], {%b0, %b1, %b2, %b3};\nbar.sync 0;\n";
    for k in 0..DEPTH {
        for (register, base) in [("a", 16), ("b", 17)] {
            let list: Vec<_> = (0..PART).map(|i| format!("%{register}{i}")).collect();
            text += &format!("ld.shared.v4.f32 {{{}}}, [%r{base}+{}];\n", list.join(", "), 4 * TILE * k);
        }
        for (i, j) in (0..PART).flat_map(|i| (0..PART).map(move |j| (i, j))) {
            let c = PART * i + j;
            text += &format!("fma.rn.f32 %c{c}, %a{i}, %b{j}, %c{c};\n");
        }
    }
    let _ = write!(
        text,
        "add.s64 %d0, %d0, {step};\nadd.s64 %d1, %d1, {step};\nadd.u32 %r18, %r18, 1;\n\
         setp.lt.u32 %p, %r18, {steps};\n@%p bra loop;\n\
         shl.b32 %r3, %r3, 2;\nmad.lo.u32 %r10, %r1, {TILE}, %r3;\nmad.lo.u32 %r10, %r10, {row}, %r9;\n\
         add.u32 %r10, %r10, %r5;\ncvt.u64.u32 %d3, %r10;\nadd.s64 %d2, %d2, %d3;\n",
        step = row * DEPTH,
        steps = SIZE / DEPTH
    );
    for i in 0..PART {
        let list: Vec<_> = (0..PART).map(|j| format!("%c{}", PART * i + j)).collect();
        text += &format!("st.global.v4.f32 [%d2+{}], {{{}}};\n", row * i, list.join(", "));
    }
    text + "ret;\n}\n"
}

/// Returns the seconds that this thread has run, which do not count other programs. Only Linux tells them, so that elsewhere
/// they are those of the clock.
fn processor_time() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = times.split_whitespace().next().and_then(|time| time.parse::<f64>().ok());
    nanoseconds.map_or_else(|| START.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

/// Returns the seconds of the clock.
fn wall_time() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_secs_f64()
}

/// Returns a matrix of small integers, whose products are exact.
fn matrix(factor: usize) -> Vec<f32> {
    (0..SIZE * SIZE).map(|i| (i * factor % 17) as f32 - 8.0).collect()
}

/// Runs the product, and returns the number of warp-instructions and the seconds, by `clock`.
fn measure_product(checks: Checks, threads: usize, clock: fn() -> f64) -> (u64, f64) {
    let mut gpu = Gpu::new(DeviceProperties::default());
    (gpu.checks, gpu.threads) = (checks, threads);
    let module = gpu.load(&product()).expect("the kernel is valid");
    let matrices = [matrix(7), matrix(11)];
    let mut upload = |values: &[f32]| {
        let address = gpu.allocate(4 * values.len()).expect("the memory suffices");
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert!(gpu.write(address, &bytes));
        address
    };
    let addresses = [upload(&matrices[0]), upload(&matrices[1]), upload(&matrices[0])];
    let params: Vec<u8> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
    let blocks = (SIZE / TILE) as u32;
    let dims = Dims { grid: [blocks, blocks, 1], ..Dims::new(1, 256) };
    let start = clock();
    let profile = gpu.launch(&module, "product", dims, &params).expect("the kernel has no fault");
    let seconds = clock() - start;
    let executed = profile.instructions.iter().map(|counts| counts.executed).sum();
    let bytes = gpu.read(addresses[2], 4 * SIZE * SIZE).expect("the result is there");
    for (row, column) in [(0, 0), (3, 200), (77, 5), (255, 255)] {
        let [a, b] = &matrices;
        let expected: f32 = (0..SIZE).map(|k| a[SIZE * k + row] * b[SIZE * k + column]).sum();
        let at = 4 * (SIZE * row + column);
        let found = f32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        assert_eq!(found.to_bits(), expected.to_bits(), "row {row}, column {column}");
    }
    (executed, seconds)
}

/// Runs a program with a number of steps on the emulator with these settings. Returns the seconds.
fn run(program: &[String], steps: &str, settings: &str) -> f64 {
    let folder = std::env::temp_dir().join(format!("ptx-emulator-speed-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    let deps = std::env::current_exe().expect("the benchmark has a path");
    let library = deps.with_file_name("libptx_emulator.so");
    fs::copy(&library, folder.join("libcuda.so.1")).unwrap_or_else(|error| panic!("{}: {error}", library.display()));
    let start = Instant::now();
    let mut command = Command::new(Path::new(&program[0]));
    command.args(&program[1..]).args(["--steps", steps]).env("LD_LIBRARY_PATH", &folder).env("PTX_EMULATOR", settings);
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", program[0]));
    let seconds = start.elapsed().as_secs_f64();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let _ = fs::remove_dir_all(folder);
    seconds
}

/// Returns the number of warp-instructions of a program with a number of steps, from its profile.
fn executed(program: &[String], steps: &str) -> u64 {
    let profile = std::env::temp_dir().join(format!("ptx-emulator-speed-{}.txt", std::process::id()));
    run(program, steps, &format!("profile={}", profile.display()));
    let text = fs::read_to_string(&profile).expect("the emulator has written a profile");
    let _ = fs::remove_file(profile);
    let mut sum = 0;
    for table in text.split("\nkind ").skip(1) {
        for row in table.lines().skip(1).take_while(|row| !row.is_empty()) {
            sum += row.split_whitespace().rev().nth(6).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

fn print(name: &str, level: &str, (executed, seconds): (u64, f64)) {
    println!(
        "{name:<12} checks={level:<8} {executed:>10} warp-instructions {:>8.1} M/s",
        executed as f64 / seconds / 1e6
    );
}

fn main() {
    let program: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let best = |checks, threads, clock| {
        let runs = (0..5).map(|_| measure_product(checks, threads, clock));
        runs.min_by(|a, b| a.1.total_cmp(&b.1)).expect("five runs")
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for (level, checks) in LEVELS {
        print("product", level, best(checks, 1, processor_time));
        let [one, all] = [1, threads].map(|threads| best(checks, threads, wall_time).1);
        println!("{:<12} checks={level:<8} {threads} threads take {:.2} of the time of one", "", all / one);
    }
    if program.is_empty() {
        return;
    }
    // The difference of two runs leaves out the start of the program.
    let [few, many] = ["2", "42"];
    let counted = executed(&program, many) - executed(&program, few);
    for (level, _) in LEVELS {
        let settings = format!("checks={level}");
        let least = |steps| (0..3).map(|_| run(&program, steps, &settings)).fold(f64::INFINITY, f64::min);
        print("program", level, (counted, least(many) - least(few)));
    }
}
