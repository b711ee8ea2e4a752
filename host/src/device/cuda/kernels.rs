//! The kernels in the embedded PTX, with the choice of an instance for a shape, compilation and launch.

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
use gpu_kernels::part::{AddArgs, BatchLaunchArgs};
use gpu_kernels::shape::{ConstShape, DefaultShape, GPU_TOKENS, RuntimeShape, Shape};
use gpu_kernels::tiled::launch::{PhaseArgs, ProductsArgs};
use gpu_kernels::train::{TrainModelsArgs, train_workspace_len};
use simt::GPU_WARPS;

use super::error::{failed, not_compiled};
use super::pace::Pace;
use crate::error::{Error, Result};

/// The kernels as PTX, from the build script.
#[derive(Clone, Copy, Debug)]
pub struct Ptx {
    /// The oldest architecture that runs the PTX. For example, 75 is compute capability 7.5.
    pub arch: u32,
    /// The human-readable name of the compiler.
    pub compiler: &'static str,
    /// The kernels' names, each with its module. The instance for the default shape has the bare name. Names for shapes
    /// that fit in shared memory end in `_shared`, and names for all other shapes in `_global`.
    pub kernels: &'static [(&'static str, &'static str)],
}

/// The embedded PTX, if the build has any.
pub static PTX: Option<Ptx> = include!(concat!(env!("OUT_DIR"), "/ptx.rs"));

/// The largest shared memory in bytes that a kernel may declare in its PTX. Because Rust-CUDA's kernels declare some, a
/// launch leaves as much free for either compiler.
pub const DECLARED_SHARED: usize = 16;

/// An argument struct, which kernels take by value. A test compares the struct's size on the host with the size in the
/// PTX.
pub(super) trait LaunchArgs: Copy {
    /// Whether the blocks of its kernels wait for each other.
    const GRID_BARRIER: bool = false;

    /// Returns the number of warps of a block.
    fn warps(&self) -> usize {
        GPU_WARPS
    }
}

/// The argument struct of a kernel with an instance for each kind of shape, and the demands of that kernel.
pub(super) trait Args: LaunchArgs {
    /// The kernel's name.
    const KERNEL: &'static str;
    /// The arrays of a block that are as long as the weights, which are parameters and transposed copies, then
    /// gradients, then both moments.
    const WEIGHT_ARRAYS: usize;
    /// The elements of a block's workspace.
    const WORKSPACE: fn(RuntimeShape) -> usize;
}

impl LaunchArgs for TrainModelsArgs {}
impl LaunchArgs for BatchLaunchArgs {
    const GRID_BARRIER: bool = true;
}
impl LaunchArgs for EvaluateArgs {}
impl LaunchArgs for GenerateArgs {}
impl LaunchArgs for AddArgs {}
impl LaunchArgs for PhaseArgs {}
impl LaunchArgs for ProductsArgs {
    fn warps(&self) -> usize {
        Self::warps(self)
    }
}

impl Args for TrainModelsArgs {
    const KERNEL: &'static str = "train";
    const WEIGHT_ARRAYS: usize = 5;
    const WORKSPACE: fn(RuntimeShape) -> usize = train_workspace_len;
}
impl Args for BatchLaunchArgs {
    const KERNEL: &'static str = "train_batch";
    const WEIGHT_ARRAYS: usize = 3;
    const WORKSPACE: fn(RuntimeShape) -> usize = train_workspace_len;
}
impl Args for EvaluateArgs {
    const KERNEL: &'static str = "evaluate";
    const WEIGHT_ARRAYS: usize = 2;
    const WORKSPACE: fn(RuntimeShape) -> usize = Activations::len;
}
impl Args for GenerateArgs {
    const KERNEL: &'static str = "generate";
    const WEIGHT_ARRAYS: usize = 2;
    const WORKSPACE: fn(RuntimeShape) -> usize = |shape| generate_workspace_len(shape, GPU_WARPS, GPU_TOKENS, 1);
}

/// A kernel with these arguments, with the demands of a launch.
pub(super) struct Kernel<A> {
    /// The name in the PTX.
    pub name: String,
    /// The number of elements of global memory that a block needs as its workspace, or 0 if shared memory holds it.
    pub workspace: usize,
    /// The shared memory of a block, in bytes.
    shared_bytes: usize,
    args: PhantomData<A>,
}

impl<A: LaunchArgs> Kernel<A> {
    /// Returns the number of elements that a block keeps in shared memory, or in its workspace.
    pub fn staging(&self) -> usize {
        self.workspace + self.shared_bytes / 4
    }

