//! The linkers, which join modules of PTX.

use super::codes::{self, Code};
use super::image::{NEXT_MODULE, Refusal, only_machine_code};
use super::objects::{Handle, Linker};
use super::pointer::Pointer;
use super::state::DriverState;
use crate::ptx;

impl DriverState {
    /// Adds a linker.
    pub fn add_linker(&mut self) -> Handle {
        self.register(|state, handle| state.linkers.insert(handle, Linker::default()))
    }

    /// Adds an input to a linker, after a look at its syntax. The input is PTX, or a fat binary if `is_ptx` is false.
    pub fn add_input(&mut self, linker: Handle, is_ptx: bool, data: &[u8]) -> Result<(), Refusal> {
        if !is_ptx {
            return Err(only_machine_code());
        }
        // A text may lack the null byte, since the caller gives its size.
        let mut data = data.to_vec();
        data.resize(data.len() + 64, 0);
        let text = self.ptx_of(Pointer::from_address(data.as_mut_ptr().expose_provenance() as u64))?;
        ptx::parse(&text).map_err(|error| (codes::INVALID_PTX, format!("ptx input, {error}")))?;
        let linker = self.linkers.get_mut(&linker).ok_or((codes::INVALID_HANDLE, String::new()))?;
        linker.inputs.push(text.into_bytes());
        Ok(())
    }

    /// Returns the image of a linker's inputs, a text for `cuModuleLoadData` with its null byte.
    pub fn linked(&mut self, linker: Handle) -> Result<&[u8], Code> {
        let linker = self.linkers.get_mut(&linker).ok_or(codes::INVALID_HANDLE)?;
        if linker.inputs.is_empty() {
            return Err(codes::INVALID_VALUE);
        }
        if linker.image.is_empty() {
            linker.image = linker.inputs.join(NEXT_MODULE.as_bytes());
            linker.image.push(0);
        }
        Ok(&linker.image)
    }
}
