//! The execution of operations on memory.

use std::time::Instant;

use super::codes::{self, Code};
use super::objects::{DevicePtr, Kind};
use super::operation::{Copy, End, Fill, Operation, StreamValue};
use super::pointer::Pointer;
use super::state::DriverState;
use crate::simulator::DEVICE_ADDRESSES;

impl DriverState {
    /// Runs an operation. An error becomes the sticky error of the context.
    pub fn execute(&mut self, operation: &Operation) -> Result<(), Code> {
        match operation {
            Operation::Kernel(launch) => self.run_kernel(launch),
            Operation::Copy(copy) => self.copy(copy),
            Operation::Fill(fill) => self.fill(fill),
            Operation::WriteValue(write) => self.set(write.address, &write.value.to_le_bytes()[..write.size]),
            Operation::Free(address)
                if self.allocations.get(address).is_some_and(|found| found.kind == Kind::Graph) =>
            {
                Ok(())
            }
            Operation::Free(address) => self.release(*address),
            Operation::Record(event) => {
                self.events.entry(*event).and_modify(|event| event.time = Some(Instant::now()));
                Ok(())
            }
            // The queue handles the others.
            _ => Ok(()),
        }
    }

    /// Returns whether a wait for a value is over.
    pub fn is_met(&mut self, wait: StreamValue) -> bool {
        let Some(bytes) = self.gpu.read(wait.address, wait.size) else { return true };
        let mut found = [0; 8];
        found[..wait.size].copy_from_slice(&bytes);
        let (found, value) = (u64::from_le_bytes(found), wait.value);
        match (wait.flags & 3, wait.size) {
            // A wait for values that are at least `value` compares cyclically.
            (0, 4) => (found as u32).wrapping_sub(value as u32) as i32 >= 0,
            (0, _) => found.wrapping_sub(value) as i64 >= 0,
            (1, _) => found == value,
            (2, _) => found & value != 0,
            (_, size) => !(found | value) << (64 - 8 * size) != 0,
        }
    }

    /// Checks that memory contains the range of each end of a copy, as far as the driver knows the memory.
    pub fn check_copy(&mut self, copy: &Copy) -> Result<(), Code> {
        if copy.extent.contains(&0) {
            return Ok(());
        }
        for end in [copy.to, copy.from] {
            let span = end.span(copy.extent).ok_or(codes::INVALID_VALUE)?;
            if !self.is_known(end.address, span)? && end.known {
                return Err(codes::INVALID_VALUE);
            }
        }
        Ok(())
    }

    /// Returns whether the driver has allocated or registered a range, or returns an error if the range only begins there.
    fn is_known(&mut self, address: DevicePtr, len: usize) -> Result<bool, Code> {
        if self.gpu.contains(address, len) {
            return Ok(true);
        }
        let inside = address == 0 || self.allocation(address).is_some() || DEVICE_ADDRESSES.contains(&address);
        if inside { Err(codes::INVALID_VALUE) } else { Ok(false) }
    }

    /// Copies memory between and within the host and the device.
    pub fn copy(&mut self, copy: &Copy) -> Result<(), Code> {
        self.check_copy(copy)?;
        let [width, rows, slices] = copy.extent;
        if width == 0 {
            return Ok(());
        }
        for slice in 0..slices {
            for row in 0..rows {
                let bytes = self.read(copy.from.row(row, slice), width)?;
                self.write(copy.to.row(row, slice), &bytes)?;
            }
        }
        Ok(())
    }

    /// Fills memory with a value.
    pub fn fill(&mut self, fill: &Fill) -> Result<(), Code> {
        self.check_fill(fill)?;
        let [width, rows] = fill.extent;
        if width == 0 {
            return Ok(());
        }
        let row = fill.value.to_le_bytes()[..fill.size].repeat(width);
        (0..rows as u64).try_for_each(|i| self.set(fill.to + i * fill.pitch, &row))
    }

    /// Checks that an allocation contains the range of a fill.
    pub fn check_fill(&mut self, fill: &Fill) -> Result<(), Code> {
        if fill.extent.contains(&0) {
            return Ok(());
        }
        let [width, rows] = fill.extent;
        let end = End { pitch: fill.pitch, ..End::known(fill.to) };
        let span = width.checked_mul(fill.size).and_then(|row| end.span([row, rows, 1]));
        let inside = self.gpu.contains(fill.to, span.ok_or(codes::INVALID_VALUE)?);
        if inside { Ok(()) } else { Err(codes::INVALID_VALUE) }
    }

    fn read(&mut self, from: DevicePtr, len: usize) -> Result<Vec<u8>, Code> {
        match self.gpu.read(from, len) {
            Some(bytes) => Ok(bytes),
            None => Pointer::from_address(from).slice(len).map(<[u8]>::to_vec),
        }
    }

    fn write(&mut self, to: DevicePtr, bytes: &[u8]) -> Result<(), Code> {
        self.set(to, bytes).or_else(|_| Pointer::from_address(to).set_all(bytes))
    }

    /// Writes to memory that the driver knows.
    fn set(&mut self, to: DevicePtr, bytes: &[u8]) -> Result<(), Code> {
        if self.gpu.write(to, bytes) { Ok(()) } else { Err(codes::INVALID_VALUE) }
    }
}
