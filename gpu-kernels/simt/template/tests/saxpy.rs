//! The kernel on the CPU under the race checker, and as PTX in the emulator.

use my_kernels::{PTX, Saxpy};
use ptx_emulator::{Checks, DeviceProperties, Dims, Gpu};
use simt::{Arguments, Cpu, GPU_WARPS, Global, WARP};

const BLOCKS: usize = 3;
const N: usize = 1003;

/// Returns a factor, `x` and `y`.
fn input() -> (f32, Vec<f32>, Vec<f32>) {
    (1.7, (0..N).map(|i| i as f32 / 7.0).collect(), (0..N).map(|i| 5.0 - i as f32).collect())
}

/// Runs the kernel on the CPU. Tests build `simt` with its race checker.
fn on_cpu() -> Vec<f32> {
    let (a, x, mut y) = input();
    // SAFETY: both arrays live and have the same length, and nothing else uses them.
    unsafe { Cpu::new().launch(BLOCKS, &Saxpy { a, x: Global::of(&x), y: Global::of_mut(&mut y) }) };
    y
}

/// Runs the kernel's PTX in the emulator, which checks it for races and accesses out of bounds.
fn in_emulator() -> Vec<f32> {
    let (a, x, y) = input();
    let mut gpu = Gpu::new(DeviceProperties::default());
    gpu.checks = Checks::Strict;
    let upload = |gpu: &mut Gpu, values: &[f32]| {
        let address = gpu.allocate(4 * N).expect("the device has memory");
        assert!(gpu.write(address, &values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>()));
        address
    };
    let (x, y) = (upload(&mut gpu, &x), upload(&mut gpu, &y));
    let saxpy = Saxpy { a, x: Global::new(x, N), y: Global::new(y, N) };
    let (_, ptx) = PTX.iter().find(|(name, _)| *name == Saxpy::NAME).expect("build.rs compiled the kernel");
    let module = gpu.load(ptx).expect("the PTX is valid");
    let dims = Dims { shared: Saxpy::SHARED_BYTES, ..Dims::new(BLOCKS as u32, (WARP * GPU_WARPS) as u32) };
    gpu.launch(&module, Saxpy::NAME, dims, saxpy.as_bytes()).unwrap_or_else(|fault| panic!("{fault}"));
    let bytes = gpu.read(y, 4 * N).expect("the array is allocated");
    bytes.chunks(4).map(|x| f32::from_le_bytes(x.try_into().expect("four bytes"))).collect()
}

#[test]
fn the_kernel_agrees_with_scalar_code_on_every_device() {
    let (a, x, mut y) = input();
    for (x, y) in x.iter().zip(&mut y) {
        *y = a.mul_add(*x, *y);
    }
    assert_eq!(on_cpu(), y);
    assert_eq!(in_emulator(), y);
}
