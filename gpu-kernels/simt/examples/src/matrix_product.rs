//! A matrix product by tiles in shared memory and accumulators in registers.
//!
//! A block computes 128 rows of 128 columns, in parts of 8 rows. A GPU has a warp for each part, whose lanes hold 8 rows
//! of 4 columns. The CPU goes through the parts, and through 32 columns at a time, so that the accumulators fit in its
//! registers. Each element's sum has the same order on all devices.

use simt::{
    Array, ConstantMemory, F32x32, GPU_WARPS, Global, Kernel, Launch, PerWarp, SharedMemory, Target, WARP, WARPS, WIDE,
    Warp, div, inline, rem,
};

/// The number of rows of a part.
pub const ROWS: usize = 8;
/// The number of rows of a block's tile.
const TILE_ROWS: usize = ROWS * GPU_WARPS;
/// The number of columns of a block's tile.
pub const COLUMNS: usize = 4 * WARP;
/// The number of columns that are computed at once, which are `COLUMNS` on a GPU.
const PANEL: usize = WIDE * WARP;
/// The number of panels of a tile.
const PANELS: usize = COLUMNS / PANEL;
/// The number of parts of a warp. A GPU's warp has one.
const PARTS: usize = GPU_WARPS / WARPS;
/// The number of steps of the contracted index that a GPU stages at once.
const GPU_STEPS: usize = 32;
/// The number of steps that this device stages. The CPU stages as much as its cache holds.
const STEPS: usize = if WARPS == 1 { 128 } else { GPU_STEPS };
/// The number of elements of the staged tiles.
const STAGED: usize = (TILE_ROWS + COLUMNS) * STEPS;

/// The accumulators of a part, in one panel of columns.
type Sums = [[F32x32; WIDE]; ROWS];

simt::entries! {
    /// Computes `c = a b`. The rows of `a` are a multiple of [`ROWS`], its columns of 32, and those of `b` of [`COLUMNS`].
    matrix_product: pub struct MatrixProduct {
        /// The left factor, `[rows, inner]`.
        pub a: Global<f32>,
        /// The right factor, `[inner, columns]`.
        pub b: Global<f32>,
        /// The product, `[rows, columns]`.
        pub c: Global<f32>,
        /// The number of columns of `a`, which is the number of rows of `b`.
        pub inner: u32,
        /// The number of columns of `b`.
        pub columns: u32,
    }
}

#[allow(clippy::large_stack_arrays, reason = "the CPU keeps 64 KiB of accumulators")]
impl Kernel for MatrixProduct {
    const SHARED: usize = (TILE_ROWS + COLUMNS) * GPU_STEPS;

    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (inner, columns) = (self.inner as usize, self.columns as usize);
        let (rows, tiles_across) = (div(self.c.len(), columns), columns / COLUMNS);
        let (a, b, c) = (launch.constant(self.a, "a"), launch.constant(self.b, "b"), launch.array(self.c, "c"));
        launch.each_block(inline!(|block| {
            block.shared::<STAGED>(inline!(|block, shared| {
                for tile in block.grid_stride(rows.div_ceil(TILE_ROWS) * tiles_across) {
                    let (first, column) = (div(tile, tiles_across) * TILE_ROWS, rem(tile, tiles_across) * COLUMNS);
                    let tile = Tile {
                        a: a.at(first * inner),
                        b: b.at(column),
                        c: c.at(first * columns + column),
                        staged_a: shared,
                        staged_b: shared.at(TILE_ROWS * STEPS),
                        inner,
                        columns,
                        parts: TILE_ROWS.min(rows - first) / ROWS,
                    };
                    let mut sums = PerWarp::new([[[[F32x32::splat(0.0); WIDE]; ROWS]; PANELS]; PARTS]);
                    for k in (0..inner).step_by(STEPS) {
                        let steps = STEPS.min(inner - k);
                        block.each_warp(inline!(move |warp| tile.stage(warp, k, steps)));
                        block.each_warp_with(&mut sums, inline!(move |warp, sums| tile.accumulate(warp, steps, sums)));
                    }
                    block.each_warp_with(&mut sums, inline!(move |warp, sums| tile.store(warp, sums)));
                }
            }));
        }));
    }
}

