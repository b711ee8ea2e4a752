//! Every op of a warp's lanes, one row of results for each.

use simt::{F32x32, Global, I32x32, Kernel, Launch, Mask32, Target, U32x32, WARP, inline};

simt::entries! {
    /// Applies each op to 32 values of each array, in a launch of one block.
    lane_ops: pub struct LaneOps {
        /// Values of the type `f32`.
        pub a: Global<f32>,
        /// Values of the type `f32`.
        pub b: Global<f32>,
        /// Integers.
        pub x: Global<u32>,
        /// Integers.
        pub y: Global<u32>,
        /// The results, a row of 32 elements for each op.
        pub results: Global<u32>,
    }
}

impl Kernel for LaneOps {
    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (a, b) = (launch.array(self.a, "a"), launch.array(self.b, "b"));
        let (x, y) = (launch.array(self.x, "x"), launch.array(self.y, "y"));
        let results = launch.array(self.results, "results");
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                if warp.index != 0 {
                    return;
                }
                let (a, b, x, y) = (a.load_lanes(0), b.load_lanes(0), x.load_lanes(0), y.load_lanes(0));
                let (i, j) = (x.to_i32(), y.to_i32());
                let (one, zero, bits) = (U32x32::splat(1), U32x32::splat(0), U32x32::splat);
                let mut row = 0;
                macro_rules! put {
                    ($($result:expr),* $(,)?) => {$(
                        results.store_lanes(row, $result);
                        row += WARP;
                    )*};
                }
                // Conversions, arithmetic and moves of `f32`.
                put!(a.to_i32().to_u32(), i.to_f32().to_bits(), a.abs().to_bits(), (-b).to_bits());
                put!(a.shuffle_xor(5).to_bits(), a.shuffle(y).to_bits(), F32x32::splat(b.lane(7)).to_bits());
                put!(F32x32::from_bits(x & bits(0x3fff_ffff)).to_bits(), b.min(F32x32::splat(0.4)).to_bits());
                // Comparisons, whose masks select.
                for mask in [a.lt(b), a.le(b), a.gt(b), a.ge(b), a.eq(b), a.ne(b)] {
                    put!(mask.select(one, zero));
                }
                for mask in [x.lt(y), x.le(y), x.gt(y), x.ge(y), x.eq(y), x.ne(y)] {
                    put!(mask.select(x, y));
                }
                for mask in [i.lt(j), i.le(j), i.gt(j), i.ge(j), i.eq(j), i.ne(j)] {
                    put!(mask.select(i, j).to_u32());
                }
                // Masks and ballots.
                let (less, low) = (x.lt(y), Mask32::lanes_below(11));
                put!((less & low).select(one, zero), (less | low).select(one, zero), (!less).select(one, zero));
                put!(bits(less.to_bitmask()), bits(less.count() as u32));
                put!(
                    bits(u32::from(less.any())),
                    bits(u32::from(low.all())),
                    bits(u32::from(Mask32::splat(true).all()))
                );
                // Arithmetic of integers is modulo 2^32.
                put!(x + y, x - y, x * y, x & y, x | y, x ^ y, !x, x << 5, x >> 5, x.min(y), x.max(y));
                put!((i + j).to_u32(), (i - j).to_u32(), (i * j).to_u32(), (i >> 5).to_u32(), (i << 5).to_u32());
                put!(i.min(j).to_u32(), i.max(j).to_u32(), (!i).to_u32(), I32x32::splat(-3).to_u32());
                // Moves, reductions and scans.
                put!(x.shuffle_xor(0x13), x.shuffle(y), x.shuffle_up(3), x.shuffle_down(6), bits(x.lane(45)));
                put!(bits(x.reduce_sum()), bits(x.reduce_max()), bits(x.reduce_min()), x.prefix_sum());
                put!(
                    bits(i.reduce_max() as u32),
                    bits(i.reduce_min() as u32),
                    x.scan(U32x32::max),
                    U32x32::lane_index()
                );
                let _ = row;
            }));
        }));
    }
}

