//! Weak loads and stores whose lanes all access one allocation, which are most accesses of most kernels.
//!
//! Bounds, alignment and initialisation are checked once for all lanes, and lanes with one address are recorded together. If
//! a check may fail, nothing is done here, and `memory_access` executes the access lane by lane and finds the fault.

use super::addresses::{Targets, Together};
use super::fault::Checked;
use super::happens_before::{Accessor, Observer, bits};
use super::run::Env;
use super::segment::Segment;
use super::shadow::Shadows;
use super::warp::Warp;
use super::words::{LoadWords, SameWords, StoreWords};
use crate::program::processor;
use crate::program::{Access, CLUSTER_RANK, Register};
use crate::ptx::syntax::Space;

/// The largest number of bytes that an access may span in memory of which a thread has a view. A view copies all of them.
const MAX_SPAN: usize = 1 << 20;

/// A weak access whose lanes access one state space.
#[derive(Clone, Copy)]
pub(super) struct JointAccess<'j> {
    pub(super) access: &'j Access,
    /// The lanes that execute the access.
    pub(super) mask: u32,
    pub(super) targets: &'j Targets,
    pub(super) together: &'j Together,
    pub(super) accessor: &'j Accessor,
}

impl JointAccess<'_> {
    /// Returns the number of bytes from the first to the last one.
    fn range(&self) -> usize {
        (self.together.most - self.together.least) as usize + self.targets.len
    }

    /// Returns whether the bytes of all lanes follow one another.
    fn is_contiguous(&self) -> bool {
        self.together.consecutive && self.mask == u32::MAX
    }

    /// Returns the offset of a lane's bytes in a segment. `base` is what to subtract from the addresses.
    fn at(&self, lane: u32, base: u64) -> usize {
        (self.targets.addresses[lane as usize] - self.targets.origin - base) as usize
    }

    /// Records reads of a segment.
    fn record_read(&self, shadows: &mut Shadows, base: u64, observer: &Observer) -> Checked {
        let (mut read, len) = (shadows.begin_read(self.accessor), self.targets.len);
        if len == 4 && self.is_contiguous() {
            let at = (self.together.least - base) as usize;
            return shadows.record_read(&mut read, at..at + 128, |lane| 1 << lane, observer);
        }
        self.targets.for_each_group(self.together, self.mask, |first, group| {
            let at = self.at(first, base);
            shadows.record_read(&mut read, at..at + len, |_| group, observer)
        })
    }

    /// Notes the bytes that all lanes read.
    #[inline]
    fn note_read(&self, segment: &mut Segment, base: u64) {
        if !segment.is_view() {
        } else if self.is_contiguous() || self.together.least == self.together.most {
            segment.note_read((self.together.least - base) as usize, self.range());
        } else {
            bits(self.mask).for_each(|lane| segment.note_read(self.at(lane, base), self.targets.len));
        }
    }

    /// Marks the bytes of all lanes as written.
    fn mark_written(&self, segment: &mut Segment, base: u64) {
        if self.is_contiguous() {
            segment.mark_written((self.together.least - base) as usize, 32 * self.targets.len);
        } else {
            bits(self.mask).for_each(|lane| segment.mark_written(self.at(lane, base), self.targets.len));
        }
    }
}

impl Env<'_, '_, '_> {
    /// Returns the segment of shared or global memory that contains all bytes of an access, and what to subtract from the
    /// addresses to get offsets. Returns `None` if no single segment contains them.
    #[inline]
    fn common_segment(&mut self, joint: &JointAccess) -> Option<(&mut Segment, u64)> {
        let together = joint.together;
        match together.space {
            Space::Shared if together.most >> CLUSTER_RANK == 0 => Some((&mut self.block.shared, 0)),
            Space::Global => {
                let (segment, at) = self.run.memory.find(together.least, joint.range()).ok()?;
                if segment.is_view() && joint.range() > MAX_SPAN {
                    return None;
                }
                Some((segment, together.least - at as u64))
            }
            _ => None,
        }
    }
}

impl Warp {
    /// Loads into the registers of all lanes of the access, and returns whether it was executed.
    #[inline]
    pub(super) fn load_together(&mut self, env: &mut Env, joint: &JointAccess) -> Checked<bool> {
        let JointAccess { access, mask, targets, together, accessor } = *joint;
        let checks = env.checks(together.space);
        let (bytes, base) = match together.space {
            Space::Param => (env.run.params, 0),
            Space::Local if checks && !self.local.is_range_written(together.least as usize, joint.range()) => {
                return Ok(false);
            }
            Space::Local => (self.local.bytes(), 0),
            _ => {
                let observer = self.observer(env, *accessor);
                let Some((segment, base)) = env.common_segment(joint) else { return Ok(false) };
                if checks {
                    if !segment.is_range_written((together.least - base) as usize, joint.range()) {
                        return Ok(false);
                    }
                    joint.record_read(&mut segment.shadows, base, &observer)?;
                }
                joint.note_read(segment, base);
                (segment.bytes_at((together.least - base) as usize, joint.range()), base)
            }
        };
        let (registers, addresses, first) = (&mut self.registers, &targets.addresses, targets.origin + base);
        macro_rules! load_words {
            ($($slot:ident)*) => {
                processor::run(LoadWords { registers, slots: [$(*$slot),*], mask, bytes, addresses, first, together })
            };
        }
        match &access.elements[..] {
            [Register::B32(a)] if access.width == 4 => load_words!(a),
            [Register::B32(a), Register::B32(b)] if access.width == 4 => load_words!(a b),
            [Register::B32(a), Register::B32(b), Register::B32(c), Register::B32(d)] if access.width == 4 => {
                load_words!(a b c d);
            }
            elements => {
                let unused = 64 - 8 * access.width as u32;
                for (i, d) in elements.iter().enumerate() {
                    for lane in bits(mask) {
                        let value = narrow(bytes, joint.at(lane, base) + i * access.width, access.width);
                        let signed = ((value << unused) as i64 >> unused) as u64;
                        registers.set(*d, lane, if access.signed { signed } else { value });
                    }
                }
            }
        }
        Ok(true)
    }

