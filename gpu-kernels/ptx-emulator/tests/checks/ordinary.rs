//! Valid CUDA, which the default checks must accept, beside the faults that they must find.

use ptx_emulator::{Checks, DeviceProperties, Dims, Fault, FaultKind, Gpu};

use crate::launch_on;

/// Runs a kernel with this body under the given checks in an order of blocks and warps.
fn launch(body: &str, dims: Dims, checks: Checks, order: u64) -> Result<(), Box<Fault>> {
    let mut gpu = Gpu::new(DeviceProperties::default());
    (gpu.order, gpu.checks) = (order, checks);
    launch_on(&mut gpu, body, dims)
}

/// Checks in three orders that a body passes.
#[track_caller]
fn passes(dims: Dims, checks: Checks, body: &str) {
    for order in [0, 1, 2] {
        launch(body, dims, checks, order).unwrap_or_else(|fault| panic!("{checks:?}, order {order}: {fault}\n{body}"));
    }
}

/// Checks in three orders that a body has a fault of this kind.
#[track_caller]
fn fails(dims: Dims, checks: Checks, kind: FaultKind, body: &str) {
    for order in [0, 1, 2] {
        let fault = launch(body, dims, checks, order).expect_err(body);
        assert_eq!(fault.kind, kind, "{checks:?}, order {order}: {fault}\n{body}");
    }
}

const ONE_WARP: Dims = Dims { grid: [1, 1, 1], block: [32, 1, 1], shared: 0, cluster: [1; 3] };
const TWO_WARPS: Dims = Dims { grid: [1, 1, 1], block: [64, 1, 1], shared: 0, cluster: [1; 3] };

#[test]
fn the_bytes_of_a_word_may_belong_to_different_threads() {
    // Thread t of warp w owns byte 2 t + w, so that each word has two bytes of each warp.
    let own = "and.b32 %r6, %r1, 31; shl.b32 %r6, %r6, 1; shr.u32 %r7, %r1, 5; add.u32 %r6, %r6, %r7; add.u32 %r6, %r6, %r4;\n\
               st.shared.u8 [%r6], %r1; ld.shared.u8 %r8, [%r6]; st.shared.u8 [%r6], %r8; ld.shared.u8 %r8, [%r6];";
    passes(TWO_WARPS, Checks::Strict, own);
    // The byte beside the own one belongs to the other warp.
    let other = |barrier: &str| format!("{own} {barrier} xor.b32 %r6, %r6, 1; ld.shared.u8 %r8, [%r6];");
    fails(TWO_WARPS, Checks::Cuda, FaultKind::Race, &other(""));
    passes(TWO_WARPS, Checks::Strict, &other("bar.sync 0;"));
    // A whole word contains the bytes of the other warp.
    let word = |barrier: &str| format!("{own} {barrier} and.b32 %r6, %r6, -4; ld.shared.u32 %r8, [%r6];");
    fails(TWO_WARPS, Checks::Cuda, FaultKind::Race, &word(""));
    passes(TWO_WARPS, Checks::Strict, &word("bar.sync 0;"));
}

#[test]
fn warps_may_store_an_equal_value() {
    let store = "st.shared.u32 [%r4], 5; ld.shared.u32 %r6, [%r4]; st.shared.u32 [%r4], %r6; bar.sync 0; ld.shared.u32 %r6, [%r4];";
    passes(TWO_WARPS, Checks::Cuda, store);
    fails(TWO_WARPS, Checks::Strict, FaultKind::Race, store);
    // The values of the two warps differ.
    fails(TWO_WARPS, Checks::Cuda, FaultKind::Race, "shr.u32 %r6, %r1, 5; st.shared.u32 [%r4], %r6;");
}

#[test]
fn the_lanes_of_a_store_may_write_one_word() {
    let store = "st.shared.u32 [%r4], %r1; ld.shared.u32 %r6, [%r4];";
    passes(ONE_WARP, Checks::Cuda, store);
    fails(ONE_WARP, Checks::Strict, FaultKind::Race, store);
}

