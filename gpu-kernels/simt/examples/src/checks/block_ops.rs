//! Every op of a block, every atomic operation, and code for some lanes.

use simt::{F32x32, Global, Kernel, Launch, Mask32, PARTS, Target, U32x32, WARP, inline};

/// The number of elements of `x` and of `n`.
pub const LEN: usize = 1003;
/// The rows and columns of the matrix that is transposed, which is at the beginning of `n`.
pub const SHAPE: (usize, usize) = (20, 29);
/// The number of atomic results in `counts`.
pub const COUNTS: usize = 24;
/// The number of elements of shared memory that atomic operations take.
const SHARED_COUNTS: usize = 8;
/// The distance between two rows of the tile of the transposition.
const STRIDE: usize = WARP + 1;

simt::entries! {
    /// Applies the ops in a launch of one block.
    block_ops: pub struct BlockOps {
        /// Addends, of which each is replaced by the sum up to it.
        pub x: Global<f32>,
        /// Integers.
        pub n: Global<u32>,
        /// The sum of `x`, its maximum, and sums in the order of the items.
        pub sums: Global<f32>,
        /// The transposed beginning of `n`.
        pub transposed: Global<u32>,
        /// The results of atomic operations, which begin as zeros.
        pub counts: Global<u32>,
        /// The number of steps to 1 of the Collatz sequence of each of 32 integers, and their doubles where these are odd.
        pub steps: Global<u32>,
    }
}

impl Kernel for BlockOps {
    const SHARED: usize = PARTS + SHARED_COUNTS + WARP * STRIDE;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, n) = (launch.array(self.x, "x"), launch.array(self.n, "n"));
        let (sums, transposed) = (launch.array(self.sums, "sums"), launch.array(self.transposed, "transposed"));
        let (counts, steps) = (launch.array(self.counts, "counts"), launch.array(self.steps, "steps"));
        let (all, splat) = (Mask32::splat(true), U32x32::splat);
        launch.each_block(inline!(|block| {
            block.shared::<{ Self::SHARED }>(inline!(|block, shared| {
                let sum = block.reduce(x, LEN, shared, 0.0, inline!(|a, b| a + b));
                let max = block.reduce(x, LEN, shared, f32::MIN, F32x32::max);
                block.scan(x, LEN, shared, 0.0, inline!(|a, b| a + b));
                let tile = shared.cast::<u32>().at(PARTS + SHARED_COUNTS).matrix(WARP, WARP, STRIDE);
                let (rows, columns) = SHAPE;
                let (from, to) = (n.matrix(rows, columns, columns), transposed.matrix(columns, rows, rows));
                block.transpose(from, to, tile, 0);
                // Sums of floats of different sizes depend on the order.
                block.each_in_order(
                    40,
                    inline!(move |warp, item| {
                        let value = x.load_lanes((7 * item) % (LEN - WARP));
                        sums.at(2).add_in_order(warp, all, U32x32::lane_index() & splat(3), value);
                    }),
                );
                let words = shared.cast::<u32>().at(PARTS);
                block.each_warp(inline!(move |warp| {
                    if warp.index == 0 {
                        sums.store_scalar(0, sum);
                        sums.store_scalar(1, max);
                        words.store_where(Mask32::lanes_below(SHARED_COUNTS), 0, splat(0));
                    }
                }));
                block.each_warp(inline!(move |warp| {
                    for row in warp.block_stride(LEN / WARP) {
                        let (value, lane) = (n.load_lanes(row * WARP), U32x32::lane_index());
                        counts.atomic_add(all, lane & splat(1), value);
                        counts.atomic_max(all, splat(2), value);
                        counts.atomic_or(Mask32::lanes_below(5), splat(3), value);
                        counts.atomic_xor(all, splat(4), value);
                        counts.cast::<i32>().atomic_min(all, splat(5), value.to_i32());
                        counts.cast::<i32>().atomic_max(all, splat(6), value.to_i32());
                        counts.cast::<f32>().relaxed_add(all, splat(7), F32x32::splat(0.25));
                        words.atomic_add(all, lane & splat(1), value);
                        words.atomic_max(all, splat(2), value);
                        words.atomic_xor(all, splat(4), value);
                        words.cast::<f32>().relaxed_add(all, splat(7), F32x32::splat(0.25));
                        // The old values are different numbers in any order.
                        let old = counts.relaxed_fetch_add(all, splat(8), splat(1));
                        counts.atomic_add(all, splat(9), old);
                        let old = words.relaxed_fetch_add(Mask32::lanes_below(3), splat(5), splat(1));
                        counts.atomic_add(Mask32::lanes_below(3), splat(10), old);
                        // Only the first of all lanes and warps finds a zero.
                        let old = counts.relaxed_compare_exchange(all, splat(11), splat(0), splat(1));
                        counts.atomic_add(old.eq(splat(0)), splat(12), splat(1));
                        // The exchanged values and the last one are all values.
                        let old = words.relaxed_exchange(all, splat(6), value);
                        counts.atomic_add(all, splat(13), old);
                    }
                }));
                block.each_warp(inline!(move |warp| {
                    if warp.index == 0 {
                        counts.atomic_add(
                            all & U32x32::lane_index().eq(splat(0)),
                            splat(13),
                            splat(words.load_scalar(6)),
                        );
                        warp.sync();
                        words.store_scalar(6, 0);
                        warp.sync();
                        counts.at(14).store_where(
                            Mask32::lanes_below(SHARED_COUNTS),
                            0,
                            words.load_where(Mask32::lanes_below(SHARED_COUNTS), 0, splat(0)),
                        );
                        counts.atomic_min(all, splat(22), splat(7));
                        counts.store_scalar(23, u32::MAX);
                        warp.sync();
                        counts.atomic_min(all, splat(23), U32x32::lane_index() + splat(5));
                        counts.atomic_and(all, splat(23), splat(6));
                        let (mut value, mut count) = (n.load_lanes(0) & splat(255) | splat(1), splat(0));
                        let mut first = value;
                        warp.when((first & splat(2)).eq(splat(0)), inline!(|odd| first.set_where(odd, first + first)));
                        warp.while_any(
                            value.ne(splat(1)),
                            inline!(|active: Mask32| {
                                let is_odd = (value & splat(1)).eq(splat(1));
                                let next = is_odd.select(value * splat(3) + splat(1), value >> 1);
                                value.set_where(active, next);
                                count.set_where(active, count + splat(1));
                                value.ne(splat(1))
                            }),
                        );
                        steps.store_lanes(0, count);
                        steps.store_lanes(WARP, first);
                    }
                }));
            }));
        }));
    }
}