    /// Stores from the registers of all lanes of the access, and returns whether it was executed.
    #[inline]
    pub(super) fn store_together(&mut self, env: &mut Env, joint: &JointAccess) -> Checked<bool> {
        let JointAccess { access, together, accessor, .. } = *joint;
        if !matches!(together.space, Space::Shared | Space::Global) {
            return Ok(false);
        }
        let checks = env.checks(together.space);
        let observer = self.observer(env, *accessor);
        let Some((segment, base)) = env.common_segment(joint) else { return Ok(false) };
        let checker = checks.then_some(&observer);
        let changed = match &access.elements[..] {
            [Register::B32(a)] if access.width == 4 => self.store_words(segment, base, joint, [*a], checker)?,
            [Register::B32(a), Register::B32(b)] if access.width == 4 => {
                self.store_words(segment, base, joint, [*a, *b], checker)?
            }
            [Register::B32(a), Register::B32(b), Register::B32(c), Register::B32(d)] if access.width == 4 => {
                self.store_words(segment, base, joint, [*a, *b, *c, *d], checker)?
            }
            elements => self.store_elements(segment, base, joint, elements, checker)?,
        };
        // Bytes that keep their values are written too.
        joint.mark_written(segment, base);
        env.run.changes += changed;
        Ok(true)
    }

    /// Stores words, and returns the number of lanes that have changed memory. Without `observer`, races are not looked for.
    fn store_words<const N: usize>(
        &self,
        segment: &mut Segment,
        base: u64,
        joint: &JointAccess,
        slots: [usize; N],
        observer: Option<&Observer>,
    ) -> Checked<u64> {
        let rows = slots.map(|slot| &self.registers.b32[slot]);
        let now = observer.map_or(0, |_| segment.shadows.begin(joint.accessor));
        if joint.is_contiguous() {
            let at = joint.at(0, base);
            let range = at..at + 128 * N;
            let same = processor::run(SameWords { rows, bytes: &segment.bytes_mut(at, 128 * N)[range.clone()] });
            if let Some(observer) = observer {
                let lane = |word: usize| (word / N) as u32;
                let access = |word| (lane(word), same >> lane(word) & 1 == 1);
                segment.shadows.record_write(now, range.clone(), access, observer)?;
            }
            processor::run(StoreWords { rows, bytes: &mut segment.bytes_mut(at, 128 * N)[range] });
            return Ok((!same).count_ones().into());
        }
        let mut changed = 0;
        for lane in bits(joint.mask) {
            let at = joint.at(lane, base);
            let range = at..at + 4 * N;
            let words = segment.bytes_mut(at, 4 * N)[range.clone()].as_chunks::<4>().0;
            let differs = |(word, row): (&[u8; 4], &&[u32; 32])| u32::from_le_bytes(*word) ^ row[lane as usize];
            let same = words.iter().zip(&rows).map(differs).fold(0, |all, bits| all | bits) == 0;
            if let Some(observer) = observer {
                segment.shadows.record_write(now, range.clone(), |_| (lane, same), observer)?;
            }
            if !same {
                changed += 1;
                let words = segment.bytes_mut(at, 4 * N)[range].as_chunks_mut::<4>().0;
                words.iter_mut().zip(&rows).for_each(|(word, row)| *word = row[lane as usize].to_le_bytes());
            }
        }
        Ok(changed)
    }

    /// Stores registers of any width, as [`Warp::store_words`] does.
    fn store_elements(
        &self,
        segment: &mut Segment,
        base: u64,
        joint: &JointAccess,
        elements: &[Register],
        observer: Option<&Observer>,
    ) -> Checked<u64> {
        let (width, len) = (joint.access.width, joint.targets.len);
        let now = observer.map_or(0, |_| segment.shadows.begin(joint.accessor));
        let mut changed = 0;
        for lane in bits(joint.mask) {
            let at = joint.at(lane, base);
            let mut same = true;
            for (i, source) in elements.iter().enumerate() {
                let value = cut(self.registers.get(*source, lane), width);
                same &= narrow(segment.bytes_mut(at, len), at + i * width, width) == value;
            }
            if let Some(observer) = observer {
                segment.shadows.record_write(now, at..at + len, |_| (lane, same), observer)?;
            }
            if !same {
                changed += 1;
                for (i, source) in elements.iter().enumerate() {
                    segment.set(at + i * width, width, self.registers.get(*source, lane));
                }
            }
        }
        Ok(changed)
    }
}

/// Returns the lowest `width` bytes of a value.
#[inline(always)]
fn cut(value: u64, width: usize) -> u64 {
    let unused = 64 - 8 * width as u32;
    value << unused >> unused
}

/// Returns a value of `width` bytes, zero-extended.
#[inline(always)]
fn narrow(bytes: &[u8], at: usize, width: usize) -> u64 {
    let bytes = &bytes[at..at + width];
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => u64::from_le_bytes(bytes.try_into().expect("an element has at most eight bytes")),
    }
}
