//! The copies and fills of the section "Memory Management". Copies without `Async` in their names complete before they
//! return.

use std::ffi::{c_int, c_uint};

use super::abi::{check, exports};
use crate::driver::codes::{self, Code};
use crate::driver::objects::{DevicePtr, Handle};
use crate::driver::operation::{Copy, End, Fill, Operation};
use crate::driver::pointer::Pointer;
use crate::driver::state::DriverState;
use crate::simulator::Texels;

/// One end of a `CUDA_MEMCPY2D`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct End2 {
    x: usize,
    y: usize,
    /// The kind of memory (`CUmemorytype`).
    kind: c_int,
    host: u64,
    device: u64,
    array: Handle,
    pitch: usize,
}

/// A `CUDA_MEMCPY2D`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Copy2 {
    from: End2,
    to: End2,
    width: usize,
    height: usize,
}

/// One end of a `CUDA_MEMCPY3D`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct End3 {
    x: usize,
    y: usize,
    z: usize,
    level: usize,
    /// The kind of memory (`CUmemorytype`).
    kind: c_int,
    host: u64,
    device: u64,
    array: Handle,
    context: Handle,
    pitch: usize,
    height: usize,
}

/// A `CUDA_MEMCPY3D` or a `CUDA_MEMCPY3D_PEER`, whose contexts lie where the former has reserved words.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Copy3 {
    from: End3,
    to: End3,
    width: usize,
    height: usize,
    depth: usize,
}

/// The kinds of memory (`CUmemorytype`).
const HOST: c_int = 1;
const DEVICE: c_int = 2;
const ARRAY: c_int = 3;
const UNIFIED: c_int = 4;

