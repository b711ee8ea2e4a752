//! Textures and surfaces, which read and write texels in global memory (CUDA C++ Programming Guide, "Texture and Surface
//! Memory" and "Texture Fetching").

use std::collections::HashMap;

use super::memory::GlobalMemory;
use crate::program::half_value;

/// The type of a channel of a texel (`CUarray_format`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// An unsigned integer of 8 bits.
    U8,
    /// An unsigned integer of 16 bits.
    U16,
    /// An unsigned integer of 32 bits.
    U32,
    /// A signed integer of 8 bits.
    S8,
    /// A signed integer of 16 bits.
    S16,
    /// A signed integer of 32 bits.
    S32,
    /// A half-precision value.
    F16,
    /// A single-precision value.
    F32,
}

impl Channel {
    /// Returns the size in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::S8 => 1,
            Self::U16 | Self::S16 | Self::F16 => 2,
            Self::U32 | Self::S32 | Self::F32 => 4,
        }
    }

    /// Returns whether a channel holds a floating-point value.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32)
    }

    /// Returns the value that `bits` encode.
    fn value(self, bits: u32) -> f64 {
        match self {
            Self::U8 | Self::U16 | Self::U32 => bits.into(),
            Self::S8 => (bits as i8).into(),
            Self::S16 => (bits as i16).into(),
            Self::S32 => (bits as i32).into(),
            Self::F16 => half_value(bits as u16),
            Self::F32 => f32::from_bits(bits).into(),
        }
    }

    /// Returns the value that becomes 1 if integers are read as normalised floating-point values.
    fn unit(self) -> f64 {
        match self {
            Self::U8 => u8::MAX.into(),
            Self::S8 => i8::MAX.into(),
            Self::U16 => u16::MAX.into(),
            Self::S16 => i16::MAX.into(),
            _ => 1.0,
        }
    }
}

/// The texels of an array or of a part of linear memory, row after row and layer after layer.
#[derive(Clone, Copy, Debug)]
pub struct Texels {
    /// The address of the first texel in global memory.
    pub address: u64,
    /// The width, the height, and the depth or the number of layers. Each is at least 1, and a layered texture of one
    /// dimension has height 1.
    pub extent: [u32; 3],
    /// The number of bytes from one row to the next.
    pub pitch: u64,
    /// The type of the channels.
    pub channel: Channel,
    /// The number of channels of a texel, 1, 2 or 4.
    pub channels: u32,
    /// Whether the texels are linear memory of one dimension. A fetch beyond its end reads zeros.
    pub linear: bool,
}

impl Texels {
    /// Returns the size of a texel in bytes.
    pub fn bytes(&self) -> usize {
        self.channel.bytes() * self.channels as usize
    }

    /// Returns the address of byte `x` in row `y` of layer `z`.
    pub(super) fn at(&self, [x, y, z]: [u64; 3]) -> u64 {
        let rows = z.wrapping_mul(self.extent[1].into()).wrapping_add(y);
        self.address.wrapping_add(rows.wrapping_mul(self.pitch)).wrapping_add(x)
    }

    /// Reads the channels of a texel. Absent channels are 0, but the fourth is 1.
    fn read(&self, memory: &mut GlobalMemory, [x, y, z]: [u64; 3]) -> Result<[f64; 4], String> {
        let (width, len) = (self.channel.bytes(), self.bytes());
        let (segment, at) = memory.find(self.at([x * len as u64, y, z]), len)?;
        let bits = segment.load(at, len);
        let mut values = [0.0, 0.0, 0.0, 1.0];
        for (i, value) in values.iter_mut().enumerate().take(self.channels as usize) {
            *value = self.channel.value((bits >> (8 * width * i)) as u32 & (u32::MAX >> (32 - 8 * width)));
        }
        Ok(values)
    }
}

/// The treatment of coordinates outside of a texture (`CUaddress_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressMode {
    /// The texture repeats. The mode needs normalised coordinates, and otherwise equals `Clamp`.
    Wrap,
    /// The nearest texel.
    #[default]
    Clamp,
    /// The texture repeats, every second time reversed. The mode needs normalised coordinates, and otherwise equals
    /// `Clamp`.
    Mirror,
    /// The colour of the border.
    Border,
}

/// The sampling of a texture (`CUDA_TEXTURE_DESC`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sampler {
    /// The address modes along x, y and z.
    pub modes: [AddressMode; 3],
    /// Whether a fetch interpolates between the nearest texels.
    pub linear: bool,
    /// Whether coordinates run from 0 to 1 (`CU_TRSF_NORMALIZED_COORDINATES`).
    pub normalized: bool,
    /// Whether channels of 8 and 16 bits are read as integers (`CU_TRSF_READ_AS_INTEGER`). Otherwise they are read as
    /// values from 0 to 1, or from -1 to 1.
    pub integers: bool,
    /// The colour of the border.
    pub border: [f32; 4],
}

/// A texture, which is texels with a sampler.
#[derive(Clone, Copy, Debug)]
pub struct Texture {
    /// The texels.
    pub texels: Texels,
    /// The sampling of the texels.
    pub sampler: Sampler,
}

/// The textures and surfaces of a device by their handles. The handle of a texture is the value of a `CUtexObject`, or of
/// the eight bytes of a `.texref` variable.
#[derive(Default)]
pub struct Textures {
    objects: HashMap<u64, Texture>,
    last: u64,
}

impl Textures {
    /// Adds a texture, or a surface, whose sampler has no effect. Returns its handle.
    pub fn add(&mut self, texture: Texture) -> u64 {
        self.last += 1;
        self.objects.insert(self.last, texture);
        self.last
    }

