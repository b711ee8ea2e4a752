//! The arrays of the section "Memory Management", and the sections "Texture Object Management" and "Surface Object
//! Management".

use std::ffi::{c_int, c_uint};

use super::abi::{check, exports};
use crate::driver::arrays::channel;
use crate::driver::codes::{self, Code};
use crate::driver::objects::Handle;
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;
use crate::simulator::{AddressMode, Sampler, Texels, Texture};

/// A `CUDA_ARRAY_DESCRIPTOR`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Descriptor {
    width: usize,
    height: usize,
    format: c_int,
    channels: c_uint,
}

/// A `CUDA_ARRAY3D_DESCRIPTOR`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Descriptor3 {
    size: [usize; 3],
    format: c_int,
    channels: c_uint,
    flags: c_uint,
}

/// A `CUDA_RESOURCE_DESC`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Resource {
    /// The `CUresourcetype`.
    kind: c_int,
    /// The handle of an array, or the address of linear memory.
    address: u64,
    format: c_int,
    channels: c_uint,
    /// The size in bytes of memory of one dimension, or the width, the height and the pitch in bytes of two dimensions.
    size: [usize; 3],
    reserved: [u64; 11],
    flags: c_uint,
}

/// A `CUDA_TEXTURE_DESC`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sampling {
    modes: [c_int; 3],
    filter: c_int,
    flags: c_uint,
    anisotropy: c_uint,
    mipmap_filter: c_int,
    mipmap: [f32; 3],
    border: [f32; 4],
    reserved: [c_int; 12],
}

exports! {
    Context: cuArrayCreate_v2 => (array: Pointer<Handle>, descriptor: Pointer<Descriptor>) |state| {
        let Descriptor { width, height, format, channels } = descriptor.get()?;
        array.set(state.add_array([width, height, 0], format, channels, 0)?)
    };
    Context: cuArray3DCreate_v2 => (array: Pointer<Handle>, descriptor: Pointer<Descriptor3>) |state| {
        let Descriptor3 { size, format, channels, flags } = descriptor.get()?;
        array.set(state.add_array(size, format, channels, flags)?)
    };
    Context: cuArrayDestroy => (array: Handle) |state| {
        let array = state.arrays.remove(&array).ok_or(codes::INVALID_HANDLE)?;
        state.release(array.address)
    };
    Context: cuArrayGetDescriptor_v2 => (descriptor: Pointer<Descriptor>, array: Handle) |state| {
        let array = state.array(array)?;
        let [width, height, _] = array.size;
        descriptor.set(Descriptor { width, height, format: array.format, channels: array.channels })
    };
    Context: cuArray3DGetDescriptor_v2 => (descriptor: Pointer<Descriptor3>, array: Handle) |state| {
        let array = state.array(array)?;
        let (format, channels, flags) = (array.format, array.channels, array.flags);
        descriptor.set(Descriptor3 { size: array.size, format, channels, flags })
    };
    Context: cuTexObjectCreate => (
        texture: Pointer<u64>, resource: Pointer<Resource>, sampling: Pointer<Sampling>, view: Pointer<u8>
    ) |state| {
        check(view.is_null()).map_err(|_| codes::NOT_SUPPORTED)?;
        let (texels, sampler) = (texels(state, &resource.get()?)?, sampler(&sampling.get()?)?);
        texture.set(state.gpu.add_texture(Texture { texels, sampler }))
    };
    Context: cuSurfObjectCreate => (surface: Pointer<u64>, resource: Pointer<Resource>) |state| {
        let resource = resource.get()?;
        check(resource.kind == ARRAY)?;
        let texels = texels(state, &resource)?;
        surface.set(state.gpu.add_texture(Texture { texels, sampler: Sampler::default() }))
    };
    Context: cuTexObjectDestroy, cuSurfObjectDestroy => (object: u64)
        |state| check(state.gpu.remove_texture(object)).map_err(|_| codes::INVALID_HANDLE);
}

/// The kinds of resources (`CUresourcetype`).
const ARRAY: c_int = 0;
const LINEAR: c_int = 2;
const PITCH2D: c_int = 3;

/// The flags of a texture, without the prefix `CU_TRSF_`.
const READ_AS_INTEGER: c_uint = 1;
const NORMALIZED_COORDINATES: c_uint = 2;

fn texels(state: &DriverState, resource: &Resource) -> Result<Texels, Code> {
    let Resource { address, channels, size, .. } = *resource;
    let linear = match resource.kind {
        ARRAY => return state.texels(address as Handle),
        LINEAR => true,
        PITCH2D => false,
        _ => return Err(codes::NOT_SUPPORTED),
    };
    let channel = channel(resource.format)?;
    check([1, 2, 4].contains(&channels))?;
    let texel = channel.bytes() * channels as usize;
    let (extent, pitch) = if linear { ([size[0] / texel, 1, 1], size[0]) } else { ([size[0], size[1], 1], size[2]) };
    check(extent.iter().all(|n| (1..=1 << 28).contains(n)))?;
    let extent = extent.map(|n| n as u32);
    Ok(Texels { address, extent, pitch: pitch as u64, channel, channels, linear })
}

fn sampler(sampling: &Sampling) -> Result<Sampler, Code> {
    let mode = |mode| match mode {
        0 => Ok(AddressMode::Wrap),
        1 => Ok(AddressMode::Clamp),
        2 => Ok(AddressMode::Mirror),
        3 => Ok(AddressMode::Border),
        _ => Err(codes::INVALID_VALUE),
    };
    let [x, y, z] = sampling.modes;
    Ok(Sampler {
        modes: [mode(x)?, mode(y)?, mode(z)?],
        linear: sampling.filter == 1,
        normalized: sampling.flags & NORMALIZED_COORDINATES != 0,
        integers: sampling.flags & READ_AS_INTEGER != 0,
        border: sampling.border,
    })
}