#[test]
fn the_lanes_of_a_part_of_a_warp_synchronise() {
    // The members are the half-warp of the lane, and then the lane and its neighbour.
    let tile = "and.b32 %r6, %r1, 16; shl.b32 %r7, 0xffff, %r6;";
    let pair = "and.b32 %r6, %r1, 30; shl.b32 %r7, 3, %r6;";
    let exchange = |members: &str, distance: u32, sync: &str| {
        format!(
            "{members} st.shared.u32 [%r5], %r1; {sync} xor.b32 %r8, %r1, {distance}; shl.b32 %r8, %r8, 2; \
             add.u32 %r8, %r4, %r8; ld.shared.u32 %r9, [%r8];"
        )
    };
    let sync = "bar.warp.sync %r7;";
    passes(ONE_WARP, Checks::Strict, &exchange(tile, 8, sync));
    passes(ONE_WARP, Checks::Strict, &exchange(pair, 1, sync));
    fails(ONE_WARP, Checks::Cuda, FaultKind::Race, &exchange(tile, 8, ""));
    fails(ONE_WARP, Checks::Cuda, FaultKind::Race, &exchange(tile, 16, sync));
    fails(ONE_WARP, Checks::Cuda, FaultKind::Race, &exchange(pair, 2, sync));
    // The order is transitive: each pair hears of the other pair of its quad through one of its lanes.
    let quad = "and.b32 %r6, %r1, 28; shl.b32 %r7, 6, %r6; and.b32 %r10, %r1, 3; sub.u32 %r10, %r10, 1; \
                setp.lt.u32 %p1, %r10, 2; @%p1 bar.warp.sync %r7; and.b32 %r6, %r1, 30; shl.b32 %r7, 3, %r6; bar.warp.sync %r7;";
    passes(ONE_WARP, Checks::Strict, &exchange(pair, 3, &format!("{sync} {quad}")));
    fails(ONE_WARP, Checks::Cuda, FaultKind::Race, &exchange(pair, 3, &format!("{sync} {sync}")));
}

#[test]
fn the_lanes_of_one_instruction_may_form_groups() {
    let groups = "and.b32 %r6, %r1, 16; shl.b32 %r7, 0xffff, %r6; and.b32 %r8, %r1, 1; setp.eq.u32 %p1, %r8, 1;\n\
         shl.b32 %r9, 0xaaaa, %r6; vote.sync.ballot.b32 %r10, %p1, %r7; setp.ne.u32 %p2, %r10, %r9; @%p2 trap;\n\
         redux.sync.max.u32 %r10, %r1, %r7; add.u32 %r11, %r6, 15; setp.ne.u32 %p2, %r10, %r11; @%p2 trap;\n\
         match.any.sync.b32 %r10, %r8, %r7; and.b32 %r11, %r10, %r9; selp.b32 %r12, %r9, 0, %p1; setp.ne.u32 %p2, %r11, %r12;\n\
         @%p2 trap; shfl.sync.bfly.b32 %r10, %r1, 8, 31, %r7; xor.b32 %r11, %r1, 8; setp.ne.u32 %p2, %r10, %r11; @%p2 trap;";
    passes(ONE_WARP, Checks::Strict, groups);
    // Lane 0 names lane 1, which names itself alone.
    let torn = "setp.eq.u32 %p1, %r1, 0; selp.b32 %r7, 3, 0, %p1; shl.b32 %r8, 1, %r1; or.b32 %r7, %r7, %r8; bar.warp.sync %r7;";
    fails(ONE_WARP, Checks::Cuda, FaultKind::Shuffle, torn);
}

#[test]
fn a_shuffle_may_read_a_lane_that_is_not_a_member() {
    // The second half of the warp does not exist.
    let half = Dims { block: [16, 1, 1], ..ONE_WARP };
    passes(half, Checks::Cuda, "shfl.sync.down.b32 %r6, %r1, 8, 31, -1;");
    fails(half, Checks::Strict, FaultKind::Shuffle, "shfl.sync.down.b32 %r6, %r1, 8, 31, -1;");
}

