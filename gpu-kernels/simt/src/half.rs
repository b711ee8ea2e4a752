//! Conversions between floats of 16 and of 32 bits, from operations that have the same bits on every device.

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use backend::{F32x32, U32x32};

/// The bits of infinity.
const INFINITY: u32 = 0x7f80_0000;
/// The power 2^112.
const TWO_TO_112: f32 = f32::from_bits((127 + 112) << 23);
/// The bits of a NaN.
const NAN: u32 = 0x7fc0_0000;

/// Returns the values with these bits of binary16, in the lower half of each lane.
#[inline(always)]
pub fn from_f16(bits: U32x32) -> F32x32 {
    let splat = U32x32::splat;
    // The exponents of the formats differ by 112. The product is exact, also if a denormal of either format is involved.
    let magnitude = (bits & splat(0x7fff)) << 13;
    let scaled = (F32x32::from_bits(magnitude) * F32x32::splat(TWO_TO_112)).to_bits();
    // The largest exponent stands for infinity and NaN, and stays the largest.
    let special = magnitude | splat(INFINITY);
    let magnitude = magnitude.ge(splat(0x7c00 << 13)).select(special, scaled);
    F32x32::from_bits(magnitude | (bits & splat(0x8000)) << 16)
}

/// Returns the bits of binary16, rounded to nearest with ties to even.
#[inline(always)]
pub fn to_f16(values: F32x32) -> U32x32 {
    let splat = U32x32::splat;
    let bits = values.to_bits();
    let magnitude = bits & splat(0x7fff_ffff);
    // Adding half of the last place that stays, or a little less before an even value, carries into it.
    let odd = (magnitude >> 13) & splat(1);
    let normal = (magnitude - splat(112 << 23) + splat(0xfff) + odd) >> 13;
    // Below 2^-14 the last place is 2^-24, as it is in floats from 1/2 to 1. So the sum with 1/2 rounds there.
    let denormal = (F32x32::from_bits(magnitude) + F32x32::splat(0.5)).to_bits() - splat(0.5f32.to_bits());
    let finite = magnitude.lt(splat(113 << 23)).select(denormal, normal);
    // From 2^16 - 2^4 on, values round to infinity. A NaN is greater than infinity as an integer.
    let infinite = magnitude.gt(splat(INFINITY)).select(splat(0x7e00), splat(0x7c00));
    let half = magnitude.ge(splat(143 << 23)).select(infinite, finite);
    half | (bits >> 16) & splat(0x8000)
}

/// Returns the values with these bits of bfloat16, in the lower half of each lane.
#[inline(always)]
pub fn from_bf16(bits: U32x32) -> F32x32 {
    F32x32::from_bits(bits << 16)
}

/// Returns the bits of bfloat16, rounded to nearest with ties to even.
#[inline(always)]
pub fn to_bf16(values: F32x32) -> U32x32 {
    let splat = U32x32::splat;
    let bits = values.to_bits();
    let rounded = bits + splat(0x7fff) + ((bits >> 16) & splat(1));
    let is_nan = (bits & splat(0x7fff_ffff)).gt(splat(INFINITY));
    is_nan.select(splat(NAN >> 16), rounded >> 16)
}
