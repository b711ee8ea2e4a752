//! Asynchronous copies, barriers in shared memory, and clusters.

use ptx_emulator::{DeviceProperties, Dims, FaultKind, Gpu};

/// Returns the kernel `k(from, to)` with some directives, around a body. `%t` is the thread in the block, `%s` the
/// address of the block's shared memory, and `%at` and `%to` are the addresses of the thread's words in the grid.
fn kernel(directives: &str, body: &str) -> String {
    format!(
        ".version 8.3\n.target sm_90\n.address_size 64\n\
         .visible .entry k(.param .u64 from, .param .u64 to) {directives}\n{{\n\
         .reg .b64 %at, %to, %r, %i, %state; .reg .b32 %t, %c, %n, %s, %x, %y, %z; .reg .pred %p, %q;\n\
         .shared .align 16 .b8 block[2048];\n\
         ld.param.u64 %at, [from]; ld.param.u64 %to, [to]; mov.u32 %t, %tid.x; mov.u32 %c, %ctaid.x; mov.u32 %n, %ntid.x;\n\
         mad.lo.u32 %x, %c, %n, %t; mad.wide.u32 %at, %x, 4, %at; mad.wide.u32 %to, %x, 4, %to; mov.u32 %s, block;\n\
         mov.u32 %x, 0;\n{body}\nst.global.u32 [%to], %x;\nret;\n}}\n"
    )
}

/// Runs a kernel on the words `3 * i + 1` and returns the word of each thread.
fn run(ptx: &str, dims: Dims) -> Result<Vec<u32>, FaultKind> {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let module = gpu.load(ptx).unwrap_or_else(|error| panic!("{error}\n{ptx}"));
    let n = (dims.blocks().unwrap() * dims.threads().unwrap()) as usize;
    let (from, to) = (gpu.allocate(4 * n).unwrap(), gpu.allocate(4 * n).unwrap());
    let words: Vec<u8> = (0..n as u32).flat_map(|i| (3 * i + 1).to_le_bytes()).collect();
    assert!(gpu.write(from, &words));
    let params: Vec<u8> = [from, to].iter().flat_map(|x| x.to_le_bytes()).collect();
    gpu.launch(&module, "k", dims, &params).map_err(|fault| {
        println!("{fault}");
        fault.kind
    })?;
    let bytes = gpu.read(to, 4 * n).unwrap();
    Ok(bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect())
}

#[test]
fn an_asynchronous_copy_fills_the_bytes_beyond_its_source_with_zeros() {
    // Only the first 16 threads read words of the source.
    let sum = |thread: u32, words: u32| (0..words).map(|i| 3 * (4 * thread + i) + 1).sum::<u32>();
    let bytes = |thread: u32| 2 * (thread % 4);
    let body = |rest: &str| {
        format!(
            "mad.lo.u32 %s, %t, 16, %s; and.b32 %y, %t, 3; mul.lo.u32 %y, %y, 2; setp.eq.u32 %p, %y, 4;
             mad.wide.u32 %at, %t, 12, %at; setp.ge.u32 %q, %t, 16; @%q bra end;
             cp.async.cg.shared.global [%s], [%at], 16{rest}; cp.async.wait_all;
             ld.shared.v4.u32 {{%x, %y, %z, %c}}, [%s]; add.u32 %x, %x, %y; add.u32 %x, %x, %z; add.u32 %x, %x, %c; end:"
        )
    };
    for (thread, found) in (0..16).zip(run(&kernel("", &body("")), Dims::new(1, 64)).unwrap()) {
        assert_eq!(found, sum(thread, 4));
    }
    for (thread, found) in (0..16).zip(run(&kernel("", &body(", %y")), Dims::new(1, 64)).unwrap()) {
        let mask = u32::MAX.checked_shr(32 - 8 * bytes(thread).min(4)).unwrap_or(0);
        let second = if bytes(thread) > 4 { (3 * (4 * thread + 1) + 1) & 0xffff } else { 0 };
        assert_eq!(found, ((12 * thread + 1) & mask) + second, "thread {thread}");
    }
    for (thread, found) in (0..16).zip(run(&kernel("", &body(", %p")), Dims::new(1, 64)).unwrap()) {
        assert_eq!(found, if thread % 4 == 2 { 0 } else { sum(thread, 4) });
    }
}

/// Threads that write their words, arrive at a barrier of 64 threads, wait in a loop, and read the word of a thread in the
/// other warp.
fn exchange(arrive: &str, wait: &str) -> String {
    format!(
        "setp.ne.u32 %p, %t, 0; @!%p mbarrier.init.shared.b64 [%s+1024], 64; bar.sync 0;
         ld.global.u32 %y, [%at]; mad.lo.u32 %z, %t, 4, %s; st.shared.u32 [%z], %y;
         {arrive}
         again: {wait} @!%p bra again;
         xor.b32 %z, %t, 35; mad.lo.u32 %z, %z, 4, %s; ld.shared.u32 %x, [%z];"
    )
}

