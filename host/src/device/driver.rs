//! The functions of the CUDA driver, found when the program runs, so that the program starts without a driver too.
//!
//! `cust` is linked against these functions instead of libcuda (see .cargo/config.toml). The first call opens the
//! driver's library, to which each function forwards.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_void};
use std::sync::OnceLock;

use cust::sys::{
    CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUfunction, CUfunction_attribute, CUjit_option,
    CUmodule, CUresult, CUstream,
};
use libloading::Library;

/// The driver's library, by the name that every installation of the driver provides.
const LIBRARY: &str = "libcuda.so.1";

/// The code `CUDA_ERROR_NO_DEVICE`, also the result of every function without a driver.
pub const NO_DEVICE: c_int = 100;
/// The code `CUDA_ERROR_NOT_FOUND`, also the result of a function that the driver lacks.
const NOT_FOUND: c_int = 500;

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
/// If the library cannot be opened. The error is the system's.
pub fn library() -> Result<&'static Library, &'static libloading::Error> {
    static OPENED: OnceLock<Result<Library, libloading::Error>> = OnceLock::new();
    // SAFETY: loading the driver runs its initialisers, as in every CUDA program.
    OPENED.get_or_init(|| unsafe { Library::new(LIBRARY) }).as_ref()
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

/// Returns the result for `cust`. `CUresult` is a Rust enum, so an unknown discriminant would be undefined behaviour.
fn result(function: &'static str, code: c_int) -> CUresult {
    if code == 0 {
        return CUresult::CUDA_SUCCESS;
    }
    LAST_FAILURE.set(Some(Failure { function, code }));
    match code {
        2 => CUresult::CUDA_ERROR_OUT_OF_MEMORY,
        NO_DEVICE => CUresult::CUDA_ERROR_NO_DEVICE,
        _ => CUresult::CUDA_ERROR_UNKNOWN,
    }
}

macro_rules! forward {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?);)*) => {$(
        /// Forwards to the function of the driver.
        ///
        /// # Safety
        /// The conditions of the driver's documentation hold.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments, reason = "the signatures are the driver's")]
        unsafe extern "C" fn $name($($argument: $type),*) -> CUresult {
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

forward! {
    fn cuInit(flags: c_uint);
    fn cuGetErrorString(error: CUresult, text: *mut *const c_char);
    fn cuDeviceGetCount(count: *mut c_int);
    fn cuDeviceGet(device: *mut CUdevice, ordinal: c_int);
    fn cuDeviceGetName(name: *mut c_char, len: c_int, device: CUdevice);
    fn cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, device: CUdevice);
    fn cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice);
    fn cuDevicePrimaryCtxRelease_v2(device: CUdevice);
    fn cuCtxSetCurrent(context: CUcontext);
    fn cuModuleLoadDataEx(
        module: *mut CUmodule, image: *const c_void, count: c_uint, options: *mut CUjit_option, values: *mut *mut c_void,
    );
    fn cuModuleUnload(module: CUmodule);
    fn cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, name: *const c_char);
    fn cuFuncSetAttribute(function: CUfunction, attribute: CUfunction_attribute, value: c_int);
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: *mut c_int, function: CUfunction, threads: c_int, shared_bytes: usize,
    );
    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize);
    fn cuMemAlloc_v2(pointer: *mut CUdeviceptr, bytes: usize);
    fn cuMemFree_v2(pointer: CUdeviceptr);
    fn cuMemsetD8_v2(to: CUdeviceptr, value: c_uchar, bytes: usize);
    fn cuMemcpyHtoD_v2(to: CUdeviceptr, from: *const c_void, bytes: usize);
    fn cuMemcpyDtoH_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize);
    fn cuStreamCreateWithPriority(stream: *mut CUstream, flags: c_uint, priority: c_int);
    fn cuStreamDestroy_v2(stream: CUstream);
    fn cuStreamSynchronize(stream: CUstream);
    fn cuLaunchKernel(
        function: CUfunction, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared_bytes: c_uint, stream: CUstream, arguments: *mut *mut c_void, extra: *mut *mut c_void,
    );
    fn cuLaunchCooperativeKernel(
        function: CUfunction, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint, block_y: c_uint,
        block_z: c_uint, shared_bytes: c_uint, stream: CUstream, arguments: *mut *mut c_void,
    );
    fn cuEventCreate(event: *mut CUevent, flags: c_uint);
    fn cuEventDestroy_v2(event: CUevent);
    fn cuEventRecord(event: CUevent, stream: CUstream);
    fn cuEventSynchronize(event: CUevent);
    fn cuEventElapsedTime(milliseconds: *mut f32, start: CUevent, end: CUevent);
}
