//! A range of memory with, for each byte, whether it was written, and for each word, who accessed it last.

use std::ops::Range;

use super::fault::{FaultKind, Violation};
use super::happens_before::{AccessRecord, Accessor, VectorClock};

/// The number of words whose shadows are allocated together, at the first access to one of them.
const PAGE: usize = 256;

/// The shadow of a word of four bytes: its last accesses.
#[derive(Clone, Default)]
struct Shadow {
    write: AccessRecord,
    /// The reads since that write by one block.
    read: AccessRecord,
    /// The reads since that write by other blocks, sorted by block.
    other_reads: Vec<AccessRecord>,
}

/// A range of memory.
pub struct Segment {
    bytes: Vec<u8>,
    /// One bit per byte: whether the byte was written.
    written: Vec<u8>,
    pages: Vec<Option<Box<[Shadow]>>>,
}

impl Segment {
    /// Returns `size` bytes that nothing has written.
    pub fn new(size: usize) -> Self {
        let words = size.div_ceil(4);
        Self { bytes: vec![0; size], written: vec![0; size / 8 + 3], pages: vec![None; words.div_ceil(PAGE)] }
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns all bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes on behalf of the host, without a race check.
    pub fn fill(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        for i in at..at + bytes.len() {
            self.written[i / 8] |= 1 << (i % 8);
        }
    }

    /// Returns whether all of `len <= 16` bytes were written.
    pub fn is_written(&self, at: usize, len: usize) -> bool {
        let byte = |i: usize| u32::from(self.written[at / 8 + i]);
        let bits = (byte(0) | byte(1) << 8 | byte(2) << 16) >> (at % 8);
        let all = (1 << len) - 1;
        bits & all == all
    }

    /// Reads `len <= 16` bytes.
    pub fn read(&self, at: usize, len: usize) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..len].copy_from_slice(&self.bytes[at..at + len]);
        bytes
    }

    /// Writes at most 16 bytes and returns whether they differ from the previous ones.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        let changed = &self.bytes[at..at + bytes.len()] != bytes;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        let bits = ((1u32 << bytes.len()) - 1) << (at % 8);
        for (i, byte) in bits.to_le_bytes().into_iter().take(3).enumerate() {
            self.written[at / 8 + i] |= byte;
        }
        changed
    }

    /// Calls `f` with the shadow of each word of `range` and the mask of the word's bytes in the range.
    fn for_each_shadow(
        &mut self,
        range: Range<usize>,
        mut f: impl FnMut(&mut Shadow, u8) -> Result<(), Box<Violation>>,
    ) -> Result<(), Box<Violation>> {
        for word in range.start / 4..range.end.div_ceil(4) {
            let page = self.pages[word / PAGE].get_or_insert_with(|| vec![Shadow::default(); PAGE].into_boxed_slice());
            let (from, to) = (range.start.max(4 * word) - 4 * word, range.end.min(4 * word + 4) - 4 * word);
            f(&mut page[word % PAGE], ((1u32 << to) - (1 << from)) as u8)?;
        }
        Ok(())
    }

    /// Records a read by `lanes`.
    ///
    /// # Errors
    /// Returns a violation if the read races with a write.
    pub fn record_read(
        &mut self,
        range: Range<usize>,
        lanes: u32,
        accessor: &Accessor,
        clock: &VectorClock,
    ) -> Result<(), Box<Violation>> {
        self.for_each_shadow(range, |shadow, bytes| {
            let write = &shadow.write;
            if write.bytes & bytes != 0 && !(write.strong && accessor.strong) {
                if !write.happened_before(accessor, clock) {
                    return Err(race(write, "wrote", "reads", accessor, lanes));
                }
                if unsynchronised_lanes(write, accessor, accessor.syncs) && lanes & !write.lanes != 0 {
                    return Err(race(write, "wrote", "reads", accessor, lanes & !write.lanes));
                }
            }
            let record = AccessRecord::new(accessor, lanes, bytes, accessor.convergences);
            shadow.add_read(record, accessor, clock);
            Ok(())
        })
    }

    /// Records a write by one lane. `same` tells that memory already holds the written bytes, because the lanes of one
    /// warp may write equal values.
    ///
    /// # Errors
    /// Returns a violation if the write races with another access.
    pub fn record_write(
        &mut self,
        range: Range<usize>,
        lane: u32,
        same: bool,
        accessor: &Accessor,
        clock: &VectorClock,
    ) -> Result<(), Box<Violation>> {
        self.for_each_shadow(range, |shadow, bytes| {
            let write = &shadow.write;
            let in_warp = unsynchronised_lanes(write, accessor, accessor.syncs);
            if write.bytes & bytes != 0
                && !(write.strong && accessor.strong)
                && (!write.happened_before(accessor, clock) || in_warp && !same && write.lanes != 1 << lane)
            {
                return Err(race(write, "wrote", "writes", accessor, 1 << lane));
            }
            let races = |read: &&AccessRecord| {
                let in_warp = unsynchronised_lanes(read, accessor, accessor.convergences);
                read.bytes & bytes != 0
                    && !(read.strong && accessor.strong)
                    && (!read.happened_before(accessor, clock) || in_warp && !same && read.lanes & !(1 << lane) != 0)
            };
            if let Some(read) = std::iter::once(&shadow.read).chain(&shadow.other_reads).find(races) {
                return Err(race(read, "read", "writes", accessor, 1 << lane));
            }
            let mut record = AccessRecord::new(accessor, 1 << lane, bytes, accessor.syncs);
            if in_warp && write.pc == accessor.pc {
                record.lanes |= write.lanes;
            }
            if write.epoch == accessor.epoch && !write.by_others(accessor) {
                record.bytes |= write.bytes;
            }
            shadow.write = record;
            shadow.read.epoch = 0;
            shadow.read.bytes = 0;
            shadow.other_reads.clear();
            Ok(())
        })
    }
}

