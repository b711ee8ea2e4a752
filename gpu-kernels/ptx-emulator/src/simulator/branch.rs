//! Branches, at which the lanes of a warp diverge.

use super::fault::{Checked, FaultKind, Violation};
use super::run::Env;
use super::warp::{Path, Warp, lanes};
use crate::program::Inst;

impl Warp {
    /// Branches to each pc of `sides` with the lanes of its mask. If several sides have lanes, the last one runs first.
    pub(super) fn branch(&mut self, env: &mut Env, inst: &Inst, uniform: bool, sides: &[(usize, u32)]) -> Checked {
        let path = self.paths.last_mut().expect("a running warp has a path");
        let mut taken = sides.iter().filter(|(_, mask)| *mask != 0);
        if let (Some((pc, _)), None) = (taken.next(), taken.next()) {
            path.pc = *pc;
            return Ok(());
        }
        if uniform {
            return Err(Violation::new(FaultKind::Branch, None, "lanes diverge at a `.uni` branch"));
        }
        env.run.profile.instructions[path.pc].divergent += 1;
        let reconvergence = inst.reconvergence;
        if path.reconvergence == reconvergence {
            self.paths.pop();
        } else {
            path.pc = reconvergence;
        }
        let sides = sides.iter().filter(|(pc, mask)| *mask != 0 && *pc != reconvergence);
        self.paths.extend(sides.map(|(pc, mask)| Path { pc: *pc, mask: *mask, reconvergence, saved: None }));
        Ok(())
    }

    /// Returns the targets that the lanes of `mask` select by register `index`, each with the mask of its lanes.
    pub(super) fn table_sides(&self, index: usize, targets: &[usize], mask: u32) -> Checked<Vec<(usize, u32)>> {
        let mut sides: Vec<(usize, u32)> = Vec::new();
        for lane in lanes(mask) {
            let index = self.registers.b32[index][lane as usize];
            let Some(target) = targets.get(index as usize) else {
                let message = format!("index {index} of a branch table must be below {}", targets.len());
                return Err(Violation::new(FaultKind::Branch, lane, message));
            };
            match sides.iter_mut().find(|(side, _)| side == target) {
                Some((_, lanes)) => *lanes |= 1 << lane,
                None => sides.push((*target, 1 << lane)),
            }
        }
        Ok(sides)
    }
}