#[test]
fn a_barrier_in_shared_memory_orders_the_accesses_before_and_after_it() {
    for (arrive, wait) in [
        (
            "mbarrier.arrive.shared::cta.b64 %state, [%s+1024];",
            "mbarrier.test_wait.shared::cta.b64 %p, [%s+1024], %state;",
        ),
        (
            "mbarrier.arrive.release.cta.shared.b64 _, [%s+1024];",
            "mbarrier.try_wait.parity.acquire.cta.shared.b64 %p, [%s+1024], 0;",
        ),
        (
            "mbarrier.arrive.expect_tx.shared.b64 _, [%s+1024], 8; mbarrier.complete_tx.shared.b64 [%s+1024], 8;",
            "mbarrier.try_wait.parity.shared.b64 %p, [%s+1024], 0, 100;",
        ),
        (
            "cp.async.mbarrier.arrive.noinc.shared.b64 [%s+1024];",
            "mbarrier.test_wait.parity.shared.b64 %p, [%s+1024], 0;",
        ),
    ] {
        let found = run(&kernel("", &exchange(arrive, wait)), Dims::new(1, 64)).unwrap();
        assert_eq!(found, (0..64).map(|i| 3 * (i ^ 0x23) + 1).collect::<Vec<_>>(), "{arrive}");
    }
    let relaxed = exchange(
        "mbarrier.arrive.relaxed.cta.shared.b64 _, [%s+1024];",
        "mbarrier.test_wait.parity.relaxed.cta.shared.b64 %p, [%s+1024], 0;",
    );
    assert_eq!(run(&kernel("", &relaxed), Dims::new(1, 64)), Err(FaultKind::Race));
}

#[test]
fn a_barrier_counts_phases_drops_and_pending_arrivals() {
    let body = "setp.ne.u32 %p, %t, 0; @%p bra end; mbarrier.init.shared.b64 [%s], 2;
        mbarrier.arrive.shared.b64 %state, [%s]; mbarrier.pending_count.b64 %x, %state;
        mbarrier.test_wait.shared.b64 %p, [%s], %state; @%p add.u32 %x, %x, 100;
        mbarrier.arrive_drop.shared.b64 _, [%s]; mbarrier.test_wait.shared.b64 %p, [%s], %state; @%p add.u32 %x, %x, 10;
        mbarrier.arrive.shared.b64 %state, [%s]; mbarrier.pending_count.b64 %y, %state; mad.lo.u32 %x, %y, 1000, %x;
        mbarrier.test_wait.parity.shared.b64 %p, [%s], 1; @%p add.u32 %x, %x, 10000; end:";
    assert_eq!(run(&kernel("", body), Dims::new(1, 1)).unwrap(), [2 + 10 + 1000 + 10_000]);
    let twice = "mbarrier.init.shared.b64 [%s], 1; mbarrier.arrive.shared.b64 _, [%s], 2;";
    assert_eq!(run(&kernel("", twice), Dims::new(1, 1)), Err(FaultKind::Barrier));
}

#[test]
fn one_lane_of_the_members_is_elected() {
    let body = "setp.lt.u32 %p, %t, 20; @%p bra end; elect.sync %y|%q, 0xfff00000; selp.u32 %x, 1, 0, %q;
        mad.lo.u32 %x, %y, 10, %x; end:";
    let found = run(&kernel("", body), Dims::new(1, 32)).unwrap();
    let expected = |i: u32| if i < 20 { 0 } else { 200 + u32::from(i == 20) };
    assert_eq!(found, (0..32).map(expected).collect::<Vec<_>>());
}

/// A kernel whose blocks read the word of the next block of their cluster between two barriers of the cluster.
const NEXT: &str = "mad.lo.u32 %z, %t, 4, %s; ld.global.u32 %y, [%at]; st.shared.u32 [%z], %y;
    barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;
    mov.u32 %x, %cluster_ctarank; mov.u32 %y, %cluster_nctarank; add.u32 %x, %x, 1; rem.u32 %x, %x, %y;
    mapa.shared::cluster.u32 %z, %z, %x; getctarank.shared::cluster.u32 %y, %z; ld.shared::cluster.u32 %x, [%z];
    mad.lo.u32 %x, %y, 10000, %x; barrier.cluster.arrive; barrier.cluster.wait;";

