//! Matrices in memory, as views with a stride.

use crate::array::Array;
#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
use crate::element::{Element, Scalar};
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::space::{GlobalMemory, Space, Writable};
use crate::target::WARP;
use backend::{Mask32, U32x32};

/// A matrix in an [`Array`], whose rows begin `stride` elements apart.
///
/// Debug builds and the race checker check on the CPU that an access stays within the rows and columns, and so do not
/// let the end of a row run into the next row.
pub struct Array2<'a, E, S = GlobalMemory> {
    array: Array<'a, E, S>,
    rows: usize,
    columns: usize,
    stride: usize,
}

// A derived implementation would ask for `Copy` elements.
impl<E, S> Clone for Array2<'_, E, S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<E, S> Copy for Array2<'_, E, S> {}

impl<'a, E: Element, S: Space> Array<'a, E, S> {
    /// Returns the matrix of `rows` by `columns` elements at the beginning of the array, whose rows begin `stride` elements
    /// apart.
    #[inline(always)]
    pub fn matrix(self, rows: usize, columns: usize, stride: usize) -> Array2<'a, E, S> {
        Array2 { array: self, rows, columns, stride }
    }
}

impl<'a, E: Element, S: Space> Array2<'a, E, S> {
    /// Returns the number of rows.
    #[inline(always)]
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Returns the number of columns.
    #[inline(always)]
    pub fn columns(self) -> usize {
        self.columns
    }

    /// Returns the part of `rows` by `columns` elements that begins at this row and column. The part ends where the
    /// matrix ends.
    #[inline(always)]
    pub fn part(self, row: usize, column: usize, rows: usize, columns: usize) -> Self {
        let (rows, columns) =
            (rows.min(self.rows.saturating_sub(row)), columns.min(self.columns.saturating_sub(column)));
        Self { array: self.array.at(row * self.stride + column), rows, columns, stride: self.stride }
    }

    /// Returns the distance between the beginnings of two rows, in elements.
    #[inline(always)]
    pub(crate) fn stride(self) -> usize {
        self.stride
    }

    /// Returns the array in which the matrix begins.
    #[inline(always)]
    pub(crate) fn array(self) -> Array<'a, E, S> {
        self.array
    }

    /// Returns a row as an array.
    #[inline(always)]
    #[track_caller]
    pub fn row(self, row: usize) -> Array<'a, E, S> {
        self.check(row, 1, 0, 0);
        self.array.at(row * self.stride)
    }

    /// Returns the lanes whose columns from `column` on lie within the matrix.
    #[inline(always)]
    pub fn columns_from(self, column: usize) -> Mask32 {
        Mask32::lanes_below(self.columns.saturating_sub(column))
    }

    /// Returns the lanes whose rows from `row` on lie within the matrix.
    #[inline(always)]
    pub fn rows_from(self, row: usize) -> Mask32 {
        Mask32::lanes_below(self.rows.saturating_sub(row))
    }

    /// Loads 32 elements of a row from `column` on, one for each lane.
    #[inline(always)]
    #[track_caller]
    pub fn load_lanes(self, row: usize, column: usize) -> E::Lanes {
        self.check(row, 1, column, WARP);
        self.array.load_lanes(row * self.stride + column)
    }

    /// Loads the elements of a row from `column` on that lie within the matrix, and returns `otherwise` in the other lanes.
    #[inline(always)]
    #[track_caller]
    pub fn load_row(self, row: usize, column: usize, otherwise: E::Lanes) -> E::Lanes {
        self.check(row, 1, 0, 0);
        self.array.load_where(self.columns_from(column), row * self.stride + column, otherwise)
    }

    /// Loads the elements of a column from `row` on that lie within the matrix, one for each lane, and returns
    /// `otherwise` in the other lanes. On a GPU the access has no bank conflict if the stride is odd.
    #[inline(always)]
    #[track_caller]
    pub fn load_column(self, row: usize, column: usize, otherwise: E::Lanes) -> E::Lanes {
        self.check(0, 0, column, 1);
        self.array.at(row * self.stride + column).gather(self.rows_from(row), self.row_offsets(), otherwise)
    }

    /// Loads an element, the same in all lanes.
    #[inline(always)]
    #[track_caller]
    pub fn load_scalar(self, row: usize, column: usize) -> Scalar<E> {
        self.check(row, 1, column, 1);
        self.array.load_scalar(row * self.stride + column)
    }

    /// Returns the distance of each lane's row from the first lane's, in elements.
    #[inline(always)]
    fn row_offsets(self) -> U32x32 {
        U32x32::lane_index() * U32x32::splat(self.stride as u32)
    }

    /// Asserts in debug builds and under the race checker that a range of rows and columns lies within the matrix.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn check(self, row: usize, rows: usize, column: usize, columns: usize) {
        if cfg!(all(not(target_arch = "nvptx64"), any(debug_assertions, feature = "race-check"))) {
            let (name, last_row, last_column) = (self.array.name(), row + rows, column + columns);
            assert!(
                last_row <= self.rows && last_column <= self.columns,
                "access to rows {row}..{last_row} and columns {column}..{last_column} of `{name}`, expected ranges within \
                 0..{} and 0..{}",
                self.rows,
                self.columns
            );
        }
    }
}

impl<E: Element, S: Writable> Array2<'_, E, S> {
    /// Stores 32 elements of a row from `column` on, one from each lane.
    #[inline(always)]
    #[track_caller]
    pub fn store_lanes(self, row: usize, column: usize, x: E::Lanes) {
        self.check(row, 1, column, WARP);
        self.array.store_lanes(row * self.stride + column, x);
    }

    /// Stores the elements of a row from `column` on that lie within the matrix.
    #[inline(always)]
    #[track_caller]
    pub fn store_row(self, row: usize, column: usize, x: E::Lanes) {
        self.check(row, 1, 0, 0);
        self.array.store_where(self.columns_from(column), row * self.stride + column, x);
    }

    /// Stores the elements of a column from `row` on that lie within the matrix, one from each lane.
    #[inline(always)]
    #[track_caller]
    pub fn store_column(self, row: usize, column: usize, x: E::Lanes) {
        self.check(0, 0, column, 1);
        self.array.at(row * self.stride + column).scatter(self.rows_from(row), self.row_offsets(), x);
    }

    /// Stores an element, the same from all lanes.
    #[inline(always)]
    #[track_caller]
    pub fn store_scalar(self, row: usize, column: usize, x: Scalar<E>) {
        self.check(row, 1, column, 1);
        self.array.store_scalar(row * self.stride + column, x);
    }
}
