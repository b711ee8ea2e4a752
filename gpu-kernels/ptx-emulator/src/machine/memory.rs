//! Global memory: the allocations of a context.

use super::fault::{Bad, FaultKind};
use super::segment::Segment;

/// Where the first allocation begins. Allocations keep a distance, so that what runs beyond one does not meet the next.
const FIRST: u64 = 0x7000_0000_0000;
const ALIGN: u64 = 512;

/// An allocation.
pub struct Allocation {
    /// Its address.
    pub base: u64,
    /// Its bytes.
    pub segment: Segment,
}

impl Allocation {
    fn holds(&self, address: u64, len: usize) -> bool {
        address >= self.base && address - self.base + len as u64 <= self.segment.len() as u64
    }
}

/// All allocations, sorted by address.
pub struct Memory {
    allocations: Vec<Allocation>,
    next: u64,
    last: usize,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that the device has.
    pub capacity: u64,
}

impl Memory {
    /// Memory of `capacity` bytes, all free.
    pub fn new(capacity: u64) -> Self {
        Self { allocations: Vec::new(), next: FIRST, last: 0, used: 0, capacity }
    }

    /// The address of `size` new bytes; None if the device has not as many left.
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

    /// Frees the allocation that begins at `base`; tells whether there is one.
    pub fn free(&mut self, base: u64) -> bool {
        let Ok(i) = self.allocations.binary_search_by_key(&base, |a| a.base) else { return false };
        let allocation = self.allocations.remove(i);
        self.used -= (allocation.segment.len() as u64).next_multiple_of(ALIGN);
        true
    }

    fn index(&mut self, address: u64, len: usize) -> Option<usize> {
        if self.allocations.get(self.last).is_some_and(|a| a.holds(address, len)) {
            return Some(self.last);
        }
        let i = self.allocations.partition_point(|a| a.base <= address).checked_sub(1)?;
        self.last = i;
        self.allocations[i].holds(address, len).then_some(i)
    }

    /// The allocation that holds `len` bytes at `address`, and where in it.
    pub fn find(&mut self, address: u64, len: usize) -> Option<(&mut Segment, usize)> {
        let i = self.index(address, len)?;
        let allocation = &mut self.allocations[i];
        Some((&mut allocation.segment, (address - allocation.base) as usize))
    }

    /// What is wrong with an access outside of every allocation.
    pub fn outside(&self, address: u64, len: usize, lane: u32) -> Box<Bad> {
        let before = self.allocations.iter().rev().find(|a| a.base <= address);
        let near = before.map_or("before every allocation".to_string(), |a| {
            format!("{} bytes into an allocation of {} bytes", address - a.base, a.segment.len())
        });
        let message = format!("{len} bytes at {address:#x} of global memory, {near}");
        Bad::new(FaultKind::OutOfBounds, lane, message)
    }
}