exports! {
    Context: cuMemcpyHtoD_v2 + "_ptds" => (to: DevicePtr, from: DevicePtr, size: usize)
        |state| now(state, Copy::linear(End::known(to), End::any(from), size));
    Context: cuMemcpyDtoH_v2 + "_ptds" => (to: DevicePtr, from: DevicePtr, size: usize)
        |state| now(state, Copy::linear(End::any(to), End::known(from), size));
    Context: cuMemcpyDtoD_v2 + "_ptds" => (to: DevicePtr, from: DevicePtr, size: usize)
        |state| now(state, Copy::linear(End::known(to), End::known(from), size));
    Context: cuMemcpy + "_ptds" => (to: DevicePtr, from: DevicePtr, size: usize)
        |state| now(state, Copy::linear(End::any(to), End::any(from), size));
    Context: cuMemcpyHtoDAsync_v2 + "_ptsz" => (to: DevicePtr, from: DevicePtr, size: usize, stream: Handle)
        |state| later(state, stream, Copy::linear(End::known(to), End::any(from), size));
    Context: cuMemcpyDtoHAsync_v2 + "_ptsz" => (to: DevicePtr, from: DevicePtr, size: usize, stream: Handle)
        |state| later(state, stream, Copy::linear(End::any(to), End::known(from), size));
    Context: cuMemcpyDtoDAsync_v2 + "_ptsz" => (to: DevicePtr, from: DevicePtr, size: usize, stream: Handle)
        |state| later(state, stream, Copy::linear(End::known(to), End::known(from), size));
    Context: cuMemcpyAsync + "_ptsz" => (to: DevicePtr, from: DevicePtr, size: usize, stream: Handle)
        |state| later(state, stream, Copy::linear(End::any(to), End::any(from), size));
    Context: cuMemcpyPeer + "_ptds" => (to: DevicePtr, _peer: Handle, from: DevicePtr, _context: Handle, size: usize)
        |state| now(state, Copy::linear(End::known(to), End::known(from), size));
    Context: cuMemcpyPeerAsync + "_ptsz" => (
        to: DevicePtr, _peer: Handle, from: DevicePtr, _context: Handle, size: usize, stream: Handle
    ) |state| later(state, stream, Copy::linear(End::known(to), End::known(from), size));
    Context: cuMemcpy2D_v2 + "_ptds", cuMemcpy2DUnaligned_v2 + "_ptds" => (copy: Pointer<Copy2>)
        |state| copy2(state, copy).and_then(|copy| now(state, copy));
    Context: cuMemcpy2DAsync_v2 + "_ptsz" => (copy: Pointer<Copy2>, stream: Handle)
        |state| copy2(state, copy).and_then(|copy| later(state, stream, copy));
    Context: cuMemcpy3D_v2 + "_ptds", cuMemcpy3DPeer + "_ptds" => (copy: Pointer<Copy3>)
        |state| copy3(state, copy).and_then(|copy| now(state, copy));
    Context: cuMemcpy3DAsync_v2 + "_ptsz", cuMemcpy3DPeerAsync + "_ptsz" => (copy: Pointer<Copy3>, stream: Handle)
        |state| copy3(state, copy).and_then(|copy| later(state, stream, copy));
    Context: cuMemcpyHtoA_v2 + "_ptds" => (array: Handle, offset: usize, from: DevicePtr, size: usize)
        |state| now(state, Copy::linear(state.array_end(array, offset, size)?, End::any(from), size));
    Context: cuMemcpyDtoA_v2 + "_ptds" => (array: Handle, offset: usize, from: DevicePtr, size: usize)
        |state| now(state, Copy::linear(state.array_end(array, offset, size)?, End::known(from), size));
    Context: cuMemcpyAtoH_v2 + "_ptds" => (to: DevicePtr, array: Handle, offset: usize, size: usize)
        |state| now(state, Copy::linear(End::any(to), state.array_end(array, offset, size)?, size));
    Context: cuMemcpyAtoD_v2 + "_ptds" => (to: DevicePtr, array: Handle, offset: usize, size: usize)
        |state| now(state, Copy::linear(End::known(to), state.array_end(array, offset, size)?, size));
    Context: cuMemcpyHtoAAsync_v2 + "_ptsz" => (
        array: Handle, offset: usize, from: DevicePtr, size: usize, stream: Handle
    ) |state| later(state, stream, Copy::linear(state.array_end(array, offset, size)?, End::any(from), size));
    Context: cuMemcpyAtoHAsync_v2 + "_ptsz" => (
        to: DevicePtr, array: Handle, offset: usize, size: usize, stream: Handle
    ) |state| later(state, stream, Copy::linear(End::any(to), state.array_end(array, offset, size)?, size));
    Context: cuMemsetD8_v2 + "_ptds" => (to: DevicePtr, value: u8, count: usize)
        |state| fill_now(state, fill(to, 0, value.into(), 1, [count, 1])?);
    Context: cuMemsetD16_v2 + "_ptds" => (to: DevicePtr, value: u16, count: usize)
        |state| fill_now(state, fill(to, 0, value.into(), 2, [count, 1])?);
    Context: cuMemsetD32_v2 + "_ptds" => (to: DevicePtr, value: u32, count: usize)
        |state| fill_now(state, fill(to, 0, value, 4, [count, 1])?);
    Context: cuMemsetD2D8_v2 + "_ptds" => (to: DevicePtr, pitch: usize, value: u8, width: usize, height: usize)
        |state| fill_now(state, fill(to, pitch, value.into(), 1, [width, height])?);
    Context: cuMemsetD2D16_v2 + "_ptds" => (to: DevicePtr, pitch: usize, value: u16, width: usize, height: usize)
        |state| fill_now(state, fill(to, pitch, value.into(), 2, [width, height])?);
    Context: cuMemsetD2D32_v2 + "_ptds" => (to: DevicePtr, pitch: usize, value: u32, width: usize, height: usize)
        |state| fill_now(state, fill(to, pitch, value, 4, [width, height])?);
    Context: cuMemsetD8Async + "_ptsz" => (to: DevicePtr, value: u8, count: usize, stream: Handle)
        |state| state.submit(stream, Operation::Fill(fill(to, 0, value.into(), 1, [count, 1])?));
    Context: cuMemsetD16Async + "_ptsz" => (to: DevicePtr, value: u16, count: usize, stream: Handle)
        |state| state.submit(stream, Operation::Fill(fill(to, 0, value.into(), 2, [count, 1])?));
    Context: cuMemsetD32Async + "_ptsz" => (to: DevicePtr, value: u32, count: usize, stream: Handle)
        |state| state.submit(stream, Operation::Fill(fill(to, 0, value, 4, [count, 1])?));
    Context: cuMemsetD2D8Async + "_ptsz" => (
        to: DevicePtr, pitch: usize, value: u8, width: usize, height: usize, stream: Handle
    ) |state| state.submit(stream, Operation::Fill(fill(to, pitch, value.into(), 1, [width, height])?));
    Context: cuMemsetD2D16Async + "_ptsz" => (
        to: DevicePtr, pitch: usize, value: u16, width: usize, height: usize, stream: Handle
    ) |state| state.submit(stream, Operation::Fill(fill(to, pitch, value.into(), 2, [width, height])?));
    Context: cuMemsetD2D32Async + "_ptsz" => (
        to: DevicePtr, pitch: usize, value: u32, width: usize, height: usize, stream: Handle
    ) |state| state.submit(stream, Operation::Fill(fill(to, pitch, value, 4, [width, height])?));
}

fn now(state: &mut DriverState, copy: Copy) -> Result<(), Code> {
    state.run_now(&Operation::Copy(copy))
}

