//! Every check has a small kernel with a planted fault, which it must find at the right place, and a mended twin, which
//! must pass.

use emulator::{Device, Dims, Fault, FaultKind, Gpu};

/// A kernel of this body with one parameter, a pointer to 1,024 words of which the first half is written, in `%rd1`; `%r1`
/// is the thread, `%r2` the block, `%r3` four times the thread, `%r4` the address of 1,024 words of shared memory.
fn kernel(body: &str) -> String {
    format!(
        ".version 7.8\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 p)\n{{\n\
         .reg .pred %p<9>; .reg .b32 %r<29>; .reg .b64 %rd<9>; .local .align 4 .b8 stack[16];\n\
         .shared .align 16 .b8 block[4096]; ld.param.u64 %rd1, [p]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x;\n\
         shl.b32 %r3, %r1, 2; mov.u32 %r4, block; add.u32 %r5, %r4, %r3; cvt.u64.u32 %rd2, %r3; add.u64 %rd2, %rd1, %rd2;\n\
         {body}\nret;\n}}\n"
    )
}

fn launch(body: &str, dims: Dims, device: Device, order: u64) -> Result<(), Box<Fault>> {
    let mut gpu = Gpu::new(device);
    gpu.machine.order = order;
    let text = kernel(body);
    let module = gpu.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let memory = gpu.allocate(4096).expect("the device has memory");
    assert!(gpu.write(memory, &[0; 2048]));
    gpu.launch(&module, "k", dims, &memory.to_le_bytes()).map(|_| ())
}

/// The faulty body must be found out, at the line of its statement that carries the mark, and the mended one must pass: in
/// the usual order and in permuted ones.
#[track_caller]
fn check_on(device: &Device, dims: Dims, kind: FaultKind, faulty: &str, mended: &str) -> Fault {
    let mut last = None;
    for order in [0, 1, 2] {
        let fault = launch(faulty, dims, device.clone(), order).expect_err("the planted fault is found");
        assert_eq!(fault.kind, kind, "{fault}");
        let place = fault.to_string();
        assert!(place.contains("kernel `k`, block ") && place.contains("PTX line "), "{place}");
        if let Err(fault) = launch(mended, dims, device.clone(), order) {
            panic!("the mended kernel passes, order {order}: {fault}");
        }
        last = Some(*fault);
    }
    last.expect("three orders were tried")
}

#[track_caller]
fn check(dims: Dims, kind: FaultKind, faulty: &str, mended: &str) -> Fault {
    check_on(&Device::default(), dims, kind, faulty, mended)
}

#[test]
fn out_of_bounds() {
    let one = Dims::new(1, 1);
    check(one, FaultKind::OutOfBounds, "st.global.u32 [%rd1+4096], 1;", "st.global.u32 [%rd1+4092], 1;");
    check(one, FaultKind::OutOfBounds, "st.shared.u32 [%r4+4096], 1;", "st.shared.u32 [%r4+4092], 1;");
    check(one, FaultKind::OutOfBounds, "st.shared.u32 [%r4+-4], 1;", "st.shared.u32 [%r4], 1;");
    check(one, FaultKind::OutOfBounds, "st.local.u32 [stack+16], 1;", "st.local.u32 [stack+12], 1;");
    check(one, FaultKind::OutOfBounds, "ld.param.u64 %rd3, [p+8];", "ld.param.u64 %rd3, [p];");
    // The null pointer, and memory that was never allocated.
    check(one, FaultKind::OutOfBounds, "mov.u64 %rd3, 0; ld.u32 %r6, [%rd3];", "ld.u32 %r6, [%rd1];");
    // The lane of several that leaves the array.
    let thirty_two = Dims::new(1, 32);
    let fault =
        check(thirty_two, FaultKind::OutOfBounds, "st.global.u32 [%rd2+4000], 1;", "st.global.u32 [%rd2+3968], 1;");
    assert_eq!((fault.lane, fault.line), (Some(24), 9));
}

#[test]
fn use_after_free() {
    let mut gpu = Gpu::new(Device::default());
    let module = gpu.load(&kernel("st.global.u32 [%rd1], 1;")).unwrap();
    let memory = gpu.allocate(4096).unwrap();
    assert!(gpu.launch(&module, "k", Dims::new(1, 1), &memory.to_le_bytes()).is_ok());
    gpu.machine.memory.free(memory);
    let fault = gpu.launch(&module, "k", Dims::new(1, 1), &memory.to_le_bytes()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::OutOfBounds);
}

