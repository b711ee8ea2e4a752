//! The sections "Module Management" and "Occupancy", and the attributes of functions in "Execution Control".

use std::ffi::{c_char, c_int, c_uint};

use super::abi::{Pointer, exports, value_of};
use super::memory::DevicePtr;
use crate::driver::codes::{self, Code};
use crate::driver::state::{DriverState, Function, Handle, SHARED_PER_BLOCK};
use crate::simulator::MAX_THREADS;

exports! {
    Context: cuModuleLoadDataEx => (
        module: Pointer<Handle>, image: Pointer<c_char>, count: c_uint, options: Pointer<c_int>,
        values: Pointer<Pointer<c_char>>
    ) |state| {
        let loaded = load(state, image);
        let log = loaded.as_ref().map_or_else(|(_, log)| log.as_str(), |_| "");
        write_log(options.slice(count as usize)?, values, log)?;
        module.set(loaded.map_err(|(code, _)| code)?)
    };
    Context: cuModuleLoadData => (module: Pointer<Handle>, image: Pointer<c_char>)
        |state| module.set(load(state, image).map_err(|(code, _)| code)?);
    Context: cuModuleUnload => (module: Handle) |state| {
        let found = state.modules.remove(&module).ok_or(codes::INVALID_HANDLE)?;
        state.gpu.unload(found);
        state.functions.retain(|_, function| function.module != module);
        Ok(())
    };
    Context: cuModuleGetFunction => (function: Pointer<Handle>, module: Handle, name: Pointer<c_char>) |state| {
        let name = name.text()?.to_string();
        let found = state.modules.get(&module).ok_or(codes::INVALID_HANDLE)?;
        let kernel = found.kernel(&name).ok_or(codes::NOT_FOUND)?;
        let max_dynamic_shared = SHARED_PER_BLOCK.saturating_sub(bytes(kernel.shared_size));
        function.set(state.register(|state, handle| {
            state.functions.insert(handle, Function { module, name, max_dynamic_shared })
        }))
    };
    Context: cuModuleGetGlobal_v2 => (
        address: Pointer<DevicePtr>, size: Pointer<usize>, module: Handle, name: Pointer<c_char>
    ) |state| {
        let found = state.modules.get(&module).ok_or(codes::INVALID_HANDLE)?;
        let (at, len) = found.variable(name.text()?).ok_or(codes::NOT_FOUND)?;
        address.set(at).and_then(|()| if size.is_null() { Ok(()) } else { size.set(len) })
    };
    Context: cuFuncGetAttribute => (value: Pointer<c_int>, attribute: c_int, function: Handle)
        |state| value.set(attribute_of(state, function, attribute)? as c_int);
    Context: cuFuncSetAttribute => (function: Handle, attribute: c_int, value: c_int)
        |state| set_attribute(state, function, attribute, value);
    Context: cuFuncSetCacheConfig => (function: Handle, _config: c_int) |state| state.function(function).map(|_| ());
    Context: cuOccupancyMaxActiveBlocksPerMultiprocessor,
             cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags[_flags: c_uint]
        => (blocks: Pointer<c_int>, function: Handle, threads: c_int, shared: usize)
        |state| blocks.set(resident_blocks(state, function, threads, shared)? as c_int);
}

/// Returns a size as a `u32`, or the largest `u32` if it exceeds that.
fn bytes(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// Loads a module from PTX, or returns the code and the compiler's log.
fn load(state: &mut DriverState, image: Pointer<c_char>) -> Result<Handle, (Code, String)> {
    let source = image.text().map_err(|_| (codes::INVALID_IMAGE, String::new()))?;
    if source.starts_with("\u{7f}ELF") {
        return Err((codes::NO_BINARY_FOR_GPU, String::new()));
    }
    state.load(source).map_err(|(code, message)| (code, message + "\n"))
}

/// The numbers of the `CUfunction_attribute`s that a program can set, without the prefix `CU_FUNC_ATTRIBUTE_`.
const MAX_DYNAMIC_SHARED_SIZE_BYTES: c_int = 8;
const PREFERRED_SHARED_MEMORY_CARVEOUT: c_int = 9;

/// Returns the value of a `CUfunction_attribute` (section "Data types used by CUDA driver"). The table leaves out the
/// prefix `CU_FUNC_ATTRIBUTE_` of the names.
fn attribute_of(state: &DriverState, function: Handle, attribute: c_int) -> Result<u32, Code> {
    let (function, program) = state.function(function)?;
    let device = &state.config.device;
    let attributes = [
        ("MAX_THREADS_PER_BLOCK", 0, program.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS)),
        ("SHARED_SIZE_BYTES", 1, bytes(program.shared_size)),
        ("CONST_SIZE_BYTES", 2, 0),
        ("LOCAL_SIZE_BYTES", 3, bytes(program.local_size)),
        ("NUM_REGS", 4, device.registers),
        ("PTX_VERSION", 5, device.architecture()),
        ("BINARY_VERSION", 6, device.architecture()),
        ("MAX_DYNAMIC_SHARED_SIZE_BYTES", MAX_DYNAMIC_SHARED_SIZE_BYTES, function.max_dynamic_shared),
    ];
    value_of(&attributes, attribute)
}

fn set_attribute(state: &mut DriverState, handle: Handle, attribute: c_int, value: c_int) -> Result<(), Code> {
    let declared = bytes(state.function(handle)?.1.shared_size);
    let most = state.config.device.shared_per_block_optin().saturating_sub(declared);
    match (attribute, u32::try_from(value)) {
        (MAX_DYNAMIC_SHARED_SIZE_BYTES, Ok(value)) if value <= most => {
            state.functions.entry(handle).and_modify(|function| function.max_dynamic_shared = value);
            Ok(())
        }
        // A driver may ignore this hint.
        (PREFERRED_SHARED_MEMORY_CARVEOUT, _) => Ok(()),
        _ => Err(codes::INVALID_VALUE),
    }
}

fn resident_blocks(state: &DriverState, function: Handle, threads: c_int, shared: usize) -> Result<u32, Code> {
    let (_, program) = state.function(function)?;
    let threads = u32::try_from(threads).ok().filter(|n| (1..=MAX_THREADS).contains(n)).ok_or(codes::INVALID_VALUE)?;
    let (device, shared) = (&state.config.device, program.shared_size.saturating_add(shared));
    if shared > device.shared_per_block_optin() as usize || threads > program.max_threads.unwrap_or(MAX_THREADS) {
        return Ok(0);
    }
    Ok(device.resident_blocks(threads, shared))
}

/// Writes the compiler's log to the buffer that the options name (`CUjit_option`), and the log's length to the option
/// for the buffer's size.
fn write_log(options: &[c_int], values: Pointer<Pointer<c_char>>, log: &str) -> Result<(), Code> {
    const ERROR_LOG_BUFFER: c_int = 5;
    const ERROR_LOG_BUFFER_SIZE_BYTES: c_int = 6;
    let buffers = values.slice(options.len())?;
    let position = |wanted| options.iter().position(|option| *option == wanted);
    let (Some(buffer), Some(size)) = (position(ERROR_LOG_BUFFER), position(ERROR_LOG_BUFFER_SIZE_BYTES)) else {
        return Ok(());
    };
    // JIT options pass integers as pointers.
    let size: Pointer<usize> = values.at(size);
    let capacity = size.slice(1)?[0];
    let cut = log.bytes().take(capacity.saturating_sub(1));
    let terminated: Vec<_> = cut.chain([0]).take(capacity).map(|byte| byte as c_char).collect();
    buffers[buffer].set_all(&terminated)?;
    size.set(terminated.len().saturating_sub(1))
}
