//! Causal attention of one head of 32 channels, which stores no scores, as flash attention does.
//!
//! A warp computes a query. The block stages 32 keys and values at a time. In the scores a lane is a key, and in the
//! output it is a channel. A running maximum and sum scale the output, as in `softmax`.

use simt::math::exp;
use simt::{
    Array, Array2, ConstantMemory, F32x32, Global, Kernel, Launch, Mask32, PerWarp, SharedMemory, Target, WARP, WARPS,
    inline,
};

/// The number of channels.
pub const CHANNELS: usize = WARP;
/// The distance between two channels of the transposed keys, which avoids bank conflicts.
const STRIDE: usize = WARP + 1;

/// Keys or values in shared memory.
type Tile<'a> = Array2<'a, f32, SharedMemory>;

simt::entries! {
    /// Computes the attention of each query to the keys up to its own position. All arrays are `[tokens, CHANNELS]`.
    attention: pub struct Attention {
        /// The queries, already scaled.
        pub queries: Global<f32>,
        /// The keys.
        pub keys: Global<f32>,
        /// The values.
        pub values: Global<f32>,
        /// The result.
        pub output: Global<f32>,
    }
}

impl Kernel for Attention {
    const SHARED: usize = CHANNELS * STRIDE + WARP * CHANNELS;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (queries, keys) = (launch.constant(self.queries, "queries"), launch.constant(self.keys, "keys"));
        let (values, output) = (launch.constant(self.values, "values"), launch.array(self.output, "output"));
        let (n, zero) = (self.queries.len() / CHANNELS, F32x32::splat(0.0));
        launch.each_block(inline!(|block| {
            block.shared::<{ Self::SHARED }>(inline!(|block, shared| {
                let keys_tile = shared.matrix(CHANNELS, WARP, STRIDE);
                let values_tile = shared.at(CHANNELS * STRIDE).matrix(WARP, CHANNELS, CHANNELS);
                for first_query in block.grid_stride(n.div_ceil(WARPS)).map(|group| group * WARPS) {
                    // The maximum, the sum, and the mean, which is not divided by the sum yet.
                    let mut state = PerWarp::new([F32x32::splat(f32::MIN), zero, zero]);
                    for first in (0..n.min(first_query + WARPS)).step_by(WARP) {
                        block.each_warp(inline!(move |warp| {
                            for key in warp.block_stride(WARP.min(n - first)) {
                                keys_tile.store_column(0, key, keys.load_lanes((first + key) * CHANNELS));
                                values_tile.store_lanes(key, 0, values.load_lanes((first + key) * CHANNELS));
                            }
                        }));
                        block.each_warp_with(
                            &mut state,
                            inline!(move |warp, state| {
                                let query = first_query + warp.index;
                                if query < n && first <= query {
                                    let seen = WARP.min(query + 1 - first);
                                    include(state, queries.at(query * CHANNELS), keys_tile, values_tile, seen);
                                }
                            }),
                        );
                    }
                    block.each_warp_with(
                        &mut state,
                        inline!(move |warp, [_, sum, mean]| {
                            if first_query + warp.index < n {
                                output.store_lanes((first_query + warp.index) * CHANNELS, *mean / *sum);
                            }
                        }),
                    );
                }
            }));
        }));
    }
}

/// Includes the first `seen` staged keys and values in the state of a query. The keys are transposed.
#[inline(always)]
fn include(
    [max, sum, mean]: &mut [F32x32; 3],
    query: Array<f32, ConstantMemory>,
    keys: Tile,
    values: Tile,
    seen: usize,
) {
    let (is_seen, zero) = (Mask32::lanes_below(seen), F32x32::splat(0.0));
    let mut score = zero;
    for c in 0..CHANNELS {
        let key = keys.row(c).load_where(is_seen, 0, zero);
        score = F32x32::splat(query.load_scalar(c)).mul_add(key, score);
    }
    let new_max = max.max(F32x32::splat(is_seen.select(score, *max).reduce_max()));
    let p = is_seen.select((score - new_max).map(exp), zero);
    let scale = (*max - new_max).map(exp);
    (*max, *sum, *mean) = (new_max, sum.mul_add(scale, F32x32::splat(p.reduce_sum())), *mean * scale);
    for key in 0..seen {
        *mean = F32x32::splat(p.lane(key)).mul_add(values.load_lanes(key, 0), *mean);
    }
}

/// Returns the attention of each query, in double precision.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(queries: &[f32], keys: &[f32], values: &[f32]) -> std::vec::Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let row = |(t, query): (usize, &[f32])| {
        let seen = || keys.chunks(CHANNELS).zip(values.chunks(CHANNELS)).take(t + 1);
        let sum: f64 = seen().map(|(key, _)| dot(query, key).exp()).sum();
        let channel =
            move |c: usize| seen().map(|(key, value)| dot(query, key).exp() * f64::from(value[c])).sum::<f64>();
        (0..CHANNELS).map(|c| (channel(c) / sum) as f32).collect::<std::vec::Vec<_>>()
    };
    queries.chunks(CHANNELS).enumerate().flat_map(row).collect()
}
