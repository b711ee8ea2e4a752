//! The sums of chunks of 2,048 elements, one chunk a block.
//!
//! Each row of 32 elements has a place for its sum in shared memory. So the order of the additions is the same for any
//! number of warps, and the bits are the same on every device.

use simt::{Global, Kernel, Launch, Target, WARP, inline};

/// The number of elements of a chunk.
pub const CHUNK: usize = ROWS * WARP;
/// The number of rows of a chunk.
const ROWS: usize = 2 * WARP;

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
    const SHARED: usize = ROWS;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (x, sums) = (launch.constant(self.x, "x"), launch.array(self.sums, "sums"));
        let chunks = self.sums.len();
        launch.each_block(inline!(|block| {
            block.shared::<ROWS>(inline!(|block, row_sums| {
                for chunk in block.grid_stride(chunks) {
                    block.each_warp(inline!(move |warp| {
                        for row in warp.block_stride(ROWS) {
                            row_sums.store_scalar(row, x.load_lanes(chunk * CHUNK + row * WARP).reduce_sum());
                        }
                    }));
                    // The barrier at the end of `each_warp` lets every warp read all row sums.
                    block.each_warp(inline!(move |warp| {
                        if warp.index == 0 {
                            let sum = row_sums.load_lanes(0) + row_sums.load_lanes(WARP);
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
