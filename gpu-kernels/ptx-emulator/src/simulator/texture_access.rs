//! The execution of texture and surface instructions.
//!
//! Texels are read without a race check.

use super::fault::{Checked, FaultKind, Violation};
use super::run::Env;
use super::texture::{Channel, Coordinates, Texels, Texture};
use super::warp::{Warp, lanes};
use crate::program::{OutsideMode, Query, TextureAccess, TextureHandle, TextureOperation, half_bits};
use crate::ptx::syntax::Type;

impl Warp {
    /// Executes a texture or surface instruction in each lane of `mask`.
    pub(super) fn texture(&mut self, env: &mut Env, access: &TextureAccess, mask: u32) -> Checked {
        for lane in lanes(mask) {
            let outside = |message: String| Violation::new(FaultKind::OutOfBounds, lane, message);
            let handle = match access.object {
                TextureHandle::Register(slot) => self.registers.b64[slot][lane as usize],
                TextureHandle::Variable(address) => {
                    let (segment, at) = env.run.memory.find(address, 8).map_err(outside)?;
                    segment.load(at, 8) as u64
                }
            };
            let texture = env.run.textures.get(handle);
            let texture = *texture.ok_or_else(|| outside(format!("{handle:#x} is not a texture or surface")))?;
            match access.operation {
                TextureOperation::Fetch | TextureOperation::Gather(_) => {
                    let at = self.coordinates(access, lane);
                    let memory = &mut *env.run.memory;
                    let values = match access.operation {
                        TextureOperation::Gather(channel) => texture.gather(memory, &at, channel),
                        _ => texture.fetch(memory, &at),
                    };
                    self.set_values(access, lane, values.map_err(outside)?);
                }
                TextureOperation::Query(query) => {
                    self.registers.set(access.values[0], lane, property(&texture, query).into());
                }
                TextureOperation::Load | TextureOperation::Store => self.surface(env, access, &texture.texels, lane)?,
            }
            if let Some(resident) = access.resident {
                self.registers.set_predicate(resident, 1 << lane, 1 << lane);
            }
        }
        Ok(())
    }

    /// Returns the coordinates of a fetch in one lane.
    fn coordinates(&self, access: &TextureAccess, lane: u32) -> Coordinates {
        let bits = |slot: &usize| self.registers.b32[*slot][lane as usize];
        let layers = usize::from(access.layered);
        let layer = access.coordinates.first().filter(|_| access.layered).map_or(0, bits);
        let mut values = [0.0; 3];
        for (value, slot) in values.iter_mut().zip(&access.coordinates[layers..]) {
            let bits = bits(slot);
            *value = if access.floating { f32::from_bits(bits).into() } else { (bits as i32).into() };
        }
        if access.cube {
            let (face, [x, y]) = face(values);
            return Coordinates {
                values: [x, y, 0.0],
                dimensions: 2,
                layer: 6 * u64::from(layer) + face,
                indices: false,
            };
        }
        let dimensions = access.coordinates.len() - layers;
        Coordinates { values, dimensions, layer: layer.into(), indices: !access.floating }
    }

    /// Writes the channels of a fetch to the registers of the result.
    fn set_values(&mut self, access: &TextureAccess, lane: u32, values: [f64; 4]) {
        let half = |value: f64| u32::from(half_bits(value));
        for (i, register) in access.values.iter().enumerate() {
            let bits = match access.typ {
                Type::F16x2 => half(values[2 * i]) | half(values[2 * i + 1]) << 16,
                Type::F(_) => (values[i] as f32).to_bits(),
                _ => values[i] as i64 as u32,
            };
            self.registers.set(*register, lane, bits.into());
        }
    }

