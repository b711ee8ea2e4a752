//! Global memory as a list of allocations.

use std::collections::BTreeMap;

use super::segment::Segment;

/// The alignment of allocations, and the gap between them. The gap makes an access beyond the end of an allocation miss
/// the next one.
const ALIGN: u64 = 512;

/// The global memory of a device.
pub struct Memory {
    /// The allocations by their addresses.
    allocations: BTreeMap<u64, Segment>,
    /// The address of the next allocation.
    next: u64,
    /// The bytes that are not allocated.
    pub free: u64,
}

impl Memory {
    /// Returns memory of `capacity` bytes without allocations.
    pub fn new(capacity: u64) -> Self {
        Self { allocations: BTreeMap::new(), next: 0x7000_0000_0000, free: capacity }
    }

    /// Allocates `size` bytes and returns their address, or `None` if `size` is 0 or more than what is left.
    pub fn allocate(&mut self, size: u64) -> Option<u64> {
        let rounded = size.checked_next_multiple_of(ALIGN).filter(|rounded| (1..=self.free).contains(rounded))?;
        let base = self.next;
        self.next += rounded + ALIGN;
        self.free -= rounded;
        self.allocations.insert(base, Segment::new(size as usize));
        Some(base)
    }

    /// Frees the allocation at `base` and returns whether there was one.
    pub fn free(&mut self, base: u64) -> bool {
        let removed = self.allocations.remove(&base);
        self.free += removed.as_ref().map_or(0, |segment| (segment.bytes().len() as u64).next_multiple_of(ALIGN));
        removed.is_some()
    }

    /// Returns the allocation that contains `len` bytes at `address`, and their offset in it. If there is none, the
    /// error relates the address to the nearest allocation.
    pub fn find(&mut self, address: u64, len: usize) -> Result<(&mut Segment, usize), String> {
        let access = || format!("{len} bytes at {address:#x} of global memory");
        let Some((base, segment)) = self.allocations.range_mut(..=address).next_back() else {
            return Err(format!("{}, before every allocation", access()));
        };
        let (offset, size) = ((address - base) as usize, segment.bytes().len());
        if offset + len > size {
            return Err(format!("{}, {offset} bytes into an allocation of {size} bytes", access()));
        }
        Ok((segment, offset))
    }
}
