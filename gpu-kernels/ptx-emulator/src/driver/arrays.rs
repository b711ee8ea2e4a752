//! The arrays and textures of the driver.

use super::codes::{self, Code};
use super::objects::{Array, Handle, Kind};
use super::operation::End;
use super::state::DriverState;
use crate::simulator::{Channel, Texels};

/// Returns the type of a channel (`CUarray_format`).
pub fn channel(format: i32) -> Result<Channel, Code> {
    let formats = [
        (0x01, Channel::U8),
        (0x02, Channel::U16),
        (0x03, Channel::U32),
        (0x08, Channel::S8),
        (0x09, Channel::S16),
        (0x0a, Channel::S32),
        (0x10, Channel::F16),
        (0x20, Channel::F32),
    ];
    formats.iter().find(|(number, _)| *number == format).map(|(_, channel)| *channel).ok_or(codes::NOT_SUPPORTED)
}

impl DriverState {
    /// Allocates an array. A height or depth of 0 means that the array has fewer dimensions.
    pub fn add_array(&mut self, size: [usize; 3], format: i32, channels: u32, flags: u32) -> Result<Handle, Code> {
        let texel = channel(format)?.bytes() * channels as usize;
        if ![1, 2, 4].contains(&channels) || size[0] == 0 || size.iter().any(|n| *n > 1 << 28) {
            return Err(codes::INVALID_VALUE);
        }
        let rows = size[1].max(1) * size[2].max(1);
        let bytes = (size[0] * texel).checked_mul(rows).ok_or(codes::INVALID_VALUE)?;
        let address = self.allocate(bytes, Kind::Device)?;
        let array = Array { address, size, format, channels, flags };
        Ok(self.register(|state, handle| state.arrays.insert(handle, array)))
    }

    /// Returns an array.
    pub fn array(&self, handle: Handle) -> Result<&Array, Code> {
        self.arrays.get(&handle).ok_or(codes::INVALID_HANDLE)
    }

    /// Returns the texels of an array.
    pub fn texels(&self, handle: Handle) -> Result<Texels, Code> {
        let array = self.array(handle)?;
        let channel = channel(array.format)?;
        let extent = array.size.map(|n| n.max(1) as u32);
        let pitch = u64::from(extent[0]) * channel.bytes() as u64 * u64::from(array.channels);
        Ok(Texels { address: array.address, extent, pitch, channel, channels: array.channels, linear: false })
    }

    /// Returns the end of a copy of `size` bytes from byte `offset` of an array on.
    pub fn array_end(&self, handle: Handle, offset: usize, size: usize) -> Result<End, Code> {
        let Texels { address, extent, pitch, .. } = self.texels(handle)?;
        let bytes = extent[1..].iter().fold(pitch, |bytes, n| bytes * u64::from(*n)) as usize;
        let inside = offset.checked_add(size).is_some_and(|end| end <= bytes);
        if inside { Ok(End::known(address + offset as u64)) } else { Err(codes::INVALID_VALUE) }
    }
}
