//! The linkers, which join modules of PTX.

use super::codes::{self, Code};
use super::image::{NEXT_MODULE, Refusal, unnamed};
use super::objects::{Handle, Linker};
use super::state::DriverState;
use crate::ptx;

impl DriverState {
    /// Adds a linker.
    pub fn add_linker(&mut self) -> Handle {
        self.register(|state, handle| state.linkers.insert(handle, Linker::default()))
    }

    /// Adds an input to a linker, after a look at its syntax.
    pub fn add_input(&mut self, linker: Handle, image: &[u8]) -> Result<(), Refusal> {
        let text = self.ptx_of(image)?;
        ptx::parse(&text).map_err(|error| (codes::INVALID_PTX, format!("ptx input, {error}")))?;
        let linker = self.linkers.get_mut(&linker).ok_or_else(|| unnamed(codes::INVALID_HANDLE))?;
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
