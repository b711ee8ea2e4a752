//! The checks of running kernels. Each check is tested by a small kernel with a planted fault and by a mended twin. The
//! fault must be reported at the right line, and the twin must pass.

mod ordinary;
mod profile;
mod races;

use ptx_emulator::{Checks, DeviceProperties, Dims, Fault, FaultKind, Gpu};

/// Returns the PTX of a kernel with this body.
///
/// The kernel's parameter, in `%rd1`, points to 1,024 words, the first half of them initialised. `%rd2` is the address
/// of the thread's word in this array. `%r1` is the thread's index, `%r2` the block's index, and `%r3` is four times
/// the thread's index. `%r4` is the address of 1,024 words of shared memory, and `%r5` the address of the thread's word
/// in shared memory.
fn kernel(body: &str) -> String {
    format!(
        ".version 7.8\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 p)\n{{\n\
         .reg .pred %p<9>; .reg .b32 %r<29>; .reg .b64 %rd<9>; .local .align 4 .b8 stack[16];\n\
         .shared .align 16 .b8 block[4096]; ld.param.u64 %rd1, [p]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x;\n\
         shl.b32 %r3, %r1, 2; mov.u32 %r4, block; add.u32 %r5, %r4, %r3; cvt.u64.u32 %rd2, %r3; add.u64 %rd2, %rd1, %rd2;\n\
         {body}\nret;\n}}\n"
    )
}

/// Runs a kernel with this body under the strictest checks. The seed `order` permutes the order of blocks and warps.
fn launch(body: &str, dims: Dims, device: DeviceProperties, order: u64) -> Result<(), Box<Fault>> {
    let mut gpu = Gpu::new(device);
    (gpu.order, gpu.checks) = (order, Checks::Strict);
    launch_on(&mut gpu, body, dims)
}

/// Runs a kernel with this body on a GPU.
fn launch_on(gpu: &mut Gpu, body: &str, dims: Dims) -> Result<(), Box<Fault>> {
    let text = kernel(body);
    let module = gpu.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let memory = gpu.allocate(4096).expect("the device has memory");
    assert!(gpu.write(memory, &[0; 2048]));
    gpu.launch(&module, "k", dims, &memory.to_le_bytes()).map(|_| ())
}

/// Checks in three orders of blocks and warps that the faulty body has a fault of this kind and that the mended body
/// passes. A mark `^` in the faulty body stands before the faulty statement. Returns the fault of the last order.
#[track_caller]
fn check_on(device: &DeviceProperties, dims: Dims, kind: FaultKind, faulty: &str, mended: &str) -> Fault {
    let (marked, mended) = (faulty.find('^'), mended.replace('^', ""));
    let (faulty, mended) = (faulty.replace('^', "\n"), mended.as_str());
    let line = marked.map(|at| 10 + faulty[..at].matches('\n').count() as u32);
    let mut last = None;
    for order in [0, 1, 2] {
        let fault = launch(&faulty, dims, device.clone(), order).expect_err("the planted fault must be found");
        assert_eq!(fault.kind, kind, "{fault}");
        assert_eq!(fault.line, line.unwrap_or(fault.line), "{fault}");
        let report = fault.to_string();
        assert!(
            report.contains("kernel `k`, block ") && report.contains(&format!("PTX line {}", fault.line)),
            "{report}"
        );
        if let Err(fault) = launch(mended, dims, device.clone(), order) {
            panic!("the mended kernel must pass in order {order}: {fault}");
        }
        last = Some(*fault);
    }
    last.expect("three orders were tried")
}

/// Calls [`check_on`] with the default device.
#[track_caller]
fn check(dims: Dims, kind: FaultKind, faulty: &str, mended: &str) -> Fault {
    check_on(&DeviceProperties::default(), dims, kind, faulty, mended)
}