#[test]
fn misaligned() {
    let one = Dims::new(1, 1);
    check(one, FaultKind::Misaligned, "ld.global.u32 %r6, [%rd1+2];", "ld.global.u16 %r6, [%rd1+2];");
    let vector = |offset: u32| format!("ld.global.v4.u32 {{%r6, %r7, %r8, %r9}}, [%rd1+{offset}];");
    check(one, FaultKind::Misaligned, &vector(8), &vector(16));
    check(one, FaultKind::Misaligned, "st.shared.u64 [%r4+4], %rd1;", "st.shared.u64 [%r4+8], %rd1;");
}

#[test]
fn uninitialised() {
    let one = Dims::new(1, 1);
    check(one, FaultKind::Uninitialised, "ld.global.u32 %r6, [%rd1+2048];", "ld.global.u32 %r6, [%rd1+2044];");
    // Half of what is read is written.
    check(one, FaultKind::Uninitialised, "ld.global.u64 %rd3, [%rd1+2048];", "ld.global.u64 %rd3, [%rd1+2040];");
    let shared = |store| format!("{store} ld.shared.u32 %r6, [%r4];");
    check(one, FaultKind::Uninitialised, &shared("st.shared.u16 [%r4], %r1;"), &shared("st.shared.u32 [%r4], 1;"));
    let local = |store| format!("{store} ld.local.u32 %r6, [stack];");
    check(one, FaultKind::Uninitialised, &local("st.local.u32 [stack+4], 1;"), &local("st.local.u32 [stack], 1;"));
}

#[test]
fn races_between_warps() {
    let two_warps = Dims::new(1, 64);
    // Each thread reads what a thread of the other warp wrote; or first, depending on the order, is to write.
    let exchange = |barrier| {
        format!(
            "st.shared.u32 [%r5], %r2; bar.sync 0; st.shared.u32 [%r5], %r1; {barrier} xor.b32 %r6, %r3, 128; add.u32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6];"
        )
    };
    let fault = check(two_warps, FaultKind::Race, &exchange("bar.warp.sync -1;"), &exchange("bar.sync 0;"));
    assert!(fault.message.contains("no barrier between"), "{fault}");
    assert_eq!(fault.place.matches("PTX line 9").count(), 2, "{fault}");
    // Each thread writes what a thread of the other warp has read.
    let reverse = |barrier| {
        format!(
            "st.shared.u32 [%r5], %r1; bar.sync 0; ld.shared.u32 %r7, [%r5]; {barrier} xor.b32 %r6, %r3, 128; \
             add.u32 %r6, %r4, %r6; st.shared.u32 [%r6], %r1;"
        )
    };
    check(two_warps, FaultKind::Race, &reverse(""), &reverse("bar.sync 0;"));
    // Both warps write one word of global memory; atomics may.
    check(two_warps, FaultKind::Race, "st.global.u32 [%rd1], %r2;", "red.global.add.u32 [%rd1], 1;");
    // An atomic and a plain access.
    let mixed = |barrier| format!("red.shared.add.u32 [%r4], 1; {barrier} ld.shared.u32 %r6, [%r4];");
    let start = "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [%r4], 0; bar.sync 0;";
    let with_start = |rest: String| format!("{start} {rest}");
    check(two_warps, FaultKind::Race, &with_start(mixed("")), &with_start(mixed("bar.sync 0;")));
}

#[test]
fn races_between_blocks() {
    let two_blocks = Dims::new(2, 1);
    // Block 0 writes a value, then a flag; block 1 waits for the flag, then reads the value.
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

/// Every block writes, all meet at a grid barrier, every block reads what its neighbour wrote.
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
    // A fence among the threads of a block says nothing to other blocks.
    check(Dims::new(4, 64), FaultKind::Race, &exchange("fence.acq_rel.cta;"), &exchange("membar.gl;"));
}

#[test]
fn races_within_a_warp() {
    let one_warp = Dims::new(1, 32);
    let exchange = |sync| {
        format!(
            "st.shared.u32 [%r5], %r1; {sync} xor.b32 %r6, %r3, 4; add.u32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6];"
        )
    };
    let fault = check(one_warp, FaultKind::Race, &exchange(""), &exchange("bar.warp.sync -1;"));
    assert!(fault.message.contains("bar.warp.sync"), "{fault}");
    // Lanes that write one word different values; equal ones do no harm.
    check(one_warp, FaultKind::Race, "st.shared.u32 [%r4], %r1;", "st.shared.u32 [%r4], 5;");
}

#[test]
fn barriers() {
    let two_warps = Dims::new(1, 64);
    // Warp 1 goes past the barrier.
    let guarded = |guard| format!("setp.lt.u32 %p1, %r1, {guard}; @!%p1 bra END; bar.sync 0; END:");
    check(two_warps, FaultKind::Barrier, &guarded(32), &guarded(64));
    // Half of a warp reaches it.
    check(two_warps, FaultKind::Barrier, &guarded(48), &guarded(64));
    check(two_warps, FaultKind::Barrier, "setp.lt.u32 %p1, %r1, 32; @%p1 bar.sync 0; @!%p1 bar.sync 1;", "bar.sync 1;");
    // Lanes that part meet again before it.
    let met = "and.b32 %r6, %r1, 1; setp.eq.u32 %p1, %r6, 0; @%p1 bra A; add.u32 %r7, %r1, 1; bra B; A: add.u32 %r7, %r1, 2; \
               B: bar.sync 0;";
    check(two_warps, FaultKind::Barrier, &guarded(1), met);
}