/// Returns the same results, lane by lane.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(a: &[f32], b: &[f32], x: &[u32], y: &[u32]) -> std::vec::Vec<u32> {
    let mut results = std::vec::Vec::new();
    let signed = |x: u32| x as i32;
    macro_rules! put {
        ($($result:expr),* $(,)?) => {$(results.extend((0..WARP).map($result));)*};
    }
    put!(|l| a[l] as i32 as u32, |l| (signed(x[l]) as f32).to_bits(), |l| a[l].abs().to_bits(), |l| (-b[l]).to_bits());
    put!(|l| a[l ^ 5].to_bits(), |l| a[y[l] as usize % WARP].to_bits(), |_| b[7].to_bits());
    put!(|l| x[l] & 0x3fff_ffff, |l| if b[l] < 0.4 { b[l].to_bits() } else { 0.4f32.to_bits() });
    put!(|l| u32::from(a[l] < b[l]), |l| u32::from(a[l] <= b[l]), |l| u32::from(a[l] > b[l]));
    #[allow(clippy::float_cmp, reason = "the op compares exactly")]
    {
        put!(|l| u32::from(a[l] >= b[l]), |l| u32::from(a[l] == b[l]), |l| u32::from(a[l] != b[l]));
    }
    put!(|l| x[l].min(y[l]), |l| x[l].min(y[l]), |l| x[l].max(y[l]), |l| x[l].max(y[l]), |l| y[l], |l| x[l]);
    let (min, max) =
        (|l: usize| signed(x[l]).min(signed(y[l])) as u32, |l: usize| signed(x[l]).max(signed(y[l])) as u32);
    put!(min, min, max, max, |l| y[l], |l| x[l]);
    let less = |l: usize| x[l] < y[l];
    put!(|l| u32::from(less(l) && l < 11), |l| u32::from(less(l) || l < 11), |l| u32::from(!less(l)));
    put!(|_| (0..WARP).map(|l| u32::from(less(l)) << l).sum::<u32>(), |_| (0..WARP).filter(|l| less(*l)).count()
        as u32);
    put!(|_| u32::from((0..WARP).any(less)), |_| 0, |_| 1);
    put!(|l| x[l].wrapping_add(y[l]), |l| x[l].wrapping_sub(y[l]), |l| x[l].wrapping_mul(y[l]), |l| x[l] & y[l]);
    put!(|l| x[l] | y[l], |l| x[l] ^ y[l], |l| !x[l], |l| x[l] << 5, |l| x[l] >> 5);
    put!(|l| x[l].min(y[l]), |l| x[l].max(y[l]));
    put!(|l| x[l].wrapping_add(y[l]), |l| x[l].wrapping_sub(y[l]), |l| x[l].wrapping_mul(y[l]));
    put!(|l| (signed(x[l]) >> 5) as u32, |l| x[l] << 5, min, max, |l| !x[l], |_| -3i32 as u32);
    put!(|l| x[l ^ 0x13], |l| x[y[l] as usize % WARP], |l| x[if l < 3 { l } else { l - 3 }]);
    put!(|l| x[if l + 6 < WARP { l + 6 } else { l }], |_| x[45 % WARP]);
    let sum = |l: usize| x[..=l].iter().copied().fold(0, u32::wrapping_add);
    let reduced = |f: fn(u32, u32) -> u32, l: usize| x[..=l].iter().copied().fold(x[0], f);
    put!(|_| sum(31), |_| reduced(u32::max, 31), |_| reduced(u32::min, 31), sum);
    put!(|_| reduced(|a, b| (a as i32).max(b as i32) as u32, 31), |_| reduced(
        |a, b| (a as i32).min(b as i32) as u32,
        31
    ));
    put!(|l| reduced(u32::max, l), |l| l as u32);
    results
}
