//! Every op of a block, atomic operations of signed integers, and code for some lanes.

use simt::{F32x32, Global, Kernel, Launch, Mask32, PARTS, Target, U32x32, WARP, inline};

/// The number of elements of `x` and of `n`.
pub const LEN: usize = 1003;
/// The rows and columns of the matrix that is transposed, which is at the beginning of `n`.
pub const SHAPE: (usize, usize) = (20, 29);
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
        /// The least and the largest signed integer of the whole rows of `n`, which begin as zeros.
        pub extremes: Global<i32>,
        /// The number of steps to 1 of the Collatz sequence of each of 32 integers, and their doubles where these are odd.
        pub steps: Global<u32>,
    }
}

impl Kernel for BlockOps {
    const SHARED: usize = PARTS + WARP * STRIDE;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, n) = (launch.array(self.x, "x"), launch.array(self.n, "n"));
        let (sums, transposed) = (launch.array(self.sums, "sums"), launch.array(self.transposed, "transposed"));
        let (extremes, steps) = (launch.array(self.extremes, "extremes"), launch.array(self.steps, "steps"));
        let (all, splat) = (Mask32::splat(true), U32x32::splat);
        launch.each_block(inline!(|block| {
            block.shared::<{ Self::SHARED }>(inline!(|block, shared| {
                let sum = block.reduce(x, LEN, shared, 0.0, inline!(|a, b| a + b));
                let max = block.reduce(x, LEN, shared, f32::MIN, F32x32::max);
                block.scan(x, LEN, shared, 0.0, inline!(|a, b| a + b));
                let tile = shared.cast::<u32>().at(PARTS).matrix(WARP, WARP, STRIDE);
                let (rows, columns) = SHAPE;
                let (from, to) = (n.matrix(rows, columns, columns), transposed.matrix(columns, rows, rows));
                block.transpose(from, to, tile);
                // Sums of floats of different sizes depend on the order.
                block.each_in_order(
                    40,
                    inline!(move |warp, item| {
                        let value = x.load_lanes((7 * item) % (LEN - WARP));
                        sums.at(2).add_in_order(warp, all, U32x32::lane_index() & splat(3), value);
                    }),
                );
                block.each_warp(inline!(move |warp| {
                    for row in warp.block_stride(LEN / WARP) {
                        let value = n.load_lanes(row * WARP).to_i32();
                        extremes.atomic_min(all, splat(0), value);
                        extremes.atomic_max(all, splat(1), value);
                    }
                    if warp.index == 0 {
                        sums.store_scalar(0, sum);
                        sums.store_scalar(1, max);
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
