//! Runs the kernel on the GPU if there is one, else on the CPU.

use my_kernels::Saxpy;
use simt::{Cpu, Global};

/// The kernel's factor.
const A: f32 = 2.0;

fn main() {
    let (x, y) = ([1.0, 2.0, 3.0, 4.0, 5.0], [0.5; 5]);
    match on_gpu(&x, &y) {
        Ok((name, y)) => println!("{name}: {y:?}"),
        Err(reason) => {
            let (name, y) = on_cpu(&x, &y);
            // The error has a text only where there is a driver.
            eprintln!("no GPU is used: {reason:?}");
            println!("{name}: {y:?}");
        }
    }
}

/// Returns the name of the instruction set, and `y` after the kernel.
fn on_cpu(x: &[f32], y: &[f32]) -> (&'static str, Vec<f32>) {
    let (cpu, mut y) = (Cpu::new(), y.to_vec());
    // SAFETY: both arrays live and have the same length, and nothing else uses them.
    unsafe { cpu.launch(1, &Saxpy { a: A, x: Global::of(x), y: Global::of_mut(&mut y) }) };
    (cpu.isa().name(), y)
}

/// Returns the name of the GPU, and `y` after the kernel.
#[cfg(any(target_os = "linux", windows))]
fn on_gpu(x: &[f32], y: &[f32]) -> Result<(String, Vec<f32>), Box<dyn std::error::Error>> {
    use cuda_driver as _;
    use cust::CudaFlags;
    use cust::context::Context;
    use cust::device::Device;
    use cust::memory::{CopyDestination, DeviceBuffer};
    use cust::module::Module;
    use cust::stream::{Stream, StreamFlags};
    use my_kernels::PTX;
    use simt::{Arguments, GPU_WARPS, WARP};

    cust::init(CudaFlags::empty())?;
    let device = Device::get_device(0)?;
    let _context = Context::new(device)?;
    let (_, ptx) = PTX.iter().find(|(name, _)| *name == Saxpy::NAME).ok_or("the program was built without PTX")?;
    let (module, stream) = (Module::from_ptx(ptx, &[])?, Stream::new(StreamFlags::NON_BLOCKING, None)?);
    let (x, device_y) = (DeviceBuffer::from_slice(x)?, DeviceBuffer::from_slice(y)?);
    let address = |buffer: &DeviceBuffer<f32>| Global::new(buffer.as_device_ptr().as_raw(), buffer.len());
    let saxpy = Saxpy { a: A, x: address(&x), y: address(&device_y) };
    let (function, threads) = (module.get_function(Saxpy::NAME)?, (WARP * GPU_WARPS) as u32);
    let parameter = saxpy.as_bytes().as_ptr().cast_mut().cast();
    // SAFETY: the kernel takes the bytes of the struct. Both arrays have the same length, and nothing else uses them.
    unsafe { stream.launch(&function, 1, threads, Saxpy::SHARED_BYTES as u32, &[parameter])? };
    stream.synchronize()?;
    let mut result = y.to_vec();
    device_y.copy_to(&mut result[..])?;
    Ok((device.name()?, result))
}

/// Returns an error, because NVIDIA's driver exists only for Linux and Windows.
#[cfg(not(any(target_os = "linux", windows)))]
fn on_gpu(_x: &[f32], _y: &[f32]) -> Result<(String, Vec<f32>), Box<dyn std::error::Error>> {
    Err("NVIDIA's driver exists only for Linux and Windows".into())
}
