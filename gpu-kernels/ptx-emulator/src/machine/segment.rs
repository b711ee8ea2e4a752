//! A piece of memory: its bytes, which of them were written, and who touched them last.

use super::clocks::{Clocks, Stamp, Who};
use super::fault::{Bad, FaultKind};

/// Words of a page of [`Cell`]s, which come into being when touched.
const PAGE: usize = 256;

/// Who touched a word of four bytes.
#[derive(Clone, Default)]
struct Cell {
    write: Stamp,
    /// Reads since that write by one block.
    read: Stamp,
    /// Those by other blocks, sorted by block.
    others: Vec<Stamp>,
}

/// Memory.
pub struct Segment {
    bytes: Vec<u8>,
    /// A bit a byte.
    written: Vec<u8>,
    pages: Vec<Option<Box<[Cell]>>>,
}

impl Segment {
    pub fn new(size: usize) -> Self {
        let words = size.div_ceil(4);
        Self { bytes: vec![0; size], written: vec![0; size / 8 + 3], pages: vec![None; words.div_ceil(PAGE)] }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The host's own write.
    pub fn fill(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.set_written(at, bytes.len());
    }

    fn set_written(&mut self, at: usize, len: usize) {
        for i in at..at + len {
            self.written[i / 8] |= 1 << (i % 8);
        }
    }

    /// Whether all of `len` bytes, at most 16, are written.
    pub fn is_written(&self, at: usize, len: usize) -> bool {
        let w = |i: usize| u32::from(self.written[at / 8 + i]);
        let bits = (w(0) | w(1) << 8 | w(2) << 16) >> (at % 8);
        let all = (1 << len) - 1;
        bits & all == all
    }

    /// Up to 16 bytes.
    pub fn read(&self, at: usize, len: usize) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..len].copy_from_slice(&self.bytes[at..at + len]);
        bytes
    }

    /// Up to 16 bytes; tells whether they differ from what was there.
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        let changed = &self.bytes[at..at + bytes.len()] != bytes;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        let bits = ((1u32 << bytes.len()) - 1) << (at % 8);
        for (i, byte) in bits.to_le_bytes().into_iter().take(3).enumerate() {
            self.written[at / 8 + i] |= byte;
        }
        changed
    }

    fn cells(
        &mut self,
        at: usize,
        len: usize,
        mut f: impl FnMut(&mut Cell, u8) -> Result<(), Box<Bad>>,
    ) -> Result<(), Box<Bad>> {
        for word in at / 4..(at + len).div_ceil(4) {
            let page = self.pages[word / PAGE].get_or_insert_with(|| vec![Cell::default(); PAGE].into_boxed_slice());
            let (from, to) = (at.max(4 * word) - 4 * word, (at + len).min(4 * word + 4) - 4 * word);
            f(&mut page[word % PAGE], ((1u32 << to) - (1 << from)) as u8)?;
        }
        Ok(())
    }

    /// Notes a read of `len` bytes by lanes, unless it races.
    pub fn note_read(&mut self, at: usize, len: usize, lanes: u32, who: &Who, clocks: &Clocks) -> Result<(), Box<Bad>> {
        self.cells(at, len, |cell, bytes| {
            let write = &cell.write;
            if write.bytes & bytes != 0 && !(write.strong && who.strong) {
                if !write.before(who, clocks) {
                    return Err(race(write, "wrote", "reads", who, lanes));
                }
                let same = !write.by_others(who) && (write.epoch, write.syncs) == (who.epoch, who.syncs);
                if same && lanes & !write.lanes != 0 {
                    return Err(race(write, "wrote", "reads", who, lanes & !write.lanes));
                }
            }
            cell.add_reader(Stamp::new(who, lanes, bytes, who.converged), who, clocks);
            Ok(())
        })
    }

    /// Notes a write of `len` bytes by a lane, unless it races. `same` says that the bytes are there already: lanes of one
    /// warp may write equal values.
    pub fn note_write(
        &mut self,
        at: usize,
        len: usize,
        lane: u32,
        same: bool,
        who: &Who,
        clocks: &Clocks,
    ) -> Result<(), Box<Bad>> {
        self.cells(at, len, |cell, bytes| {
            let write = &cell.write;
            if write.bytes & bytes != 0 && !(write.strong && who.strong) {
                let unordered = !write.by_others(who) && (write.epoch, write.syncs) == (who.epoch, who.syncs);
                if !write.before(who, clocks) || unordered && !same && write.lanes != 1 << lane {
                    return Err(race(write, "wrote", "writes", who, 1 << lane));
                }
            }
            let unordered = |read: &&Stamp| {
                let overlaps = read.bytes & bytes != 0 && !(read.strong && who.strong);
                let in_warp = read.block == who.block
                    && read.warps >> who.warp & 1 == 1
                    && !read.by_others(who)
                    && (read.epoch, read.syncs) == (who.epoch, who.converged)
                    && read.lanes & !(1 << lane) != 0
                    && !same;
                overlaps && (in_warp || !read.before(who, clocks))
            };
            if let Some(read) = std::iter::once(&cell.read).chain(&cell.others).find(unordered) {
                return Err(race(read, "read", "writes", who, 1 << lane));
            }
            let mut stamp = Stamp::new(who, 1 << lane, bytes, who.syncs);
            if !write.by_others(who) && (write.epoch, write.syncs, write.pc) == (who.epoch, who.syncs, who.pc) {
                stamp.lanes |= write.lanes;
            }
            stamp.bytes |= if write.epoch == who.epoch && !write.by_others(who) { write.bytes } else { 0 };
            cell.write = stamp;
            cell.read.epoch = 0;
            cell.read.bytes = 0;
            cell.others.clear();
            Ok(())
        })
    }
}

impl Cell {
    fn add_reader(&mut self, stamp: Stamp, who: &Who, clocks: &Clocks) {
        let slot = if self.read.bytes == 0 || self.read.block == who.block || self.read.before(who, clocks) {
            &mut self.read
        } else {
            match self.others.binary_search_by_key(&who.block, |read| read.block) {
                Ok(i) => &mut self.others[i],
                Err(i) => {
                    self.others.insert(i, stamp);
                    return;
                }
            }
        };
        if slot.bytes == 0 || slot.block != who.block || slot.epoch != who.epoch {
            *slot = stamp;
            return;
        }
        let lanes = if slot.warps == stamp.warps && slot.syncs == stamp.syncs { slot.lanes } else { 0 };
        *slot = Stamp {
            warps: slot.warps | stamp.warps,
            lanes: lanes | stamp.lanes,
            strong: slot.strong && stamp.strong,
            bytes: slot.bytes | stamp.bytes,
            ..stamp
        };
    }
}

fn race(other: &Stamp, did: &str, does: &str, who: &Who, lanes: u32) -> Box<Bad> {
    let (between, what) = if !other.by_others(who) {
        (format!("lanes {:#x} of this warp", other.lanes), "`bar.warp.sync`")
    } else if other.block == who.block {
        (format!("warps {:#x} of this block", other.warps), "barrier")
    } else {
        (format!("block {}", other.block), "grid barrier")
    };
    let message = format!("{between} {did} what this lane {does}, with no {what} between");
    Box::new(Bad { kind: FaultKind::Race, lane: Some(lanes.trailing_zeros()), message, other: Some(other.pc as usize) })
}