#[test]
fn accesses_out_of_bounds_are_found() {
    let one = Dims::new(1, 1);
    check(one, FaultKind::OutOfBounds, "^st.global.u32 [%rd1+4096], 1;", "st.global.u32 [%rd1+4092], 1;");
    check(one, FaultKind::OutOfBounds, "^st.shared.u32 [%r4+4096], 1;", "st.shared.u32 [%r4+4092], 1;");
    check(one, FaultKind::OutOfBounds, "^st.shared.u32 [%r4+-4], 1;", "st.shared.u32 [%r4], 1;");
    check(one, FaultKind::OutOfBounds, "^st.local.u32 [stack+16], 1;", "st.local.u32 [stack+12], 1;");
    check(one, FaultKind::OutOfBounds, "^ld.param.u64 %rd3, [p+8];", "ld.param.u64 %rd3, [p];");
    // The null pointer is outside every allocation.
    check(one, FaultKind::OutOfBounds, "mov.u64 %rd3, 0; ^ld.u32 %r6, [%rd3];", "ld.u32 %r6, [%rd1];");
    // The fault names the first lane outside the array.
    let thirty_two = Dims::new(1, 32);
    let fault =
        check(thirty_two, FaultKind::OutOfBounds, "st.global.u32 [%rd2+4000], 1;", "st.global.u32 [%rd2+3968], 1;");
    assert_eq!((fault.lane, fault.line), (Some(24), 9));
    // Atomics and generic addresses of shared memory are checked too.
    check(one, FaultKind::OutOfBounds, "^red.global.add.u32 [%rd1+4096], 1;", "red.global.add.u32 [%rd1], 1;");
    let generic = |offset| {
        format!(
            "cvt.u64.u32 %rd3, %r4; cvta.shared.u64 %rd3, %rd3; st.shared.u32 [%r4+4092], 1; ^ld.u32 %r6, [%rd3+{offset}];"
        )
    };
    check(one, FaultKind::OutOfBounds, &generic(4096), &generic(4092));
}

#[test]
fn addresses_below_a_state_space_are_out_of_bounds() {
    // A multiprocessor of compute capability 7.5 reserves no shared memory, so shared memory begins at address 0.
    let device = DeviceProperties { capability: (7, 5), ..DeviceProperties::default() };
    let check = |faulty: &str, mended: &str| {
        let fault = check_on(&device, Dims::new(1, 2), FaultKind::OutOfBounds, faulty, mended);
        assert_eq!(fault.lane, Some(0), "{fault}");
    };
    // Lane 0 has no lower neighbour in local memory. Lane 1 must not reach the memory of lane 0 either.
    check("^st.local.u32 [stack+-4], 1;", "st.local.u32 [stack], 1;");
    check("^ld.param.u32 %r6, [p+-4];", "ld.param.u32 %r6, [p];");
    check("^st.shared.u32 [%r4+-4], 1;", "st.shared.u32 [%r4], 1;");
    check("mov.u64 %rd3, -8; ^ld.shared.u64 %rd3, [%rd3];", "ld.param.u64 %rd3, [p];");
    check("mov.u64 %rd3, -8; ^ld.global.u64 %rd3, [%rd3];", "ld.param.u64 %rd3, [p];");
    let second = "setp.eq.u32 %p1, %r1, 1; @%p1 st.local.u32 [stack+-4], 1;";
    let fault = launch(second, Dims::new(1, 2), device.clone(), 0).expect_err("lane 1 stores below its local memory");
    assert_eq!((fault.kind, fault.lane), (FaultKind::OutOfBounds, Some(1)), "{fault}");
}

#[test]
fn addresses_of_32_bits_wrap_around() {
    let device = DeviceProperties { capability: (7, 5), ..DeviceProperties::default() };
    // Shared memory begins at address 0, so the base is -64.
    let body = "add.u32 %r5, %r4, -64; st.shared.u32 [%r5+64], 1;";
    launch(body, Dims::new(1, 1), device, 0).expect("the sum is the first address of shared memory");
}

