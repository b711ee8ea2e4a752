//! The linker of the section "Module Management", which joins modules of PTX.

use std::ffi::{c_char, c_int, c_uint};

use super::abi::exports;
use super::modules::{JitOptions, logged, read};
use crate::driver::codes;
use crate::driver::image::{Refusal, only_machine_code};
use crate::driver::objects::Handle;
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;

/// The kinds of inputs (`CUjitInputType`) that can hold PTX.
const PTX: c_int = 1;
const FAT_BINARY: c_int = 2;

exports! {
    Context: cuLinkCreate_v2 => (_count: c_uint, _options: Pointer<c_int>, _values: Pointer<usize>, linker: Pointer<Handle>)
        |state| linker.set(state.add_linker());
    Context: cuLinkAddData_v2 => (
        linker: Handle, kind: c_int, data: Pointer<u8>, size: usize, _name: Pointer<c_char>, count: c_uint,
        options: Pointer<c_int>, values: Pointer<usize>
    ) |state| logged(JitOptions { count, options, values }, add(state, linker, kind, data.slice(size)?));
    Context: cuLinkAddFile_v2 => (
        linker: Handle, kind: c_int, path: Pointer<c_char>, count: c_uint, options: Pointer<c_int>,
        values: Pointer<usize>
    ) |state| {
        let path = path.text()?;
        let added = read(path).and_then(|image| add(state, linker, kind, &image));
        logged(JitOptions { count, options, values }, added)
    };
    // The image lives as long as the linker.
    Context: cuLinkComplete => (linker: Handle, image: Pointer<usize>, size: Pointer<usize>) |state| {
        let linked = state.linked(linker)?;
        image.set(linked.as_ptr().expose_provenance())?;
        size.set_if_wanted(linked.len());
        Ok(())
    };
    Context: cuLinkDestroy => (linker: Handle)
        |state| state.linkers.remove(&linker).map(|_| ()).ok_or(codes::INVALID_HANDLE);
}

/// Adds an image of a kind to a linker.
fn add(state: &mut DriverState, linker: Handle, kind: c_int, image: &[u8]) -> Result<(), Refusal> {
    if [PTX, FAT_BINARY].contains(&kind) { state.add_input(linker, image) } else { Err(only_machine_code()) }
}