fn later(state: &mut DriverState, stream: Handle, copy: Copy) -> Result<(), Code> {
    state.submit(stream, Operation::Copy(copy))
}

fn fill_now(state: &mut DriverState, fill: Fill) -> Result<(), Code> {
    state.run_now(&Operation::Fill(fill))
}

/// Returns a fill, whose address and pitch must be multiples of the size of the value.
pub fn fill(to: DevicePtr, pitch: usize, value: u32, size: usize, extent: [usize; 2]) -> Result<Fill, Code> {
    check([1, 2, 4].contains(&size) && to.is_multiple_of(size as u64) && pitch.is_multiple_of(size))?;
    Ok(Fill { to, pitch: pitch as u64, value, size, extent })
}

fn copy2(state: &DriverState, copy: Pointer<Copy2>) -> Result<Copy, Code> {
    let copy = copy.get()?;
    let end = |end: End2| End3 {
        x: end.x,
        y: end.y,
        kind: end.kind,
        host: end.host,
        device: end.device,
        array: end.array,
        pitch: end.pitch,
        ..End3::default()
    };
    let extent = [copy.width, copy.height, 1];
    Ok(Copy { to: end_of(state, end(copy.to), extent)?, from: end_of(state, end(copy.from), extent)?, extent })
}

/// Returns the copy that a `CUDA_MEMCPY3D` describes.
pub fn copy3(state: &DriverState, copy: Pointer<Copy3>) -> Result<Copy, Code> {
    let copy = copy.get()?;
    let extent = [copy.width, copy.height, copy.depth];
    Ok(Copy { to: end_of(state, copy.to, extent)?, from: end_of(state, copy.from, extent)?, extent })
}

/// Returns the `CUDA_MEMCPY3D` of a copy.
pub fn described(copy: &Copy) -> Copy3 {
    let end = |end: End| {
        let rows = end.slice.checked_div(end.pitch).unwrap_or(0);
        let (pitch, height) = (end.pitch as usize, rows as usize);
        End3 { kind: if end.known { DEVICE } else { UNIFIED }, device: end.address, pitch, height, ..End3::default() }
    };
    let [width, height, depth] = copy.extent;
    Copy3 { from: end(copy.from), to: end(copy.to), width, height, depth }
}

/// Returns the first byte and the strides of one end of a copy. A pitch or a height of 0 is that of the copy.
fn end_of(state: &DriverState, end: End3, extent: [usize; 3]) -> Result<End, Code> {
    let (address, pitch, rows) = match end.kind {
        HOST => (end.host, end.pitch, end.height),
        DEVICE | UNIFIED => (end.device, end.pitch, end.height),
        ARRAY => {
            let Texels { address, extent: [_, rows, slices], pitch, .. } = state.texels(end.array)?;
            let sizes = [pitch as usize, rows as usize, slices as usize];
            let ends = [end.x, end.y, end.z].into_iter().zip(extent).map(|(first, len)| first.checked_add(len));
            check(ends.zip(sizes).all(|(end, size)| end.is_some_and(|end| end <= size)))?;
            (address, pitch as usize, rows as usize)
        }
        _ => return Err(codes::INVALID_VALUE),
    };
    let [width, height, _] = extent;
    let pitch = if pitch == 0 { width } else { pitch };
    let rows = if rows == 0 { height } else { rows };
    check(height <= 1 || pitch >= width)?;
    let slice = pitch.checked_mul(rows).ok_or(codes::INVALID_VALUE)?;
    let known = [DEVICE, ARRAY].contains(&end.kind);
    let whole = End { address, known, pitch: pitch as u64, slice: slice as u64 };
    // The part begins where a copy up to its first byte ends.
    let before = [end.x, end.y, end.z].map(|n| n.checked_add(1));
    let [Some(x), Some(y), Some(z)] = before else { return Err(codes::INVALID_VALUE) };
    let offset = whole.span([x, y, z]).ok_or(codes::INVALID_VALUE)? - 1;
    Ok(End { address: address + offset as u64, ..whole })
}

/// A `CUDA_MEMSET_NODE_PARAMS`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FillParams {
    to: DevicePtr,
    pitch: usize,
    value: c_uint,
    size: c_uint,
    width: usize,
    height: usize,
}

impl FillParams {
    /// Returns the fill.
    pub fn fill(&self) -> Result<Fill, Code> {
        fill(
            self.to,
            if self.height > 1 { self.pitch } else { 0 },
            self.value,
            self.size as usize,
            [self.width, self.height],
        )
    }

    /// Returns the parameters of a fill.
    pub fn of(fill: &Fill) -> Self {
        let [width, height] = fill.extent;
        Self { to: fill.to, pitch: fill.pitch as usize, value: fill.value, size: fill.size as c_uint, width, height }
    }
}