#[test]
fn a_fault_names_its_source_lines_and_inline_chain() {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let body = ".loc 2 7 1 // inlined at 1:30 1:40\nst.global.u32 [%rd1], 1;\n.loc 2 8 1\nst.global.u32 [%rd1+2], 1;";
    let files = ".file 1 \"src/train.rs\"\n.file 2 \"src/ops/linear.rs\"\n";
    let module = gpu.load(&format!("{}{files}", kernel(body))).unwrap();
    let memory = gpu.allocate(4096).unwrap();
    let (dims, params) = (Dims::new(1, 1), memory.to_le_bytes());
    let fault = gpu.launch(&module, "k", dims, &params).unwrap_err();
    assert!(fault.to_string().ends_with("PTX line 12: `st.global.u32`\n    from src/ops/linear.rs:8"), "{fault}");
    gpu.free(memory);
    let fault = gpu.launch(&module, "k", dims, &params).unwrap_err();
    let chain = "PTX line 10: `st.global.u32`\n    from src/ops/linear.rs:7\n    inlined at src/train.rs:30\n    inlined at src/train.rs:40";
    assert!(fault.to_string().ends_with(chain), "{fault}");
    let report = fault.to_string();
    assert!(report.contains("kernel `k`, block 0, warp 0, lane 0"), "{fault}");
}

#[test]
fn a_use_after_free_is_found() {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let module = gpu.load(&kernel("st.global.u32 [%rd1], 1;")).unwrap();
    let memory = gpu.allocate(4096).unwrap();
    assert!(gpu.launch(&module, "k", Dims::new(1, 1), &memory.to_le_bytes()).is_ok());
    gpu.free(memory);
    let fault = gpu.launch(&module, "k", Dims::new(1, 1), &memory.to_le_bytes()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::OutOfBounds);
}

#[test]
fn misaligned_accesses_are_found() {
    let one = Dims::new(1, 1);
    check(one, FaultKind::Misaligned, "^ld.global.u32 %r6, [%rd1+2];", "ld.global.u16 %r6, [%rd1+2];");
    let vector = |offset: u32| format!("ld.global.v4.u32 {{%r6, %r7, %r8, %r9}}, [%rd1+{offset}];");
    check(one, FaultKind::Misaligned, &vector(8), &vector(16));
    check(one, FaultKind::Misaligned, "^st.shared.u64 [%r4+4], %rd1;", "st.shared.u64 [%r4+8], %rd1;");
    check(one, FaultKind::Misaligned, "^st.local.u32 [stack+2], 1;", "st.local.u16 [stack+2], 1;");
    check(one, FaultKind::Misaligned, "^red.global.add.u32 [%rd1+2], 1;", "red.global.add.u32 [%rd1+4], 1;");
}

#[test]
fn reads_of_uninitialised_memory_are_found() {
    let one = Dims::new(1, 1);
    check(one, FaultKind::Uninitialised, "^ld.global.u32 %r6, [%rd1+2048];", "ld.global.u32 %r6, [%rd1+2044];");
    // Four of the eight bytes are initialised.
    check(one, FaultKind::Uninitialised, "ld.global.u64 %rd3, [%rd1+2048];", "ld.global.u64 %rd3, [%rd1+2040];");
    let shared = |store| format!("{store} ^ld.shared.u32 %r6, [%r4];");
    check(one, FaultKind::Uninitialised, &shared("st.shared.u16 [%r4], %r1;"), &shared("st.shared.u32 [%r4], 1;"));
    let local = |store| format!("{store} ^ld.local.u32 %r6, [stack];");
    check(one, FaultKind::Uninitialised, &local("st.local.u32 [stack+4], 1;"), &local("st.local.u32 [stack], 1;"));
}

#[test]
fn barriers_that_some_lanes_miss_are_found() {
    let two_warps = Dims::new(1, 64);
    // Warp 1 skips the barrier.
    let guarded = |guard| format!("setp.lt.u32 %p1, %r1, {guard}; @!%p1 bra END; bar.sync 0; END:");
    check(two_warps, FaultKind::Barrier, &guarded(32), &guarded(64));
    // Half of warp 1 reaches the barrier.
    let fault = check(two_warps, FaultKind::Barrier, &guarded(48), &guarded(64));
    assert_eq!((fault.warp, fault.lane), (1, Some(16)), "{fault}");
    check(two_warps, FaultKind::Barrier, "setp.lt.u32 %p1, %r1, 32; @%p1 bar.sync 0; @!%p1 bar.sync 1;", "bar.sync 1;");
    // Lanes that diverge may reconverge before the barrier.
    let reconverged = "and.b32 %r6, %r1, 1; setp.eq.u32 %p1, %r6, 0; @%p1 bra A; add.u32 %r7, %r1, 1; bra B; A: add.u32 %r7, %r1, 2; \
               B: bar.sync 0;";
    check(two_warps, FaultKind::Barrier, &guarded(1), reconverged);
}

