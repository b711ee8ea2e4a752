//! The sums of chunks of 16,384 elements, one chunk a block.
//!
//! Each of 16 parts of a chunk has a place for its sum in shared memory. So the order of the additions is the same for any
//! number of warps, and the bits are the same on every device.

use simt::{F32x32, Global, Kernel, Launch, Mask32, PARTS, Target, WARP, inline};

/// The number of elements of a chunk.
pub const CHUNK: usize = PARTS * ROWS * WARP;
/// The number of rows of a part.
const ROWS: usize = 32;

simt::entries! {
    /// Sums up each chunk of `x`, whose length is a multiple of [`CHUNK`].
    reduction: pub struct Reduction {
        /// The addends.
        pub x: Global<f32>,
        /// A sum for each chunk.
        pub sums: Global<f32>,
    }
}

impl Kernel for Reduction {
    const SHARED: usize = PARTS;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, sums) = (launch.constant(self.x, "x"), launch.array(self.sums, "sums"));
        let (chunks, zero) = (self.sums.len(), F32x32::splat(0.0));
        launch.each_block(inline!(|block| {
            block.shared::<PARTS>(inline!(|block, part_sums| {
                for chunk in block.grid_stride(chunks) {
                    block.each_warp(inline!(move |warp| {
                        for part in warp.block_stride(PARTS) {
                            let part_x = x.at(chunk * CHUNK + part * ROWS * WARP);
                            // Four additions run at once, because none waits for another one's result.
                            let mut sums = [zero; 4];
                            for row in (0..ROWS).step_by(4) {
                                for i in 0..4 {
                                    sums[i] = sums[i] + part_x.load_lanes((row + i) * WARP);
                                }
                            }
                            let sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
                            part_sums.store_scalar(part, sum.reduce_sum());
                        }
                    }));
                    // The barrier at the end of `each_warp` lets every warp read the sums of all parts.
                    block.each_warp(inline!(move |warp| {
                        if warp.index == 0 {
                            let sum = part_sums.load_where(Mask32::lanes_below(PARTS), 0, zero);
                            sums.store_scalar(chunk, sum.reduce_sum());
                        }
                    }));
                }
            }));
        }));
    }
}

/// Returns the sum of each chunk.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(x: &[f32]) -> std::vec::Vec<f32> {
    x.chunks(CHUNK).map(|chunk| chunk.iter().sum()).collect()
}
