//! The last accesses of a word of memory in full, and the races that they show.

use std::array::from_fn;
use std::ops::Range;

use super::fault::{Checked, FaultKind, Violation};
use super::happens_before::{AccessRecord, Accessor, Observer};

/// The last accesses of a word of four bytes.
#[derive(Clone, Default)]
pub struct Word {
    pub whole: Shadow,
    /// The accesses of each byte, after the first access to a part of the word. Then `whole` is out of use.
    pub bytes: Option<Box<[Shadow; 4]>>,
}

/// The last accesses of a word or byte.
#[derive(Clone, Default)]
pub struct Shadow {
    pub write: AccessRecord,
    /// The reads since the last write.
    pub read: AccessRecord,
    /// The reads since the last write that `read` does not include, sorted by block.
    pub other_reads: Vec<AccessRecord>,
}

impl Word {
    /// Calls `check` with the records of the bytes of `range`.
    pub fn for_each(&mut self, range: Range<usize>, check: impl FnMut(&mut Shadow) -> Checked) -> Checked {
        if range.len() == 4 && self.bytes.is_none() {
            return std::iter::once(&mut self.whole).try_for_each(check);
        }
        let bytes = self.bytes.get_or_insert_with(|| Box::new(from_fn(|_| self.whole.clone())));
        bytes[range].iter_mut().try_for_each(check)
    }
}

impl Shadow {
    /// Checks and records a read by `lanes`.
    #[inline(never)]
    pub fn check_read(&mut self, lanes: u32, observer: &Observer) -> Checked {
        let accessor = &observer.accessor;
        let record = &AccessRecord::new(*accessor, lanes);
        let write = &self.write;
        let racing = if write.equal {
            0
        } else if !write.ordered(write.conflicting_warps(accessor), observer) {
            lanes
        } else if write.in_epoch_of(accessor) {
            let others = write.conflicting_lanes(accessor);
            observer.syncs.unordered(lanes & !write.lanes, others, write.by.syncs)
        } else {
            0
        };
        if racing != 0 {
            return Err(race(write, "wrote", "reads", accessor, racing));
        }
        self.add_read(record, observer);
        Ok(())
    }

    /// Checks and records a write by one lane, as [`Shadows::record_write`](super::shadow::Shadows::record_write).
    #[inline(never)]
    pub fn check_write(&mut self, lane: u32, same: bool, observer: &Observer) -> Checked {
        let (accessor, own) = (&observer.accessor, 1 << lane);
        let write = &self.write;
        let in_epoch = write.in_epoch_of(accessor);
        let others = if in_epoch { write.conflicting_lanes(accessor) } else { 0 };
        let unordered = observer.syncs.unordered(own, others, write.by.syncs) != 0;
        let equal = !write.ordered(write.conflicting_warps(accessor), observer);
        let one_store = observer.lenient && write.by.pc == accessor.pc;
        if equal && !(same && observer.lenient) || unordered && !same && !one_store {
            return Err(race(write, "wrote", "writes", accessor, own));
        }
        let races = |read: &&AccessRecord| {
            let lanes = if read.in_epoch_of(accessor) { read.conflicting_lanes(accessor) } else { 0 };
            !read.ordered(read.conflicting_warps(accessor), observer)
                || !same && observer.convergences.unordered(own, lanes, read.by.convergences) != 0
        };
        let other_reads = &self.other_reads;
        if let Some(read) = std::iter::once(&self.read).chain(other_reads).find(races) {
            return Err(race(read, "read", "writes", accessor, own));
        }
        let mut record = AccessRecord::new(*accessor, own);
        if in_epoch && write.by.syncs == accessor.syncs && (same || write.by.pc == accessor.pc) {
            record.lanes |= write.lanes;
            record.weak_lanes |= write.weak_lanes;
        }
        record.equal = equal || write.equal && same && write.by.epoch == accessor.epoch;
        *self = Self { write: record, read: AccessRecord::default(), other_reads: Vec::new() };
        Ok(())
    }

    #[inline]
    fn add_read(&mut self, record: &AccessRecord, observer: &Observer) {
        let read = &mut self.read;
        let others = if read.by.block == record.by.block { read.warps & !record.warps } else { read.warps };
        if read.joins(record) && read.warps != 0 {
            read.join(record);
        } else if read.ordered(others, observer) {
            *read = *record;
        } else {
            self.add_other_read(record);
        }
    }

    fn add_other_read(&mut self, record: &AccessRecord) {
        let block = record.by.block;
        let other_reads = &mut self.other_reads;
        let mut at = other_reads.partition_point(|read| read.by.block < block);
        // A read that the record makes superfluous leaves its place to the record.
        let mut free = None;
        while let Some(read) = other_reads.get_mut(at).filter(|read| read.by.block == block) {
            if read.joins(record) {
                read.join(record);
                free.map(|free| other_reads.remove(free));
                return;
            }
            read.forget(record);
            match (read.warps, free) {
                (0, None) => free = Some(at),
                (0, Some(_)) => {
                    other_reads.remove(at);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        match free {
            Some(free) => other_reads[free] = *record,
            None => other_reads.insert(at, *record),
        }
    }
}

fn race(other: &AccessRecord, did: &str, does: &str, accessor: &Accessor, lanes: u32) -> Box<Violation> {
    let others = other.conflicting_warps(accessor);
    let (others, barrier) = if others == 0 {
        (format!("lanes {:#x} of this warp", other.lanes), "`bar.warp.sync`")
    } else if other.by.block == accessor.block {
        (format!("warps {others:#x} of this block"), "barrier")
    } else {
        (format!("block {}", other.by.block), "grid barrier")
    };
    let message = format!("{others} {did} what this lane {does}, with no {barrier} between");
    let mut violation = Violation::new(FaultKind::Race, lanes.trailing_zeros(), message);
    violation.other = Some(other.by.pc as usize);
    violation
}
