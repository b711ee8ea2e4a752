//! Global memory as a list of allocations.

use super::segment::Segment;

/// The alignment of allocations, and the gap between them. The gap makes an access beyond the end of an allocation miss
/// the next one.
const ALIGN: u64 = 512;

/// The global memory of a device.
pub struct Memory {
    /// The addresses and segments of all allocations, sorted by address.
    allocations: Vec<(u64, Segment)>,
    /// The index of the allocation that was accessed last, which the next access most often hits too.
    last: usize,
    /// The address of the next allocation.
    next: u64,
    /// The bytes that are not allocated.
    pub free: u64,
}

impl Memory {
    /// Returns memory of `capacity` bytes without allocations.
    pub fn new(capacity: u64) -> Self {
        Self { allocations: Vec::new(), last: 0, next: 0x7000_0000_0000, free: capacity }
    }

    /// Allocates `size` bytes and returns their address, or `None` if `size` is 0 or more than what is left.
    pub fn allocate(&mut self, size: u64) -> Option<u64> {
        let rounded = size.checked_next_multiple_of(ALIGN).filter(|rounded| (1..=self.free).contains(rounded))?;
        let base = self.next;
        self.next += rounded + ALIGN;
        self.free -= rounded;
        self.allocations.push((base, Segment::new(size as usize)));
        Some(base)
    }

    /// Frees the allocation at `base` and returns whether there was one.
    pub fn free(&mut self, base: u64) -> bool {
        let Ok(i) = self.allocations.binary_search_by_key(&base, |(base, _)| *base) else { return false };
        let (_, segment) = self.allocations.remove(i);
        self.free += (segment.bytes().len() as u64).next_multiple_of(ALIGN);
        true
    }

    /// Returns the allocation that contains `len` bytes at `address`, and their offset in it. If there is none, the
    /// error relates the address to the nearest allocation.
    #[inline]
    pub fn find(&mut self, address: u64, len: usize) -> Result<(&mut Segment, usize), String> {
        let access = || format!("{len} bytes at {address:#x} of global memory");
        let contains = |(base, segment): &(u64, Segment)| {
            address >= *base && (address - base) as usize + len <= segment.bytes().len()
        };
        if !self.allocations.get(self.last).is_some_and(contains) {
            let after = self.allocations.partition_point(|(base, _)| *base <= address);
            let Some(last) = after.checked_sub(1) else {
                return Err(format!("{}, before every allocation", access()));
            };
            self.last = last;
        }
        let (base, segment) = &mut self.allocations[self.last];
        let (offset, size) = ((address - *base) as usize, segment.bytes().len());
        if offset + len > size {
            return Err(format!("{}, {offset} bytes into an allocation of {size} bytes", access()));
        }
        Ok((segment, offset))
    }
}
