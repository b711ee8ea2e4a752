//! Causal attention of one head of 32 channels, which stores no scores, as flash attention does.
//!
//! A warp computes a query. The block stages 32 keys and values at a time. In the scores a lane is a key, and in the
//! output it is a channel. A running maximum and sum scale the output, as in `softmax`.

use simt::math::exp;
use simt::{F32x32, Global, Kernel, Launch, Mask32, PerWarp, Target, U32x32, View, WARP, WARPS, inline};

/// The number of channels.
pub const CHANNELS: usize = WARP;
/// The distance between two channels of the transposed keys, which avoids bank conflicts.
const STRIDE: usize = WARP + 1;

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
        let (queries, keys) = (launch.view(self.queries, "queries"), launch.view(self.keys, "keys"));
        let (values, output) = (launch.view(self.values, "values"), launch.view(self.output, "output"));
        let (n, zero) = (self.queries.len() / CHANNELS, F32x32::splat(0.0));
        launch.each_block(inline!(|block| {
            block.shared::<{ Self::SHARED }>(inline!(|shared| {
                let (key_tile, value_tile) = (shared, shared.at(CHANNELS * STRIDE));
                for first_query in block.grid_stride(n.div_ceil(WARPS)).map(|group| group * WARPS) {
                    // The maximum, the sum, and the mean, which is not divided by the sum yet.
                    let mut state = PerWarp::new([F32x32::splat(f32::MIN), zero, zero]);
                    for first in (0..n.min(first_query + WARPS)).step_by(WARP) {
                        block.each_warp(inline!(move |warp| {
                            for key in warp.block_stride(WARP.min(n - first)) {
                                let index = U32x32::lane_index() * U32x32::splat(STRIDE as u32);
                                let row = keys.load_lanes((first + key) * CHANNELS);
                                key_tile.at(key).scatter(Mask32::splat(true), index, row);
                                value_tile.store_lanes(key * CHANNELS, values.load_lanes((first + key) * CHANNELS));
                            }
                        }));
                        block.each_warp_with(
                            &mut state,
                            inline!(move |warp, state| {
                                let query = first_query + warp.index;
                                if query < n && first <= query {
                                    let seen = WARP.min(query + 1 - first);
                                    include(state, queries.at(query * CHANNELS), key_tile, value_tile, seen);
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

/// Includes the first `seen` staged keys and values in the state of a query.
#[inline(always)]
fn include([max, sum, mean]: &mut [F32x32; 3], query: View, keys: View, values: View, seen: usize) {
    let (is_seen, zero) = (Mask32::lanes_below(seen), F32x32::splat(0.0));
    let mut score = zero;
    for c in 0..CHANNELS {
        let key = keys.load_where(is_seen, c * STRIDE, zero);
        score = F32x32::splat(query.load_scalar(c)).mul_add(key, score);
    }
    let new_max = max.max(F32x32::splat(is_seen.select(score, *max).reduce_max()));
    let p = is_seen.select((score - new_max).map(exp), zero);
    let scale = (*max - new_max).map(exp);
    (*max, *sum, *mean) = (new_max, sum.mul_add(scale, F32x32::splat(p.reduce_sum())), *mean * scale);
    for key in 0..seen {
        *mean = F32x32::splat(p.lane(key)).mul_add(values.load_lanes(key * CHANNELS), *mean);
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
