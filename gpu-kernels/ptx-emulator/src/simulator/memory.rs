//! Global memory as a list of allocations.

use super::segment::Segment;

/// The address of the first allocation.
const FIRST: u64 = 0x7000_0000_0000;

/// The alignment of allocations, and the gap between them. The gap makes an access beyond the end of an allocation miss
/// the next one.
const ALIGN: u64 = 512;

struct Allocation {
    base: u64,
    segment: Segment,
}

impl Allocation {
    fn contains(&self, address: u64, len: usize) -> bool {
        address >= self.base && address - self.base + len as u64 <= self.segment.len() as u64
    }
}

/// The global memory of a device.
pub struct Memory {
    /// All allocations, sorted by address.
    allocations: Vec<Allocation>,
    next: u64,
    /// The index of the allocation that was accessed last.
    last: usize,
    /// The allocated bytes.
    pub used: u64,
    /// The bytes that the device has.
    pub capacity: u64,
}

impl Memory {
    /// Returns empty memory of `capacity` bytes.
    pub fn new(capacity: u64) -> Self {
        Self { allocations: Vec::new(), next: FIRST, last: 0, used: 0, capacity }
    }

    /// Allocates `size` bytes and returns their address, or `None` if `size` is 0 or more than what is left.
    pub fn allocate(&mut self, size: u64) -> Option<u64> {
        let rounded = size.next_multiple_of(ALIGN);
        if size == 0 || rounded > self.capacity.checked_sub(self.used)? {
            return None;
        }
        let base = self.next;
        self.next += rounded + ALIGN;
        self.used += rounded;
        self.allocations.push(Allocation { base, segment: Segment::new(size as usize) });
        Some(base)
    }

    /// Frees the allocation at `base` and returns whether there was one.
    pub fn free(&mut self, base: u64) -> bool {
        let Ok(i) = self.allocations.binary_search_by_key(&base, |a| a.base) else { return false };
        let allocation = self.allocations.remove(i);
        self.used -= (allocation.segment.len() as u64).next_multiple_of(ALIGN);
        true
    }

    fn index(&mut self, address: u64, len: usize) -> Option<usize> {
        if self.allocations.get(self.last).is_some_and(|a| a.contains(address, len)) {
            return Some(self.last);
        }
        let i = self.allocations.partition_point(|a| a.base <= address).checked_sub(1)?;
        self.last = i;
        self.allocations[i].contains(address, len).then_some(i)
    }

    /// Returns the allocation that contains `len` bytes at `address`, and their offset in it.
    ///
    /// # Errors
    /// Returns a message that relates the address to the nearest allocation if no allocation contains all bytes.
    pub fn find(&mut self, address: u64, len: usize) -> Result<(&mut Segment, usize), String> {
        let Some(i) = self.index(address, len) else {
            let before = self.allocations.iter().rev().find(|a| a.base <= address);
            let near = before.map_or("before every allocation".to_string(), |a| {
                format!("{} bytes into an allocation of {} bytes", address - a.base, a.segment.len())
            });
            return Err(format!("{len} bytes at {address:#x} of global memory, {near}"));
        };
        let allocation = &mut self.allocations[i];
        Ok((&mut allocation.segment, (address - allocation.base) as usize))
    }
}
