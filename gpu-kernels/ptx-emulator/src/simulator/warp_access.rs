//! Weak loads and stores whose lanes all access one allocation, which are most accesses of most kernels.
//!
//! Bounds, alignment and initialisation are checked once for all lanes, and lanes with one address are recorded together. If
//! a check may fail, nothing is done here, and `memory_access` executes the access lane by lane and finds the fault.

use super::addresses::{Targets, Together};
use super::fault::Checked;
use super::happens_before::{Accessor, bits};
use super::memory::Segment;
use super::warp::{Env, Warp};
use crate::program::lanes::{blend, per_lane};
use crate::program::processor::{self, Task};
use crate::program::{Access, CLUSTER_RANK, Register, Registers};
use crate::ptx::syntax::Space;

impl Env<'_, '_, '_> {
    /// Returns the segment of shared or global memory that contains all bytes of an access, and what to subtract from the
    /// addresses to get offsets. Returns `None` if no single segment contains them.
    #[inline]
    fn common_segment(&mut self, together: &Together, len: usize) -> Option<(&mut Segment, u64)> {
        match together.space {
            Space::Shared if together.most >> CLUSTER_RANK == 0 => Some((&mut self.block.shared, 0)),
            Space::Global => {
                let range = (together.most - together.least) as usize + len;
                let (segment, at) = self.run.memory.find(together.least, range).ok()?;
                Some((segment, together.least - at as u64))
            }
            _ => None,
        }
    }
}

impl Warp {
    /// Loads into the registers of all lanes of `mask`, and returns whether the access was executed.
    #[inline]
    pub(super) fn load_together(
        &mut self,
        env: &mut Env,
        access: &Access,
        mask: u32,
        targets: &Targets,
        accessor: &Accessor,
    ) -> Checked<bool> {
        let (Some(together), len) = (&targets.together, targets.len) else { return Ok(false) };
        let (checks, range) = (env.checks(together.space), (together.most - together.least) as usize + len);
        let (bytes, base) = match together.space {
            Space::Param => (env.run.params, 0),
            Space::Local if checks && !self.local.is_range_written(together.least as usize, range) => return Ok(false),
            Space::Local => (self.local.bytes(), 0),
            _ => {
                let observer = self.observer(env, *accessor);
                let Some((segment, base)) = env.common_segment(together, len) else { return Ok(false) };
                if checks {
                    if !segment.is_range_written((together.least - base) as usize, range) {
                        return Ok(false);
                    }
                    let shadows = &mut segment.shadows;
                    let now = shadows.begin(accessor);
                    if len == 4 && together.consecutive && mask == u32::MAX {
                        let at = (together.least - base) as usize;
                        shadows.record_read(now, at..at + 128, |lane| 1 << lane, &observer)?;
                    } else {
                        targets.for_each_group(together, mask, |first, group| {
                            let at = (targets.addresses[first as usize] - base) as usize;
                            shadows.record_read(now, at..at + len, |_| group, &observer)
                        })?;
                    }
                }
                (segment.bytes(), base)
            }
        };
        let first = (targets.addresses[0] - base) as usize;
        let uniform = together.least == together.most;
        for (i, d) in access.elements.iter().enumerate() {
            let registers = &mut self.registers;
            match *d {
                Register::B32(slot) if access.width == 4 && uniform => {
                    blend(&mut registers.b32[slot], mask, [word(bytes, first + 4 * i); 32]);
                }
                Register::B32(slot) if len == 4 && together.consecutive => {
                    let words = bytes[first..first + 128].as_chunks::<4>().0;
                    blend(&mut registers.b32[slot], mask, per_lane(|lane| u32::from_le_bytes(words[lane])));
                }
                Register::B32(slot) if access.width == 4 => {
                    let at = |lane| (targets.addresses[lane] - base) as usize + 4 * i;
                    processor::run(Blend { slot, mask, registers, lanes: per_lane(|lane| word(bytes, at(lane))) });
                }
                d => {
                    let unused = 64 - 8 * access.width as u32;
                    for lane in bits(mask) {
                        let at = (targets.addresses[lane as usize] - base) as usize + i * access.width;
                        let value = narrow(bytes, at, access.width);
                        let signed = ((value << unused) as i64 >> unused) as u64;
                        registers.set(d, lane, if access.signed { signed } else { value });
                    }
                }
            }
        }
        Ok(true)
    }

    /// Stores from the registers of all lanes of `mask`, and returns whether the access was executed.
    #[inline]
    pub(super) fn store_together(
        &mut self,
        env: &mut Env,
        access: &Access,
        mask: u32,
        targets: &Targets,
        accessor: &Accessor,
    ) -> Checked<bool> {
        let (Some(together), len) = (&targets.together, targets.len) else { return Ok(false) };
        if !matches!(together.space, Space::Shared | Space::Global) {
            return Ok(false);
        }
        let checks = env.checks(together.space);
        let observer = self.observer(env, *accessor);
        let Some((segment, base)) = env.common_segment(together, len) else { return Ok(false) };
        let now = if checks { segment.shadows.begin(accessor) } else { 0 };
        if let (&[Register::B32(slot)], true, u32::MAX) = (&access.elements[..], together.consecutive, mask)
            && access.width == 4
        {
            let (at, values) = ((together.least - base) as usize, &self.registers.b32[slot]);
            let words = segment.bytes()[at..at + 128].as_chunks::<4>().0;
            let same =
                words.iter().zip(values).enumerate().fold(0, |same, (lane, (word, value))| {
                    same | u32::from(u32::from_le_bytes(*word) == *value) << lane
                });
            if checks {
                segment.shadows.record_write(now, at..at + 128, |i| (i as u32, same >> i & 1 == 1), &observer)?;
            }
            segment.set_words(at, values);
            segment.mark_written(at, 128);
            env.run.changes += u64::from((!same).count_ones());
            return Ok(true);
        }
        let mut changed = 0;
        let width = access.width;
        for lane in bits(mask) {
            let at = (targets.addresses[lane as usize] - base) as usize;
            let mut same = true;
            for (i, source) in access.elements.iter().enumerate() {
                let value = cut(self.registers.get(*source, lane), width);
                same &= narrow(segment.bytes(), at + i * width, width) == value;
            }
            if checks {
                segment.shadows.record_write(now, at..at + len, |_| (lane, same), &observer)?;
            }
            if !same {
                changed += 1;
                for (i, source) in access.elements.iter().enumerate() {
                    segment.set(at + i * width, width, self.registers.get(*source, lane));
                }
            }
        }
        // Bytes that keep their values are written too.
        if together.consecutive && mask == u32::MAX {
            segment.mark_written((together.least - base) as usize, 32 * len);
        } else {
            bits(mask).for_each(|lane| segment.mark_written((targets.addresses[lane as usize] - base) as usize, len));
        }
        env.run.changes += changed;
        Ok(true)
    }
}

/// Returns the lowest `width` bytes of a value.
#[inline(always)]
fn cut(value: u64, width: usize) -> u64 {
    let unused = 64 - 8 * width as u32;
    value << unused >> unused
}

/// The replacement of the lanes of a register.
struct Blend<'r> {
    registers: &'r mut Registers,
    slot: usize,
    mask: u32,
    lanes: [u32; 32],
}

impl Task for Blend<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        blend(&mut self.registers.b32[self.slot], self.mask, self.lanes);
    }
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a word has four bytes"))
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
