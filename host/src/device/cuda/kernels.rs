//! The kernels in the embedded PTX: the choice of an instance for a shape, compilation and launch.

use std::cell::OnceCell;
use std::ffi::{CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use cust::device::Device as CudaDevice;
use cust::error::CudaError;
use cust::function::{BlockSize, Function};
use cust::module::Module;
use cust::stream::Stream;
use cust::sys::{self, CUdevice_attribute, CUfunction_attribute, CUjit_option, CUresult};
use gpu_kernels::activations::Activations;
use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::generate::{GenerateArgs, generate_workspace_len};
use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{ConstShape, DefaultShape, GPU_TOKENS, RuntimeShape, Shape};
use gpu_kernels::train::batch::BatchArgs;
use gpu_kernels::train::{TrainModelsArgs, train_workspace_len};
use simt::GPU_WARPS;

use super::error::{failed, not_compiled};
use crate::error::{Error, Result};

/// The kernels as PTX, from the build script.
#[derive(Clone, Copy, Debug)]
pub struct Ptx {
    /// The oldest architecture that runs the PTX: 75 is compute capability 7.5.
    pub arch: u32,
    /// The human-readable name of the compiler.
    pub compiler: &'static str,
    /// The kernels' names, each with its module. The instance for the default shape has the bare name. Those for shapes
    /// that fit in shared memory end in `_shared`, those for all other shapes in `_global`.
    pub kernels: &'static [(&'static str, &'static str)],
}

/// The embedded PTX, if the build has any.
pub static PTX: Option<Ptx> = include!(concat!(env!("OUT_DIR"), "/ptx.rs"));

/// The most shared memory in bytes that a kernel may declare in its PTX. Rust-CUDA's kernels declare some. A launch
/// leaves as much free whichever compiler was used.
pub const DECLARED_SHARED: usize = 16;

/// An argument struct, which one kernel takes by value. A test compares the sizes.
pub(super) trait Args: Copy {
    /// The kernel's name.
    const KERNEL: &'static str;
    /// Whether the kernel's blocks wait for each other.
    const GRID_BARRIER: bool = false;
}

impl Args for TrainModelsArgs {
    const KERNEL: &'static str = "train";
}
impl Args for BatchArgs {
    const KERNEL: &'static str = "train_batch";
    const GRID_BARRIER: bool = true;
}
impl Args for EvaluateArgs {
    const KERNEL: &'static str = "evaluate";
}
impl Args for GenerateArgs {
    const KERNEL: &'static str = "generate";
}

/// The instance of the kernel with these arguments that a shape takes.
pub(super) struct Kernel<A> {
    /// The name in the PTX.
    pub name: String,
    /// Whether the kernel's arrays lie in global memory, so that its workspace must be allocated there.
    pub is_global: bool,
    /// Shared memory of a block, in bytes.
    shared_bytes: usize,
    args: PhantomData<A>,
}

impl<A: Args> Kernel<A> {
    /// Launches the kernel, whose compiled form is `function`, on this stream.
    ///
    /// # Safety
    /// Until the stream has been synchronised, the arrays in `args` are on the device with the lengths that the struct
    /// states for `blocks` blocks, and nothing else uses the arrays that the kernel writes. Their contents keep the
    /// kernel's contract.
    pub unsafe fn launch(&self, function: &Function, stream: &Stream, blocks: usize, args: A) -> Result<()> {
        let (blocks, BlockSize { x, y, z }, shared) = (blocks as u32, block_size(), self.shared_bytes as u32);
        let (function, stream) = (function.to_raw(), stream.as_inner());
        let arguments = &mut [(&raw const args).cast_mut().cast::<c_void>()];
        let arguments = arguments.as_mut_ptr();
        // SAFETY: the argument is the struct that the kernel declares, and the caller vouches for its contents.
        let result = unsafe {
            if A::GRID_BARRIER {
                // In a cooperative launch, the driver refuses a grid of more blocks than run at a time, which would
                // deadlock.
                sys::cuLaunchCooperativeKernel(function, blocks, 1, 1, x, y, z, shared, stream, arguments)
            } else {
                sys::cuLaunchKernel(function, blocks, 1, 1, x, y, z, shared, stream, arguments, ptr::null_mut())
            }
        };
        to_result(result, || format!("launch `{}`", self.name))
    }
}

/// The kernels on one device, for one shape.
pub(super) struct CudaKernels {
    ptx: Ptx,
    shape: RuntimeShape,
    name: String,
    /// The device's architecture, in the unit of `Ptx::arch`.
    arch: u32,
    multiprocessors: usize,
    /// The most shared memory that a launch can ask for, in bytes per block.
    max_shared: usize,
    /// Whether the device allows blocks to wait for each other.
    cooperative: bool,
    /// The modules of `Ptx::kernels`, compiled at first use.
    modules: Vec<OnceCell<Module>>,
}

impl CudaKernels {
    /// Returns the kernels for this shape on this device.
    pub fn new(device: CudaDevice, shape: RuntimeShape) -> Result<Self> {
        let ptx = PTX.ok_or(Error::NoPtx)?;
        let attribute = |attribute| -> Result<usize> {
            let mut value = 0;
            // SAFETY: the call writes one integer to `value`.
            let result = unsafe { sys::cuDeviceGetAttribute(&raw mut value, attribute, device.as_raw()) };
            to_result(result, || "ask for the GPU's properties".to_owned())?;
            Ok(value as usize)
        };
        let major = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let name = device.name().map_err(failed("ask for the GPU's name"))?;
        let arch = (10 * major + minor) as u32;
        if arch < ptx.arch {
            return Err(Error::TooOld { name, arch, needed: ptx.arch });
        }
        Ok(Self {
            ptx,
            shape,
            name,
            arch,
            multiprocessors: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            max_shared: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?
                .saturating_sub(DECLARED_SHARED),
            cooperative: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH)? != 0,
            modules: ptx.kernels.iter().map(|_| OnceCell::new()).collect(),
        })
    }

    /// Returns the device's name for a notice.
    pub fn description(&self) -> String {
        format!("{} (sm_{}, PTX for sm_{})", self.name, self.arch, self.ptx.arch)
    }

    /// Returns `train`. Its arrays are parameters, transposed copies, gradients, both moments and the workspace.
    pub fn train(&self) -> Kernel<TrainModelsArgs> {
        self.choose(5 * Layout(self.shape).len() + train_workspace_len(self.shape))
    }

    /// Returns `train_batch`. Its arrays are parameters, transposed copies, a shard's gradients and the workspace.
    pub fn train_batch(&self) -> Result<Kernel<BatchArgs>> {
        if !self.cooperative {
            return Err(Error::NoCooperativeLaunch { name: self.name.clone() });
        }
        Ok(self.choose(3 * Layout(self.shape).len() + train_workspace_len(self.shape)))
    }

    /// Returns `evaluate`. Its arrays are parameters, transposed copies and the workspace.
    pub fn evaluate(&self) -> Kernel<EvaluateArgs> {
        self.choose(2 * Layout(self.shape).len() + Activations::len(self.shape))
    }

    /// Returns `generate`. Its arrays are parameters, transposed copies and the workspace.
    pub fn generate(&self) -> Kernel<GenerateArgs> {
        let workspace = generate_workspace_len(self.shape, GPU_WARPS, GPU_TOKENS);
        self.choose(2 * Layout(self.shape).len() + workspace)
    }

    /// Returns the instance of a kernel whose arrays take `elements` elements.
    fn choose<A: Args>(&self, elements: usize) -> Kernel<A> {
        const DEFAULT: DefaultShape = ConstShape;
        let is_global = 4 * elements > self.max_shared;
        let suffix = match (is_global, self.shape == DEFAULT.to_runtime()) {
            (true, _) => "_global",
            (false, true) => "",
            (false, false) => "_shared",
        };
        let shared_bytes = if is_global { 0 } else { 4 * elements };
        Kernel { name: format!("{}{suffix}", A::KERNEL), is_global, shared_bytes, args: PhantomData }
    }

    /// Returns how many blocks of a kernel run on the device at a time.
    pub fn resident_blocks<A: Args>(&self, kernel: &Kernel<A>) -> Result<usize> {
        let per_multiprocessor = self
            .compiled(kernel)?
            .max_active_blocks_per_multiprocessor(block_size(), kernel.shared_bytes)
            .map_err(failed(format!("ask how many blocks of `{}` fit", kernel.name)))?;
        Ok((per_multiprocessor as usize * self.multiprocessors).max(1))
    }

    /// Returns the compiled kernel. The driver compiles it at first use.
    pub fn compiled<A: Args>(&self, kernel: &Kernel<A>) -> Result<Function<'_>> {
        let name = &kernel.name;
        let index = self.ptx.kernels.iter().position(|(kernel, _)| kernel == name);
        let index = index.ok_or_else(|| Error::NoKernel { kernel: name.clone() })?;
        let module = if let Some(module) = self.modules[index].get() {
            module
        } else {
            let (_, ptx) = self.ptx.kernels[index];
            let loaded = Module::from_ptx(ptx, &[]).map_err(|error| not_compiled(error, &jit_log(ptx)))?;
            self.modules[index].get_or_init(|| loaded)
        };
        let function = module.get_function(name).map_err(failed(format!("find `{name}` in the PTX")))?;
        let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the call sets an attribute of the function.
        let result = unsafe { sys::cuFuncSetAttribute(function.to_raw(), attribute, kernel.shared_bytes as c_int) };
        to_result(result, || format!("give `{name}` its shared memory"))?;
        Ok(function)
    }
}

