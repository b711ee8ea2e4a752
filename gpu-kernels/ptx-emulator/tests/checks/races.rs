//! Races between warps in shared and global memory, between blocks, and between the lanes of a warp.

use ptx_emulator::{Dims, FaultKind};

use crate::check;

#[test]
fn races_between_warps_are_found() {
    let two_warps = Dims::new(1, 64);
    // Each thread reads what a thread of the other warp writes. The seed decides whether the read or
    // the write comes first.
    let exchange = |barrier| {
        format!(
            "st.shared.u32 [%r5], %r2; bar.sync 0; st.shared.u32 [%r5], %r1; {barrier} xor.b32 %r6, %r3, 128; add.u32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6];"
        )
    };
    let fault = check(two_warps, FaultKind::Race, &exchange("bar.warp.sync -1;"), &exchange("bar.sync 0;"));
    assert!(fault.message.contains("no barrier between"), "{fault}");
    assert_eq!(fault.location.matches("PTX line 9").count(), 2, "{fault}");
    // Each thread writes what a thread of the other warp has read.
    let reverse = |barrier| {
        format!(
            "st.shared.u32 [%r5], %r1; bar.sync 0; ld.shared.u32 %r7, [%r5]; {barrier} xor.b32 %r6, %r3, 128; \
             add.u32 %r6, %r4, %r6; st.shared.u32 [%r6], %r1;"
        )
    };
    check(two_warps, FaultKind::Race, &reverse(""), &reverse("bar.sync 0;"));
    // Each warp writes its own value to the same word. A barrier must separate the two writes.
    let both = |space: &str, base: &str, barrier: &str| {
        format!(
            "setp.lt.u32 %p1, %r1, 32; @%p1 st.{space}.u32 [{base}], 1; {barrier} @!%p1 st.{space}.u32 [{base}], 2;"
        )
    };
    check(two_warps, FaultKind::Race, &both("shared", "%r4", ""), &both("shared", "%r4", "bar.sync 0;"));
    check(two_warps, FaultKind::Race, &both("global", "%rd1", ""), &both("global", "%rd1", "bar.sync 0;"));
    // The same exchanges go through global memory, where the other warp's word is 128 bytes away.
    let other = "xor.b32 %r6, %r3, 128; cvt.u64.u32 %rd3, %r6; add.u64 %rd3, %rd1, %rd3;";
    let write_read = |barrier| format!("{other} st.global.u32 [%rd2], %r1; {barrier} ld.global.u32 %r7, [%rd3];");
    let fault = check(two_warps, FaultKind::Race, &write_read(""), &write_read("bar.sync 0;"));
    assert!(fault.message.contains("no barrier between"), "{fault}");
    let read_write = |barrier| format!("{other} ld.global.u32 %r7, [%rd2]; {barrier} st.global.u32 [%rd3], %r1;");
    check(two_warps, FaultKind::Race, &read_write("bar.warp.sync -1;"), &read_write("bar.sync 0;"));
    // Two warps may write one word of global memory only with atomics.
    check(two_warps, FaultKind::Race, "st.global.u32 [%rd1], %r2;", "red.global.add.u32 [%rd1], 1;");
    // An atomic and a plain access race.
    let mixed = |barrier| format!("red.shared.add.u32 [%r4], 1; {barrier} ld.shared.u32 %r6, [%r4];");
    let start = "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r4], 0; bar.sync 0;";
    let with_start = |rest: String| format!("{start} {rest}");
    check(two_warps, FaultKind::Race, &with_start(mixed("")), &with_start(mixed("bar.sync 0;")));
}

#[test]
fn races_between_blocks_are_found() {
    let two_blocks = Dims::new(2, 1);
    // Block 0 writes a value and then a flag. Block 1 waits for the flag and then reads the value.
    let message = |release: &str, acquire: &str| {
        format!(
            "setp.ne.u32 %p1, %r2, 0; @%p1 bra READ;\n st.global.u32 [%rd1+8], 7;\n {release}\n ret;\n\
             READ: {acquire} setp.eq.u32 %p2, %r6, 0; @%p2 bra READ;\n ld.global.u32 %r7, [%rd1+8];"
        )
    };
    let (release, acquire) = ("st.release.gpu.global.u32 [%rd1], 1;", "ld.acquire.gpu.global.u32 %r6, [%rd1];");
    let fault = check(
        two_blocks,
        FaultKind::Race,
        &message("st.relaxed.gpu.global.u32 [%rd1], 1;", acquire),
        &message(release, acquire),
    );
    assert!(fault.message.contains("no grid barrier between"), "{fault}");
    check(
        two_blocks,
        FaultKind::Race,
        &message(release, "ld.relaxed.gpu.global.u32 %r6, [%rd1];"),
        &message(
            "fence.acq_rel.gpu; atom.global.add.u32 %r8, [%rd1], 1;",
            "ld.volatile.global.u32 %r6, [%rd1]; membar.gl;",
        ),
    );
}

#[test]
fn a_grid_barrier_needs_its_fence() {
    let exchange = |fence| {
        format!(
            "mad.lo.u32 %r10, %r2, 64, %r1; shl.b32 %r10, %r10, 2; cvt.u64.u32 %rd3, %r10; add.u64 %rd3, %rd1, %rd3;\n\
             st.global.u32 [%rd3+1024], %r1; bar.sync 0; setp.ne.u32 %p1, %r1, 0; @%p1 bra JOIN; {fence}\n\
             atom.global.add.u32 %r7, [%rd1], 1; WAIT: ld.acquire.gpu.global.u32 %r8, [%rd1];\n\
             setp.lt.u32 %p2, %r8, 4; @%p2 bra WAIT; JOIN: bar.sync 0;\n\
             xor.b32 %r11, %r10, 256; cvt.u64.u32 %rd4, %r11; add.u64 %rd4, %rd1, %rd4; ld.global.u32 %r12, [%rd4+1024];"
        )
    };
    check(Dims::new(4, 64), FaultKind::Race, &exchange(""), &exchange("fence.acq_rel.gpu;"));
    // A fence of block scope orders only accesses within a block.
    check(Dims::new(4, 64), FaultKind::Race, &exchange("fence.acq_rel.cta;"), &exchange("membar.gl;"));
}

#[test]
fn races_within_a_warp_are_found() {
    let one_warp = Dims::new(1, 32);
    let exchange = |sync| {
        format!(
            "st.shared.u32 [%r5], %r1; {sync} xor.b32 %r6, %r3, 4; add.u32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6];"
        )
    };
    let fault = check(one_warp, FaultKind::Race, &exchange(""), &exchange("bar.warp.sync -1;"));
    assert!(fault.message.contains("bar.warp.sync"), "{fault}");
    // Lanes may write one word only with equal values.
    check(one_warp, FaultKind::Race, "st.shared.u32 [%r4], %r1;", "st.shared.u32 [%r4], 5;");
}
