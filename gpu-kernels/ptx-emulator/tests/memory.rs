//! Accesses to memory in forms that compilers write: modifiers in any order, hints to caches, and tests of addresses.

use ptx_emulator::{DeviceProperties, Dims, FaultKind, Gpu};

/// Runs a kernel `k(to)` with this body on 32 threads, and returns the word that each thread writes. `%r1` is the
/// thread's index, `%rd1` the address of its word, `%rd2` that of 32 zeros, and `%r5` that of a word of shared memory.
fn run(body: &str) -> Vec<u32> {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let text = format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 to)\n{{\n.reg .pred %p<9>;\n\
         .reg .b16 %h<9>; .reg .b32 %r<19>; .reg .b64 %rd<19>; .shared .align 4 .b32 cell; .local .align 4 .b32 own;\n\
         ld.param.u64 %rd2, [to]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd1, %r1, 4; add.u64 %rd1, %rd2, %rd1;\n\
         add.u64 %rd2, %rd2, 128; mov.u32 %r5, cell;\n{body}\nst.global.u32 [%rd1], %r2;\nret;\n}}\n"
    );
    let module = gpu.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let to = gpu.allocate(256).expect("the device has memory");
    assert!(gpu.write(to, &[0; 256]));
    gpu.launch(&module, "k", Dims::new(1, 32), &to.to_le_bytes()).unwrap_or_else(|fault| panic!("{fault}"));
    let words = gpu.read(to, 128).expect("the words are allocated");
    words.chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes"))).collect()
}

/// Checks the word that each thread writes.
#[track_caller]
fn check(body: &str, expected: impl Fn(u32) -> u32) {
    assert_eq!(run(body), (0..32).map(expected).collect::<Vec<_>>());
}

#[test]
fn the_modifiers_of_an_access_have_any_order() {
    for atomic in [
        "atom.add.acq_rel.gpu.global.u32",
        "atom.global.gpu.acq_rel.add.u32",
        "atom.relaxed.sys.global.add.u32",
        "atom.add.relaxed.gpu.u32",
        "atom.global.add.cta.u32",
    ] {
        check(&format!("{atomic} %r2, [%rd2], 3;"), |thread| 3 * thread);
    }
    check("red.add.release.gpu.global.u32 [%rd2], 2; ld.global.acquire.gpu.u32 %r2, [%rd2];", |_| 64);
}

#[test]
fn hints_to_caches_change_no_value() {
    let hinted = "createpolicy.fractional.L2::evict_first.b64 %rd3, 1.0; st.global.L1::no_allocate.u32 [%rd1], %r1;\n\
         ld.global.L1::evict_last.L2::cache_hint.L2::128B.u32 %r2, [%rd1], %rd3; add.u32 %r2, %r2, 1;";
    check(hinted, |thread| thread + 1);
    check("prefetch.global.L2 [%rd1]; ld.global.nc.L1::no_allocate.b32 %r2, [%rd2];", |_| 0);
}

#[test]
fn atomics_on_floating_point_values_add() {
    // All sums are exact, so their order does not matter.
    check("atom.global.add.f32 %r3, [%rd2], 0f3FC00000; bar.warp.sync -1; ld.global.b32 %r2, [%rd2];", |_| {
        48f32.to_bits()
    });
    let double = "red.global.add.f64 [%rd2], 0d3FE0000000000000; bar.warp.sync -1; ld.global.b32 %r2, [%rd2+4];";
    check(double, |_| (16f64.to_bits() >> 32) as u32);
    // The halves of each pair are 1 and 2.
    let pairs = "mov.u32 %r3, 0x40003C00; red.global.add.noftz.f16x2 [%rd2], %r3; bar.warp.sync -1;\n\
         ld.global.b32 %r2, [%rd2];";
    check(pairs, |_| 0x5400_5000);
    let upper =
        "mov.b16 %h1, 0x3F80; atom.add.noftz.bf16 %h2, [%rd2], %h1; bar.warp.sync -1; ld.global.u16 %r2, [%rd2];";
    check(upper, |_| 0x4200);
}

