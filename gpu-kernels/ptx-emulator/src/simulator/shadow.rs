//! The last accesses of each word of memory, by which races are found.

use std::array::from_fn;
use std::ops::Range;

use super::fault::{Checked, FaultKind, Violation};
use super::happens_before::{AccessRecord, Accessor, Observer};

/// The number of words whose records are allocated together, at the first access to one of them.
const PAGE: usize = 64;

/// The last accesses of the words of a memory.
#[derive(Default)]
pub struct Shadows {
    /// The pages up to the last one with an access.
    pages: Vec<Option<Box<[Word]>>>,
}

/// The last accesses of a word of four bytes.
#[derive(Clone, Default)]
struct Word {
    whole: Shadow,
    /// The accesses of each byte, after the first access to a part of the word. Then `whole` is out of use.
    bytes: Option<Box<[Shadow; 4]>>,
}

/// The last accesses of a word or byte.
#[derive(Clone, Default)]
struct Shadow {
    write: AccessRecord,
    /// The reads since the last write.
    read: AccessRecord,
    /// The reads since the last write that `read` does not include, sorted by block. Most words have none.
    other_reads: Option<Box<Vec<AccessRecord>>>,
}

impl Shadows {
    /// Makes room for `pages` pages.
    #[cold]
    fn add_pages(&mut self, pages: usize) {
        self.pages.resize_with(pages, || None);
    }

    /// Calls `f` with each record of the bytes of `range`.
    #[inline(always)]
    fn for_each(&mut self, range: Range<usize>, mut f: impl FnMut(&mut Shadow) -> Checked) -> Checked {
        let words = range.start / 4..range.end.div_ceil(4);
        let (first, last) = (words.start / PAGE, (words.end - 1) / PAGE);
        if last >= self.pages.len() {
            self.add_pages(last + 1);
        }
        for number in first..=last {
            let page = self.pages[number].get_or_insert_with(new_page);
            let start = number * PAGE;
            for index in words.start.max(start)..words.end.min(start + PAGE) {
                let word = &mut page[index - start];
                let (from, to) = (range.start.max(4 * index) - 4 * index, range.end.min(4 * index + 4) - 4 * index);
                if to - from == 4 && word.bytes.is_none() {
                    f(&mut word.whole)?;
                } else {
                    word.parts()[from..to].iter_mut().try_for_each(&mut f)?;
                }
            }
        }
        Ok(())
    }

    /// Records a read by `lanes`. Fails if the read races with a write.
    #[inline(always)]
    pub fn record_read(&mut self, range: Range<usize>, lanes: u32, observer: &Observer) -> Checked {
        let accessor = &observer.accessor;
        let record = AccessRecord::new(*accessor, lanes);
        self.for_each(range, |shadow| {
            // Most words were written before the last barrier.
            if shadow.write.is_before_epoch_of(accessor) && shadow.replace_or_join_read(&record, accessor) {
                return Ok(());
            }
            shadow.check_read(&record, lanes, observer)
        })
    }

    /// Forgets all accesses, and keeps the memory of the records.
    pub fn clear(&mut self) {
        self.pages.iter_mut().flatten().for_each(|page| page.fill(Word::default()));
    }

    /// Records a write by one lane. Fails if the write races with another access. `same` tells whether memory already
    /// holds the written bytes. The lanes of one warp may write equal values.
    #[inline(always)]
    pub fn record_write(&mut self, range: Range<usize>, lane: u32, same: bool, observer: &Observer) -> Checked {
        let accessor = &observer.accessor;
        self.for_each(range, |shadow| {
            let before = |access: &AccessRecord| access.is_before_epoch_of(accessor);
            if before(&shadow.write) && before(&shadow.read) && shadow.other_reads.is_none() {
                shadow.write = AccessRecord::new(*accessor, 1 << lane);
                shadow.read = AccessRecord::default();
                return Ok(());
            }
            shadow.check_write(lane, same, observer)
        })
    }
}

#[cold]
fn new_page() -> Box<[Word]> {
    vec![Word::default(); PAGE].into_boxed_slice()
}

impl Word {
    /// Returns the records of the four bytes, which replace that of the word.
    #[cold]
    fn parts(&mut self) -> &mut [Shadow; 4] {
        self.bytes.get_or_insert_with(|| Box::new(from_fn(|_| self.whole.clone())))
    }
}

impl Shadow {
    /// Records a read, unless reads of other warps stay relevant. Returns whether the read was recorded.
    #[inline(always)]
    fn replace_or_join_read(&mut self, record: &AccessRecord, accessor: &Accessor) -> bool {
        if self.read.is_before_epoch_of(accessor) {
            self.read = *record;
        } else if self.read.joins(record) {
            self.read.join(record);
        } else {
            return false;
        }
        true
    }

    /// Checks and records a read by `lanes`.
    #[inline(never)]
    fn check_read(&mut self, record: &AccessRecord, lanes: u32, observer: &Observer) -> Checked {
        let accessor = &observer.accessor;
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

    /// Checks and records a write by one lane, as [`Shadows::record_write`].
    #[inline(never)]
    fn check_write(&mut self, lane: u32, same: bool, observer: &Observer) -> Checked {
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
        let other_reads = self.other_reads.as_deref().into_iter().flatten();
        if let Some(read) = std::iter::once(&self.read).chain(other_reads).find(races) {
            return Err(race(read, "read", "writes", accessor, own));
        }
        let mut record = AccessRecord::new(*accessor, own);
        if in_epoch && write.by.syncs == accessor.syncs && (same || write.by.pc == accessor.pc) {
            record.lanes |= write.lanes;
            record.weak_lanes |= write.weak_lanes;
        }
        record.equal = equal || write.equal && same && write.by.epoch == accessor.epoch;
        *self = Self { write: record, read: AccessRecord::default(), other_reads: None };
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
        let other_reads = &mut **self.other_reads.get_or_insert_default();
        let mut at = other_reads.partition_point(|read| read.by.block < block);
        while let Some(read) = other_reads.get_mut(at).filter(|read| read.by.block == block) {
            if read.joins(record) {
                return read.join(record);
            }
            read.forget(record);
            if read.warps == 0 {
                other_reads.remove(at);
            } else {
                at += 1;
            }
        }
        other_reads.insert(at, *record);
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
