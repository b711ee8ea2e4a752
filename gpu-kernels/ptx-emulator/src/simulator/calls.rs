//! Calls and returns.
//!
//! The lanes of a call run as a path of their own on the warp's reconvergence stack, which ends when they return.

use super::fault::{Checked, FaultKind, Violation};
use super::warp::{Path, SavedFrame, Warp, lanes};
use crate::program::{NEVER, Program};

/// The largest number of paths of a warp, which bounds the depth of calls.
const MAX_PATHS: usize = 4096;

/// The largest size in bytes of what a warp's calls save.
const MAX_SAVED: usize = 64 << 20;

impl Warp {
    /// Calls the function at each pc of `callees` with the lanes of its mask. The last one runs first.
    pub(super) fn call(&mut self, program: &Program, callees: &[(usize, u32)], frame: Option<usize>) -> Checked {
        for (pc, mask) in callees {
            let saved = frame.map(|frame| Box::new(self.save(program, frame)));
            self.saved_bytes += frame.map_or(0, |frame| saved_bytes(program, frame));
            if self.paths.len() >= MAX_PATHS || self.saved_bytes > MAX_SAVED {
                let message = format!("the calls are nested too deeply, {} levels", self.paths.len());
                return Err(Violation::new(FaultKind::StackOverflow, mask.trailing_zeros(), message));
            }
            self.paths.push(Path { pc: *pc, mask: *mask, reconvergence: NEVER, saved });
        }
        Ok(())
    }

    /// Ends the path of a call.
    pub(super) fn return_from_call(&mut self, program: &Program) {
        let path = self.paths.pop().expect("a running warp has a path");
        let Some(saved) = path.saved else { return };
        let layout = &program.frames[saved.frame];
        self.saved_bytes = self.saved_bytes.saturating_sub(saved_bytes(program, saved.frame));
        for lane in lanes(path.mask) {
            for (register, values) in layout.registers.iter().zip(&saved.registers) {
                self.registers.set(*register, lane, values[lane as usize]);
            }
            let start = lane as usize * program.local_size + layout.local.start;
            self.local.fill(start, &saved.local[lane as usize]);
        }
    }

    fn save(&self, program: &Program, frame: usize) -> SavedFrame {
        let layout = &program.frames[frame];
        let all = |register| std::array::from_fn(|lane| self.registers.get(register, lane as u32));
        let registers = layout.registers.iter().map(|register| all(*register)).collect();
        let start = |lane: usize| lane * program.local_size;
        let bytes = |lane| &self.local.bytes()[start(lane) + layout.local.start..start(lane) + layout.local.end];
        SavedFrame { frame, registers, local: (0..32).map(|lane| bytes(lane).to_vec()).collect() }
    }

    /// Returns the functions whose addresses the lanes of `mask` have in a register, each with the mask of its lanes.
    pub(super) fn callees(&self, program: &Program, register: usize, mask: u32) -> Checked<Vec<(usize, u32)>> {
        let mut callees: Vec<(usize, u32)> = Vec::new();
        for lane in lanes(mask) {
            let address = self.registers.b64[register][lane as usize];
            let Some(pc) = program.functions.get(&address) else {
                let message = format!("there is no function at address {address:#x}");
                return Err(Violation::new(FaultKind::Branch, lane, message));
            };
            match callees.iter_mut().find(|(callee, _)| callee == pc) {
                Some((_, lanes)) => *lanes |= 1 << lane,
                None => callees.push((*pc, 1 << lane)),
            }
        }
        Ok(callees)
    }
}

/// Returns the size in bytes of what a call saves.
fn saved_bytes(program: &Program, frame: usize) -> usize {
    let layout = &program.frames[frame];
    32 * (8 * layout.registers.len() + layout.local.len())
}
