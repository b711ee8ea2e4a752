//! The parts of a matrix that the lanes of a warp hold.

use super::elements::Element;
use super::registers::{Register, Registers};

/// The places of a matrix's elements in the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The first factor of `mma` (PTX ISA, section 9.7.14.5).
    First,
    /// The second factor of `mma`.
    Second,
    /// The addend or the result of `mma`.
    Sum,
    /// A factor of `wmma`, whose layout the manual leaves open. Here consecutive lanes hold consecutive elements.
    OpaqueFactor,
    /// The addend or the result of `wmma`.
    OpaqueSum,
}

/// A matrix whose elements the lanes of a warp hold.
#[derive(Clone, Debug)]
pub struct Fragment {
    pub element: Element,
    pub rows: usize,
    pub columns: usize,
    layout: Layout,
    pub registers: Vec<Register>,
}

impl Fragment {
    /// Returns a fragment of `[rows, columns]` elements without its registers.
    pub(super) fn new(element: Element, [rows, columns]: [usize; 2], layout: Layout) -> Self {
        Self { element, rows, columns, layout, registers: Vec::new() }
    }

    /// Returns the number of elements in a register.
    fn packed(&self) -> usize {
        (32 / self.element.bits()).max(1) as usize
    }

    /// Returns the number of registers. Factors of `wmma` in half precision have eight, which hold some elements twice.
    pub(super) fn count(&self) -> usize {
        if self.layout == Layout::OpaqueFactor && self.element == Element::F16 {
            return 8;
        }
        self.rows * self.columns / (32 * self.packed())
    }

    /// Returns the row and the column of element `part` of register `index` in a lane.
    fn place(&self, lane: usize, index: usize, part: usize) -> (usize, usize) {
        let (group, thread, packed) = (lane / 4, lane % 4, self.packed());
        let element = index * packed + part;
        match self.layout {
            Layout::First => {
                let blocks = self.rows / 8;
                (group + 8 * (index % blocks), (4 * (index / blocks) + thread) * packed + part)
            }
            Layout::Second => ((4 * index + thread) * packed + part, group),
            Layout::Sum => (group + 8 * (element / 2), 2 * thread + element % 2),
            Layout::OpaqueFactor | Layout::OpaqueSum => {
                let at = (32 * element + lane) % (self.rows * self.columns);
                (at / self.columns, at % self.columns)
            }
        }
    }

    /// Returns the elements that a lane holds, each as its register, its first bit there, its row and its column.
    pub fn elements(&self, lane: usize) -> impl Iterator<Item = (Register, u32, usize, usize)> + '_ {
        let packed = self.packed();
        let parts =
            self.registers.iter().enumerate().flat_map(move |(index, r)| (0..packed).map(move |p| (index, r, p)));
        parts.map(move |(index, register, part)| {
            let (row, column) = self.place(lane, index, part);
            (*register, part as u32 * self.element.bits(), row, column)
        })
    }

    /// Returns the values of all elements, row by row.
    pub(super) fn read(&self, registers: &Registers) -> Vec<f64> {
        let mut values = vec![0.0; self.rows * self.columns];
        let mask = u64::MAX >> (64 - self.element.bits());
        for lane in 0..32 {
            for (register, shift, row, column) in self.elements(lane) {
                let bits = registers.get(register, lane as u32) >> shift & mask;
                values[row * self.columns + column] = self.element.value(bits);
            }
        }
        values
    }

    /// Sets all elements to the nearest of `values`, given row by row.
    pub(super) fn write(&self, registers: &mut Registers, values: &[f64], saturate: bool) {
        for lane in 0..32 {
            for (register, shift, row, column) in self.elements(lane) {
                let bits = self.element.encode(values[row * self.columns + column], saturate);
                let others = if shift == 0 { 0 } else { registers.get(register, lane as u32) };
                registers.set(register, lane as u32, others | bits << shift);
            }
        }
    }
}