#[test]
fn blocks_of_a_cluster_read_each_others_shared_memory() {
    let expected = |i: u32| {
        let (block, thread) = (i / 64, i % 64);
        let (cluster, rank) = (block / 4, (block % 4 + 1) % 4);
        3 * (64 * (4 * cluster + rank) + thread) + 1 + 10_000 * rank
    };
    let expected: Vec<_> = (0..8 * 64).map(expected).collect();
    let required = kernel(".reqnctapercluster 4, 1, 1", NEXT);
    assert_eq!(run(&required, Dims::new(8, 64)).unwrap(), expected);
    let cluster = Dims { cluster: [4, 1, 1], ..Dims::new(8, 64) };
    assert_eq!(run(&kernel("", NEXT), cluster).unwrap(), expected);
    let without = NEXT.replacen("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;", "", 1);
    assert_eq!(run(&kernel("", &without), cluster), Err(FaultKind::Race));
    let late = "setp.lt.u32 %p, %c, 3; @%p bra now; nanosleep.u32 9; nanosleep.u32 9; now: ld.shared::cluster";
    let early = NEXT.replace("barrier.cluster.arrive; barrier.cluster.wait;", "").replace("ld.shared::cluster", late);
    assert_eq!(run(&kernel("", &early), cluster), Err(FaultKind::OutOfBounds), "a block exits too early");
}

#[test]
fn a_block_without_a_cluster_is_a_cluster_of_its_own() {
    // Each thread reads the word of a thread in the other warp.
    let body = "mad.lo.u32 %z, %t, 4, %s; ld.global.u32 %y, [%at]; st.shared.u32 [%z], %y;
        barrier.cluster.arrive; barrier.cluster.wait; xor.b32 %z, %t, 35; mad.lo.u32 %z, %z, 4, %s;
        mapa.shared::cluster.u32 %z, %z, 0; ld.shared::cluster.u32 %x, [%z];";
    let found = run(&kernel("", body), Dims::new(2, 64)).unwrap();
    assert_eq!(found, (0..128).map(|i| 3 * (i ^ 0x23) + 1).collect::<Vec<_>>());
    let far = "add.u32 %z, %s, 0x1000000; ld.shared.u32 %x, [%z];";
    assert_eq!(run(&kernel("", far), Dims::new(1, 1)), Err(FaultKind::OutOfBounds));
}

#[test]
fn a_cluster_that_does_not_fit_into_the_grid_is_refused() {
    for (grid, cluster) in [([6, 1, 1], [4, 1, 1]), ([32, 1, 1], [32, 1, 1]), ([4, 1, 1], [0, 1, 1])] {
        let dims = Dims { grid, cluster, ..Dims::new(1, 32) };
        assert_eq!(run(&kernel("", ""), dims), Err(FaultKind::Resources), "{grid:?} {cluster:?}");
    }
}

#[test]
fn special_registers_locate_a_block_in_its_cluster() {
    let body = "mov.u32 %c, %ctaid.y; mad.lo.u32 %c, %c, 4, %c; mov.u32 %x, %clusterid.x; mov.u32 %y, %clusterid.y;
        mad.lo.u32 %x, %y, 10, %x; mov.u32 %y, %cluster_ctaid.y; mad.lo.u32 %x, %y, 100, %x; mov.u32 %y, %cluster_ctarank;
        mad.lo.u32 %x, %y, 1000, %x; mov.u32 %y, %nclusterid.y; mad.lo.u32 %x, %y, 10000, %x;
        mov.u32 %y, %ctaid.y; mad.wide.u32 %to, %y, 16, %to;";
    let dims = Dims { grid: [4, 4, 1], cluster: [2, 2, 1], ..Dims::new(1, 1) };
    let found = run(&kernel("", body), dims).unwrap();
    let expected = |i: u32| {
        let (x, y) = (i % 4, i / 4);
        x / 2 + 10 * (y / 2) + 100 * (y % 2) + 1000 * (x % 2 + 2 * (y % 2)) + 20_000
    };
    assert_eq!(found, (0..16).map(expected).collect::<Vec<_>>());
}

#[test]
fn a_remote_arrival_completes_a_barrier_of_another_block() {
    // Block 1 writes to block 0 and arrives there. Block 0 waits for the arrival.
    let body = "mov.u32 %y, %cluster_ctarank; setp.eq.u32 %q, %y, 0; @%q mbarrier.init.shared.b64 [%s+1024], 1;
        barrier.cluster.arrive; barrier.cluster.wait; @%q bra wait;
        mapa.shared::cluster.u32 %z, %s, 0; st.shared::cluster.u32 [%z], 77;
        mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%z+1024]; bra end;
        wait: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p, [%s+1024], 0; @!%p bra wait;
        ld.shared.u32 %x, [%s]; end: barrier.cluster.arrive; barrier.cluster.wait;";
    let dims = Dims { cluster: [2, 1, 1], ..Dims::new(2, 1) };
    assert_eq!(run(&kernel("", body), dims).unwrap(), [77, 0]);
}