#[test]
fn shuffles() {
    let one_warp = Dims::new(1, 32);
    let shuffle = "shfl.sync.bfly.b32 %r7, %r1, 1, 31, -1;";
    let half = |inside: &str, after: &str| format!("setp.lt.u32 %p1, %r1, 16; @!%p1 bra END; {inside} END: {after}");
    check(one_warp, FaultKind::Shuffle, &half(shuffle, ""), &half("", shuffle));
    // A lane that reads one that is no member.
    let members = |mask| format!("shfl.sync.idx.b32 %r7, %r1, 20, 31, {mask};");
    check(one_warp, FaultKind::Shuffle, &half(&members("0xffff"), ""), &members("-1"));
    check(
        one_warp,
        FaultKind::Shuffle,
        &half("vote.sync.ballot.b32 %r7, %p1, -1;", ""),
        "vote.sync.ballot.b32 %r7, %p1, -1;",
    );
    check(one_warp, FaultKind::Shuffle, &half("bar.warp.sync -1;", ""), &half("bar.warp.sync 0xffff;", ""));
}

/// A grid barrier: each block adds to a counter, then waits until all have.
const GRID_BARRIER: &str = "mov.u32 %r6, %nctaid.x; fence.acq_rel.gpu; atom.global.add.u32 %r7, [%rd1], 1;\n\
     WAIT: ld.acquire.gpu.global.u32 %r8, [%rd1]; setp.lt.u32 %p1, %r8, %r6; @%p1 bra WAIT;";

#[test]
fn residency() {
    let device = Device { sms: 1, ..Device::default() };
    let resident = device.resident(1, 4096);
    let fits = launch(GRID_BARRIER, Dims::new(resident, 1), device.clone(), 0);
    assert!(fits.is_ok(), "{fits:?}");
    let fault = launch(GRID_BARRIER, Dims::new(resident + 1, 1), device, 3).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Residency, "{fault}");
}

#[test]
fn no_progress() {
    let wait =
        |value| format!("WAIT: ld.volatile.global.u32 %r6, [%rd1]; setp.ne.u32 %p1, %r6, {value}; @%p1 bra WAIT;");
    check(Dims::new(1, 32), FaultKind::NoProgress, &wait(1), &wait(0));
}

#[test]
fn traps_and_uniform_branches() {
    let one_warp = Dims::new(1, 32);
    let trap = |bound| format!("setp.lt.u32 %p1, %r1, {bound}; @%p1 bra END; trap; END:");
    check(one_warp, FaultKind::Trap, &trap(31), &trap(32));
    let uniform = |bound| format!("setp.lt.u32 %p1, %r1, {bound}; @%p1 bra.uni END; END:");
    check(one_warp, FaultKind::Branch, &uniform(31), &uniform(32));
}

#[test]
fn what_lies_outside_of_the_subset_is_named() {
    let mut gpu = Gpu::new(Device::default());
    let mut error = |body: &str| gpu.load(&kernel(body)).map(|_| ()).expect_err(body).to_string();
    for (body, expected) in [
        ("mbarrier.init.b64 [%r4], 1;", "line 9: `mbarrier.init.b64`: this instruction is not of the subset"),
        ("add.rn.f16 %r1, %r1, %r1;", "line 9: `add.rn.f16`"),
        ("add.u32 %r1, %rd1, 1;", "line 9: `add.u32`: `%rd1` has 64 bits where 32 are wanted"),
        ("add.u32 %r1, %r99, 1;", "line 9: `add.u32`: special register `%r99` is not of the subset"),
        ("div.f32 %r1, %r1, %r2;", "line 9: `div.f32`: its rounding modifier is missing"),
        ("ex2.approx.f32 %r1, %r1;", "line 9: `ex2.approx.f32`: approximate instructions"),
        ("bra NOWHERE;", "label `NOWHERE` is not in `k`"),
        ("call.uni f;", "line 9: `call.uni`: there is no function `f`"),
        (".surfref s;", "line 9: directive `.surfref` is not of the subset"),
    ] {
        let found = error(body);
        assert!(found.contains(expected), "{body}: {found}");
    }
    gpu.approximate = true;
    assert!(gpu.load(&kernel("ex2.approx.f32 %r1, %r1;")).is_ok());
}