#[test]
fn shuffles_and_votes_with_inactive_lanes_are_found() {
    let one_warp = Dims::new(1, 32);
    let shuffle = "shfl.sync.bfly.b32 %r7, %r1, 1, 31, -1;";
    let half = |inside: &str, after: &str| format!("setp.lt.u32 %p1, %r1, 16; @!%p1 bra END; {inside} END: {after}");
    check(one_warp, FaultKind::Shuffle, &half(shuffle, ""), &half("", shuffle));
    // The active lanes read lane 20, which is not a member.
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

#[test]
fn votes_and_shuffles_do_not_wait_for_lanes_that_have_exited() {
    let exit = "setp.lt.u32 %p1, %r1, 16; @!%p1 exit;";
    let all =
        format!("{exit} vote.sync.ballot.b32 %r7, %p1, -1; shfl.sync.bfly.b32 %r8, %r1, 1, 31, -1; bar.warp.sync -1;");
    let launched = launch(&all, Dims::new(1, 32), DeviceProperties::default(), 0);
    assert!(launched.is_ok(), "{launched:?}");
    let read = format!("{exit} shfl.sync.idx.b32 %r8, %r1, 20, 31, -1;");
    let fault = launch(&read, Dims::new(1, 32), DeviceProperties::default(), 0).expect_err("lane 20 has exited");
    assert_eq!(fault.kind, FaultKind::Shuffle, "{fault}");
}

/// The body of a grid barrier, in which each block increments a counter and waits until all blocks have done so.
const GRID_BARRIER: &str = "mov.u32 %r6, %nctaid.x; fence.acq_rel.gpu; atom.global.add.u32 %r7, [%rd1], 1;\n\
     WAIT: ld.acquire.gpu.global.u32 %r8, [%rd1]; setp.lt.u32 %p1, %r8, %r6; @%p1 bra WAIT;";

#[test]
fn waits_for_blocks_that_cannot_start_are_found() {
    let device = DeviceProperties { sms: 1, ..DeviceProperties::default() };
    let resident = device.resident_blocks(1, 4096);
    let fits = launch(GRID_BARRIER, Dims::new(resident, 1), device.clone(), 0);
    assert!(fits.is_ok(), "{fits:?}");
    let fault = launch(GRID_BARRIER, Dims::new(resident + 1, 1), device, 3).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Residency, "{fault}");
}

#[test]
fn a_wait_without_end_is_found() {
    let wait =
        |value| format!("WAIT: ld.volatile.global.u32 %r6, [%rd1]; setp.ne.u32 %p1, %r6, {value}; @%p1 bra WAIT;");
    check(Dims::new(1, 32), FaultKind::NoProgress, &wait(1), &wait(0));
}

#[test]
fn traps_and_divergent_uniform_branches_are_found() {
    let one_warp = Dims::new(1, 32);
    let trap = |bound| format!("setp.lt.u32 %p1, %r1, {bound}; @%p1 bra END; ^trap; END:");
    check(one_warp, FaultKind::Trap, &trap(31), &trap(32));
    let uniform = |bound| format!("setp.lt.u32 %p1, %r1, {bound}; @%p1 bra.uni END; END:");
    check(one_warp, FaultKind::Branch, &uniform(31), &uniform(32));
    // Lane 2 has index 2, which is beyond the end of the table.
    let table = |branch: &str, index: &str| {
        format!("and.b32 %r6, %r1, {index};\nT: .branchtargets A, B;\n{branch} %r6, T; A: add.u32 %r7, %r1, 1; B:")
    };
    let fault = check(one_warp, FaultKind::Branch, &table("brx.idx", "3"), &table("brx.idx", "1"));
    assert_eq!(fault.lane, Some(2), "{fault}");
    check(one_warp, FaultKind::Branch, &table("brx.idx.uni", "1"), &table("brx.idx.uni", "0"));
}

