//! The last accesses of each word of memory, by which races are found.
//!
//! Most words are written by one warp and, after a barrier, read by others. Of such a word a page keeps numbers of accesses,
//! which are compared for many words at once. A word of another kind has its accesses in full, as a [`Word`].

use std::ops::Range;

use super::fault::Checked;
use super::happens_before::{AccessRecord, Accessor, Observer};
use super::shadow_page::{DETAILED, Earlier, PAGE, Page, Read};
use super::word::{Shadow, Word};

/// The number of accesses after which unused ones are forgotten. Memory with many words has more.
const MAX_ACCESSES: usize = 1 << 16;

/// The last accesses of the words of a memory.
#[derive(Default)]
pub struct Shadows {
    /// The pages up to the last one with an access.
    pages: Vec<Option<Box<Page>>>,
    /// The accesses by number, of which the first one stands for none.
    pub(super) accesses: Vec<Accessor>,
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
    pub(super) fn is_before(&self, number: u32, accessor: &Accessor) -> bool {
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
        self.pages[number].take().unwrap_or_else(Page::new)
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
        let start = 4 * index;
        let accessed = range.start.max(start) - start..range.end.min(start + 4) - start;
        let detail = (page.reads[i] == DETAILED).then_some(page.writes[i]);
        let mut word = match detail {
            // A read makes no word simpler, and a word is large.
            Some(detail) if !writes => return self.details[detail as usize].for_each(accessed, check),
            Some(detail) => std::mem::take(&mut self.details[detail as usize]),
            None => self.expand(page, i),
        };
        page.other_reads[i] = 0;
        word.for_each(accessed, check)?;
        let Word { whole: Shadow { write, read, other_reads }, bytes } = &word;
        let all_weak = (read.weak_warps, read.weak_lanes) == (read.warps, read.lanes);
        // Joined writes may be weak in some lanes and strong in others.
        let uniform = write.weak_lanes == if write.by.strong { 0 } else { write.lanes };
        if bytes.is_none() && other_reads.is_empty() && !write.equal && all_weak && uniform {
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
