//! The sections "Module Management" and "Library Management".

use std::ffi::{c_char, c_int, c_uint};
use std::fs;

use super::abi::exports;
use crate::driver::codes::{self, Code};
use crate::driver::image::{Refusal, unnamed};
use crate::driver::objects::{DevicePtr, Handle};
use crate::driver::pointer::Pointer;
use crate::driver::report::report;
use crate::driver::state::{DriverState, current};

exports! {
    Context: cuModuleLoadDataEx => (
        module: Pointer<Handle>, image: Pointer<c_char>, count: c_uint, options: Pointer<c_int>, values: Pointer<usize>
    ) |state| {
        let loaded = state.load_image(image, current());
        module.set(logged(JitOptions { count, options, values }, loaded)?)
    };
    Context: cuModuleLoadData, cuModuleLoadFatBinary => (module: Pointer<Handle>, image: Pointer<c_char>) |state| {
        let loaded = state.load_image(image, current());
        module.set(logged(JitOptions::none(), loaded)?)
    };
    Context: cuModuleLoad => (module: Pointer<Handle>, path: Pointer<c_char>) |state| {
        let loaded = load_file(state, path, current());
        module.set(logged(JitOptions::none(), loaded)?)
    };
    Context: cuModuleUnload => (module: Handle) |state| state.unload(module);
    Context: cuModuleGetFunction => (function: Pointer<Handle>, module: Handle, name: Pointer<c_char>)
        |state| function.set(state.kernel(module, name.text()?)?);
    Context: cuModuleGetFunctionCount => (count: Pointer<c_uint>, module: Handle)
        |state| count.set(kernel_names(state, module)?.len() as c_uint);
    Context: cuModuleEnumerateFunctions => (functions: Pointer<Handle>, count: c_uint, module: Handle)
        |state| functions.set_all(&kernels(state, module, count)?);
    Context: cuModuleGetGlobal_v2 => (
        address: Pointer<DevicePtr>, size: Pointer<usize>, module: Handle, name: Pointer<c_char>
    ) |state| global(state, address, size, module, name);
    Initialised: cuModuleGetLoadingMode => (mode: Pointer<c_int>) |_state| mode.set(EAGER);
    Initialised: cuLibraryLoadData => (
        library: Pointer<Handle>, image: Pointer<c_char>, options: Pointer<c_int>, values: Pointer<usize>,
        count: c_uint, _library_options: Pointer<c_int>, _library_values: Pointer<usize>, _library_count: c_uint
    ) |state| {
        let loaded = state.load_image(image, 0);
        library.set(logged(JitOptions { count, options, values }, loaded)?)
    };
    Initialised: cuLibraryLoadFromFile => (
        library: Pointer<Handle>, path: Pointer<c_char>, options: Pointer<c_int>, values: Pointer<usize>,
        count: c_uint, _library_options: Pointer<c_int>, _library_values: Pointer<usize>, _library_count: c_uint
    ) |state| {
        let loaded = load_file(state, path, 0);
        library.set(logged(JitOptions { count, options, values }, loaded)?)
    };
    Initialised: cuLibraryUnload => (library: Handle) |state| state.unload(library);
    Initialised: cuLibraryGetKernel => (kernel: Pointer<Handle>, library: Handle, name: Pointer<c_char>)
        |state| kernel.set(state.kernel(library, name.text()?)?);
    Initialised: cuLibraryGetKernelCount => (count: Pointer<c_uint>, library: Handle)
        |state| count.set(kernel_names(state, library)?.len() as c_uint);
    Initialised: cuLibraryEnumerateKernels => (functions: Pointer<Handle>, count: c_uint, library: Handle)
        |state| functions.set_all(&kernels(state, library, count)?);
    // A library is a module that belongs to no context, and its kernels are functions.
    Context: cuLibraryGetModule => (module: Pointer<Handle>, library: Handle) |state| {
        state.modules.get(&library).ok_or(codes::INVALID_HANDLE)?;
        module.set(library)
    };
    Context: cuLibraryGetGlobal, cuLibraryGetManaged => (
        address: Pointer<DevicePtr>, size: Pointer<usize>, library: Handle, name: Pointer<c_char>
    ) |state| global(state, address, size, library, name);
}

