//! The last accesses of each word of memory, by which races are found.
//!
//! Most words are written by one warp and, after a barrier, read by others. Of such a word a page keeps numbers of accesses,
//! which are compared for many words at once. A word of another kind has its accesses in full, as a [`Word`].

use std::ops::Range;

use super::fault::Checked;
use super::happens_before::{AccessRecord, Accessor, Observer};
use super::word::{Shadow, Word};

/// The number of words of a page, which is allocated at the first access to one of them.
const PAGE: usize = 256;

/// The number of the last read of a word whose accesses are in [`Shadows::details`]. That of its last write is the index.
const DETAILED: u32 = u32::MAX;

/// The number of accesses after which unused ones are forgotten. Memory with many words has more.
const MAX_ACCESSES: usize = 1 << 16;

/// The last accesses of some words. Of reads without an order between them, the last one counts.
struct Page {
    /// The number of the last write and of the last read since then, or 0.
    writes: [u32; PAGE],
    reads: [u32; PAGE],
    /// The lanes of the last write, those of the last read, and all warps that have read in the epoch of the last read.
    write_lanes: [u32; PAGE],
    read_lanes: [u32; PAGE],
    read_warps: [u32; PAGE],
    /// The number of the read by another block before the last read, or 0. Blocks that cannot be ordered keep it here. Two
    /// blocks are enough, because a write by any block races with the read of one of them.
    other_reads: [u32; PAGE],
}

impl Page {
    /// Returns the numbers of the accesses of all words that the page describes.
    fn numbers(&self) -> impl Iterator<Item = u32> {
        let described = (0..PAGE).filter(|i| self.reads[*i] != DETAILED);
        described.flat_map(|i| [self.writes[i], self.reads[i], self.other_reads[i]])
    }
}

/// What a read knows about an earlier read of a word.
#[derive(Clone, Copy, Default)]
struct Earlier {
    /// The number of the earlier read.
    number: u32,
    /// The masks of those of its lanes and warps that the record of the word keeps, which is all or none.
    lanes: u32,
    warps: u32,
    /// Whether it is by another block, so that the word keeps the whole read.
    other_block: bool,
}

/// A read that is being recorded.
pub struct Read {
    /// The number of the read.
    now: u32,
    /// The earlier read of the word that was recorded last. The next word has often the same.
    earlier: Earlier,
}

/// The last accesses of the words of a memory.
#[derive(Default)]
pub struct Shadows {
    /// The pages up to the last one with an access.
    pages: Vec<Option<Box<Page>>>,
    /// The accesses by number, of which the first one stands for none.
    accesses: Vec<Accessor>,
    /// The number of the first access that may be unordered with the next one. All earlier ones happened before.
    unordered: u32,
    /// The last accessor.
    last: Accessor,
    /// Whether several blocks have accessed the memory in the current launch.
    mixed: bool,
    /// The accesses of words that a page cannot describe, and the indices that are not in use.
    details: Vec<Word>,
    free_details: Vec<u32>,
}

impl Shadows {
    /// Returns the number of an access that is about to be recorded.
    pub fn begin(&mut self, accessor: &Accessor) -> u32 {
        if self.accesses.len() > MAX_ACCESSES.max(4 * PAGE * self.pages.len()) {
            self.forget_unused();
        }
        if self.accesses.is_empty() {
            self.accesses.push(Accessor::default());
        }
        let now = self.accesses.len() as u32;
        let (last, by) = (&self.last, accessor);
        if (last.first_epoch, last.epoch, last.block) != (by.first_epoch, by.epoch, by.block) {
            if last.first_epoch != by.first_epoch {
                (self.mixed, self.unordered) = (false, now);
            } else if last.block != by.block {
                self.mixed = true;
            } else if !self.mixed {
                self.unordered = now;
            }
            self.last = *by;
        }
        self.accesses.push(*by);
        now
    }

