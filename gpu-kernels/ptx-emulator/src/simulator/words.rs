//! Loads and stores of words in all lanes of a warp, which are compiled for the processor's vectors.
//!
//! The loops count, because LLVM does not inline the functions of iterators into code for other vectors.
#![allow(clippy::needless_range_loop, reason = "as above")]

use super::addresses::Together;
use crate::program::Registers;
use crate::program::lanes::blend;
use crate::program::processor::Task;

/// A load of `N` words in each lane of `mask`.
pub(super) struct LoadWords<'w, const N: usize> {
    pub(super) registers: &'w mut Registers,
    /// The register of each word, as a slot of 32 bits.
    pub(super) slots: [usize; N],
    pub(super) mask: u32,
    pub(super) bytes: &'w [u8],
    pub(super) addresses: &'w [u64; 32],
    /// The address of the first byte.
    pub(super) first: u64,
    pub(super) together: &'w Together,
}

impl<const N: usize> Task for LoadWords<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Together { least, most, consecutive, halves, .. } = *self.together;
        let mut loaded = [[0; 32]; N];
        let words = |lane: usize, len: usize| {
            let at = (self.addresses[lane] - self.first) as usize;
            self.bytes[at..at + 4 * len].as_chunks::<4>().0
        };
        if least == most {
            let words = words(0, N);
            for i in 0..N {
                loaded[i] = [u32::from_le_bytes(words[i]); 32];
            }
        } else if N == 1 && consecutive {
            let words = words(0, 32);
            for lane in 0..32 {
                loaded[0][lane] = u32::from_le_bytes(words[lane]);
            }
        } else {
            for lane in 0..if halves { 16 } else { 32 } {
                let words = words(lane, N);
                for i in 0..N {
                    loaded[i][lane] = u32::from_le_bytes(words[i]);
                }
            }
            if halves {
                for row in &mut loaded {
                    for lane in 0..16 {
                        row[lane + 16] = row[lane];
                    }
                }
            }
        }
        for i in 0..N {
            blend(&mut self.registers.b32[self.slots[i]], self.mask, loaded[i]);
        }
    }
}

/// A comparison of the words of all lanes, `N` in each, with bytes that follow one another. The result is the mask of the
/// lanes whose words are equal.
pub(super) struct SameWords<'w, const N: usize> {
    pub(super) rows: [&'w [u32; 32]; N],
    pub(super) bytes: &'w [u8],
}

impl<const N: usize> Task for SameWords<'_, N> {
    type Output = u32;

    #[inline(always)]
    fn run(self) -> u32 {
        let words = &self.bytes.as_chunks::<4>().0[..32 * N];
        let mut same = 0;
        for lane in 0..32 {
            let mut differences = 0;
            for i in 0..N {
                differences |= u32::from_le_bytes(words[N * lane + i]) ^ self.rows[i][lane];
            }
            same |= u32::from(differences == 0) << lane;
        }
        same
    }
}

/// A store of the words of all lanes, `N` in each, to bytes that follow one another.
pub(super) struct StoreWords<'w, const N: usize> {
    pub(super) rows: [&'w [u32; 32]; N],
    pub(super) bytes: &'w mut [u8],
}

impl<const N: usize> Task for StoreWords<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let words = &mut self.bytes.as_chunks_mut::<4>().0[..32 * N];
        for lane in 0..32 {
            for i in 0..N {
                words[N * lane + i] = self.rows[i][lane].to_le_bytes();
            }
        }
    }
}
