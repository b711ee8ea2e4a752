//! The execution of loads and stores of matrices.

use super::fault::{Checked, FaultKind, Violation};
use super::run::Env;
use super::warp::Warp;
use crate::program::{Access, Fragment, MatrixAccess, MatrixPart};

impl Warp {
    /// Checks that all 32 lanes of the warp execute an instruction on matrices.
    pub(super) fn check_whole(mask: u32) -> Checked {
        if mask == u32::MAX {
            return Ok(());
        }
        let message = format!("only lanes {mask:#x} are active, expected all lanes of the warp");
        Err(Violation::new(FaultKind::Shuffle, (!mask).trailing_zeros(), message))
    }

    /// Loads or stores a matrix.
    pub(super) fn matrix_access(&mut self, env: &mut Env, matrix: &MatrixAccess, pc: usize, mask: u32) -> Checked {
        Self::check_whole(mask)?;
        match &matrix.part {
            MatrixPart::Fragment { fragment, stride, by_columns } => (0..32).try_for_each(|lane| {
                let stride = self.registers.b32[*stride][lane as usize] as usize;
                let strides = if *by_columns { [1, stride] } else { [stride, 1] };
                self.fragment_access(env, matrix, fragment, strides, (pc, lane))
            }),
            MatrixPart::Rows { registers, transposed } => {
                for (i, slot) in registers.iter().enumerate() {
                    self.rows_access(env, matrix, *slot, *transposed, (pc, 8 * i as u32))?;
                }
                Ok(())
            }
        }
    }

    /// Returns the address of a lane, moved by some bytes, as an access.
    pub(super) fn moved(&self, access: &Access, lane: u32, bytes: usize) -> Access {
        let base = access.base.map_or(0, |base| self.registers.get(base, lane));
        let offset = (base as i64).wrapping_add(access.offset).wrapping_add(bytes as i64);
        let Access { space, order, scope, width, signed, .. } = *access;
        Access { space, order, scope, width, signed, elements: Vec::new(), base: None, offset }
    }

    /// Loads or stores the elements of a fragment in one lane.
    fn fragment_access(
        &mut self,
        env: &mut Env,
        matrix: &MatrixAccess,
        fragment: &Fragment,
        strides: [usize; 2],
        (pc, lane): (usize, u32),
    ) -> Checked {
        let bits = fragment.element.bits();
        let (len, mask) = (bits.div_ceil(8) as usize, u64::MAX >> (64 - bits));
        for (register, shift, row, column) in fragment.elements(lane as usize) {
            let at = (row * strides[0] + column * strides[1]) * bits as usize;
            let place = self.moved(&matrix.access, lane, at / 8);
            if matrix.stores {
                let bytes = (self.registers.get(register, lane) >> shift & mask).to_le_bytes();
                self.write_lane(env, &place, pc, lane, &bytes[..len])?;
            } else {
                let value = self.read_lane(env, &place, pc, lane, len)? as u64 >> (at % 8) & mask;
                let others = if shift == 0 { 0 } else { self.registers.get(register, lane) };
                self.registers.set(register, lane, others | value << shift);
            }
        }
        Ok(())
    }

    /// Loads or stores a matrix of 8 by 8 elements of 16 bits, whose rows have the addresses of the lanes from `first` on.
    fn rows_access(
        &mut self,
        env: &mut Env,
        matrix: &MatrixAccess,
        slot: usize,
        transposed: bool,
        (pc, first): (usize, u32),
    ) -> Checked {
        let mut elements = [[0u16; 8]; 8];
        // Lane `4 * i + j` holds the elements `2 * j` and `2 * j + 1` of row `i`, or of column `i`.
        let places = (0..32).map(|lane| {
            let (i, j) = (lane / 4, 2 * (lane % 4));
            (lane, if transposed { [(j, i), (j + 1, i)] } else { [(i, j), (i, j + 1)] })
        });
        if matrix.stores {
            for (lane, [low, high]) in places {
                let value = self.registers.b32[slot][lane];
                elements[low.0][low.1] = value as u16;
                elements[high.0][high.1] = (value >> 16) as u16;
            }
            for (row, lane) in elements.iter().zip(first..) {
                let bytes: Vec<u8> = row.iter().flat_map(|element| element.to_le_bytes()).collect();
                let place = self.moved(&matrix.access, lane, 0);
                self.write_lane(env, &place, pc, lane, &bytes)?;
            }
            return Ok(());
        }
        for (row, lane) in elements.iter_mut().zip(first..) {
            let place = self.moved(&matrix.access, lane, 0);
            let bytes = self.read_lane(env, &place, pc, lane, 16)?;
            *row = std::array::from_fn(|i| (bytes >> (16 * i)) as u16);
        }
        for (lane, [low, high]) in places {
            let [low, high] = [elements[low.0][low.1], elements[high.0][high.1]].map(u32::from);
            self.registers.b32[slot][lane] = low | high << 16;
        }
        Ok(())
    }
}