    /// Returns whether an access happened before the last barrier of the block of `accessor`, or before the launch.
    #[inline(always)]
    fn is_before(&self, number: u32, accessor: &Accessor) -> bool {
        number < self.unordered
            || self.mixed && number != DETAILED && {
                let by = &self.accesses[number as usize];
                by.block == accessor.block && by.epoch < accessor.epoch
            }
    }

    /// Takes a page, which the caller puts back.
    #[inline(always)]
    fn take_page(&mut self, number: usize) -> Box<Page> {
        if number >= self.pages.len() {
            self.pages.resize_with(number + 1, || None);
        }
        self.pages[number].take().unwrap_or_else(new_page)
    }

    /// Begins a read, which is about to be recorded.
    pub fn begin_read(&mut self, accessor: &Accessor) -> Read {
        Read { now: self.begin(accessor), earlier: Earlier::default() }
    }

    /// Records a part of a read, in which `lanes` gives the lanes that read each word of `range`. Fails if the read races
    /// with a write.
    #[inline]
    pub fn record_read(
        &mut self,
        read: &mut Read,
        range: Range<usize>,
        lanes: impl Fn(usize) -> u32,
        observer: &Observer,
    ) -> Checked {
        let now = read.now;
        let simply = |shadows: &Self, page: &mut Page, i: usize, word: usize| {
            shadows.read_simply(page, i, read, lanes(word), observer)
        };
        self.record(&range, simply, |shadows, page, index, word| {
            let check = |shadow: &mut Shadow| shadow.check_read(lanes(word), observer);
            shadows.look_closer(page, index, &range, now, false, check)
        })
    }

    /// Records write `now`, in which `lane` gives the lane that writes each word of `range`, and whether memory already holds
    /// what it writes. Fails if the write races with another access. The lanes of one warp may write equal values.
    #[inline]
    pub fn record_write(
        &mut self,
        now: u32,
        range: Range<usize>,
        lane: impl Fn(usize) -> (u32, bool),
        observer: &Observer,
    ) -> Checked {
        let simply = |shadows: &Self, page: &mut Page, i: usize, word: usize| {
            let (lane, same) = lane(word);
            shadows.write_simply(page, i, now, lane, same, observer)
        };
        self.record(&range, simply, |shadows, page, index, word| {
            let (lane, same) = lane(word);
            shadows.look_closer(page, index, &range, now, true, |shadow| shadow.check_write(lane, same, observer))
        })
    }

    /// Records an access to the words of `range`. `simply` records it for a word of a page and returns true, or it returns
    /// false if the word needs `closely`. Both get the index of the word in its page or in memory, and in the range.
    #[inline(always)]
    fn record(
        &mut self,
        range: &Range<usize>,
        mut simply: impl FnMut(&Self, &mut Page, usize, usize) -> bool,
        mut closely: impl FnMut(&mut Self, &mut Page, usize, usize) -> Checked,
    ) -> Checked {
        let words = range.start / 4..range.end.div_ceil(4);
        let whole = (range.start | range.end).is_multiple_of(4);
        for number in words.start / PAGE..=(words.end - 1) / PAGE {
            let mut page = self.take_page(number);
            let start = number * PAGE;
            let mut checked = Ok(());
            for index in words.start.max(start)..words.end.min(start + PAGE) {
                let word = index - words.start;
                if !(whole && simply(self, &mut page, index - start, word)) {
                    checked = closely(self, &mut page, index, word);
                    if checked.is_err() {
                        break;
                    }
                }
            }
            self.pages[number] = Some(page);
            checked?;
        }
        Ok(())
    }

