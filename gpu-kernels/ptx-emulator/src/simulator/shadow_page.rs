//! The last accesses of words that one warp writes and others read after a barrier, as numbers of the accesses.

/// The number of words of a page, which is allocated at the first access to one of them.
pub const PAGE: usize = 256;

/// The number of the last read of a word whose accesses are in the details of a memory. That of its last write is the index.
pub const DETAILED: u32 = u32::MAX;

/// The last accesses of some words. Of reads without an order between them, the last one counts.
pub struct Page {
    /// The number of the last write and of the last read since then, or 0.
    pub writes: [u32; PAGE],
    pub reads: [u32; PAGE],
    /// The lanes of the last write, those of the last read, and all warps that have read in the epoch of the last read.
    pub write_lanes: [u32; PAGE],
    pub read_lanes: [u32; PAGE],
    pub read_warps: [u32; PAGE],
    /// The number of the read by another block before the last read, or 0. Blocks that cannot be ordered keep it here. Two
    /// blocks are enough, because a write by any block races with the read of one of them.
    pub other_reads: [u32; PAGE],
}

impl Page {
    /// Returns a page without accesses.
    #[cold]
    pub fn new() -> Box<Self> {
        let zeros = [0; PAGE];
        Box::new(Self {
            writes: zeros,
            reads: zeros,
            write_lanes: zeros,
            read_lanes: zeros,
            read_warps: zeros,
            other_reads: zeros,
        })
    }

    /// Returns the numbers of the accesses of all words that the page describes.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        let described = (0..PAGE).filter(|i| self.reads[*i] != DETAILED);
        described.flat_map(|i| [self.writes[i], self.reads[i], self.other_reads[i]])
    }
}

/// The knowledge of a read about an earlier read of a word.
#[derive(Clone, Copy, Default)]
pub struct Earlier {
    /// The number of the earlier read.
    pub number: u32,
    /// The masks of those of its lanes and warps that the record of the word keeps, which is all or none.
    pub lanes: u32,
    pub warps: u32,
    /// Whether it is by another block, so that the word keeps the whole read.
    pub other_block: bool,
}

/// A read that is being recorded.
pub struct Read {
    /// The number of the read.
    pub now: u32,
    /// The earlier read of the word that was recorded last. The next word has often the same.
    pub earlier: Earlier,
}