/// Returns whether `accessor`'s warp alone made the access, and has not synchronised its lanes since. `syncs` is the
/// count of synchronisations that order such an access.
fn unsynchronised_lanes(record: &AccessRecord, accessor: &Accessor, syncs: u32) -> bool {
    !record.by_others(accessor) && (record.epoch, record.syncs) == (accessor.epoch, syncs)
}

impl Shadow {
    fn add_read(&mut self, record: AccessRecord, accessor: &Accessor, clock: &VectorClock) {
        let read = &self.read;
        let slot = if read.bytes == 0 || read.block == accessor.block || read.happened_before(accessor, clock) {
            &mut self.read
        } else {
            match self.other_reads.binary_search_by_key(&accessor.block, |read| read.block) {
                Ok(i) => &mut self.other_reads[i],
                Err(i) => {
                    self.other_reads.insert(i, record);
                    return;
                }
            }
        };
        if slot.bytes == 0 || slot.block != accessor.block || slot.epoch != accessor.epoch {
            *slot = record;
            return;
        }
        let lanes = if slot.warps == record.warps && slot.syncs == record.syncs { slot.lanes } else { 0 };
        *slot = AccessRecord {
            warps: slot.warps | record.warps,
            lanes: lanes | record.lanes,
            strong: slot.strong && record.strong,
            bytes: slot.bytes | record.bytes,
            ..record
        };
    }
}

fn race(other: &AccessRecord, did: &str, does: &str, accessor: &Accessor, lanes: u32) -> Box<Violation> {
    let (others, barrier) = if !other.by_others(accessor) {
        (format!("lanes {:#x} of this warp", other.lanes), "`bar.warp.sync`")
    } else if other.block == accessor.block {
        (format!("warps {:#x} of this block", other.warps), "barrier")
    } else {
        (format!("block {}", other.block), "grid barrier")
    };
    let message = format!("{others} {did} what this lane {does}, with no {barrier} between");
    let mut violation = Violation::new(FaultKind::Race, lanes.trailing_zeros(), message);
    violation.other = Some(other.pc as usize);
    violation
}