fn block_size() -> BlockSize {
    BlockSize::x(GPU_WARPS as u32 * 32)
}

/// Returns the result of a call of the driver that did not go through `cust`.
fn to_result(result: CUresult, action: impl FnOnce() -> String) -> Result<()> {
    if result == CUresult::CUDA_SUCCESS { Ok(()) } else { Err(failed(action())(CudaError::UnknownError)) }
}

/// Returns the log of the driver's compiler for PTX that it has refused.
fn jit_log(ptx: &str) -> String {
    let Ok(ptx) = CString::new(ptx) else { return String::new() };
    let mut log = vec![0u8; 4096];
    let mut options = [CUjit_option::CU_JIT_ERROR_LOG_BUFFER, CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), ptr::without_provenance_mut(log.len())];
    let mut module = ptr::null_mut();
    // SAFETY: two options have two values, of which the second is the size of the first. The text ends with a zero.
    unsafe {
        let (options, values) = (options.as_mut_ptr(), values.as_mut_ptr());
        let result = sys::cuModuleLoadDataEx(&raw mut module, ptx.as_ptr().cast(), 2, options, values);
        if result == CUresult::CUDA_SUCCESS {
            sys::cuModuleUnload(module);
        }
    }
    log.truncate(log.iter().position(|&byte| byte == 0).unwrap_or(log.len()));
    String::from_utf8_lossy(&log).trim().to_owned()
}
