//! The accesses that a page can record in numbers.

use super::happens_before::{Accessor, Observer};
use super::shadow::Shadows;
use super::shadow_page::{DETAILED, Earlier, Page, Read};

impl Shadows {
    /// Records a read of a word, or returns false if the word needs a closer look.
    #[inline(always)]
    pub(super) fn read_simply(
        &self,
        page: &mut Page,
        i: usize,
        read: &mut Read,
        lanes: u32,
        observer: &Observer,
    ) -> bool {
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

    /// Records a write of a word, or returns false if the word needs a closer look.
    #[inline(always)]
    pub(super) fn write_simply(
        &self,
        page: &mut Page,
        i: usize,
        now: u32,
        lane: u32,
        same: bool,
        observer: &Observer,
    ) -> bool {
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
}

/// Returns whether an access is by the same warp in the same epoch.
#[inline(always)]
fn in_warp_of(by: &Accessor, accessor: &Accessor) -> bool {
    (by.block, by.warp, by.epoch) == (accessor.block, accessor.warp, accessor.epoch)
}
