//! An emulated CUDA driver that executes PTX on the CPU, checks it and profiles it, for tests on computers without a
//! GPU.
//!
//! The emulator accepts a subset of PTX, which includes all that rustc's NVPTX backend and libNVVM generate for Rust
//! kernels. A module loads if it parses. A kernel with an instruction outside the subset is refused when it is launched,
//! with an error that names the line and the instruction, and the other kernels of the module run. While a kernel runs,
//! the emulator reports accesses that are out of bounds or misaligned, barriers that only some lanes reach, and races
//! between plain accesses to shared memory. Valid CUDA passes these checks, but for the simplifications below. The
//! emulator warns once of a read of uninitialised shared memory. [`Checks::Strict`] is for programs that hold to more,
//! such as no races in global memory. A report names kernel, block, warp, lane, PTX line and source lines.
//!
//! # As a library
//!
//! [`Gpu`] has memory, modules and launches, without the driver's handles and error codes.
//!
//! ```
//! use ptx_emulator::{DeviceProperties, Dims, FaultKind, Gpu};
//!
//! const PTX: &str = "
//!     .version 7.0
//!     .target sm_75
//!     .address_size 64
//!     .visible .entry double(.param .u64 values) {
//!         .reg .b32 %r<3>;
//!         .reg .b64 %rd<3>;
//!         ld.param.u64 %rd1, [values];
//!         mov.u32 %r1, %tid.x;
//!         mul.wide.u32 %rd2, %r1, 4;
//!         add.u64 %rd1, %rd1, %rd2;
//!         ld.global.u32 %r2, [%rd1];
//!         add.u32 %r2, %r2, %r2;
//!         st.global.u32 [%rd1], %r2;
//!         ret;
//!     }";
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut gpu = Gpu::new(DeviceProperties::default());
//! let module = gpu.load(PTX)?;
//! let values = gpu.allocate(4 * 32).expect("the device has memory");
//! gpu.write(values, &[7, 0, 0, 0].repeat(32));
//! gpu.launch(&module, "double", Dims::new(1, 32), &values.to_le_bytes())?;
//! assert_eq!(gpu.read(values, 4 * 32), Some([14, 0, 0, 0].repeat(32)));
//!
//! let fault = gpu.launch(&module, "double", Dims::new(1, 33), &values.to_le_bytes()).unwrap_err();
//! assert_eq!(fault.kind, FaultKind::OutOfBounds);
//! assert_eq!((fault.warp, fault.lane), (1, Some(0)));
//! # Ok(())
//! # }
//! ```
//!
//! # As `libcuda.so.1`
//!
//! The crate is also a shared library that exports the functions of the [CUDA Driver API]. A program that opens the
//! driver at run time loads the emulator instead of the real driver:
//!
//! ```sh
//! cargo build --release -p ptx-emulator
//! mkdir -p target/emulated
//! ln -sf ../release/libptx_emulator.so target/emulated/libcuda.so.1
//! LD_LIBRARY_PATH=target/emulated PTX_EMULATOR=sms=4,profile=profile.txt program-under-test
//! ```
//!
//! The settings in the environment variable `PTX_EMULATOR` choose the device, make calls fail, log calls and write
//! profiles. [`config`] lists them. A fault is printed to stderr, and all later calls in the context return an error,
//! as on a GPU. The command `ptx-emulator run -- PROGRAM` does the same in one line. A function of the driver that is not
//! supported returns `CUDA_ERROR_NOT_SUPPORTED` and names itself on stderr.
//!
//! # Simplifications
//!
//! - Blocks and warps run in an order that depends on a seed alone, so every run is reproducible. The blocks of a launch run in
//!   several threads if its kernel cannot exchange values between blocks, and if no block has accessed what a block of another
//!   thread has written. Otherwise the launch runs again in one thread. So results and reports do not depend on the threads. An
//!   operation of a stream has completed when the call returns, unless it waits for another stream or for the host, or the
//!   settings delay all streams.
//! - A function of the host, such as that of `cuLaunchHostFunc`, runs on the thread whose call makes it ready. A program that
//!   holds a lock during a call, and takes it in the function, waits for itself.
//! - Lanes that diverge reconverge at the immediate post-dominator. The members of a `bar.warp.sync`, shuffle or vote
//!   must reach it together, whereas a GPU also accepts lanes that come from different branches. The same holds for the
//!   lanes of a warp at a barrier that is not aligned.
//! - Approximate instructions and atomics on floating-point values give the correctly rounded result, which is within the
//!   manual's error bounds. The settings can refuse them, because their bits differ between GPUs.
//! - An asynchronous copy ends before the next instruction of its thread, so a missing wait is not found. Texels are read
//!   and written without a race check. A product of matrices is summed in double precision and rounded once.
//! - A function may call itself if it has no variables in local memory. A warp nests up to 4,096 calls.
//! - The race checker treats a warp as one agent in releases and acquires. Among the lanes of a warp, barriers and
//!   `bar.warp.sync`s order all accesses of their lanes, and shuffles and votes order a read before a later write. Lanes
//!   of one warp may write equal values to one location. For each byte, the checker remembers the last writer only.
//! - All devices share one address space. Each has its own amount of memory, and can access that of its peers.
//!
//! # Reading order
//!
//! `ptx` parses text, `program` turns syntax into executable instructions, `simulator` runs them, `gpu` joins the
//! three, and `driver` adds the handles and error codes of the Driver API.
//!
//! [CUDA Driver API]: https://docs.nvidia.com/cuda/cuda-driver-api/
#![allow(clippy::float_cmp, reason = "PTX compares values exactly")]
#![allow(clippy::unnecessary_box_returns, reason = "a fault is large and rare, and the other results are small")]
#![allow(clippy::format_push_string, clippy::format_collect, reason = "reports are short")]

mod driver;
mod gpu;
mod program;
mod ptx;
mod simulator;

pub use driver::config;
pub use gpu::{Gpu, Module};
pub use program::{Coverage, Program, Variant, coverage, variants};
pub use ptx::Error;
pub use simulator::{
    AddressMode, Bound, Channel, Checks, Counts, DeviceProperties, Dims, Fault, FaultKind, INSTRUCTION_CLASSES,
    InstructionClass, LATENCY_PUBLICATIONS, Profile, Sampler, Texels, Texture, Watchdog,
};
