//! Shuffles and votes, which exchange values between the lanes of a warp.

use super::fault::{Checked, FaultKind, Violation};
use super::happens_before::groups;
use super::launch::Checks;
use super::warp::{Warp, lanes};
use crate::program::{Reduction, Register, Shuffle, VoteFunction};

impl Warp {
    /// Synchronises each lane of `mask` with the members that register `slot` names in it. Returns the members of each
    /// lane, without those that have exited.
    pub fn converge(&mut self, slot: usize, mask: u32) -> Checked<[u32; 32]> {
        // Kernels name all 32 lanes even in a warp that the block fills only partly.
        let live = self.live();
        let named = self.registers.b32[slot];
        if mask == live && named.iter().all(|members| members & live == live) {
            self.lane_convergences.join(live, live, &mut self.agent.convergences);
            return Ok([live; 32]);
        }
        let members = named.map(|members| members & live);
        for lane in lanes(mask) {
            let (own, all) = (members[lane as usize], named[lane as usize]);
            if own >> lane & 1 == 0 {
                let message = format!("the members {all:#x} must include the lane itself");
                return Err(Violation::new(FaultKind::Shuffle, lane, message));
            }
            if own & !mask != 0 {
                let message = format!("the members are {own:#x}, but only lanes {mask:#x} are active");
                return Err(Violation::new(FaultKind::Shuffle, (own & !mask).trailing_zeros(), message));
            }
            // The first member compares itself with all others, which is enough.
            let first = own.trailing_zeros();
            let others = if first == lane { own } else { 1 << first };
            if let Some(other) = lanes(others).find(|other| members[*other as usize] != own) {
                let message = format!("lanes name different members: {all:#x} and {:#x}", named[other as usize]);
                return Err(Violation::new(FaultKind::Shuffle, lane, message));
            }
        }
        for group in groups(&members, mask) {
            self.lane_convergences.join(group, live, &mut self.agent.convergences);
        }
        Ok(members)
    }

    /// Executes a shuffle by the pseudocode of section 9.7.9.6 of the PTX ISA.
    pub fn shuffle(&mut self, shuffle: &Shuffle, checks: Checks, mask: u32) -> Checked {
        let members = self.converge(shuffle.members, mask)?;
        let values = self.registers.b32[shuffle.a];
        let (mut results, mut valid) = (values, 0);
        for lane in lanes(mask) {
            let b = self.registers.b32[shuffle.b][lane as usize] & 31;
            let c = self.registers.b32[shuffle.c][lane as usize];
            let (clamp, segment) = (c & 31, c >> 8 & 31);
            let last = lane & segment | clamp & !segment;
            let (source, inside) = (shuffle.function)(lane as i32, b as i32, segment as i32, last as i32);
            let source = if inside { source as u32 } else { lane };
            let members = members[lane as usize];
            // A value that a shuffle reads from another lane is undefined, but a program may not use it.
            if checks == Checks::Strict && members >> source & 1 == 0 {
                let message = format!("the lane reads lane {source}, which must be one of the members {members:#x}");
                return Err(Violation::new(FaultKind::Shuffle, lane, message));
            }
            results[lane as usize] = values[source as usize];
            valid |= u32::from(inside) << lane;
        }
        for lane in lanes(mask) {
            self.registers.b32[shuffle.d][lane as usize] = results[lane as usize];
        }
        if let Some(p) = shuffle.p {
            self.registers.set_predicate(p, mask, valid);
        }
        Ok(())
    }

    /// Reduces a register over the members.
    pub fn reduce(&mut self, d: usize, a: usize, function: Reduction, members: usize, mask: u32) -> Checked {
        let members = self.converge(members, mask)?;
        let values = self.registers.b32[a];
        for group in groups(&members, mask) {
            let value = lanes(group).map(|lane| values[lane as usize]).reduce(function).unwrap_or(0);
            lanes(group).for_each(|lane| self.registers.b32[d][lane as usize] = value);
        }
        Ok(())
    }

    /// Finds the members that have the same value as each lane. If `all` holds, the result is the mask of all members, or
    /// zero if their values differ.
    pub fn find_equal(
        &mut self,
        (d, p): (usize, Option<usize>),
        a: Register,
        members: usize,
        all: bool,
        mask: u32,
    ) -> Checked {
        let members = self.converge(members, mask)?;
        let values: [u64; 32] = std::array::from_fn(|lane| self.registers.get(a, lane as u32));
        let mut valid = 0;
        for lane in lanes(mask) {
            let members = members[lane as usize];
            let equal = lanes(members).filter(|other| values[*other as usize] == values[lane as usize]);
            let equal = equal.fold(0, |equal, other| equal | 1 << other);
            valid |= u32::from(equal == members) << lane;
            self.registers.b32[d][lane as usize] = if all && equal != members { 0 } else { equal };
        }
        if let Some(p) = p {
            self.registers.set_predicate(p, mask, valid);
        }
        Ok(())
    }

    /// Elects the first of the members.
    pub fn elect(&mut self, d: Option<Register>, p: usize, members: usize, mask: u32) -> Checked {
        let members = self.converge(members, mask)?;
        for group in groups(&members, mask) {
            let leader = group.trailing_zeros();
            self.registers.set_predicate(p, group, 1 << leader);
            if let Some(d) = d {
                lanes(group).for_each(|lane| self.registers.set(d, lane, leader.into()));
            }
        }
        Ok(())
    }

    /// Executes a vote on the predicate whose lanes are `p`.
    pub fn vote(&mut self, d: Register, p: u32, function: VoteFunction, members: usize, mask: u32) -> Checked {
        let members = self.converge(members, mask)?;
        for group in groups(&members, mask) {
            let value = function(p & group, group);
            lanes(group).for_each(|lane| self.registers.set(d, lane, value));
        }
        Ok(())
    }
}
