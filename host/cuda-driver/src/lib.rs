//! The functions of the CUDA driver that `cust` calls, found at run time.
//!
//! A program that uses `cust` with this crate needs no CUDA installation to build, and it starts without a driver. The
//! crate defines each function under the driver's name. The first call opens the driver's library, to which the function
//! forwards.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_void};
use std::sync::OnceLock;

use libloading::Library;

/// The driver's library, by the name that every installation of the driver provides.
const LIBRARY: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// Places of the library that the system's search may leave out, in the order in which they are tried. The first place
/// belongs to the Windows Subsystem for Linux, the others to Jetson's releases.
const OTHER_PLACES: &[&str] = if cfg!(windows) {
    &[]
} else {
    &[
        "/usr/lib/wsl/lib/libcuda.so.1",
        "/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1",
        "/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1",
    ]
};

/// The code `CUDA_ERROR_NO_DEVICE`, also the result of every function without a driver.
pub const NO_DEVICE: i32 = 100;
/// The code `CUDA_ERROR_LAUNCH_TIMEOUT`, the result of a kernel that ran into the time limit of a display's GPU.
pub const LAUNCH_TIMEOUT: i32 = 702;
const OUT_OF_MEMORY: c_int = 2;
const NOT_FOUND: c_int = 500;
const NOT_SUPPORTED: c_int = 801;
const UNKNOWN: c_int = 999;

/// A call of the driver that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The function that was called.
    pub function: &'static str,
    /// The result, a `CUresult` of the driver's version of CUDA.
    pub code: i32,
}

thread_local! {
    /// The last failure, because `cust` knows the results of its own version of CUDA alone.
    static LAST_FAILURE: Cell<Option<Failure>> = const { Cell::new(None) };
}

/// Returns the last failure on this thread, if any call has failed.
pub fn last_failure() -> Option<Failure> {
    LAST_FAILURE.get()
}

/// Returns the driver's library.
///
/// # Errors
/// If the library cannot be opened anywhere. The error is the system's for the name `LIBRARY`.
pub fn library() -> Result<&'static Library, &'static libloading::Error> {
    static OPENED: OnceLock<Result<Library, libloading::Error>> = OnceLock::new();
    // SAFETY: the driver's initialisers have no requirements. They run in every CUDA program.
    let open = |name: &str| unsafe { Library::new(name) };
    let find = || open(LIBRARY).or_else(|error| OTHER_PLACES.iter().find_map(|place| open(place).ok()).ok_or(error));
    OPENED.get_or_init(find).as_ref()
}

/// Returns the driver's name and description of a result, such as `CUDA_ERROR_OUT_OF_MEMORY` and `out of memory`.
pub fn describe(code: i32) -> Option<(String, String)> {
    type Describe = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;
    let text = |function: &str| {
        let mut text: *const c_char = std::ptr::null();
        // SAFETY: both functions have this signature in every version of CUDA.
        let found = unsafe { library().ok()?.get::<Describe>(function).ok()?(code, &raw mut text) } == 0;
        // SAFETY: the driver returns a static string.
        (found && !text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    Some((text("cuGetErrorName")?, text("cuGetErrorString")?))
}

/// Returns the result for `cust`. Its `CUresult` is a Rust enum, so an unknown discriminant would be undefined behaviour.
fn result(function: &'static str, code: c_int) -> c_int {
    if code != 0 {
        LAST_FAILURE.set(Some(Failure { function, code }));
    }
    if matches!(code, 0 | OUT_OF_MEMORY | NO_DEVICE) { code } else { UNKNOWN }
}

macro_rules! forward {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?);)*) => {$(
        /// Forwards to the function of the driver.
        ///
        /// # Safety
        /// The conditions of the driver's documentation hold.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments, reason = "the signatures are the driver's")]
        unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            type Function = unsafe extern "C" fn($($type),*) -> c_int;
            static FOUND: OnceLock<Result<Function, c_int>> = OnceLock::new();
            let found = FOUND.get_or_init(|| {
                let library = library().map_err(|_| NO_DEVICE)?;
                // SAFETY: the function of this name has this signature, since CUDA gives a changed function a new name.
                let function = unsafe { library.get::<Function>(stringify!($name)) };
                function.map(|function| *function).map_err(|_| NOT_FOUND)
            });
            let code = match found {
                // SAFETY: the caller keeps the contract of the driver's documentation.
                Ok(function) => unsafe { function($($argument),*) },
                Err(code) => *code,
            };
            result(stringify!($name), code)
        }
    )*};
}

/// An opaque handle of the driver.
type Handle = *mut c_void;
/// An address on the device.
type DevicePointer = u64;
/// A device's index.
type Device = c_int;