#[test]
fn threads_may_exit_before_a_barrier() {
    for threads in [16, 32, 48] {
        let exit = format!("setp.ge.u32 %p1, %r1, {threads}; @%p1 exit; bar.sync 0;");
        passes(TWO_WARPS, Checks::Cuda, &exit);
    }
    let exit = "setp.ge.u32 %p1, %r1, 32; @%p1 exit; bar.sync 0;";
    fails(TWO_WARPS, Checks::Strict, FaultKind::Barrier, exit);
    // A wait at another barrier is a fault.
    let other = "setp.ge.u32 %p1, %r1, 32; @%p1 bar.sync 1; @!%p1 bar.sync 0;";
    fails(TWO_WARPS, Checks::Cuda, FaultKind::Barrier, other);
}

#[test]
fn releases_of_block_scope_order_the_warps_of_each_block() {
    let blocks = Dims { grid: [3, 1, 1], ..TWO_WARPS };
    // Warp 0 stores a value and then a flag. Warp 1 waits for the flag and then reads the value.
    let message = |release: &str, acquire: &str| {
        format!(
            "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r4], 0; bar.sync 0; setp.lt.u32 %p1, %r1, 32; @!%p1 bra READ;\n\
             st.shared.u32 [%r5+128], %r1; bar.warp.sync -1; setp.eq.u32 %p1, %r1, 0; @!%p1 bra END; {release} bra END;\n\
             READ: {acquire} setp.eq.u32 %p2, %r6, 0; @%p2 bra READ; ld.shared.u32 %r7, [%r5+0]; END:"
        )
    };
    let (release, acquire) = ("st.release.cta.shared.u32 [%r4], 1;", "ld.acquire.cta.shared.u32 %r6, [%r4];");
    passes(blocks, Checks::Strict, &message(release, acquire));
    let fences = message(
        "membar.cta; st.volatile.shared.u32 [%r4], 1;",
        "ld.volatile.shared.u32 %r6, [%r4]; fence.acq_rel.cta;",
    );
    passes(blocks, Checks::Strict, &fences);
    fails(blocks, Checks::Cuda, FaultKind::Race, &message("st.relaxed.cta.shared.u32 [%r4], 1;", acquire));
    fails(blocks, Checks::Cuda, FaultKind::Race, &message(release, "ld.volatile.shared.u32 %r6, [%r4];"));
}

#[test]
fn a_write_may_follow_the_reads_of_warps_that_arrived_at_different_times() {
    let warps = Dims { block: [96, 1, 1], ..ONE_WARP };
    // Warps 1 and 2 read a word, and warp 0 then overwrites it.
    let overwrite = |arrive: &str, wait: &str| {
        format!(
            "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r4], 1; bar.sync 0; setp.ge.u32 %p1, %r1, 32; @%p1 bra READ;\n\
             {wait} setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r4], 2; bra END;\n\
             READ: ld.shared.u32 %r6, [%r4]; {arrive} END:"
        )
    };
    passes(warps, Checks::Strict, &overwrite("bar.arrive 1, 96;", "bar.sync 1, 96;"));
    fails(warps, Checks::Cuda, FaultKind::Race, &overwrite("", ""));
}

#[test]
fn volatile_and_atomic_accesses_do_not_race() {
    let exchange = |store: &str, load: &str| {
        format!("{store} [%r5], %r1; xor.b32 %r6, %r3, 132; add.u32 %r6, %r4, %r6; {load} %r7, [%r6];")
    };
    passes(TWO_WARPS, Checks::Cuda, &exchange("st.volatile.shared.u32", "ld.volatile.shared.u32"));
    passes(TWO_WARPS, Checks::Cuda, &exchange("red.shared.add.u32", "ld.relaxed.cta.shared.u32"));
    fails(TWO_WARPS, Checks::Cuda, FaultKind::Race, &exchange("st.volatile.shared.u32", "ld.shared.u32"));
    // Lanes 0 and 32 read a word plainly, which only lane 0 writes. Lane 32 reads it by a strong access too.
    let own = "and.b32 %r6, %r1, 31; setp.ne.u32 %p1, %r6, 0; @%p1 exit; setp.eq.u32 %p1, %r1, 0; @%p1 st.volatile.shared.u32 [%r4], 1;\n\
               @%p1 ld.shared.u32 %r7, [%r4]; @!%p1 ld.volatile.shared.u32 %r7, [%r4]; @%p1 st.volatile.shared.u32 [%r4], 2;";
    passes(TWO_WARPS, Checks::Cuda, own);
}

