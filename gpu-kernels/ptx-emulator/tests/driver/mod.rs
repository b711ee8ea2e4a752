//! The CUDA driver as a shared library, either the emulator or the driver of a real GPU.
#![allow(dead_code, reason = "each test uses a part of the module")]

use std::ffi::{CString, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;

use libloading::Library;

/// The threads per block of [`Driver::map`].
pub const THREADS: usize = 128;

/// A driver with a current context of its own.
pub struct Driver(pub Library);

/// Calls a function of the driver by its name, with the type of each argument.
#[allow(unused_macros, reason = "as above")]
macro_rules! call {
    ($driver:expr, $name:literal $(, $argument:expr => $type:ty)*) => {{
        // SAFETY: the CUDA Driver API declares the function with these argument types, and every pointer is valid.
        unsafe { $driver.0.get::<unsafe extern "C" fn($($type),*) -> i32>($name).unwrap()($($argument),*) }
    }};
}

impl Driver {
    /// Opens the emulator that cargo built with this test.
    pub fn emulated() -> Self {
        let deps: PathBuf = std::env::current_exe().unwrap().parent().unwrap().into();
        Self::open(deps.join("libptx_emulator.so").to_str().unwrap())
    }

    /// Opens the driver of a real GPU.
    pub fn real() -> Self {
        Self::open("libcuda.so.1")
    }

    fn open(library: &str) -> Self {
        // SAFETY: the initialisers of both libraries have no preconditions.
        let driver = Self(unsafe { Library::new(library) }.unwrap());
        assert_eq!(driver.init(), 0);
        // Tests run beside each other, and a capture or a fault in one context leaves the others alone.
        let mut context = 0usize;
        assert_eq!(call!(driver, "cuCtxCreate_v2", &raw mut context => *mut usize, 0 => u32, 0 => i32), 0);
        driver
    }

    /// Initialises the driver and returns the code.
    pub fn init(&self) -> i32 {
        call!(self, "cuInit", 0 => u32)
    }

    /// Loads a module from PTX. An error holds the code and the compiler's log.
    pub fn load(&self, ptx: &str) -> Result<usize, (i32, String)> {
        let (text, mut module) = (CString::new(ptx).unwrap(), 0usize);
        let mut log = vec![0u8; 4096];
        let (mut options, mut values) = ([5i32, 6], [log.as_mut_ptr().cast::<c_void>(), log.len() as *mut c_void]);
        let code = call!(
            self, "cuModuleLoadDataEx", &raw mut module => *mut usize, text.as_ptr().cast() => *const c_void, 2 => u32,
            options.as_mut_ptr() => *mut i32, values.as_mut_ptr() => *mut *mut c_void
        );
        let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
        if code == 0 { Ok(module) } else { Err((code, String::from_utf8_lossy(&log[..end]).into_owned())) }
    }

    /// Returns the handle of a kernel, or the code of the error.
    pub fn function(&self, module: usize, name: &str) -> Result<usize, i32> {
        let (name, mut function) = (CString::new(name).unwrap(), 0usize);
        match call!(self, "cuModuleGetFunction", &raw mut function => *mut usize, module => usize, name.as_ptr() => *const i8)
        {
            0 => Ok(function),
            code => Err(code),
        }
    }

    /// Allocates memory, or returns the code of the error.
    pub fn allocate(&self, bytes: usize) -> Result<u64, i32> {
        let mut address = 0u64;
        let code = call!(self, "cuMemAlloc_v2", &raw mut address => *mut u64, bytes => usize);
        if code == 0 { Ok(address) } else { Err(code) }
    }

    /// Frees memory and returns the code.
    pub fn free(&self, address: u64) -> i32 {
        call!(self, "cuMemFree_v2", address => u64)
    }

    /// Copies words to the GPU and returns the code.
    pub fn write(&self, to: u64, from: &[u64]) -> i32 {
        call!(self, "cuMemcpyHtoD_v2", to => u64, from.as_ptr().cast() => *const c_void, 8 * from.len() => usize)
    }

    /// Copies words from the GPU, or returns the code of the error.
    pub fn read(&self, from: u64, len: usize) -> Result<Vec<u64>, i32> {
        let mut to = vec![0u64; len];
        match call!(self, "cuMemcpyDtoH_v2", to.as_mut_ptr().cast() => *mut c_void, from => u64, 8 * len => usize) {
            0 => Ok(to),
            code => Err(code),
        }
    }

    /// Launches a kernel whose parameters are words, and returns the code.
    pub fn launch(&self, function: usize, blocks: u32, threads: u32, shared: u32, params: &mut [u64]) -> i32 {
        let mut pointers: Vec<*mut c_void> = params.iter_mut().map(|p| (&raw mut *p).cast()).collect();
        call!(
            self, "cuLaunchKernel", function => usize, blocks => u32, 1 => u32, 1 => u32, threads => u32, 1 => u32, 1 => u32,
            shared => u32, 0 => usize, pointers.as_mut_ptr() => *mut *mut c_void, null_mut() => *mut *mut c_void
        )
    }

    /// Waits for all launches and returns the code.
    pub fn synchronize(&self) -> i32 {
        call!(self, "cuCtxSynchronize")
    }

    /// Runs a kernel `k(from, to)` with one thread per row of operands, and returns the word that each thread wrote.
    pub fn map(&self, ptx: &str, rows: &[[u64; 4]]) -> Vec<u64> {
        let n = rows.len().next_multiple_of(THREADS);
        let module = self.load(ptx).unwrap_or_else(|error| panic!("{error:?}\n{ptx}"));
        let function = self.function(module, "k").unwrap();
        let (from, to) = (self.allocate(32 * n).unwrap(), self.allocate(8 * n).unwrap());
        let mut flat: Vec<u64> = rows.iter().flatten().copied().collect();
        flat.resize(4 * n, 0);
        assert_eq!(self.write(from, &flat), 0);
        assert_eq!(self.write(to, &vec![0; n]), 0);
        assert_eq!(self.launch(function, (n / THREADS) as u32, THREADS as u32, 0, &mut [from, to]), 0, "{ptx}");
        let mut results = self.read(to, n).unwrap_or_else(|code| panic!("code {code}\n{ptx}"));
        results.truncate(rows.len());
        assert_eq!((self.free(from), self.free(to)), (0, 0));
        assert_eq!(call!(self, "cuModuleUnload", module => usize), 0);
        results
    }
}
