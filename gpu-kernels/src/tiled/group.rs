//! Parts of a contraction whose operands are packed at once.

use super::sum::{PART, Part};

/// The most parts of a group.
pub const GROUP: usize = 3;

/// The most contracted indices of a group.
pub const GROUP_LEN: usize = GROUP * PART;

/// Adjacent parts of a contraction.
#[derive(Clone, Copy)]
pub struct Group {
    /// The parts.
    pub parts: [Part; GROUP],
    /// The number of parts.
    pub count: usize,
}

impl Group {
    /// A group without parts.
    pub const EMPTY: Self = Self { parts: [Part::NONE; GROUP], count: 0 };

    /// Adds a part, of which there are fewer than [`GROUP`].
    #[inline(always)]
    pub fn push(&mut self, part: Part) {
        self.parts[self.count] = part;
        self.count += 1;
    }

    /// Returns the first contracted index.
    #[inline(always)]
    pub fn start(&self) -> usize {
        self.parts[0].start
    }

    /// Returns the number of contracted indices.
    #[inline(always)]
    pub fn len(&self) -> usize {
        let last = self.parts[self.count - 1];
        last.start + last.len - self.start()
    }
}