forward! {
    fn cuInit(flags: c_uint);
    fn cuDriverGetVersion(version: *mut c_int);
    fn cuGetErrorString(error: c_int, text: *mut *const c_char);
    fn cuDeviceGetCount(count: *mut c_int);
    fn cuDeviceGet(device: *mut Device, ordinal: c_int);
    fn cuDeviceGetName(name: *mut c_char, len: c_int, device: Device);
    fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_uint, device: Device);
    fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: Device);
    fn cuDevicePrimaryCtxRelease_v2(device: Device);
    fn cuCtxSetCurrent(context: Handle);
    fn cuModuleLoadDataEx(
        module: *mut Handle, image: *const c_void, count: c_uint, options: *mut c_uint, values: *mut *mut c_void,
    );
    fn cuModuleUnload(module: Handle);
    fn cuModuleGetFunction(function: *mut Handle, module: Handle, name: *const c_char);
    fn cuFuncSetAttribute(function: Handle, attribute: c_uint, value: c_int);
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: *mut c_int, function: Handle, threads: c_int, shared_bytes: usize,
    );
    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize);
    fn cuMemAlloc_v2(pointer: *mut DevicePointer, bytes: usize);
    fn cuMemFree_v2(pointer: DevicePointer);
    fn cuMemsetD8_v2(to: DevicePointer, value: c_uchar, bytes: usize);
    fn cuMemcpyHtoD_v2(to: DevicePointer, from: *const c_void, bytes: usize);
    fn cuMemcpyDtoH_v2(to: *mut c_void, from: DevicePointer, bytes: usize);
    fn cuMemcpyDtoD_v2(to: DevicePointer, from: DevicePointer, bytes: usize);
    fn cuMemAllocHost_v2(pointer: *mut *mut c_void, bytes: usize);
    fn cuMemFreeHost(pointer: *mut c_void);
    fn cuStreamCreateWithPriority(stream: *mut Handle, flags: c_uint, priority: c_int);
    fn cuStreamDestroy_v2(stream: Handle);
    fn cuStreamSynchronize(stream: Handle);
    fn cuLaunchKernel(
        function: Handle, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared_bytes: c_uint, stream: Handle, arguments: *mut *mut c_void, extra: *mut *mut c_void,
    );
    fn cuLaunchCooperativeKernel(
        function: Handle, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared_bytes: c_uint, stream: Handle, arguments: *mut *mut c_void,
    );
    fn cuEventCreate(event: *mut Handle, flags: c_uint);
    fn cuEventDestroy_v2(event: Handle);
    fn cuEventRecord(event: Handle, stream: Handle);
    fn cuEventSynchronize(event: Handle);
    fn cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle);
}

macro_rules! unsupported {
    ($($name:ident)*) => {$(
        /// Returns `CUDA_ERROR_NOT_SUPPORTED`.
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> c_int {
            LAST_FAILURE.set(Some(Failure { function: stringify!($name), code: NOT_SUPPORTED }));
            NOT_SUPPORTED
        }
    )*};
}

// The other functions that `cust` names. The program calls none of them, but Windows' linkers want a definition of each
// function that an object file refers to. With the C calling convention the caller removes the arguments, so the
// definitions need no parameters.
unsupported! {
    cuArray3DCreate_v2 cuArray3DGetDescriptor_v2 cuArrayDestroy cuCtxCreate_v2 cuCtxDestroy_v2
    cuCtxGetApiVersion cuCtxGetCacheConfig cuCtxGetCurrent cuCtxGetDevice cuCtxGetFlags cuCtxGetLimit
    cuCtxGetSharedMemConfig cuCtxGetStreamPriorityRange cuCtxPopCurrent_v2 cuCtxPushCurrent_v2
    cuCtxSetCacheConfig cuCtxSetLimit cuCtxSetSharedMemConfig cuCtxSynchronize cuDestroyExternalMemory
    cuDevicePrimaryCtxReset_v2 cuDevicePrimaryCtxSetFlags_v2 cuDeviceTotalMem_v2 cuEventQuery
    cuExternalMemoryGetMappedBuffer cuFuncGetAttribute cuFuncSetCacheConfig cuFuncSetSharedMemConfig
    cuGraphAddKernelNode cuGraphCreate cuGraphDebugDotPrint cuGraphDestroy cuGraphGetEdges cuGraphGetNodes
    cuGraphKernelNodeGetParams cuGraphNodeGetType cuImportExternalMemory cuLaunchHostFunc cuLinkAddData_v2
    cuLinkComplete cuLinkCreate_v2 cuLinkDestroy cuMemAdvise cuMemAllocAsync cuMemAllocManaged
    cuMemFreeAsync cuMemPrefetchAsync cuMemcpy2D_v2 cuMemcpyAtoH_v2 cuMemcpyDtoDAsync_v2
    cuMemcpyDtoHAsync_v2 cuMemcpyHtoA_v2 cuMemcpyHtoDAsync_v2
    cuMemsetD16Async cuMemsetD16_v2 cuMemsetD32Async cuMemsetD32_v2 cuMemsetD8Async cuModuleGetGlobal_v2
    cuModuleLoad cuModuleLoadData cuOccupancyAvailableDynamicSMemPerBlock cuOccupancyMaxPotentialBlockSize
    cuStreamGetFlags cuStreamGetPriority cuStreamWaitEvent cuSurfObjectCreate cuSurfObjectDestroy
    cuSurfObjectGetResourceDesc cuTexObjectCreate cuTexObjectDestroy cuTexObjectGetResourceDesc
    cuTexObjectGetResourceViewDesc
}
