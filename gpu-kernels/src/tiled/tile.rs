//! The micro-kernel of the products, which keeps the sums of a tile of the result in registers.

use simt::{F32x32, HALF_WARP, Isa, Target, View, WARPS, Warp, inline, rem};

/// The rows of a panel of the left operand.
pub const PANEL_ROWS: usize = 16;

/// The most rows of a tile.
pub(super) const TILE_ROWS: usize = tile_rows(Isa::Avx512);

/// The rows of a transposed left operand that are packed at once.
pub(super) const CHUNK: usize = 64;

/// The number of terms that are added in a round of the loop of a tile.
const ROUND: usize = 4;

/// A matrix in memory.
#[derive(Clone, Copy)]
pub(super) struct Strided {
    /// The first element.
    pub view: View,
    /// The stride of the rows, in elements.
    pub stride: usize,
}

/// The sums of a tile of the result, pairs of rows by half-warps of columns. The lower half-warp of `F32x32` holds the
/// even row.
pub(super) type Tile<const PAIRS: usize, const WIDTH: usize> = [[F32x32; WIDTH]; PAIRS];

/// Returns the width in half-warps of the widest panel. A tile of eight rows takes 24 of AVX-512's 32 registers, and a
/// tile of four rows takes eight of AVX2's 16 or 16 of NEON's 32.
pub(super) const fn widest(isa: Isa) -> usize {
    if matches!(isa, Isa::Avx512) { 3 } else { 1 }
}

/// Returns the number of rows of a tile.
pub(super) const fn tile_rows(isa: Isa) -> usize {
    if matches!(isa, Isa::Avx512) { 8 } else { 4 }
}

/// Returns the width in half-warps of the next panel, for `left` half-warps that are left and panels of up to `widest`.
/// Two panels of two half-warps are faster than one of three and one of one.
#[inline(always)]
pub(super) fn panel_width(left: usize, widest: usize) -> usize {
    if widest == 3 && left == 4 { 2 } else { left.min(widest) }
}

/// The left operand of a tile, whose rows are those of the result.
pub(super) trait Rows: Copy {
    /// Returns the operand from row `row` on.
    fn starting_at(self, row: usize) -> Self;

    /// Returns a function of `pair` that gives element `k` of the rows `2 pair` and `2 pair + 1`.
    fn column(self, k: usize) -> impl Fn(usize) -> F32x32;

    /// Prefetches a line that is read after the rows of a tile. `row` is a row of the next tile, and `k` a multiple of
    /// [`HALF_WARP`].
    #[inline(always)]
    fn prefetch(self, _row: usize, _k: usize) {}
}

/// Rows that lie one after the other, `[rows, len]`.
#[derive(Clone, Copy)]
pub(super) struct Plain(pub Strided);

/// Rows that are the columns of a matrix, `[len, rows]`.
#[derive(Clone, Copy)]
pub(super) struct Transposed {
    /// The columns from the first row on.
    pub columns: Strided,
    /// The index of the first row.
    pub row: usize,
    /// The number of rows from row 0 on, of which lines are prefetched.
    pub rows: usize,
}

impl Transposed {
    /// Returns columns whose lines are not prefetched.
    #[inline(always)]
    pub fn new(columns: Strided) -> Self {
        Self { columns, row: 0, rows: 0 }
    }
}

/// Rows that are packed in panels `[len, 16]`, one after the other, [`CHUNK`] rows at once.
#[derive(Clone, Copy)]
pub(super) struct PackedRows {
    /// The first panel.
    pub view: View,
    /// The length of the rows.
    pub len: usize,
    /// The first row.
    pub row: usize,
    /// The columns that are packed next.
    pub next: Strided,
}

impl Rows for Plain {
    #[inline(always)]
    fn starting_at(self, row: usize) -> Self {
        Self(Strided { view: self.0.view.at(row * self.0.stride), ..self.0 })
    }

    #[inline(always)]
    fn column(self, k: usize) -> impl Fn(usize) -> F32x32 {
        let Strided { view, stride } = self.0;
        inline!(move |pair| view.broadcast_halves(2 * pair * stride + k, stride))
    }

