//! The devices on which the tests run a kernel.

use std::num::NonZero;

use simt::{Arguments, Cpu};

/// The PTX of a kernel, compiled once for all tests of this process.
#[cfg(not(feature = "race-check"))]
pub fn ptx(kernel: &str) -> &'static str {
    use ptx_build::{LaunchBounds, Ptx, PtxBuild};
    use std::sync::LazyLock;

    static PTX: LazyLock<Ptx> = LazyLock::new(|| {
        let build = PtxBuild {
            package: "simt-examples",
            manifest: concat!(env!("CARGO_MANIFEST_DIR"), "/../../../Cargo.toml"),
            sources: &[],
            parts: &[],
            launch_bounds: |_| LaunchBounds { block_threads: 32 * simt::GPU_WARPS, min_blocks: None },
            min_arch: 70,
            default_arch: 75,
            compiler_variable: "PTX",
            rust_cuda_workspace: None,
        };
        let ptx =
            build.compile_in(env!("CARGO_TARGET_TMPDIR").as_ref(), |name| (name == "PTX").then(|| "rustc".into()));
        ptx.expect("the kernels compile").expect("PTX is asked for")
    });
    &PTX.modules.iter().find(|module| module.kernel == kernel).expect("the kernel is in the PTX").ptx
}

/// Runs the kernel in the emulator on copies of the arrays, with blocks and warps in the order of the seed `order`.
#[cfg(not(feature = "race-check"))]
fn run_ptx<K: Arguments>(
    blocks: usize,
    arrays: &[Vec<u32>],
    kernel: &impl Fn(&[u64]) -> K,
    order: u64,
) -> Vec<Vec<u32>> {
    use ptx_emulator::{Checks, DeviceProperties, Dims, Gpu};

    let mut gpu = Gpu::new(DeviceProperties::default());
    (gpu.order, gpu.checks, gpu.timed) = (order, Checks::Strict, true);
    let module = gpu.load(ptx(K::NAME)).expect("the PTX is valid");
    let addresses: Vec<u64> = arrays
        .iter()
        .map(|array| {
            let address = gpu.allocate(4 * array.len()).expect("the device has memory");
            assert!(gpu.write(address, &array.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()));
            address
        })
        .collect();
    let dims = Dims { shared: K::SHARED_BYTES, ..Dims::new(blocks as u32, 32 * simt::GPU_WARPS as u32) };
    let kernel = kernel(&addresses);
    let parameter = format!("{}_param_0[{}]", K::NAME, kernel.as_bytes().len());
    assert!(ptx(K::NAME).contains(&parameter), "the kernel's parameter is not {parameter}");
    let profile = gpu.launch(&module, K::NAME, dims, kernel.as_bytes()).unwrap_or_else(|fault| panic!("{fault}"));
    let conflicts: u64 = profile.instructions.iter().map(|counts| counts.conflicts).sum();
    assert!(
        conflicts == 0 || ["histogram", "atomic_ops", "wide_atomic_ops"].contains(&K::NAME),
        "{} has {conflicts} bank conflicts",
        K::NAME
    );
    let words = |(address, array): (&u64, &Vec<u32>)| {
        let bytes = gpu.read(*address, 4 * array.len()).expect("the array is allocated");
        bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes"))).collect()
    };
    addresses.iter().zip(arrays).map(words).collect()
}

/// Runs the kernel on the CPU on copies of the arrays.
pub fn run_cpu<K: Arguments>(
    cpu: Cpu,
    blocks: usize,
    arrays: &[Vec<u32>],
    kernel: &impl Fn(&[u64]) -> K,
) -> Vec<Vec<u32>> {
    let mut arrays = arrays.to_vec();
    let addresses: Vec<u64> = arrays.iter_mut().map(|array| array.as_mut_ptr().expose_provenance() as u64).collect();
    // SAFETY: the arrays have the lengths that the test gives the kernel, and nothing else uses them.
    unsafe { cpu.launch(blocks, &kernel(&addresses)) };
    arrays
}

/// Runs the kernel on every device, asserts that all results have the same bits, and returns the results.
pub fn run<K: Arguments>(blocks: usize, arrays: &[Vec<u32>], kernel: impl Fn(&[u64]) -> K) -> Vec<Vec<u32>> {
    let expected = run_cpu(Cpu::new().threads(NonZero::<usize>::MIN), 1, arrays, &kernel);
    for (seed, cpu) in Cpu::all().enumerate() {
        #[cfg(feature = "race-check")]
        simt::race::set_warp_order(1 + seed as u64);
        let threads = NonZero::new(1 + seed).expect("at least one thread");
        let result = run_cpu(cpu.threads(threads), blocks, arrays, &kernel);
        assert!(result == expected, "{} with {} and {threads} threads", K::NAME, cpu.isa().name());
    }
    #[cfg(not(feature = "race-check"))]
    for order in [0, 1] {
        assert!(run_ptx(blocks, arrays, &kernel, order) == expected, "{} as PTX in order {order}", K::NAME);
    }
    expected
}
