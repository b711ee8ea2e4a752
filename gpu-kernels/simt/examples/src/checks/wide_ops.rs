//! Every op of a warp's lanes of 64 bits, one row of results for each.

use simt::{F64x32, Global, Kernel, Launch, Mask32, Target, U64x32, WARP, inline};

simt::entries! {
    /// Applies each op to 32 values of each array, in a launch of one block.
    wide_ops: pub struct WideOps {
        /// Values in double precision.
        pub a: Global<f64>,
        /// Values in double precision.
        pub b: Global<f64>,
        /// Integers.
        pub x: Global<u64>,
        /// Integers.
        pub y: Global<u64>,
        /// The results, a row of 32 elements for each op.
        pub results: Global<u64>,
    }
}

impl Kernel for WideOps {
    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (a, b) = (launch.array(self.a, "a"), launch.array(self.b, "b"));
        let (x, y) = (launch.constant(self.x, "x"), launch.constant(self.y, "y"));
        let results = launch.array(self.results, "results");
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                if warp.index != 0 {
                    return;
                }
                let (a_array, y_array) = (a, y);
                let (a, b, x, y) = (a.load_lanes(0), b.load_lanes(0), x.load_lanes(0), y.load_lanes(0));
                let (one, zero, lanes) = (U64x32::splat(1), U64x32::splat(0), (x & U64x32::splat(31)).to_u32());
                // Arithmetic gives NaNs of other bits on other devices, so only comparisons meet one.
                let c = Mask32::lanes_below(3).select(F64x32::splat(f64::NAN), a);
                let mut row = 0;
                macro_rules! put {
                    ($($result:expr),* $(,)?) => {$(
                        results.store_lanes(row, $result);
                        row += WARP;
                    )*};
                }
                put!((a + b).to_bits(), (a - b).to_bits(), (a * b).to_bits(), (a / b).to_bits(), (-a).to_bits());
                put!(a.mul_add(b, a).to_bits(), (a * a).sqrt().to_bits(), c.min(b).to_bits(), c.max(b).to_bits());
                put!(a.to_f32().to_f64().to_bits(), y.to_u32().to_i32().to_f64().to_bits());
                for mask in [c.lt(b), c.le(b), c.gt(b), c.ge(b), c.eq(b), c.ne(b)] {
                    put!(mask.select(one, zero));
                }
                for mask in [x.lt(y), x.le(y), x.gt(y), x.ge(y), x.eq(y), x.ne(y)] {
                    put!(mask.select(x, y));
                }
                put!(x + y, x - y, x * y, x & y, x | y, x ^ y, !x, x << 37, x >> 37, x.min(y), x.max(y));
                put!(x.to_u32().to_u64(), a.shuffle_xor(0x15).to_bits(), a.shuffle(lanes).to_bits());
                put!(x.shuffle_up(3), x.shuffle_down(6), U64x32::splat(x.lane(45)), U64x32::splat(x.reduce_sum()));
                put!(U64x32::splat(x.reduce_max()), U64x32::splat(x.reduce_min()), x.prefix_sum());
                put!(F64x32::splat(b.reduce_sum()).to_bits(), F64x32::splat(b.reduce_max()).to_bits());
                // Accesses of some lanes.
                let some = Mask32::lanes_below(21) & !Mask32::lanes_below(4);
                put!(a_array.load_where(some, 0, F64x32::splat(0.5)).to_bits());
                put!(a_array.gather(some, lanes, F64x32::splat(0.5)).to_bits(), y_array.gather(!some, lanes, one));
                put!(U64x32::splat(y_array.load_scalar(9)));
                put!(zero, zero, zero);
                warp.sync();
                results.store_where(some, row - 3 * WARP, x);
                results.at(row - 2 * WARP).scatter(some, simt::U32x32::lane_index().shuffle_xor(31), x);
                results.store_scalar(row - WARP, x.lane(3));
            }));
        }));
    }
}

/// Returns the same results, lane by lane.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(a: &[f64], b: &[f64], x: &[u64], y: &[u64]) -> std::vec::Vec<u64> {
    let mut results = std::vec::Vec::new();
    macro_rules! put {
        ($($result:expr),* $(,)?) => {$(results.extend((0..WARP).map($result));)*};
    }
    let bits = f64::to_bits;
    let c = |l: usize| if l < 3 { f64::NAN } else { a[l] };
    put!(|l| bits(a[l] + b[l]), |l| bits(a[l] - b[l]), |l| bits(a[l] * b[l]), |l| bits(a[l] / b[l]), |l| bits(-a[l]));
    put!(|l| bits(a[l].mul_add(b[l], a[l])), |l| bits((a[l] * a[l]).sqrt()));
    put!(|l| bits(if c(l) < b[l] { c(l) } else { b[l] }), |l| bits(if c(l) > b[l] { c(l) } else { b[l] }));
    put!(|l| bits(f64::from(a[l] as f32)), |l| bits(f64::from(y[l] as u32 as i32)));
    put!(|l| u64::from(c(l) < b[l]), |l| u64::from(c(l) <= b[l]), |l| u64::from(c(l) > b[l]));
    #[allow(clippy::float_cmp, reason = "the op compares exactly")]
    {
        put!(|l| u64::from(c(l) >= b[l]), |l| u64::from(c(l) == b[l]), |l| u64::from(c(l) != b[l]));
    }
    put!(|l| x[l].min(y[l]), |l| x[l].min(y[l]), |l| x[l].max(y[l]), |l| x[l].max(y[l]), |l| y[l], |l| x[l]);
    put!(|l| x[l].wrapping_add(y[l]), |l| x[l].wrapping_sub(y[l]), |l| x[l].wrapping_mul(y[l]), |l| x[l] & y[l]);
    put!(|l| x[l] | y[l], |l| x[l] ^ y[l], |l| !x[l], |l| x[l] << 37, |l| x[l] >> 37);
    put!(|l| x[l].min(y[l]), |l| x[l].max(y[l]), |l| u64::from(x[l] as u32));
    let lane = |l: usize| x[l] as usize % WARP;
    put!(|l| bits(a[l ^ 0x15]), |l| bits(a[lane(l)]), |l| x[if l < 3 { l } else { l - 3 }]);
    put!(|l| x[if l + 6 < WARP { l + 6 } else { l }], |_| x[45 % WARP]);
    let sum = |l: usize| x[..=l].iter().copied().fold(0, u64::wrapping_add);
    put!(|_| sum(31), |_| x.iter().copied().fold(0, u64::max), |_| x.iter().copied().fold(u64::MAX, u64::min), sum);
    let butterfly = |x: &[f64]| {
        let mut x = x.to_vec();
        for half in [16, 8, 4, 2, 1] {
            x = (0..half).map(|i| x[i] + x[i + half]).collect();
        }
        x[0]
    };
    put!(|_| bits(butterfly(b)), |_| bits(b.iter().copied().fold(f64::MIN, f64::max)));
    let some = |l: usize| (4..21).contains(&l);
    put!(|l| bits(if some(l) { a[l] } else { 0.5 }), |l| bits(if some(l) { a[lane(l)] } else { 0.5 }));
    put!(|l| if some(l) { 1 } else { y[lane(l)] }, |_| y[9]);
    put!(|l| if some(l) { x[l] } else { 0 }, |l| if some(l ^ 31) { x[l ^ 31] } else { 0 });
    put!(|l| if l == 0 { x[3] } else { 0 });
    results
}