    /// Loads or stores the bytes at the coordinates of a surface. The first coordinate counts bytes.
    fn surface(&mut self, env: &mut Env, access: &TextureAccess, texels: &Texels, lane: u32) -> Checked {
        let mut found = access.coordinates.iter().map(|slot| self.registers.b32[*slot][lane as usize] as i32);
        let layer = if access.layered { found.next() } else { None };
        let width = access.typ.bytes() as usize;
        let len = width * access.values.len();
        let [columns, rows, layers] = texels.extent.map(i64::from);
        let most = [columns * texels.bytes() as i64 - len as i64, rows - 1, layers - 1];
        let mut place = [0; 3];
        place.iter_mut().zip(found).for_each(|(place, value)| *place = i64::from(value));
        if let Some(layer) = layer {
            place[2] = layer.into();
        }
        let outside = |message: String| Violation::new(FaultKind::OutOfBounds, lane, message);
        if place[0] % len as i64 != 0 {
            let message = format!("coordinate {} of a surface must be a multiple of {len} bytes", place[0]);
            return Err(Violation::new(FaultKind::Misaligned, lane, message));
        }
        let inside = place.iter().zip(most).all(|(value, most)| (0..=most).contains(value));
        match access.outside {
            _ if inside => {}
            OutsideMode::Clamp => place = std::array::from_fn(|axis| place[axis].clamp(0, most[axis].max(0))),
            OutsideMode::Zero => {
                if access.operation == TextureOperation::Load {
                    access.values.iter().for_each(|register| self.registers.set(*register, lane, 0));
                }
                return Ok(());
            }
            OutsideMode::Trap => {
                return Err(outside(format!("{len} bytes at {place:?} of a surface of {:?} texels", texels.extent)));
            }
        }
        let (segment, at) = env.run.memory.find(texels.at(place.map(|x| x as u64)), len).map_err(outside)?;
        if access.operation == TextureOperation::Load {
            let bits = segment.load(at, len);
            for (i, register) in access.values.iter().enumerate() {
                let value = (bits >> (8 * i * width)) as u64 & (u64::MAX >> (64 - 8 * width));
                self.registers.set(*register, lane, value);
            }
            return Ok(());
        }
        let mut bytes = [0; 32];
        for (i, register) in access.values.iter().enumerate() {
            let value = self.registers.get(*register, lane).to_le_bytes();
            bytes[i * width..(i + 1) * width].copy_from_slice(&value[..width]);
        }
        env.run.changes += u64::from(segment.write(at, &bytes[..len]));
        Ok(())
    }
}

/// Returns the face of a cube that a direction from the centre hits, and the coordinates from 0 to 1 on the face.
fn face([x, y, z]: [f64; 3]) -> (u64, [f64; 2]) {
    let (width, height, depth) = (x.abs(), y.abs(), z.abs());
    let (face, size, s, t) = if width >= height && width >= depth {
        if x >= 0.0 { (0, width, -z, -y) } else { (1, width, z, -y) }
    } else if height >= depth {
        if y >= 0.0 { (2, height, x, z) } else { (3, height, x, -z) }
    } else if z >= 0.0 {
        (4, depth, x, -y)
    } else {
        (5, depth, -x, -y)
    };
    (face, [s, t].map(|coordinate| f64::midpoint(coordinate / size, 1.0)))
}

/// Returns a property of a texture or surface. The numbers of types and orders are those of the header `cl.h` of `OpenCL`.
fn property(texture: &Texture, query: Query) -> u32 {
    let Texels { extent, channel, channels, .. } = texture.texels;
    match query {
        Query::Width => extent[0],
        Query::Height => extent[1],
        Query::Depth | Query::Layers => extent[2],
        Query::One => 1,
        Query::Normalized => texture.sampler.normalized.into(),
        Query::ChannelOrder => [0x10b0, 0x10b2, 0x10b4, 0x10b5][channels.clamp(1, 4) as usize - 1],
        Query::ChannelType => match channel {
            Channel::S8 => 0x10d7,
            Channel::S16 => 0x10d8,
            Channel::S32 => 0x10d9,
            Channel::U8 => 0x10da,
            Channel::U16 => 0x10db,
            Channel::U32 => 0x10dc,
            Channel::F16 => 0x10dd,
            Channel::F32 => 0x10de,
        },
    }
}