#[test]
fn an_error_names_what_is_outside_the_subset() {
    let mut gpu = Gpu::new(DeviceProperties::default());
    gpu.approximate = false;
    let mut error = |body: &str| {
        let module = gpu.load(&kernel(body)).unwrap_or_else(|error| panic!("{body}: {error}"));
        let fault = gpu.launch(&module, "k", Dims::new(1, 1), &[0; 8]).expect_err(body);
        assert_eq!(fault.kind, FaultKind::Unsupported, "{fault}");
        format!("line {}: {}", fault.line, fault.message)
    };
    for (body, expected) in [
        ("wgmma.fence.sync.aligned;", "line 9: `wgmma.fence.sync.aligned`: this instruction is not of the subset"),
        ("add.rn.f16 %r1, %r1, %r1;", "line 9: `add.rn.f16`"),
        ("add.u32 %r1, %rd1, 1;", "line 9: `add.u32`: `%rd1` has 64 bits, expected 32"),
        ("add.u32 %r1, %r99, 1;", "line 9: `add.u32`: special register `%r99` is not of the subset"),
        ("div.f32 %r1, %r1, %r2;", "line 9: `div.f32`: expected `.approx|full|rm|rn|rp|rz|"),
        ("ex2.approx.f32 %r1, %r1;", "line 9: `ex2.approx.f32`: approximate instructions"),
        ("bra NOWHERE;", "label `NOWHERE` is not in `k`"),
        ("call.uni f;", "line 9: `call.uni`: there is no function `f`"),
        (".surfref s;", "line 9: directive `.surfref` is not of the subset"),
    ] {
        let found = error(body);
        assert!(found.contains(expected), "{body}: {found}");
    }
    gpu.approximate = true;
    let module = gpu.load(&kernel("ex2.approx.f32 %r1, %r1;")).expect("the module loads");
    assert!(gpu.launch(&module, "k", Dims::new(1, 1), &[0; 8]).is_ok());
}

#[test]
fn a_module_loads_if_it_parses_and_its_supported_kernels_run() {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let others = ".global .texref image;
.global .f16x4 wide;
.global .align 1 .b8 text[] = {104, 105, 0};
        .visible .entry fenced()
{
wgmma.fence.sync.aligned;
}
        .visible .entry wide_registers()
{
{ .reg .f16x4 %q; }
}
.visible .entry named()
{
.reg .b64 %rd<2>;
        mov.u64 %rd1, wide;
}
.visible .entry waiting()
{
        wgmma.wait_group.sync.aligned 0;
}
.visible .entry bulky(.param .align 8 .b8 p[32768]) { ret; }
        .visible .entry stacked() { .local .b8 stack[524289]; ret; }
";
    let module = gpu.load(&format!("{}{others}", kernel(""))).unwrap_or_else(|error| panic!("{error}"));
    assert!(gpu.launch(&module, "k", Dims::new(1, 1), &[0; 8]).is_ok());
    assert_eq!(module.variable("text").map(|(_, size)| size), Some(3));
    for (name, line, message) in [
        ("fenced", 17, "`wgmma.fence.sync.aligned`: this instruction is not of the subset"),
        ("wide_registers", 21, "type `.f16x4` is not of the subset"),
        ("named", 26, "`mov.u64`: `wide`: type `.f16x4` is not of the subset"),
        ("waiting", 30, "`wgmma.wait_group.sync.aligned`: this instruction is not of the subset"),
        ("bulky", 32, "a kernel has at most 32764 bytes of parameters, got 32768"),
        ("stacked", 33, "a thread has at most 524288 bytes of local memory, got 524289"),
    ] {
        let fault = gpu.launch(&module, name, Dims::new(1, 1), &vec![0; 32768]).expect_err(name);
        assert_eq!(
            (fault.kind, fault.line, fault.message.as_str()),
            (FaultKind::Unsupported, line, message),
            "{fault}"
        );
    }
    let error = gpu.load(&kernel("add.u32 %r1,, %r2;")).err().expect("a syntax error is found when a module is loaded");
    assert_eq!(error.line, 9, "{error}");
}