/// The `CUmoduleLoadingMode` in which a module is loaded as a whole.
const EAGER: c_int = 1;

/// The options of the compiler of a module (`CUjit_option`).
#[derive(Clone, Copy, Debug)]
pub struct JitOptions {
    pub count: c_uint,
    pub options: Pointer<c_int>,
    /// The value of each option, an integer or a pointer.
    pub values: Pointer<usize>,
}

/// The options that name the buffers of the compiler's messages and of its errors. The option after each has the size of the
/// buffer.
const INFO_LOG: c_int = 3;
const ERROR_LOG: c_int = 5;

impl JitOptions {
    /// Returns no options.
    fn none() -> Self {
        Self { count: 0, options: Pointer::from_address(0), values: Pointer::from_address(0) }
    }

    /// Writes a text to the buffer of an option, and its length in place of the buffer's size. Returns whether there is a
    /// buffer.
    fn write(&self, buffer: c_int, text: &str) -> Result<bool, Code> {
        let options = self.options.slice(self.count as usize)?;
        let position = |wanted| options.iter().position(|option| *option == wanted);
        let (Some(place), Some(size)) = (position(buffer), position(buffer + 1)) else {
            return Ok(false);
        };
        let place = self.values.at::<Pointer<c_char>>(place).get()?;
        // The size is an unsigned integer in the place of a pointer.
        let size: Pointer<usize> = self.values.at(size);
        let capacity = size.get()? as u32 as usize;
        if capacity > 0 {
            place.set_text(text, capacity)?;
        }
        size.set(text.len().min(capacity.saturating_sub(1)))?;
        Ok(capacity > 0)
    }
}

/// Writes the log of a compiler to the buffers of the options, and returns its result. Without a buffer, an error is printed.
pub fn logged<T>(options: JitOptions, result: Result<T, Refusal>) -> Result<T, Code> {
    options.write(INFO_LOG, "")?;
    let log = result.as_ref().err().filter(|(_, message)| !message.is_empty());
    let text = log.map_or_else(String::new, |(_, message)| format!("{message}\n"));
    if !options.write(ERROR_LOG, &text)? && !text.is_empty() {
        report(text.trim_end());
    }
    result.map_err(|(code, _)| code)
}

/// Reads an image.
pub fn read(path: &str) -> Result<Vec<u8>, Refusal> {
    fs::read(path).map_err(|error| (codes::FILE_NOT_FOUND, format!("cannot read `{path}`: {error}")))
}

/// Loads the module of a file.
fn load_file(state: &mut DriverState, path: Pointer<c_char>, context: Handle) -> Result<Handle, Refusal> {
    let image = read(path.text().map_err(unnamed)?)?;
    let text = state.ptx_of(&image)?;
    state.load(&text, context)
}

fn kernel_names(state: &DriverState, module: Handle) -> Result<Vec<String>, Code> {
    let loaded = state.modules.get(&module).ok_or(codes::INVALID_HANDLE)?;
    Ok(loaded.module.kernels().iter().map(|kernel| kernel.name.clone()).collect())
}

/// Returns the handles of the first `count` kernels of a module.
fn kernels(state: &mut DriverState, module: Handle, count: c_uint) -> Result<Vec<Handle>, Code> {
    let names = kernel_names(state, module)?;
    names.iter().take(count as usize).map(|name| state.kernel(module, name)).collect()
}

fn global(
    state: &DriverState,
    address: Pointer<DevicePtr>,
    size: Pointer<usize>,
    module: Handle,
    name: Pointer<c_char>,
) -> Result<(), Code> {
    let loaded = state.modules.get(&module).ok_or(codes::INVALID_HANDLE)?;
    let (at, len) = loaded.module.variable(name.text()?).ok_or(codes::NOT_FOUND)?;
    address.set_if_wanted(at);
    size.set_if_wanted(len);
    Ok(())
}
