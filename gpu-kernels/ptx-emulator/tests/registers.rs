//! The registers of compilers, which give each value a register of its own. Registers whose values are not needed at the
//! same time share a slot.

use ptx_emulator::{DeviceProperties, Dims, Gpu};

/// Returns a kernel `k(to)` with this body. `%r1` is the thread's index, and `%r2` the word that the thread writes.
fn kernel(body: &str) -> String {
    format!(
        ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 to)\n{{\n.reg .pred %p<9>;\n\
         .reg .b32 %r<999>; .reg .b64 %rd<9>;\nld.param.u64 %rd1, [to]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 4;\n\
         add.u64 %rd1, %rd1, %rd2;\n{body}\nst.global.u32 [%rd1], %r2;\nret;\n}}\n"
    )
}

/// Checks the word that each of 32 threads writes.
#[track_caller]
fn check(body: &str, expected: impl Fn(u32) -> u32) {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let module = gpu.load(&kernel(body)).unwrap();
    let to = gpu.allocate(128).unwrap();
    gpu.launch(&module, "k", Dims::new(1, 32), &to.to_le_bytes()).unwrap();
    let words = gpu.read(to, 128).unwrap();
    let words: Vec<_> = words.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, (0..32).map(expected).collect::<Vec<_>>());
}

/// Returns a chain of additions of 1, each to the result of the one before.
fn chain(first: usize, last: usize) -> String {
    let additions = (first..last).map(|i| format!("add.u32 %r{}, %r{i}, 1;\n", i + 1));
    additions.collect::<Vec<_>>().concat()
}

#[test]
fn registers_with_disjoint_lifetimes_share_slots() {
    let body = format!("mov.u32 %r100, %r1;\n{}mov.u32 %r2, %r900;", chain(100, 900));
    let mut gpu = Gpu::new(DeviceProperties::default());
    let module = gpu.load(&kernel(&body)).unwrap();
    let slots = module.kernel("k").unwrap().registers.b32.len();
    assert!(slots < 10, "{slots} slots");
    check(&body, |thread| thread + 800);
}

#[test]
fn a_value_outlives_the_other_side_of_a_branch() {
    // Lanes below 7 need %r50 after the other lanes have run the chain.
    let body = format!(
        "mul.lo.u32 %r50, %r1, 5; setp.lt.u32 %p1, %r1, 7; @%p1 bra small;\nmov.u32 %r100, %r1;\n{}mov.u32 %r2, %r300;\n\
         bra end;\nsmall:\nmov.u32 %r2, %r50;\nend:",
        chain(100, 300)
    );
    check(&body, |thread| if thread < 7 { 5 * thread } else { thread + 200 });
}

#[test]
fn a_value_lives_through_all_rounds_of_a_loop() {
    // %r50 is read at the start of the loop and written at its end.
    let body = format!(
        "mov.u32 %r40, 0; mov.u32 %r50, 3; mov.u32 %r2, 0;\nloop:\nadd.u32 %r2, %r2, %r50; mov.u32 %r100, %r40;\n{}\
         mov.u32 %r50, %r200; add.u32 %r40, %r40, 1; setp.le.u32 %p1, %r40, %r1; @%p1 bra loop;",
        chain(100, 200)
    );
    check(&body, |thread| 3 + (0..thread).map(|round| round + 100).sum::<u32>());
}

#[test]
fn a_guarded_write_keeps_the_value_of_other_lanes() {
    let body = format!(
        "add.u32 %r50, %r1, 1000; mov.u32 %r100, %r1;\n{}setp.eq.u32 %p1, %r1, 3; @%p1 mov.u32 %r50, %r140;\n\
         mov.u32 %r2, %r50;",
        chain(100, 140)
    );
    check(&body, |thread| if thread == 3 { 43 } else { thread + 1000 });
}

#[test]
fn a_register_that_is_never_written_is_zero() {
    check(&format!("mov.u32 %r100, %r1;\n{}add.u32 %r2, %r140, %r50;", chain(100, 140)), |thread| thread + 40);
}
