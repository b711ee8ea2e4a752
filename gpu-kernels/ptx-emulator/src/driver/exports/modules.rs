//! Modules and functions: sections 6.10 and 6.22.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::super::codes::{self, Code};
use super::super::launch::{MAX_THREADS, SHARED_PER_BLOCK};
use super::super::state::{Function, Handle, Needs, State, call};
use super::{DevicePtr, export, give, text};

export! {
    Context fn cuModuleLoadDataEx(
        module: *mut Handle,
        image: *const c_void,
        count: c_uint,
        options: *mut c_int,
        values: *mut *mut c_void,
    ) |state| {
        let source = text(image.cast()).map_err(|_| codes::INVALID_IMAGE)?;
        if source.starts_with("\u{7f}ELF") {
            return Err(codes::NO_BINARY_FOR_GPU);
        }
        match state.load(source) {
            Ok(handle) => {
                jit_log(count, options, values, "")?;
                give(module, handle)
            }
            Err((code, message)) => {
                jit_log(count, options, values, &format!("{message}\n"))?;
                Err(code)
            }
        }
    }
    Context fn cuModuleLoadData(module: *mut Handle, image: *const c_void) |state| {
        let source = text(image.cast()).map_err(|_| codes::INVALID_IMAGE)?;
        state.load(source).map_err(|(code, _)| code).and_then(|handle| give(module, handle))
    }
    Context fn cuModuleUnload(module: Handle) |state| {
        let found = state.modules.remove(&module).ok_or(codes::INVALID_HANDLE)?;
        state.gpu.unload(found);
        state.functions.retain(|_, function| function.module != module);
        Ok(())
    }
    Context fn cuModuleGetFunction(function: *mut Handle, module: Handle, name: *const c_char) |state| {
        let name = text(name)?.to_string();
        let found = state.modules.get(&module).ok_or(codes::INVALID_HANDLE)?;
        let kernel = found.kernel(&name).ok_or(codes::NOT_FOUND)?;
        let max_dynamic_shared = SHARED_PER_BLOCK.saturating_sub(kernel.shared_size as u32);
        let handle = state.handle();
        state.functions.insert(handle, Function { module, name, max_dynamic_shared });
        give(function, handle)
    }
    Context fn cuModuleGetGlobal_v2(address: *mut DevicePtr, size: *mut usize, module: Handle, name: *const c_char) |state| {
        let found = state.modules.get(&module).ok_or(codes::INVALID_HANDLE)?;
        let (at, len) = found.variable(text(name)?).ok_or(codes::NOT_FOUND)?;
        give(address, at).and_then(|()| if size.is_null() { Ok(()) } else { give(size, len) })
    }
    Context fn cuFuncGetAttribute(value: *mut c_int, attribute: c_int, function: Handle) |state| {
        let function = state.function(function)?;
        let program = state.modules.get(&function.module).and_then(|module| module.kernel(&function.name));
        let program = program.ok_or(codes::INVALID_HANDLE)?;
        let (major, minor) = state.device.capability;
        let found = match attribute {
            0 => program.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS),
            1 => program.shared_size as u32,
            2 => 0,
            3 => program.local_size as u32,
            4 => state.device.registers,
            5 | 6 => 10 * major + minor,
            8 => function.max_dynamic_shared,
            _ => return Err(codes::INVALID_VALUE),
        };
        give(value, found as c_int)
    }
    Context fn cuFuncSetAttribute(function: Handle, attribute: c_int, value: c_int) |state| {
        let found = state.function(function)?.clone();
        let program = state.modules.get(&found.module).and_then(|module| module.kernel(&found.name));
        let fixed = program.ok_or(codes::INVALID_HANDLE)?.shared_size as u32;
        let most = state.device.shared_per_block_optin().saturating_sub(fixed);
        match (attribute, u32::try_from(value)) {
            (8, Ok(value)) if value <= most => {
                state.functions.entry(function).and_modify(|function| function.max_dynamic_shared = value);
                Ok(())
            }
            // The preferred share of shared memory is a wish.
            (9, _) => Ok(()),
            _ => Err(codes::INVALID_VALUE),
        }
    }
    Context fn cuFuncSetCacheConfig(function: Handle, _config: c_int) |state| { state.function(function).map(|_| ()) }
    Context fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: *mut c_int,
        function: Handle,
        threads: c_int,
        shared: usize,
    ) |state| { give(blocks, resident(state, function, threads, shared)?) }
    Context fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        blocks: *mut c_int,
        function: Handle,
        threads: c_int,
        shared: usize,
        _flags: c_uint,
    ) |state| { give(blocks, resident(state, function, threads, shared)?) }
}

fn resident(state: &State, function: Handle, threads: c_int, shared: usize) -> Result<c_int, Code> {
    let function = state.function(function)?;
    let program = state.modules.get(&function.module).and_then(|module| module.kernel(&function.name));
    let program = program.ok_or(codes::INVALID_HANDLE)?;
    let threads = u32::try_from(threads).ok().filter(|n| (1..=MAX_THREADS).contains(n)).ok_or(codes::INVALID_VALUE)?;
    let shared = program.shared_size + shared;
    if shared > state.device.shared_per_block_optin() as usize || threads > program.max_threads.unwrap_or(MAX_THREADS) {
        return Ok(0);
    }
    Ok(state.device.resident_blocks(threads, shared as u32) as c_int)
}

/// Writes the compiler's log to the buffers that the JIT options name (section 6.1, `CUjit_option`).
fn jit_log(count: c_uint, options: *const c_int, values: *mut *mut c_void, message: &str) -> Result<(), Code> {
    const ERROR_LOG: c_int = 5;
    const ERROR_LOG_SIZE: c_int = 6;
    if count > 0 && (options.is_null() || values.is_null()) {
        return Err(codes::INVALID_VALUE);
    }
    let position = |wanted: c_int| {
        // SAFETY: the API asks for `count` options.
        (0..count as usize).find(|i| unsafe { *options.add(*i) } == wanted)
    };
    let (Some(buffer), Some(size)) = (position(ERROR_LOG), position(ERROR_LOG_SIZE)) else { return Ok(()) };
    // SAFETY: the API asks for `count` values; that of a buffer is its address, that of a size the number itself.
    let (buffer, capacity) = unsafe { ((*values.add(buffer)).cast::<u8>(), *values.add(size) as usize) };
    let len = message.len().min(capacity.saturating_sub(1));
    for (i, byte) in message.bytes().take(len).chain([0]).enumerate().take(capacity) {
        give(buffer.wrapping_add(i), byte)?;
    }
    // The size comes back as the number of bytes written, in place of the value.
    give(values.wrapping_add(size), len as *mut c_void)
}
