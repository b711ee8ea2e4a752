//! Conversions of elements of 16 bits.

use simt::{Bf16, F16, Global, Kernel, Launch, Target, WARP, inline};

simt::entries! {
    /// Converts each array to the other type. Lengths are the same, and a multiple of 32.
    half_ops: pub struct HalfOps {
        /// Values to be rounded.
        pub values: Global<f32>,
        /// The values as halves.
        pub halves: Global<F16>,
        /// The values as bfloats.
        pub bfloats: Global<Bf16>,
        /// Halves and bfloats by turns, as their bits.
        pub bits: Global<u32>,
        /// The value of each half in `bits`, the lower one of its word.
        pub from_halves: Global<f32>,
        /// The value of each bfloat in `bits`, the upper one of its word.
        pub from_bfloats: Global<f32>,
    }
}

impl Kernel for HalfOps {
    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (values, bits) = (launch.constant(self.values, "values"), launch.constant(self.bits, "bits"));
        let (halves, bfloats) = (launch.array(self.halves, "halves"), launch.array(self.bfloats, "bfloats"));
        let from_halves = launch.array(self.from_halves, "from_halves");
        let from_bfloats = launch.array(self.from_bfloats, "from_bfloats");
        let rows = self.values.len() / WARP;
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                for i in warp.grid_share().items(0, rows).map(|row| row * WARP) {
                    halves.store_lanes(i, values.load_lanes(i));
                    bfloats.store_lanes(i, values.load_lanes(i));
                    let even = simt::U32x32::lane_index() << 1;
                    let (all, zero) = (simt::Mask32::splat(true), simt::F32x32::splat(0.0));
                    from_halves.store_lanes(i, bits.cast::<F16>().at(2 * i).gather(all, even, zero));
                    from_bfloats.store_lanes(i, bits.cast::<Bf16>().at(2 * i + 1).gather(all, even, zero));
                }
            }));
        }));
    }
}

/// Returns the value of a float of 16 bits with this number of bits of the significand.
#[cfg(not(target_arch = "nvptx64"))]
pub fn value(bits: u16, significand_bits: u32) -> f64 {
    let (sign, exponent_bits) = (if bits >> 15 == 0 { 1.0 } else { -1.0 }, 15 - significand_bits);
    let (bias, largest) = ((1 << (exponent_bits - 1)) - 1, (1 << exponent_bits) - 1);
    let significand = f64::from(bits & ((1 << significand_bits) - 1)) / f64::from(1 << significand_bits);
    match i32::from(bits & 0x7fff) >> significand_bits {
        0 => sign * significand * 2f64.powi(1 - bias),
        exponent if exponent == largest && significand == 0.0 => sign * f64::INFINITY,
        exponent if exponent == largest => f64::NAN,
        exponent => sign * (1.0 + significand) * 2f64.powi(exponent - bias),
    }
}

/// Returns the bits of the float of 16 bits that is nearest to `x`, with ties to even, or `None` if `x` is NaN.
#[cfg(not(target_arch = "nvptx64"))]
pub fn nearest(x: f32, significand_bits: u32) -> Option<u16> {
    let infinity = 0x7fff >> significand_bits << significand_bits;
    let magnitude = f64::from(x.abs());
    if magnitude.is_nan() {
        return None;
    }
    // The bits of positive floats are in the order of the floats.
    let (mut low, mut high) = (0, infinity);
    while high - low > 1 {
        let middle = u16::midpoint(low, high);
        if value(middle, significand_bits) <= magnitude { low = middle } else { high = middle }
    }
    // Infinity stands where the next finite value would be.
    let last_step = value(infinity - 1, significand_bits) - value(infinity - 2, significand_bits);
    let above = if high == infinity { value(low, significand_bits) + last_step } else { value(high, significand_bits) };
    let middle = f64::midpoint(value(low, significand_bits), above);
    let rounds_up = magnitude > middle || magnitude >= middle && low % 2 == 1;
    Some(if rounds_up { high } else { low } | ((x.to_bits() >> 16) as u16 & 0x8000))
}
