//! The loading of modules and libraries.

use std::collections::HashMap;
use std::ffi::{CString, c_char};

use super::codes;
use super::image::{ImageKind, NEXT_MODULE, Refusal, damaged, fat_size, ptx_of, unnamed};
use super::joining::join;
use super::objects::{Function, Handle, Loaded};
use super::pointer::Pointer;
use super::state::DriverState;
use crate::ptx::{self, syntax};

/// The shared memory in bytes that a block may have without opting in to more.
pub const SHARED_PER_BLOCK: u32 = 48 * 1024;

/// Returns the newest PTX version that a CUDA version supports (PTX ISA, chapter "Release Notes").
fn newest_ptx((major, minor): (u32, u32)) -> (u32, u32) {
    match major {
        ..=8 => (5, minor),
        9 => (6, minor),
        10 => (6, 3 + minor),
        11 => (7, minor),
        // CUDA 12.6 has the PTX version of CUDA 12.5.
        12 => (8, if minor < 6 { minor } else { minor - 1 }),
        major => (major - 4, minor),
    }
}

/// Returns a size as a `u32`, or the largest `u32` if it exceeds that.
pub fn bytes(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

impl DriverState {
    /// Loads an image in memory for a context, or for none if it is a library.
    pub fn load_image(&mut self, image: Pointer<c_char>, context: Handle) -> Result<Handle, Refusal> {
        let text = self.ptx_at(image)?;
        self.load(&text, context)
    }

    /// Returns the PTX of an image in memory.
    fn ptx_at(&self, image: Pointer<c_char>) -> Result<String, Refusal> {
        // A text ends with a null byte, and the other images have none in their first word.
        let text = image.bytes().map_err(unnamed)?;
        match ImageKind::of(text) {
            ImageKind::Wrapper => {
                let [_, address] = image.cast::<[u64; 2]>().get().map_err(unnamed)?;
                self.fat_ptx_at(Pointer::from_address(address))
            }
            ImageKind::Fat => self.fat_ptx_at(image.cast()),
            ImageKind::Elf | ImageKind::Text => self.ptx_of(text),
        }
    }

    fn fat_ptx_at(&self, image: Pointer<u8>) -> Result<String, Refusal> {
        let size = fat_size(image.slice(16).map_err(unnamed)?).ok_or_else(damaged)?;
        self.ptx_of(image.slice(size).map_err(unnamed)?)
    }

    /// Returns the PTX of an image.
    pub fn ptx_of(&self, image: &[u8]) -> Result<String, Refusal> {
        ptx_of(image, self.config.device.architecture())
    }

    /// Compiles PTX and returns the handle of the module, or the code and the compiler's message.
    pub fn load(&mut self, text: &str, context: Handle) -> Result<Handle, Refusal> {
        let invalid = |error: ptx::Error| (codes::INVALID_PTX, format!("ptx input, {error}"));
        let mut whole: Option<syntax::Module> = None;
        for part in text.split(NEXT_MODULE) {
            let module = ptx::parse(part).map_err(invalid)?;
            self.check_version(&module)?;
            match &mut whole {
                Some(whole) => join(whole, module).map_err(|message| (codes::INVALID_IMAGE, message))?,
                None => whole = Some(module),
            }
        }
        let module = self.gpu.link(&whole.expect("a text has at least one part")).map_err(invalid)?;
        let loaded = Loaded { module, context, names: HashMap::new() };
        Ok(self.register(|state, handle| state.modules.insert(handle, loaded)))
    }

    fn check_version(&self, module: &syntax::Module) -> Result<(), Refusal> {
        let newest = newest_ptx(self.config.driver);
        if module.version > newest {
            let (major, minor) = module.version;
            let message =
                format!(".version {major}.{minor} is unsupported, expected at most {}.{}", newest.0, newest.1);
            return Err((codes::UNSUPPORTED_PTX_VERSION, message));
        }
        if module.target > self.config.device.architecture() {
            let (major, minor) = self.config.device.capability;
            let message = format!(".target sm_{} is unsupported, expected at most sm_{major}{minor}", module.target);
            return Err((codes::INVALID_PTX, message));
        }
        Ok(())
    }

    /// Frees a module and its functions.
    pub fn unload(&mut self, handle: Handle) -> Result<(), codes::Code> {
        let loaded = self.modules.remove(&handle).ok_or(codes::INVALID_HANDLE)?;
        self.gpu.unload(loaded.module);
        self.functions.retain(|_, function| function.module != handle);
        Ok(())
    }

    /// Returns the handle of a kernel of a module.
    pub fn kernel(&mut self, module: Handle, name: &str) -> Result<Handle, codes::Code> {
        let loaded = self.modules.get_mut(&module).ok_or(codes::INVALID_HANDLE)?;
        let kernel = loaded.module.kernel(name).ok_or(codes::NOT_FOUND)?;
        let max_dynamic_shared = SHARED_PER_BLOCK.saturating_sub(bytes(kernel.shared_size));
        loaded.names.entry(name.to_string()).or_insert_with(|| CString::new(name).unwrap_or_default());
        let known = self.functions.iter().find(|(_, function)| function.module == module && function.name == name);
        if let Some((handle, _)) = known {
            return Ok(*handle);
        }
        let function = Function { module, name: name.to_string(), max_dynamic_shared, carveout: -1 };
        Ok(self.register(|state, handle| state.functions.insert(handle, function)))
    }
}
