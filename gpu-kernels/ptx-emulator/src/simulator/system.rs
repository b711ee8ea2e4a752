//! The runtime library of the device, with formatted output, assertions and a heap.

use super::fault::{Checked, FaultKind, Violation};
use super::format::{Piece, pieces};
use super::run::Env;
use super::warp::{Warp, lanes};
use crate::program::{Access, Order, Scope, System};
use crate::ptx::syntax::Space;

/// The largest length in bytes of a string, which a null byte ends.
const MAX_STRING: u64 = 1 << 16;

impl Warp {
    /// Calls a function of the runtime library in each lane of `mask`.
    pub(super) fn system(&mut self, env: &mut Env, system: System, arguments: &[u64], pc: usize, mask: u32) -> Checked {
        let wanted = match system {
            System::Print => 2,
            System::Assert => 4,
            System::Allocate | System::Free => 1,
        };
        if arguments.len() < wanted {
            let message = format!("the function takes {wanted} arguments, got {}", arguments.len());
            return Err(Violation::new(FaultKind::Unsupported, None, message));
        }
        for lane in lanes(mask) {
            let start = u64::from(lane) * env.run.launch.program.local_size as u64;
            let argument = |warp: &Self, i: usize, len: usize| {
                let bytes = warp.local.read((start + arguments[i]) as usize, len);
                bytes as u64
            };
            let first = argument(self, 0, 8);
            let result = match system {
                System::Print => self.print(env, first, argument(self, 1, 8), pc, lane)?,
                System::Assert => {
                    let mut text = |address| self.string(env, address, pc, lane);
                    let (message, file, function) =
                        (text(first)?, text(argument(self, 1, 8))?, text(argument(self, 3, 8))?);
                    let line = argument(self, 2, 4);
                    let message = format!("{file}:{line}: {function}: assertion `{message}` failed");
                    return Err(Violation::new(FaultKind::Assert, lane, message));
                }
                System::Allocate => env.run.memory.allocate(first).unwrap_or(0),
                System::Free if first == 0 || env.run.memory.free(first) => continue,
                System::Free => {
                    let message = format!("{first:#x} is not the address of an allocation");
                    return Err(Violation::new(FaultKind::OutOfBounds, lane, message));
                }
            };
            self.local.fill(start as usize, &result.to_le_bytes());
        }
        Ok(())
    }

    /// Prints a text, and returns the number of its arguments. These lie one after the other in memory, each aligned to
    /// its size.
    fn print(&self, env: &mut Env, format: u64, mut arguments: u64, pc: usize, lane: u32) -> Checked<u64> {
        let format = self.string(env, format, pc, lane)?;
        let mut count = 0;
        for piece in pieces(&format) {
            let conversion = match piece {
                Piece::Text(text) => {
                    env.run.output.push_str(text);
                    continue;
                }
                Piece::Conversion(conversion) => conversion,
            };
            let mut next = |env: &mut Env, len: u64| {
                let at = arguments.next_multiple_of(len);
                (arguments, count) = (at.wrapping_add(len), count + 1);
                self.peek(env, at, len as usize, pc, lane)
            };
            let mut stars = [0; 2];
            for star in &mut stars[..conversion.stars()] {
                *star = next(env, 4)? as i32;
            }
            let value = next(env, conversion.size())?;
            let text = if conversion.is_string() { self.string(env, value, pc, lane)? } else { String::new() };
            env.run.output.push_str(&conversion.format(stars, value, &text));
        }
        Ok(count)
    }

    /// Reads a string that a null byte ends.
    fn string(&self, env: &mut Env, address: u64, pc: usize, lane: u32) -> Checked<String> {
        let mut bytes = Vec::new();
        for at in 0..MAX_STRING {
            match self.peek(env, address.wrapping_add(at), 1, pc, lane)? as u8 {
                0 => break,
                byte => bytes.push(byte),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads `len` bytes at a generic address.
    fn peek(&self, env: &mut Env, address: u64, len: usize, pc: usize, lane: u32) -> Checked<u64> {
        let (space, order, scope) = (Space::Generic, Order::Weak, Scope::Block);
        let offset = address as i64;
        let access =
            Access { space, order, scope, width: len, signed: false, elements: Vec::new(), base: None, offset };
        let bytes = self.read_lane(env, &access, pc, lane, len)?;
        Ok(bytes as u64)
    }
}
