//! Causal attention of one head of 32 channels, which stores no scores, as flash attention does.
//!
//! A block computes 64 queries, in parts of 4. It stages 32 keys and values at a time. In the scores a lane is a key, and
//! in the output it is a channel. A running maximum and sum scale the output, as in `softmax`.

use simt::math::exp;
use simt::{F32x32, Global, Kernel, Launch, Mask32, PARTS, PerPart, Target, WARP, inline};

/// The number of channels.
pub const CHANNELS: usize = WARP;
/// The number of queries of a part.
const QUERIES: usize = 4;
/// The distance between two channels of the transposed keys, which avoids bank conflicts.
const STRIDE: usize = WARP + 1;

simt::entries! {
    /// Computes the attention of each query to the keys up to its own position. All arrays are `[tokens, CHANNELS]`. The
    /// number of tokens is a multiple of 32.
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
    const SHARED: usize = CHANNELS * STRIDE + (WARP + PARTS * QUERIES) * WARP;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let n = self.queries.len() / CHANNELS;
        let matrix = |array, name| launch.constant(array, name).matrix(n, CHANNELS, CHANNELS);
        let (queries, keys) = (matrix(self.queries, "queries"), matrix(self.keys, "keys"));
        let (values, output) = (matrix(self.values, "values"), launch.array(self.output, "output"));
        let zero = F32x32::splat(0.0);
        launch.each_block(inline!(|block| {
            block.shared::<{ Self::SHARED }>(inline!(|block, shared| {
                let staged_keys = shared.matrix(CHANNELS, WARP, STRIDE);
                let staged_values = shared.at(CHANNELS * STRIDE).matrix(WARP, CHANNELS, CHANNELS);
                let weights = shared.at((STRIDE + WARP) * CHANNELS).matrix(PARTS * QUERIES, WARP, WARP);
                for group in block.grid_stride(n.div_ceil(PARTS * QUERIES)).map(|group| group * PARTS * QUERIES) {
                    // The largest score, the sum of the weights in each lane, and the weighted sum of the values.
                    let start = ([F32x32::splat(f32::MIN); QUERIES], [zero; QUERIES], [[zero]; QUERIES]);
                    let mut states = PerPart::new(start);
                    for first in (0..n.min(group + PARTS * QUERIES)).step_by(WARP) {
                        block.each_warp(inline!(move |warp| {
                            warp.copy_transposed(keys.part(first, 0, WARP, CHANNELS), staged_keys);
                            warp.copy(values.part(first, 0, WARP, CHANNELS), staged_values);
                        }));
                        block.each_part(
                            &mut states,
                            inline!(move |warp, part, (max, sum, mean)| {
                                let query = group + part * QUERIES;
                                if query < n && first <= query {
                                    let (queries, mut scores) =
                                        (queries.part(query, 0, QUERIES, CHANNELS), [[zero]; QUERIES]);
                                    warp.add_product(&mut scores, queries, staged_keys);
                                    let weights = weights.part(part * QUERIES, 0, QUERIES, WARP);
                                    let (mut new_max, seen) = (*max, |i| Mask32::lanes_below(query + i + 1 - first));
                                    for i in 0..QUERIES {
                                        let score = seen(i).select(scores[i][0], max[i]);
                                        new_max[i] = max[i].max(F32x32::splat(score.reduce_max()));
                                    }
                                    for i in 0..QUERIES {
                                        let weight = seen(i).select((scores[i][0] - new_max[i]).map(exp), zero);
                                        let scale = (max[i] - new_max[i]).map(exp);
                                        (max[i], sum[i]) = (new_max[i], sum[i].mul_add(scale, weight));
                                        mean[i][0] = mean[i][0] * scale;
                                        weights.store_lanes(i, 0, weight);
                                    }
                                    warp.sync();
                                    warp.add_product(mean, weights, staged_values);
                                }
                            }),
                        );
                    }
                    block.each_part(
                        &mut states,
                        inline!(move |_, part, (_, sum, mean)| {
                            for i in 0..QUERIES {
                                let query = group + part * QUERIES + i;
                                if query < n {
                                    let sum = F32x32::splat(sum[i].reduce_sum());
                                    output.store_lanes(query * CHANNELS, mean[i][0] / sum);
                                }
                            }
                        }),
                    );
                }
            }));
        }));
    }
}

/// Returns the attention of each query, in double precision.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(queries: &[f32], keys: &[f32], values: &[f32]) -> std::vec::Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let row = |(t, query): (usize, &[f32])| {
        let weights = keys.chunks(CHANNELS).take(t + 1).map(|key| dot(query, key).exp()).collect::<std::vec::Vec<_>>();
        let weighted =
            |c: usize| weights.iter().zip(values.chunks(CHANNELS)).map(move |(w, value)| w * f64::from(value[c]));
        let channel = |c| weighted(c).sum::<f64>() / weights.iter().sum::<f64>();
        (0..CHANNELS).map(|c| channel(c) as f32).collect::<std::vec::Vec<_>>()
    };
    queries.chunks(CHANNELS).enumerate().flat_map(row).collect()
}
