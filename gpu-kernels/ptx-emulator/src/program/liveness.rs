//! The intervals in which registers hold values that are still needed.
//!
//! A compiler gives each value a register of its own. So a kernel has thousands of registers, of which a thread needs few at a
//! time. Registers with disjoint intervals can share a slot, which keeps the registers of a warp in the processor's cache.
//!
//! The lanes of a warp may diverge, but each of them follows the control flow and writes to its own part of a slot. So the
//! control flow of one thread decides which intervals are disjoint.

use std::ops::Range;

use super::instruction::Inst;
use super::reconvergence::successors;

/// The registers, by a number, that an instruction mentions.
#[derive(Default)]
pub(super) struct Mentions {
    /// The registers that the instruction may read.
    pub(super) reads: Vec<usize>,
    /// The registers that the instruction only writes, in every active lane if it has no guard.
    pub(super) writes: Vec<usize>,
}

/// A set of numbers.
#[derive(Clone, PartialEq)]
struct Set(Vec<u64>);

impl Set {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn insert(&mut self, i: usize) {
        self.0[i / 64] |= 1 << (i % 64);
    }

    fn remove(&mut self, i: usize) {
        self.0[i / 64] &= !(1 << (i % 64));
    }

    fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        let bits = |(i, word): (usize, &u64)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
                word &= word - 1;
                Some(64 * i + bit)
            })
        };
        self.0.iter().enumerate().flat_map(bits)
    }
}

/// The largest number of bits of all sets, and of passes over the kernel. Beyond them a kernel keeps a slot for each register.
const MAX_BITS: usize = 1 << 28;
const MAX_PASSES: usize = 100;

/// Returns for each of `count` registers the smallest range of instructions that has all mentions and all points where the
/// register is live, or `None` if the kernel is too large. The range of a register without a mention is empty.
pub(super) fn intervals(code: &[Inst], mentions: &[Mentions], count: usize) -> Option<Vec<Range<usize>>> {
    let blocks = blocks(code);
    if 2 * blocks.len() * count > MAX_BITS {
        return None;
    }
    let live_in = live_at_starts(code, mentions, &blocks, count)?;
    let mut intervals = vec![0..0; count];
    let mut include = |register: usize, at: usize| {
        let interval: &mut Range<usize> = &mut intervals[register];
        *interval = if interval.end == 0 { at..at + 1 } else { interval.start.min(at)..interval.end.max(at + 1) };
    };
    for (at, mentions) in mentions.iter().enumerate() {
        mentions.reads.iter().chain(&mentions.writes).for_each(|register| include(*register, at));
    }
    for (block, live) in blocks.iter().zip(&live_in) {
        live.iter().for_each(|register| include(register, block.start));
        for next in successors(block.end - 1, &code[block.end - 1], 0, code.len()) {
            if let Some(next) = starts_at(&blocks, next) {
                live_in[next].iter().for_each(|register| include(register, block.end - 1));
            }
        }
    }
    Some(intervals)
}

/// Returns the straight runs of instructions, which control enters only at the first one and leaves only at the last one.
fn blocks(code: &[Inst]) -> Vec<Range<usize>> {
    let mut starts = vec![false; code.len() + 1];
    (starts[0], starts[code.len()]) = (true, true);
    for (at, inst) in code.iter().enumerate() {
        let next = successors(at, inst, 0, code.len());
        if next != [at + 1] {
            starts[at + 1] = true;
            for next in next {
                starts[next] = true;
            }
        }
    }
    let starts: Vec<usize> = (0..=code.len()).filter(|at| starts[*at]).collect();
    starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// Returns the index of the block that begins at an instruction, or `None` at the end of the code.
fn starts_at(blocks: &[Range<usize>], at: usize) -> Option<usize> {
    blocks.binary_search_by_key(&at, |block| block.start).ok()
}

/// Returns the registers that are live at the start of each block, or `None` if they are not found in a few passes.
fn live_at_starts(code: &[Inst], mentions: &[Mentions], blocks: &[Range<usize>], count: usize) -> Option<Vec<Set>> {
    let mut live_in = vec![Set::new(count); blocks.len()];
    for _ in 0..MAX_PASSES {
        let mut changed = false;
        for (i, block) in blocks.iter().enumerate().rev() {
            let mut live = Set::new(count);
            for next in successors(block.end - 1, &code[block.end - 1], 0, code.len()) {
                if let Some(next) = starts_at(blocks, next) {
                    live.join(&live_in[next]);
                }
            }
            for at in block.clone().rev() {
                // A guarded write keeps the old value in some lanes.
                if code[at].guard.is_none() {
                    mentions[at].writes.iter().for_each(|register| live.remove(*register));
                }
                mentions[at].reads.iter().for_each(|register| live.insert(*register));
            }
            if live != live_in[i] {
                live_in[i] = live;
                changed = true;
            }
        }
        if !changed {
            return Some(live_in);
        }
    }
    None
}
