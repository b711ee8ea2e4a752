//! The memory of devices and pools, and memory of the host that kernels access.

use super::codes::{self, Code};
use super::objects::{Allocation, DevicePtr, Kind, Ordinal};
use super::state::{DriverState, current};
use crate::simulator::Buffer;

impl DriverState {
    /// Allocates memory for the current context.
    pub fn allocate(&mut self, size: usize, kind: Kind) -> Result<DevicePtr, Code> {
        if size == 0 {
            return Err(codes::INVALID_VALUE);
        }
        let device = match kind {
            Kind::Pool(pool) => self.pools.get(&pool).ok_or(codes::INVALID_HANDLE)?.device,
            _ => self.device()? as Ordinal,
        };
        if !kind.is_host() && size > self.free_memory(device) {
            return Err(codes::OUT_OF_MEMORY);
        }
        let address = if kind.is_host() { self.gpu.allocate_host(size) } else { self.gpu.allocate(size) };
        let address = address.ok_or(codes::OUT_OF_MEMORY)?;
        self.note_allocation(address, size, kind, device);
        Ok(address)
    }

    /// Lets kernels access memory of the program.
    pub fn register_memory(&mut self, address: u64, size: usize, flags: u32) -> Result<(), Code> {
        if address == 0 || size == 0 || size > isize::MAX as usize || address.checked_add(size as u64).is_none() {
            return Err(codes::INVALID_VALUE);
        }
        let device = self.device()? as Ordinal;
        // SAFETY: the API requires that the memory is valid until the program unregisters it.
        let buffer = unsafe { Buffer::registered(address, size) };
        if !self.gpu.register_host(buffer) {
            return Err(codes::HOST_MEMORY_ALREADY_REGISTERED);
        }
        self.note_allocation(address, size, Kind::Registered(flags), device);
        Ok(())
    }

    fn note_allocation(&mut self, address: DevicePtr, size: usize, kind: Kind, device: Ordinal) {
        self.allocated += 1;
        let id = self.allocated;
        self.allocations.insert(address, Allocation { size, kind, context: current(), device, id });
        if !kind.is_host() {
            self.used[device as usize] += size as u64;
        }
        if let Kind::Pool(handle) = kind
            && let Some(pool) = self.pools.get_mut(&handle)
        {
            pool.used += size as u64;
            pool.most_used = pool.most_used.max(pool.used);
        }
    }

    /// Frees the allocation at an address.
    pub fn release(&mut self, address: DevicePtr) -> Result<(), Code> {
        let allocation = self.allocations.remove(&address).ok_or(codes::INVALID_VALUE)?;
        self.gpu.free(address);
        if !allocation.kind.is_host() {
            self.used[allocation.device as usize] -= allocation.size as u64;
        }
        if let Kind::Pool(handle) = allocation.kind
            && let Some(pool) = self.pools.get_mut(&handle)
        {
            pool.used -= allocation.size as u64;
        }
        Ok(())
    }

    /// Returns the number of bytes that a device has left.
    pub fn free_memory(&self, device: Ordinal) -> usize {
        let total = self.config.device.memory;
        total.saturating_sub(self.used[device as usize]).min(self.gpu.free_memory() as u64) as usize
    }
}