    /// Removes a texture or surface, and returns whether there was one.
    pub fn remove(&mut self, handle: u64) -> bool {
        self.objects.remove(&handle).is_some()
    }

    /// Returns the texture or surface of a handle.
    pub fn get(&self, handle: u64) -> Option<&Texture> {
        self.objects.get(&handle)
    }
}

/// The coordinates of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct Coordinates {
    /// The coordinates along the dimensions. Those beyond the last dimension are 0.
    pub values: [f64; 3],
    /// The number of dimensions.
    pub dimensions: usize,
    /// The layer of a layered texture, or 0.
    pub layer: u64,
    /// Whether the coordinates are the indices of texels.
    pub indices: bool,
}

/// The number of steps between two texels that interpolation distinguishes.
const STEPS: f64 = 256.0;

impl Texture {
    /// Returns whether a fetch gives floating-point values.
    pub fn is_float(&self) -> bool {
        let narrow = self.texels.channel.bytes() < 4;
        self.texels.channel.is_float() || narrow && !self.sampler.integers
    }

    /// Fetches the channels at these coordinates.
    pub(super) fn fetch(&self, memory: &mut GlobalMemory, at: &Coordinates) -> Result<[f64; 4], String> {
        let linear = self.sampler.linear && !at.indices && self.is_float();
        if !linear {
            let indices =
                [0, 1, 2].map(|axis| if at.indices { at.values[axis] } else { self.scaled(at, axis).floor() });
            return self.texel(memory, at, indices.map(|index| index as i64));
        }
        let (first, weights) = self.footprint(at);
        let mut sums = [0.0; 4];
        for corner in 0..1 << at.dimensions {
            let (mut index, mut weight) = (first, 1.0);
            for axis in 0..at.dimensions {
                let far = corner >> axis & 1;
                index[axis] += far;
                weight *= if far == 1 { weights[axis] } else { 1.0 - weights[axis] };
            }
            // A texel without weight may be infinite.
            if weight != 0.0 {
                let values = self.texel(memory, at, index)?;
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        Ok(sums)
    }

    /// Gathers one channel of the four texels that a linear fetch in two dimensions would combine, in the order of `tld4`.
    pub(super) fn gather(
        &self,
        memory: &mut GlobalMemory,
        at: &Coordinates,
        channel: usize,
    ) -> Result<[f64; 4], String> {
        let ([x, y, z], _) = self.footprint(at);
        let mut values = [0.0; 4];
        for (value, [right, below]) in values.iter_mut().zip([[0, 1], [1, 1], [1, 0], [0, 0]]) {
            *value = self.texel(memory, at, [x + right, y + below, z])?[channel];
        }
        Ok(values)
    }

    /// Returns the first of the texels that a linear fetch combines, and the weight of the second along each axis.
    fn footprint(&self, at: &Coordinates) -> ([i64; 3], [f64; 3]) {
        let shifted = [0, 1, 2].map(|axis| if axis < at.dimensions { self.scaled(at, axis) - 0.5 } else { 0.0 });
        let weight = |x: f64| ((x - x.floor()) * STEPS).round() / STEPS;
        (shifted.map(|x| x.floor() as i64), shifted.map(weight))
    }

    /// Returns a coordinate in units of texels. No texture is so large that the limits would change its texel.
    fn scaled(&self, at: &Coordinates, axis: usize) -> f64 {
        let scale = if self.sampler.normalized { f64::from(self.texels.extent[axis]) } else { 1.0 };
        (at.values[axis] * scale).clamp(-1e15, 1e15)
    }

    /// Returns the channels of one texel, whose indices may be outside of the texture.
    fn texel(&self, memory: &mut GlobalMemory, at: &Coordinates, indices: [i64; 3]) -> Result<[f64; 4], String> {
        let Self { texels, sampler } = self;
        let mut place = [0; 3];
        for axis in 0..at.dimensions {
            let Some(index) = self.addressed(axis, indices[axis], at.indices) else {
                return Ok(if texels.linear { [0.0; 4] } else { sampler.border.map(f64::from) });
            };
            place[axis] = index;
        }
        // The index of a layer is clamped.
        if at.dimensions < 3 {
            place[2] = at.layer.min(u64::from(texels.extent[2]).saturating_sub(1));
        }
        let values = texels.read(memory, place)?;
        if self.is_float() && !texels.channel.is_float() {
            let normalized = |i: usize| (values[i] / texels.channel.unit()).max(-1.0);
            return Ok([0, 1, 2, 3].map(|i| if i < texels.channels as usize { normalized(i) } else { values[i] }));
        }
        Ok(values)
    }

    /// Returns the index along an axis by the address mode, or `None` for the border.
    fn addressed(&self, axis: usize, index: i64, is_index: bool) -> Option<u64> {
        let size = i64::from(self.texels.extent[axis].max(1));
        let inside = (0..size).contains(&index);
        let mode = match self.sampler.modes[axis] {
            _ if self.texels.linear => AddressMode::Border,
            AddressMode::Wrap | AddressMode::Mirror if !self.sampler.normalized || is_index => AddressMode::Clamp,
            mode => mode,
        };
        let index = match mode {
            AddressMode::Border => return inside.then_some(index as u64),
            AddressMode::Clamp => index.clamp(0, size - 1),
            AddressMode::Wrap => index.rem_euclid(size),
            AddressMode::Mirror => {
                let index = index.rem_euclid(2 * size);
                index.min(2 * size - 1 - index)
            }
        };
        Some(index as u64)
    }
}