    #[inline(always)]
    fn prefetch(self, row: usize, k: usize) {
        self.0.view.prefetch(row * self.0.stride + k);
    }
}

impl Rows for Transposed {
    #[inline(always)]
    fn starting_at(self, row: usize) -> Self {
        Self { columns: Strided { view: self.columns.view.at(row), ..self.columns }, row: self.row + row, ..self }
    }

    #[inline(always)]
    fn column(self, k: usize) -> impl Fn(usize) -> F32x32 {
        let inputs = self.columns.view.broadcast_pairs(k * self.columns.stride);
        inline!(move |pair| inputs.broadcast_pair(pair))
    }

    #[inline(always)]
    fn prefetch(self, row: usize, k: usize) {
        // So many rows of sixteen elements each take turns with the lines of sixteen terms.
        let i = (self.row + row) % HALF_WARP;
        if self.row - self.row % HALF_WARP + HALF_WARP < self.rows {
            self.columns.view.prefetch((k + i) * self.columns.stride + HALF_WARP);
        }
    }
}

impl Rows for PackedRows {
    #[inline(always)]
    fn starting_at(self, row: usize) -> Self {
        let row_in_panel = row % PANEL_ROWS;
        Self { view: self.view.at((row - row_in_panel) * self.len + row_in_panel), row, ..self }
    }

    #[inline(always)]
    fn column(self, k: usize) -> impl Fn(usize) -> F32x32 {
        let inputs = self.view.broadcast_pairs(k * PANEL_ROWS);
        inline!(move |pair| inputs.broadcast_pair(pair))
    }

    #[inline(always)]
    fn prefetch(self, row: usize, k: usize) {
        // So many rows of sixteen elements each take turns with the lines of sixteen terms.
        const LINES: usize = CHUNK / HALF_WARP;
        let i = (self.row + row) % CHUNK;
        self.next.view.prefetch((k + i / LINES) * self.next.stride + i % LINES * HALF_WARP);
    }
}

/// Returns a tile of `left right`, for `2 PAIRS` rows and `right: [len, 16 WIDTH]`. The terms are added in order.
#[inline(always)]
fn tile<const PAIRS: usize, const WIDTH: usize>(left: impl Rows, right: Strided, len: usize) -> Tile<PAIRS, WIDTH> {
    let mut sum = [[F32x32::splat(0.0); WIDTH]; PAIRS];
    for k in 0..len {
        sum = add_term(left, right, k, sum);
    }
    sum
}

/// Returns `sum` and a tile, as [`tile`] computes it. `prefetch(k)` is called before the terms from `k` on, for each multiple
/// of [`HALF_WARP`].
#[inline(always)]
pub(super) fn add_tile<const PAIRS: usize, const WIDTH: usize>(
    left: impl Rows,
    right: Strided,
    len: usize,
    mut sum: Tile<PAIRS, WIDTH>,
    prefetch: impl Fn(usize),
) -> Tile<PAIRS, WIDTH> {
    let mut k = 0;
    while k + ROUND <= len {
        if k.is_multiple_of(HALF_WARP) {
            prefetch(k);
        }
        for i in 0..ROUND {
            sum = add_term(left, right, k + i, sum);
        }
        k += ROUND;
    }
    while k < len {
        sum = add_term(left, right, k, sum);
        k += 1;
    }
    sum
}

/// Returns `sum` and the products of element `k` of the rows of `left` and row `k` of `right`.
#[inline(always)]
fn add_term<const PAIRS: usize, const WIDTH: usize>(
    left: impl Rows,
    right: Strided,
    k: usize,
    mut sum: Tile<PAIRS, WIDTH>,
) -> Tile<PAIRS, WIDTH> {
    let inputs = left.column(k);
    let mut row = [F32x32::splat(0.0); WIDTH];
    for i in 0..WIDTH {
        row[i] = F32x32::broadcast(right.view.load(k * right.stride + i * HALF_WARP));
    }
    for pair in 0..PAIRS {
        let x = inputs(pair);
        for i in 0..WIDTH {
            sum[pair][i] = x.mul_add(row[i], sum[pair][i]);
        }
    }
    sum
}