    #[inline(always)]
    fn read_simply(&self, page: &mut Page, i: usize, read: &mut Read, lanes: u32, observer: &Observer) -> bool {
        let (accessor, last) = (&observer.accessor, page.reads[i]);
        // A strong read conflicts with less, which a page cannot tell.
        if accessor.strong || last == DETAILED {
            return false;
        }
        if !self.is_before(page.writes[i], accessor) {
            let (by, written) = (&self.accesses[page.writes[i] as usize], page.write_lanes[i]);
            if !in_warp_of(by, accessor) || observer.syncs.unordered(lanes & !written, written, by.syncs) != 0 {
                return false;
            }
        }
        if last != read.earlier.number {
            let Some(earlier) = self.earlier_read(last, observer) else { return false };
            read.earlier = earlier;
        }
        let earlier = read.earlier;
        if earlier.other_block {
            page.other_reads[i] = last;
        }
        page.reads[i] = read.now;
        page.read_lanes[i] = lanes | page.read_lanes[i] & earlier.lanes;
        page.read_warps[i] = 1 << accessor.warp | page.read_warps[i] & earlier.warps;
        true
    }

    /// Returns what `observer` knows about an earlier read, or `None` if a page cannot keep both reads.
    #[inline]
    fn earlier_read(&self, number: u32, observer: &Observer) -> Option<Earlier> {
        let (accessor, mut earlier) = (&observer.accessor, Earlier { number, ..Earlier::default() });
        if self.is_before(number, accessor) {
            return Some(earlier);
        }
        let by = &self.accesses[number as usize];
        if by.block != accessor.block && observer.isolated {
            earlier.other_block = true;
            return Some(earlier);
        }
        if (by.block, by.epoch, by.time) != (accessor.block, accessor.epoch, accessor.time) {
            return None;
        }
        earlier.warps = u32::MAX;
        if (by.warp, by.convergences) == (accessor.warp, accessor.convergences) {
            earlier.lanes = u32::MAX;
        }
        Some(earlier)
    }

    #[inline(always)]
    fn write_simply(&self, page: &mut Page, i: usize, now: u32, lane: u32, same: bool, observer: &Observer) -> bool {
        let (accessor, own) = (&observer.accessor, 1 << lane);
        let (write, read, mut lanes) = (page.writes[i], page.reads[i], own);
        if read == DETAILED {
            return false;
        }
        if !self.is_before(write, accessor) {
            let (by, written) = (&self.accesses[write as usize], page.write_lanes[i]);
            let is_alike = in_warp_of(by, accessor) && by.strong == accessor.strong;
            if !is_alike || observer.syncs.unordered(own, written, by.syncs) != 0 {
                return false;
            }
            if by.syncs == accessor.syncs && (same || by.pc == accessor.pc) {
                lanes |= written;
            }
        }
        if !self.is_before(page.other_reads[i], accessor) {
            return false;
        }
        if !self.is_before(read, accessor) {
            let by = &self.accesses[read as usize];
            let is_alone = in_warp_of(by, accessor) && page.read_warps[i] == 1 << accessor.warp;
            if !is_alone || observer.convergences.unordered(own, page.read_lanes[i], by.convergences) != 0 {
                return false;
            }
        }
        (page.writes[i], page.reads[i], page.write_lanes[i], page.other_reads[i]) = (now, 0, lanes, 0);
        true
    }

