//! Launches in several threads of the host, which must do what one thread does: the same memory, profiles, faults and
//! warnings.

use ptx_emulator::{Checks, DeviceProperties, Dims, Gpu};

/// The threads of a block.
const THREADS: u32 = 256;

/// The words of the array. The first half of them is initialised.
const WORDS: u32 = 32 * THREADS;

/// The results of a launch, which are its profile or its fault, its warnings, and the array.
#[derive(Debug, PartialEq)]
struct Outcome {
    report: String,
    warnings: Vec<String>,
    words: Vec<u8>,
}

/// Runs a kernel with this body twice. `%rd1` is the address of the array, `%rd2` that of the thread's word in it, `%r1` the
/// index of the thread in the grid, `%r2` in its block, and `%r3` the index of the block. `%r4` is the address of the thread's
/// word in shared memory.
fn run(body: &str, blocks: u32, threads: usize, checks: Checks, timed: bool) -> Outcome {
    let mut gpu = Gpu::new(DeviceProperties::default());
    (gpu.threads, gpu.checks, gpu.timed) = (threads, checks, timed);
    // Instructions without effect make the launch large enough for threads.
    let body = format!("{body}\n{}", "add.u32 %r28, %r1, %r2;\n".repeat(600));
    let text = format!(
        ".version 7.8\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 p)\n{{\n.reg .pred %p<9>;\n\
         .reg .b32 %r<29>; .reg .b64 %rd<9>; .shared .align 4 .b8 block[4096]; ld.param.u64 %rd1, [p];\n\
         mov.u32 %r2, %tid.x; mov.u32 %r3, %ctaid.x; mad.lo.u32 %r1, %r3, {THREADS}, %r2;\n\
         mul.wide.u32 %rd2, %r1, 4; add.u64 %rd2, %rd1, %rd2; shl.b32 %r5, %r2, 2; mov.u32 %r4, block;\n\
         add.u32 %r4, %r4, %r5;\n{body}\nret;\n}}\n"
    );
    let module = gpu.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let array = gpu.allocate(4 * WORDS as usize).expect("the device has memory");
    let words: Vec<u8> = (0..WORDS / 2).flat_map(|i| (i * i + 7).to_le_bytes()).collect();
    assert!(gpu.write(array, &words));
    let mut report = String::new();
    for _ in 0..2 {
        match gpu.launch(&module, "k", Dims::new(blocks, THREADS), &array.to_le_bytes()) {
            Ok(profile) => report += &(profile.table(&["k"]) + &profile.lines()),
            Err(fault) => report += &fault.to_string(),
        }
    }
    let warnings = gpu.take_warnings().iter().map(ToString::to_string).collect();
    Outcome { report, warnings, words: gpu.read(array, 4 * WORDS as usize).expect("the array is allocated") }
}

/// Checks that a kernel with this body does the same in any number of threads, and returns what it does.
#[track_caller]
fn compare(body: &str, blocks: u32, checks: Checks, timed: bool) -> Outcome {
    let one = run(body, blocks, 1, checks, timed);
    for threads in [2, 3, 16] {
        let many = run(body, blocks, threads, checks, timed);
        assert_eq!(one.report, many.report, "{threads} threads, {checks:?}");
        assert_eq!(one.warnings, many.warnings, "{threads} threads, {checks:?}");
        assert!(one.words == many.words, "{threads} threads, {checks:?}: the arrays differ");
    }
    one
}

/// Calls [`compare`] with all checks, with and without a model of cycles. Returns what the kernel does by default.
#[track_caller]
fn check(body: &str, blocks: u32) -> Outcome {
    for checks in [Checks::Memory, Checks::Cuda, Checks::Strict] {
        compare(body, blocks, checks, true);
    }
    compare(body, blocks, Checks::Memory, false);
    compare(body, blocks, Checks::Strict, false);
    compare(body, blocks, Checks::Cuda, false)
}