/// A small product of `rows` rows and `right: [len, 16 half_warps]`.
#[derive(Clone, Copy)]
pub(super) struct Small<L> {
    /// The left operand, of which up to seven rows after the last one are read.
    pub left: L,
    /// The right operand.
    pub right: Strided,
    /// The number of contracted indices.
    pub len: usize,
    /// The number of rows of the result.
    pub rows: usize,
    /// The number of half-warps of columns.
    pub half_warps: usize,
}

impl<L: Rows> Small<L> {
    /// Computes the product, and hands each pair of half-rows to `store(row, column, values)`. The warps of a block share
    /// the tiles. Up to seven rows after the last one are computed too.
    #[inline(always)]
    pub fn each_pair<T: Target>(&self, warp: &Warp, store: impl Fn(usize, usize, F32x32)) {
        match T::ISA {
            Isa::Avx512 => self.tiles::<4, 3>(warp, &store),
            _ => self.tiles::<2, 1>(warp, &store),
        }
    }

    #[inline(always)]
    fn tiles<const PAIRS: usize, const WIDEST: usize>(&self, warp: &Warp, store: &impl Fn(usize, usize, F32x32)) {
        let (mut first, mut index) = (0, 0);
        while first < self.half_warps {
            let width = panel_width(self.half_warps - first, WIDEST);
            for row in (0..self.rows).step_by(2 * PAIRS) {
                if rem(index, WARPS) == warp.index {
                    if WIDEST >= 3 && width == 3 {
                        self.store_tile::<PAIRS, 3>(row, first, store);
                    } else if WIDEST >= 2 && width == 2 {
                        self.store_tile::<PAIRS, 2>(row, first, store);
                    } else {
                        self.store_tile::<PAIRS, 1>(row, first, store);
                    }
                }
                index += 1;
            }
            first += width;
        }
    }

    #[inline(always)]
    fn store_tile<const PAIRS: usize, const WIDTH: usize>(
        &self,
        row: usize,
        first: usize,
        store: &impl Fn(usize, usize, F32x32),
    ) {
        let right = Strided { view: self.right.view.at(first * HALF_WARP), ..self.right };
        let sum = tile::<PAIRS, WIDTH>(self.left.starting_at(row), right, self.len);
        for pair in 0..PAIRS {
            for i in 0..WIDTH {
                store(row + 2 * pair, (first + i) * HALF_WARP, sum[pair][i]);
            }
        }
    }
}

/// Transposes blocks of 16 by 16 elements, `to[c, r] = from[r, c]`, for `row_blocks` by `col_blocks` blocks. The warps of
/// a block share the blocks, after `before` items of other lists.
#[inline(always)]
pub(super) fn transpose(warp: &Warp, before: usize, from: Strided, [row_blocks, col_blocks]: [usize; 2], to: Strided) {
    for row in 0..row_blocks {
        for col in warp.block_share().items(before + row * col_blocks, col_blocks) {
            // A GPU would keep the address of each row of the block from one block to the next.
            let view = from.view.at(row * HALF_WARP * from.stride + col * HALF_WARP).rematerialize();
            let from = Strided { view, ..from };
            let view = to.view.at(col * HALF_WARP * to.stride + row * HALF_WARP).rematerialize();
            transpose_block(from, Strided { view, ..to });
        }
    }
}

/// Transposes a block of 16 by 16 elements, `to[c, r] = from[r, c]`.
#[inline(always)]
pub(super) fn transpose_block(from: Strided, to: Strided) {
    let mut rows = [F32x32::splat(0.0); HALF_WARP / 2];
    for pair in 0..HALF_WARP / 2 {
        rows[pair] = from.view.load_halves(2 * pair * from.stride, from.stride);
    }
    to.view.store_transposed(0, to.stride, rows);
}
