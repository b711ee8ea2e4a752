//! The global memory of a device.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use super::buffer::Buffer;
use super::content::{Content, contains};
use super::segment::Segment;
use super::view::Accessed;

/// The alignment of allocations, and the gap between two allocations. Without the gap, an access beyond the end of one
/// allocation would hit the next one.
const ALIGN: u64 = 512;

/// The addresses of device memory. No system places memory of the host here: Linux and Windows keep these addresses free
/// between the programs and heaps below and the mappings and stacks above, or have no addresses as high.
pub const DEVICE_ADDRESSES: Range<u64> = 0x1000_0000_0000..0x5000_0000_0000;

/// Returns whether the host has `size` bytes, which the device may have but the host may lack. A failed allocation would
/// abort the program.
fn host_has(size: u64) -> bool {
    let mut trial = Vec::<u8>::new();
    black_box(&mut trial).try_reserve_exact(size as usize).is_ok()
}

/// The global memory of a device.
pub struct GlobalMemory {
    /// The addresses and segments of all allocations, sorted by address.
    allocations: Vec<(u64, Segment)>,
    /// The index of the allocation that was accessed last, which the next access most often hits too.
    last: usize,
    next: u64,
    pub free: u64,
}

impl GlobalMemory {
    /// Returns memory of `capacity` bytes without allocations.
    pub fn new(capacity: u64) -> Self {
        Self { allocations: Vec::new(), last: 0, next: DEVICE_ADDRESSES.start, free: capacity }
    }

    /// Allocates `size` bytes and returns their address, or `None` if `size` is 0 or exceeds the free memory.
    pub fn allocate(&mut self, size: u64) -> Option<u64> {
        self.reserve(size).map(|base| self.add(base, Segment::new(size as usize)))
    }

    /// Allocates `size` zeros, which count as written, like [`GlobalMemory::allocate`].
    pub fn allocate_zeroed(&mut self, size: u64) -> Option<u64> {
        self.reserve(size).map(|base| self.add(base, Segment::zeroed(size as usize)))
    }

    /// Allocates `size` zeros of host memory, at an address where the host accesses them too. Returns `None` if `size` is
    /// 0 or exceeds the memory of the host.
    pub fn allocate_host(&mut self, size: u64) -> Option<u64> {
        if size == 0 || !host_has(size) {
            return None;
        }
        let bytes = Buffer::pages(size as usize);
        Some(self.add(bytes.address(), Segment::host(bytes)))
    }

    /// Lets kernels access host memory. Returns false if an allocation overlaps it.
    pub fn register(&mut self, bytes: Buffer) -> bool {
        let (base, end) = (bytes.address(), bytes.address().saturating_add(bytes.len() as u64));
        let before = self.allocations.partition_point(|(start, _)| *start < end);
        let overlaps = before.checked_sub(1).is_some_and(|i| {
            let (start, segment) = &self.allocations[i];
            start + segment.len() as u64 > base
        });
        if !overlaps {
            self.add(base, Segment::host(bytes));
        }
        !overlaps
    }

    fn add(&mut self, base: u64, segment: Segment) -> u64 {
        let at = self.allocations.partition_point(|(start, _)| *start < base);
        self.allocations.insert(at, (base, segment));
        base
    }

    /// Returns the address of `size` bytes, which it takes from the free memory.
    fn reserve(&mut self, size: u64) -> Option<u64> {
        let rounded = size.checked_next_multiple_of(ALIGN).filter(|rounded| (1..=self.free).contains(rounded))?;
        if !host_has(size) {
            return None;
        }
        let base = self.next;
        self.next += rounded + ALIGN;
        self.free -= rounded;
        Some(base)
    }

    /// Frees the allocation at `base` and returns whether there was one.
    pub fn free(&mut self, base: u64) -> bool {
        let Ok(i) = self.allocations.binary_search_by_key(&base, |(base, _)| *base) else { return false };
        let (_, segment) = self.allocations.remove(i);
        if !segment.is_host {
            self.free += (segment.len() as u64).next_multiple_of(ALIGN);
        }
        true
    }

    /// Returns the allocation that contains `len` bytes at `address`, and the offset of these bytes. If no allocation
    /// contains them, the error relates the address to the nearest allocation.
    #[inline]
    pub fn find(&mut self, address: u64, len: usize) -> Result<(&mut Segment, usize), String> {
        let access = || format!("{len} bytes at {address:#x} of global memory");
        let contained =
            |(base, segment): &(u64, Segment)| address >= *base && contains(segment.len() as u64, address - base, len);
        if !self.allocations.get(self.last).is_some_and(contained) {
            let after = self.allocations.partition_point(|(base, _)| *base <= address);
            let Some(last) = after.checked_sub(1) else {
                return Err(format!("{}, before every allocation", access()));
            };
            self.last = last;
        }
        let (base, segment) = &mut self.allocations[self.last];
        let (offset, size) = ((address - *base) as usize, segment.len());
        if !contains(size as u64, offset as u64, len) {
            return Err(format!("{}, {offset} bytes into the allocation of {size} bytes at {base:#x}", access()));
        }
        Ok((segment, offset))
    }

    /// Lends the bytes of all allocations to threads.
    pub fn share(&mut self) -> SharedMemory {
        let content = |(base, segment): &mut (u64, Segment)| (*base, Arc::new(segment.take_content()));
        SharedMemory(self.allocations.iter_mut().map(content).collect())
    }

    /// Takes the bytes back, and copies what threads have written.
    pub fn take_back(&mut self, shared: SharedMemory, threads: &[Vec<Accessed>]) {
        for (i, ((_, segment), (_, content))) in self.allocations.iter_mut().zip(shared.0).enumerate() {
            let mut content = Arc::into_inner(content).expect("the threads of the launch have ended");
            for accessed in threads {
                accessed[i].copy_back(&mut content);
            }
            segment.put_content(content);
        }
    }

    /// Returns what a thread has accessed of each allocation, if this is its view of the memory.
    pub fn into_accessed(self) -> Vec<Accessed> {
        self.allocations.into_iter().map(|(_, segment)| segment.into_accessed()).collect()
    }

    /// Returns the numbers of allocations and of their bytes.
    pub fn extent(&self) -> (usize, usize) {
        (self.allocations.len(), self.allocations.iter().map(|(_, segment)| segment.len()).sum())
    }
}

/// The bytes of all allocations while threads execute a launch.
pub struct SharedMemory(Vec<(u64, Arc<Content>)>);

impl SharedMemory {
    /// Returns the view of a thread that has accessed nothing.
    pub fn view(&self) -> GlobalMemory {
        let allocations = self.0.iter().map(|(base, content)| (*base, Segment::view(content))).collect();
        GlobalMemory { allocations, ..GlobalMemory::new(0) }
    }
}