#[test]
fn independent_blocks_do_the_same() {
    let outcome = check(
        "ld.global.u32 %r6, [%rd2]; st.shared.u32 [%r4], %r6; bar.sync 0; xor.b32 %r7, %r5, 4; mov.u32 %r8, block;\n\
         add.u32 %r7, %r7, %r8; ld.shared.u32 %r6, [%r7]; setp.gt.u32 %p1, %r3, 5; @%p1 mul.lo.u32 %r6, %r6, 3;\n\
         st.global.u32 [%rd2], %r6;",
        16,
    );
    assert!(outcome.report.contains("kernel `k`: 16 blocks"), "{}", outcome.report);
    // Neighbours exchange their values twice, so that each is back.
    assert_eq!(outcome.words[..8], [7u32, 8].map(u32::to_le_bytes).concat());
    // Lanes with addresses apart, of several allocations of pages.
    check(
        "mul.lo.u32 %r6, %r1, 68; rem.u32 %r6, %r6, 16384; cvt.u64.u32 %rd3, %r6; add.u64 %rd3, %rd1, %rd3;\n\
           ld.global.u32 %r7, [%rd3]; add.u64 %rd4, %rd2, 16384; st.global.u32 [%rd4], %r7;",
        16,
    );
}

#[test]
fn blocks_that_read_what_others_write_do_the_same() {
    // Each block reads from the block before, so that values go from the first block to the last one.
    let before = "setp.eq.u32 %p1, %r3, 0; @!%p1 ld.global.u32 %r6, [%rd2+-1024]; @%p1 mov.u32 %r6, %r2;\n\
                  add.u32 %r6, %r6, 1; st.global.u32 [%rd2], %r6;";
    let outcome = check(before, 16);
    assert_eq!(outcome.words[4 * 15 * 256..][..4], 16u32.to_le_bytes());
    // Each block reads from the block behind.
    check("ld.global.u32 %r6, [%rd2+1024]; st.global.u32 [%rd2], %r6;", 15);
}

#[test]
fn blocks_that_write_to_one_place_do_the_same() {
    let outcome = check("st.global.u32 [%rd1], %r3;", 16);
    assert_eq!(outcome.words[..4], 15u32.to_le_bytes());
    check("red.global.add.u32 [%rd1], %r3;", 16);
}

#[test]
fn bytes_of_one_word_from_two_threads_are_both_kept() {
    let outcome = check("cvt.u64.u32 %rd3, %r1; add.u64 %rd3, %rd1, %rd3; st.global.u8 [%rd3+1], %r3;", 16);
    assert_eq!(outcome.words[255..259], [0, 0, 1, 1]);
}

#[test]
fn the_first_fault_and_the_first_warning_are_the_same() {
    let fault = check("setp.lt.u32 %p1, %r3, 11; @!%p1 st.global.u32 [%rd2+131072], %r1;", 16);
    assert!(fault.report.contains("block 11, warp 0, lane 0"), "{}", fault.report);
    let warning = check("setp.lt.u32 %p1, %r3, 11; @!%p1 ld.shared.u32 %r6, [%r4];", 16);
    assert_eq!(warning.warnings.len(), 2);
    assert!(warning.warnings[0].contains("block 11, warp 0, lane 0"), "{}", warning.warnings[0]);
    // The second half of the array is not initialised.
    check("ld.global.u32 %r6, [%rd2];", 32);
}

#[test]
fn a_block_that_waits_for_a_plain_write_of_a_later_block_does_the_same() {
    let outcome = compare(
        "setp.ne.u32 %p1, %r2, 0; @%p1 bra done; setp.eq.u32 %p1, %r3, 1; @%p1 bra writes;\n\
         waits: ld.global.u32 %r6, [%rd1]; setp.ne.u32 %p2, %r6, 77; @%p2 bra waits; bra done;\n\
         writes: mov.u32 %r6, 77; st.global.u32 [%rd1], %r6;\ndone:",
        2,
        Checks::Cuda,
        false,
    );
    assert_eq!(outcome.words[..4], 77u32.to_le_bytes());
}
