//! What the lanes of a warp tell each other: shuffles, and who takes part in an exchange.

use super::act::each;
use super::fault::{Bad, FaultKind};
use super::warp::Warp;
use crate::program::{Shuffle, ShuffleMode};

impl Warp {
    /// The member mask of an exchange, if the lanes of `mask` agree on it and are those that it names.
    pub(super) fn members(&self, slot: usize, mask: u32) -> Result<u32, Box<Bad>> {
        let all = self.registers.b32[slot][mask.trailing_zeros() as usize];
        for lane in each(mask) {
            let members = self.registers.b32[slot][lane as usize];
            if members != all {
                let message = format!("lanes name different members: {members:#x} and {all:#x}");
                return Err(Bad::new(FaultKind::Shuffle, lane, message));
            }
            if members >> lane & 1 == 0 {
                let message = format!("the lane is none of the members {members:#x}");
                return Err(Bad::new(FaultKind::Shuffle, lane, message));
            }
        }
        // Lanes beyond the block's last thread never existed, and naming them is usual.
        let all = all & self.lanes;
        if all & !mask != 0 {
            let message = format!("members {all:#x} are named, but only lanes {mask:#x} are here");
            return Err(Bad::new(FaultKind::Shuffle, (all & !mask).trailing_zeros(), message));
        }
        Ok(all)
    }

    pub(super) fn converge(&mut self, members: u32) {
        self.converged += u32::from(members == self.live());
    }

    pub(super) fn shuffle(&mut self, shuffle: &Shuffle, mask: u32) -> Result<(), Box<Bad>> {
        let members = self.members(shuffle.members, mask)?;
        self.converge(members);
        let values = self.registers.b32[shuffle.a];
        let (mut results, mut valid) = (values, 0);
        for lane in each(mask) {
            let b = self.registers.b32[shuffle.b][lane as usize] & 31;
            let c = self.registers.b32[shuffle.c][lane as usize];
            let (clamp, segment) = (c & 31, c >> 8 & 31);
            let (min, max) = (lane & segment, lane & segment | clamp & !segment);
            // The pseudocode of section 9.7.9.6.
            let (source, inside) = match shuffle.mode {
                ShuffleMode::Up => (lane.wrapping_sub(b), lane as i32 - b as i32 >= max as i32),
                ShuffleMode::Down => (lane + b, lane + b <= max),
                ShuffleMode::Butterfly => (lane ^ b, lane ^ b <= max),
                ShuffleMode::Index => (min | b & !segment, (min | b & !segment) <= max),
            };
            let source = if inside { source } else { lane };
            if members >> source & 1 == 0 {
                let message = format!("reads lane {source}, which is not active or no member of {members:#x}");
                return Err(Bad::new(FaultKind::Shuffle, lane, message));
            }
            results[lane as usize] = values[source as usize];
            valid |= u32::from(inside) << lane;
        }
        for lane in each(mask) {
            self.registers.b32[shuffle.d][lane as usize] = results[lane as usize];
        }
        if let Some(p) = shuffle.p {
            let file = &mut self.registers.predicates[p];
            *file = *file & !mask | valid;
        }
        Ok(())
    }
}
