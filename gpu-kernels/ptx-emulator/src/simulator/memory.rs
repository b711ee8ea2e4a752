//! Memory as a list of segments, which also store which bytes were written.

use std::hint::black_box;
use std::ops::Range;

use super::buffer::Buffer;
use super::shadow::Shadows;

/// Returns whether a memory of `size` bytes contains `len` bytes at `offset`.
#[inline]
pub fn contains(size: u64, offset: u64, len: usize) -> bool {
    offset.checked_add(len as u64).is_some_and(|end| end <= size)
}

pub struct Segment {
    bytes: Buffer,
    /// Whether the bytes are memory of the host, which does not count as memory of the device.
    host: bool,
    /// The mask of the written bytes, one bit per byte, or empty if all bytes count as written.
    written: Vec<u8>,
    /// The last accesses.
    pub shadows: Shadows,
}

impl Segment {
    /// Returns `size` uninitialised bytes.
    pub fn new(size: usize) -> Self {
        Self { written: vec![0; size / 8 + 3], ..Self::zeroed(size) }
    }

    /// Sets all bytes to zero, which count as uninitialised again, and forgets all accesses.
    pub fn clear(&mut self) {
        self.bytes.fill(0);
        self.written.fill(0);
        self.shadows.clear();
    }

    /// Returns `size` zeros that count as written.
    pub fn zeroed(size: usize) -> Self {
        Self { bytes: Buffer::zeroed(size), host: false, written: Vec::new(), shadows: Shadows::default() }
    }

    /// Returns a segment of host memory, whose bytes count as written.
    fn host(bytes: Buffer) -> Self {
        Self { bytes, host: true, written: Vec::new(), shadows: Shadows::default() }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Writes on behalf of the host, without a race check.
    pub fn fill(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.mark_written(at, bytes.len());
        }
    }

    /// Returns whether all of `len <= 16` bytes were written.
    #[inline]
    pub fn is_written(&self, at: usize, len: usize) -> bool {
        if self.written.is_empty() {
            return true;
        }
        let byte = |i: usize| u32::from(self.written[at / 8 + i]);
        let bits = (byte(0) | byte(1) << 8 | byte(2) << 16) >> (at % 8);
        let all = (1 << len) - 1;
        bits & all == all
    }

    /// Returns whether all bytes of a range were written. For a range of more than a few bytes, the answer may be no by
    /// mistake.
    #[inline]
    pub fn is_range_written(&self, at: usize, len: usize) -> bool {
        // Every bit of the bytes between the first and the last one counts.
        self.written.is_empty()
            || len <= 16 && self.is_written(at, len)
            || self.written[at / 8..(at + len).div_ceil(8)].iter().fold(0xff, |all, bits| all & bits) == 0xff
    }

    /// Sets the `width <= 8` bytes of a value.
    #[inline(always)]
    pub fn set(&mut self, at: usize, width: usize, value: u64) {
        let (bytes, target) = (value.to_le_bytes(), &mut self.bytes[at..at + width]);
        match width {
            4 => target.copy_from_slice(&bytes[..4]),
            8 => target.copy_from_slice(&bytes),
            width => target.copy_from_slice(&bytes[..width]),
        }
    }

    /// Marks bytes as written.
    #[inline(always)]
    pub fn mark_written(&mut self, at: usize, len: usize) {
        if self.written.is_empty() {
            return;
        }
        let (first, last) = (at / 8, (at + len - 1) / 8);
        let (from, to) = (0xff << (at % 8), 0xff >> (7 - (at + len - 1) % 8));
        if first == last {
            self.written[first] |= from & to;
            return;
        }
        self.written[first] |= from;
        self.written[first + 1..last].fill(0xff);
        self.written[last] |= to;
    }

    /// Reads `len <= 16` bytes, the first of them as the lowest.
    #[inline(always)]
    pub fn read(&self, at: usize, len: usize) -> u128 {
        let mut bytes = [0; 16];
        let source = &self.bytes[at..at + len];
        // A copy of a constant length is one instruction, and any other one calls the C library.
        match len {
            4 => bytes[..4].copy_from_slice(source),
            8 => bytes[..8].copy_from_slice(source),
            16 => bytes.copy_from_slice(source),
            _ => bytes[..len].copy_from_slice(source),
        }
        u128::from_le_bytes(bytes)
    }

    /// Writes at most 16 bytes and returns whether they differ from the previous ones.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        let changed = &self.bytes[at..at + bytes.len()] != bytes;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.mark_written(at, bytes.len());
        changed
    }

    /// Copies bytes, and whether each of them was written.
    pub fn copy(&mut self, from: usize, to: usize, len: usize) {
        self.bytes.copy_within(from..from + len, to);
        for i in 0..if self.written.is_empty() { 0 } else { len } {
            let bit = self.written[(from + i) / 8] >> ((from + i) % 8) & 1;
            let byte = &mut self.written[(to + i) / 8];
            *byte = *byte & !(1 << ((to + i) % 8)) | bit << ((to + i) % 8);
        }
    }
}

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
            start + segment.bytes().len() as u64 > base
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
        if !segment.host {
            self.free += (segment.bytes().len() as u64).next_multiple_of(ALIGN);
        }
        true
    }

    /// Returns the allocation that contains `len` bytes at `address`, and the offset of these bytes. If no allocation
    /// contains them, the error relates the address to the nearest allocation.
    #[inline]
    pub fn find(&mut self, address: u64, len: usize) -> Result<(&mut Segment, usize), String> {
        let access = || format!("{len} bytes at {address:#x} of global memory");
        let contained = |(base, segment): &(u64, Segment)| {
            address >= *base && contains(segment.bytes().len() as u64, address - base, len)
        };
        if !self.allocations.get(self.last).is_some_and(contained) {
            let after = self.allocations.partition_point(|(base, _)| *base <= address);
            let Some(last) = after.checked_sub(1) else {
                return Err(format!("{}, before every allocation", access()));
            };
            self.last = last;
        }
        let (base, segment) = &mut self.allocations[self.last];
        let (offset, size) = ((address - *base) as usize, segment.bytes().len());
        if !contains(size as u64, offset as u64, len) {
            return Err(format!("{}, {offset} bytes into the allocation of {size} bytes at {base:#x}", access()));
        }
        Ok((segment, offset))
    }
}
