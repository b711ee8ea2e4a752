//! The contexts, which own memory, modules, streams and events.

use super::codes::{self, Code};
use super::objects::{Context, Handle, Ordinal};
use super::state::DriverState;

impl DriverState {
    /// Checks the ordinal of a device and returns it as an index.
    pub fn check_device(&self, device: Ordinal) -> Result<usize, Code> {
        let index = usize::try_from(device).ok().filter(|index| *index < self.config.devices as usize);
        index.ok_or(codes::INVALID_DEVICE)
    }

    /// Checks that a context exists.
    pub fn check_context(&self, context: Handle) -> Result<(), Code> {
        if self.contexts.contains_key(&context) { Ok(()) } else { Err(codes::INVALID_CONTEXT) }
    }

    /// Adds a context with its default stream.
    pub fn add_context(&mut self, device: Ordinal, flags: u32) -> Handle {
        let handle = self.register(|_, _| ());
        let default_stream = self.add_stream(handle, 0, 0);
        self.contexts.insert(handle, Context { device, flags, default_stream, ..Context::default() });
        handle
    }

    /// Returns the primary context of a device, and adds it if the device has none.
    pub fn primary(&mut self, index: usize) -> Handle {
        let primary = self.primaries[index];
        if !self.contexts.contains_key(&primary.context) {
            self.primaries[index].context = self.add_context(index as Ordinal, primary.flags);
        }
        self.primaries[index].context
    }

    /// Frees all that a context owns.
    pub fn empty_context(&mut self, handle: Handle) {
        let allocations = self.allocations.iter().filter(|(_, allocation)| allocation.context == handle);
        let addresses: Vec<_> = allocations.map(|(address, _)| *address).collect();
        for address in addresses {
            // The address was just found.
            let _ = self.release(address);
        }
        let allocations = &self.allocations;
        self.arrays.retain(|_, array| allocations.contains_key(&array.address));
        let modules: Vec<_> = self.modules.iter().filter(|(_, loaded)| loaded.context == handle).collect();
        for module in modules.into_iter().map(|(module, _)| *module).collect::<Vec<_>>() {
            // As above.
            let _ = self.unload(module);
        }
        self.streams.retain(|_, stream| stream.context != handle);
        self.events.retain(|_, event| event.context != handle);
    }

    /// Removes a context and frees all that it owns.
    pub fn remove_context(&mut self, handle: Handle) {
        self.empty_context(handle);
        self.contexts.remove(&handle);
    }

    /// Gives a context the state that it had when it was new.
    pub fn reset_context(&mut self, handle: Handle) {
        let Some(old) = self.contexts.get(&handle) else { return };
        let (device, flags) = (old.device, old.flags);
        self.empty_context(handle);
        let default_stream = self.add_stream(handle, 0, 0);
        self.contexts.insert(handle, Context { device, flags, default_stream, ..Context::default() });
    }
}