    /// Checks and records an access to those bytes of a word that are in `range`.
    #[inline(never)]
    fn look_closer(
        &mut self,
        page: &mut Page,
        index: usize,
        range: &Range<usize>,
        now: u32,
        writes: bool,
        check: impl FnMut(&mut Shadow) -> Checked,
    ) -> Checked {
        let i = index % PAGE;
        let detail = (page.reads[i] == DETAILED).then_some(page.writes[i]);
        let mut word = match detail {
            Some(detail) => std::mem::take(&mut self.details[detail as usize]),
            None => self.expand(page, i),
        };
        page.other_reads[i] = 0;
        let start = 4 * index;
        word.for_each(range.start.max(start) - start..range.end.min(start + 4) - start, check)?;
        let Word { whole: Shadow { write, read, other_reads }, bytes } = &word;
        let all_weak = (read.weak_warps, read.weak_lanes) == (read.warps, read.lanes);
        // Joined writes may be weak in some lanes and strong in others.
        let uniform = write.weak_lanes == if write.by.strong { 0 } else { write.lanes };
        // The number of an old write is not known if the word was described in full.
        let known = writes || detail.is_none();
        if bytes.is_none() && other_reads.is_empty() && !write.equal && all_weak && uniform && known {
            if writes {
                (page.writes[i], page.reads[i], page.write_lanes[i]) = (now, 0, write.lanes);
            } else {
                (page.reads[i], page.read_lanes[i], page.read_warps[i]) = (now, read.lanes, read.warps);
            }
            self.free_details.extend(detail);
            return Ok(());
        }
        let detail = detail.or_else(|| self.free_details.pop()).unwrap_or_else(|| {
            self.details.push(Word::default());
            self.details.len() as u32 - 1
        });
        self.details[detail as usize] = word;
        (page.writes[i], page.reads[i]) = (detail, DETAILED);
        Ok(())
    }

    /// Returns the accesses of a word of a page in full, without those that happened before all that follow.
    fn expand(&self, page: &Page, i: usize) -> Word {
        let mut word = Word::default();
        if page.writes[i] >= self.unordered {
            word.whole.write = AccessRecord::new(self.accesses[page.writes[i] as usize], page.write_lanes[i]);
        }
        if page.reads[i] >= self.unordered {
            let (lanes, warps) = (page.read_lanes[i], page.read_warps[i]);
            let read = AccessRecord::new(self.accesses[page.reads[i] as usize], lanes);
            word.whole.read = AccessRecord { warps, weak_warps: warps, ..read };
        }
        if page.other_reads[i] >= self.unordered {
            word.whole.other_reads.push(AccessRecord::new(self.accesses[page.other_reads[i] as usize], 0));
        }
        word
    }

    /// Forgets all accesses, and keeps the memory.
    pub fn clear(&mut self) {
        if !self.details.is_empty() {
            self.pages.iter_mut().flatten().for_each(|page| page.reads = [0; PAGE]);
            self.pages.iter_mut().flatten().for_each(|page| page.writes = [0; PAGE]);
        }
        self.details.clear();
        self.free_details.clear();
        (self.unordered, self.last, self.mixed) = (self.accesses.len() as u32, Accessor::default(), false);
    }

    /// Forgets the accesses that are the last ones of no word, and numbers the others anew.
    #[cold]
    fn forget_unused(&mut self) {
        let mut used = vec![false; self.accesses.len()];
        for page in self.pages.iter().flatten() {
            page.numbers().filter(|number| *number >= self.unordered).for_each(|number| used[number as usize] = true);
        }
        let mut new_numbers = vec![0; used.len()];
        let mut kept = vec![Accessor::default()];
        for number in (0..used.len()).filter(|number| used[*number]) {
            new_numbers[number] = kept.len() as u32;
            kept.push(self.accesses[number]);
        }
        for page in self.pages.iter_mut().flatten() {
            for i in 0..PAGE {
                if page.reads[i] == DETAILED {
                    continue;
                }
                for number in [&mut page.writes[i], &mut page.reads[i], &mut page.other_reads[i]] {
                    *number = new_numbers[*number as usize];
                }
            }
        }
        (self.accesses, self.unordered) = (kept, 1);
    }
}

/// Returns whether an access is by the same warp in the same epoch.
#[inline(always)]
fn in_warp_of(by: &Accessor, accessor: &Accessor) -> bool {
    (by.block, by.warp, by.epoch) == (accessor.block, accessor.warp, accessor.epoch)
}

#[cold]
fn new_page() -> Box<Page> {
    let zeros = [0; PAGE];
    Box::new(Page {
        writes: zeros,
        reads: zeros,
        write_lanes: zeros,
        read_lanes: zeros,
        read_warps: zeros,
        other_reads: zeros,
    })
}