/// The rows and columns of a block, whose arrays begin at the tile's first element.
#[derive(Clone, Copy)]
struct Tile<'a> {
    a: Array<'a, f32, ConstantMemory>,
    b: Array<'a, f32, ConstantMemory>,
    c: Array<'a, f32>,
    /// The staged rows of `a`, `[TILE_ROWS, STEPS]`.
    staged_a: Array<'a, f32, SharedMemory>,
    /// The staged columns of `b`, `[PANELS, STEPS, PANEL]`.
    staged_b: Array<'a, f32, SharedMemory>,
    inner: usize,
    columns: usize,
    /// The number of parts that lie within the matrix.
    parts: usize,
}

impl Tile<'_> {
    /// Stages a warp's share of `steps` steps from `k` on.
    #[inline(always)]
    fn stage(self, warp: &Warp, k: usize, steps: usize) {
        for row in warp.block_stride(self.parts * ROWS) {
            for step in (0..steps).step_by(WARP) {
                self.staged_a.store_lanes(row * STEPS + step, self.a.load_lanes(row * self.inner + k + step));
            }
        }
        for step in warp.block_stride(steps) {
            for panel in 0..PANELS {
                let elements = self.b.load_wide((k + step) * self.columns + panel * PANEL);
                self.staged_b.store_wide((panel * STEPS + step) * PANEL, elements);
            }
        }
    }

    /// Adds the products of the staged steps to the sums of a warp's parts.
    #[inline(always)]
    fn accumulate(self, warp: &Warp, steps: usize, sums: &mut [[Sums; PANELS]; PARTS]) {
        for panel in 0..PANELS {
            let b = self.staged_b.at(panel * STEPS * PANEL);
            for i in 0..PARTS {
                let part = warp.index + i * WARPS;
                if part < self.parts {
                    let (a, sums) = (self.staged_a.at(part * ROWS * STEPS), &mut sums[i][panel]);
                    if warp.accumulators(ROWS) == ROWS {
                        accumulate_rows::<ROWS>(a, b, steps, sums, 0);
                    } else {
                        // A processor with few registers has room for two rows.
                        for first in (0..ROWS).step_by(2) {
                            accumulate_rows::<2>(a.at(first * STEPS), b, steps, sums, first);
                        }
                    }
                }
            }
        }
    }

    /// Stores the sums of a warp's parts.
    #[inline(always)]
    fn store(self, warp: &Warp, sums: &[[Sums; PANELS]; PARTS]) {
        for i in 0..PARTS {
            let part = warp.index + i * WARPS;
            for row in 0..ROWS {
                for panel in 0..PANELS {
                    if part < self.parts {
                        self.c.store_wide((part * ROWS + row) * self.columns + panel * PANEL, sums[i][panel][row]);
                    }
                }
            }
        }
    }
}

/// Adds the products of the `N` rows from `first` on.
#[inline(always)]
#[allow(clippy::manual_memcpy, reason = "in PTX a copy of slices keeps them in memory")]
fn accumulate_rows<const N: usize>(
    a: Array<f32, SharedMemory>,
    b: Array<f32, SharedMemory>,
    steps: usize,
    sums: &mut Sums,
    first: usize,
) {
    let mut totals = [[F32x32::splat(0.0); WIDE]; N];
    for row in 0..N {
        totals[row] = sums[first + row];
    }
    for step in (0..steps).step_by(4) {
        let mut factors = [[F32x32::splat(0.0); WIDE]; 4];
        for i in 0..4 {
            factors[i] = b.load_wide((step + i) * PANEL);
        }
        for row in 0..N {
            // The four factors of a row are one access on a GPU.
            let a = a.broadcast_quad(row * STEPS + step);
            for i in 0..4 {
                for j in 0..WIDE {
                    totals[row][j] = a[i].mul_add(factors[i][j], totals[row][j]);
                }
            }
        }
    }
    for row in 0..N {
        sums[first + row] = totals[row];
    }
}

/// Returns the product.
#[cfg(not(target_arch = "nvptx64"))]
pub fn naive(a: &[f32], b: &[f32], inner: usize, columns: usize) -> std::vec::Vec<f32> {
    let sum = |row: &[f32], column| row.iter().zip(b.iter().skip(column).step_by(columns)).map(|(a, b)| a * b).sum();
    a.chunks(inner).flat_map(|row| (0..columns).map(move |column| sum(row, column))).collect()
}