#[test]
fn an_atomic_on_a_vector_adds_to_each_element() {
    // Each thread gets the elements as the threads before it left them.
    let sums = "mov.b32 %r3, 0f3F800000; mov.b32 %r4, 0f40400000;\n\
         atom.global.add.v2.f32 {%r6, %r7}, [%rd2], {%r3, %r4}; mul.rn.f32 %r6, %r6, 0f42C80000; add.rn.f32 %r2, %r6, %r7;";
    check(sums, |thread| (103.0 * thread as f32).to_bits());
    let elements = |at: u32| {
        format!(
            "mov.b32 %r3, 0f3F800000; mov.b32 %r4, 0f40000000; mov.b32 %r6, 0f40400000; mov.b32 %r7, 0f40800000;\n\
             red.global.add.v4.f32 [%rd2], {{%r3, %r4, %r6, %r7}}; bar.warp.sync -1; ld.global.b32 %r2, [%rd2+{}];",
            4 * at
        )
    };
    for at in 0..4 {
        check(&elements(at), |_| (32.0 * (at + 1) as f32).to_bits());
    }
    // The halves of the first pair are 1 and 2, and those of the second pair 0 and 1.
    let pairs = "mov.b32 %r3, 0x40003C00; mov.b32 %r4, 0x3C000000;\n\
         red.global.add.noftz.v2.f16x2 [%rd2], {%r3, %r4}; bar.warp.sync -1; ld.global.b32 %r2, [%rd2+4];";
    check(pairs, |_| 0x5000_0000);
}

#[test]
fn the_reserved_shared_memory_lies_before_that_of_the_kernel() {
    let value = |register: &str| run(&format!("mov.u32 %r2, %reserved_smem_offset_{register};"))[0];
    assert_eq!(["begin", "end", "cap", "0", "1"].map(value), [0, 1024, 1024, 0, 0]);
    // The variable `cell` comes after it, and both can be accessed.
    let accesses = "mov.u32 %r3, %reserved_smem_offset_end; ld.shared.u32 %r4, [%r3+-4]; sub.u32 %r2, %r5, %r3;\n\
         add.u32 %r2, %r2, %r4; bar.sync 0; st.shared.u32 [%r5], %r2;";
    check(accesses, |_| 0);
}

#[test]
fn an_address_tells_its_state_space() {
    let test = |space: &str, address: &str| {
        let kinds = "cvt.u64.u32 %rd4, %r5; cvta.shared.u64 %rd4, %rd4; mov.u64 %rd5, own; cvta.local.u64 %rd5, %rd5;";
        run(&format!("{kinds} isspacep.{space} %p1, {address}; selp.b32 %r2, 1, 0, %p1;"))[0]
    };
    for (space, address) in [("global", "%rd1"), ("shared", "%rd4"), ("local", "%rd5")] {
        for other in ["global", "shared", "shared::cta", "local", "param", "const"] {
            let same = other.split(':').next() == Some(space);
            assert_eq!(test(other, address), u32::from(same), "`isspacep.{other}` of an address in {space} memory");
        }
    }
}

#[test]
fn a_barrier_for_more_threads_than_arrive_is_found() {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let text = |threads: u32| {
        format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{{\nbarrier.sync 1, {threads};\nret;\n}}\n"
        )
    };
    for (threads, kind) in [(64, None), (96, Some(FaultKind::Barrier)), (40, Some(FaultKind::Barrier))] {
        let module = gpu.load(&text(threads)).expect("the module loads");
        let launched = gpu.launch(&module, "k", Dims::new(1, 64), &[]);
        assert_eq!(launched.map(|_| ()).err().map(|fault| fault.kind), kind, "{threads} threads");
    }
}