#[test]
fn the_default_checks_leave_out_races_and_unwritten_bytes_of_global_memory() {
    for (kind, body) in [
        (FaultKind::Race, "st.global.u32 [%rd1], %r1; ld.global.u32 %r6, [%rd1];"),
        (FaultKind::Uninitialised, "ld.global.u32 %r6, [%rd1+2048];"),
        (FaultKind::Uninitialised, "ld.local.u32 %r6, [stack];"),
    ] {
        passes(TWO_WARPS, Checks::Cuda, body);
        fails(TWO_WARPS, Checks::Strict, kind, body);
    }
}

#[test]
fn a_launch_warns_once_of_uninitialised_shared_memory() {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let read = "ld.shared.u32 %r6, [%r4]; ld.shared.u32 %r6, [%r4+4];";
    for _ in 0..2 {
        launch_on(&mut gpu, read, TWO_WARPS).expect("a warning is not a fault");
        let warnings = gpu.take_warnings();
        assert_eq!(
            warnings.iter().map(|warning| (warning.kind, warning.line)).collect::<Vec<_>>(),
            [(FaultKind::Uninitialised, 9)]
        );
    }
    launch_on(&mut gpu, "st.shared.u32 [%r5], 1; ld.shared.u32 %r6, [%r5];", ONE_WARP)
        .expect("the word is initialised");
    assert!(gpu.take_warnings().is_empty());
    fails(ONE_WARP, Checks::Strict, FaultKind::Uninitialised, read);
    gpu.checks = Checks::Memory;
    launch_on(&mut gpu, &format!("{read} st.shared.u32 [%r4], %r1;"), TWO_WARPS).expect("races are not looked for");
    assert!(gpu.take_warnings().is_empty());
    fails(ONE_WARP, Checks::Memory, FaultKind::OutOfBounds, "ld.shared.u32 %r6, [%r4+4096];");
}

#[test]
fn a_long_computation_without_stores_is_progress() {
    let body = "mov.u32 %r6, 0; L: add.u32 %r6, %r6, 1; setp.lt.u32 %p1, %r6, 400000; @%p1 bra L;";
    launch(body, ONE_WARP, Checks::Cuda, 0).expect("the loop ends");
    let fault = launch(body, ONE_WARP, Checks::Strict, 0).expect_err("the loop changes nothing for long");
    assert_eq!(fault.kind, FaultKind::NoProgress, "{fault}");
}

#[test]
fn one_load_may_read_several_state_spaces() {
    // Lanes 0 to 15 read shared memory at the offsets at which the local memory of lanes 16 to 31 lies.
    let body = "st.local.u32 [stack], 2; add.u32 %r6, %r1, 16; shl.b32 %r6, %r6, 4; add.u32 %r6, %r6, %r4; st.shared.u32 [%r6], 1;\n\
         cvt.u64.u32 %rd3, %r6; cvta.shared.u64 %rd3, %rd3; mov.u64 %rd4, stack; cvta.local.u64 %rd4, %rd4;\n\
         setp.lt.u32 %p1, %r1, 16; selp.b64 %rd3, %rd3, %rd4, %p1; ld.u32 %r7, [%rd3]; selp.b32 %r8, 1, 2, %p1;\n\
         setp.ne.u32 %p2, %r7, %r8; @%p2 trap;";
    passes(ONE_WARP, Checks::Strict, body);
}