    /// Launches the kernel, whose compiled form is `function`, on this stream.
    ///
    /// # Safety
    /// Until the stream has been synchronised, the arrays in `args` are on the device with the lengths that the struct
    /// states for `blocks` blocks, and nothing else uses the arrays that the kernel writes. The contents of the arrays
    /// keep the kernel's contract.
    pub unsafe fn launch(&self, function: &Function, stream: &Stream, blocks: usize, args: A) -> Result<()> {
        let BlockSize { x, y, z } = block_size(args.warps());
        let (blocks, shared) = (blocks as u32, self.shared_bytes as u32);
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
    /// The largest shared memory that a launch can ask for, in bytes per block.
    max_shared: usize,
    /// Whether the device allows blocks to wait for each other.
    cooperative: bool,
    /// The modules of `Ptx::kernels`, compiled at first use.
    modules: Vec<OnceCell<Module>>,
    /// The paces of `Ptx::kernels`, if the device has a time limit for launches.
    paces: Option<Vec<Pace>>,
}

impl CudaKernels {
    /// Returns the kernels for this shape on this device.
    pub fn new(device: CudaDevice, shape: RuntimeShape) -> Result<Self> {
        let ptx = PTX.ok_or_else(|| Error::NotBuilt { part: "GPU kernels (MICROGPT_PTX=none)".to_owned() })?;
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
            paces: (attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT)? != 0)
                .then(|| ptx.kernels.iter().map(|_| Pace::new()).collect()),
        })
    }

    /// Returns the device's name for a notice.
    pub fn description(&self) -> String {
        format!("{} (sm_{}, PTX for sm_{})", self.name, self.arch, self.ptx.arch)
    }

    /// Returns the shape's instance of the kernel with these arguments.
    pub fn choose<A: Args>(&self) -> Result<Kernel<A>> {
        const DEFAULT: DefaultShape = ConstShape;
        if A::GRID_BARRIER && !self.cooperative {
            let message = format!("{} has no cooperative launch, which `--batch` needs", self.name);
            return Err(Error::usage(message, "leave `--batch` out, or use `--device cpu`"));
        }
        let workspace = A::WORKSPACE(self.shape);
        let bytes = 4 * (A::WEIGHT_ARRAYS * Layout(self.shape).len() + workspace);
        let is_global = bytes > self.max_shared;
        let suffix = match (is_global, self.shape == DEFAULT.to_runtime()) {
            (true, _) => "_global",
            (false, true) => "",
            (false, false) => "_shared",
        };
        let (shared_bytes, workspace) = if is_global { (0, workspace) } else { (bytes, 0) };
        Ok(Kernel { name: format!("{}{suffix}", A::KERNEL), workspace, shared_bytes, args: PhantomData })
    }

    /// Returns the number of the device's multiprocessors.
    pub fn multiprocessors(&self) -> usize {
        self.multiprocessors
    }

    /// Returns a kernel of the tiled executor whose blocks stage this many elements. They lie in shared memory if it is
    /// large enough. Otherwise `global` names the kernel, if there is one, and each block has a workspace for them.
    pub fn staging<A: LaunchArgs>(&self, name: &str, global: Option<&str>, elements: usize) -> Kernel<A> {
        let bytes = 4 * elements;
        let (name, shared_bytes, workspace) = match global {
            Some(global) if bytes > self.max_shared => (global, 0, elements),
            _ => (name, bytes, 0),
        };
        Kernel { name: name.to_owned(), workspace, shared_bytes, args: PhantomData }
    }

    /// Returns the number of blocks of a kernel that run on the device at a time.
    pub fn resident_blocks<A: Args>(&self, kernel: &Kernel<A>) -> Result<usize> {
        let per_multiprocessor = self
            .compiled(kernel)?
            .max_active_blocks_per_multiprocessor(block_size(GPU_WARPS), kernel.shared_bytes)
            .map_err(failed(format!("ask how many blocks of `{}` fit", kernel.name)))?;
        Ok((per_multiprocessor as usize * self.multiprocessors).max(1))
    }

    /// Returns the index of a kernel in `Ptx::kernels`.
    fn index<A: LaunchArgs>(&self, kernel: &Kernel<A>) -> Result<usize> {
        let index = self.ptx.kernels.iter().position(|(name, _)| *name == kernel.name);
        index.ok_or_else(|| Error::NotBuilt { part: format!("the kernel `{}`", kernel.name) })
    }

    /// Returns the pace of a kernel's launches, if the device has a time limit for launches.
    pub fn pace<A: Args>(&self, kernel: &Kernel<A>) -> Result<Option<&Pace>> {
        let index = self.index(kernel)?;
        Ok(self.paces.as_ref().map(|paces| &paces[index]))
    }

    /// Returns the compiled kernel. The driver compiles it at first use.
    pub fn compiled<A: LaunchArgs>(&self, kernel: &Kernel<A>) -> Result<Function<'_>> {
        let name = &kernel.name;
        let index = self.index(kernel)?;
        let module = if let Some(module) = self.modules[index].get() {
            module
        } else {
            let (_, ptx) = self.ptx.kernels[index];
            let loaded = Module::from_ptx(ptx, &[]).map_err(|error| not_compiled(error, ptx, &jit_log(ptx)))?;
            self.modules[index].get_or_init(|| loaded)
        };
        let function = module.get_function(name).map_err(failed(format!("find `{name}` in the PTX")))?;
        let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: `function` is a function of the current context, and the call only sets its attribute.
        let result = unsafe { sys::cuFuncSetAttribute(function.to_raw(), attribute, kernel.shared_bytes as c_int) };
        to_result(result, || format!("give `{name}` its shared memory"))?;
        Ok(function)
    }
}

fn block_size(warps: usize) -> BlockSize {
    BlockSize::x(warps as u32 * 32)
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
    // SAFETY: two options have two values, of which the second is the size of the first. The text is NUL-terminated.
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
