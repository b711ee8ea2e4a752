//! The registers of a warp, 32 lanes wide.

/// The registers of a warp. The upper half of a 16-bit register's slot is zero.
#[derive(Default)]
pub struct Registers {
    /// The registers of 16 and 32 bits, `[slot][lane]`.
    pub b32: Vec<[u32; 32]>,
    /// The registers of 64 bits, `[slot][lane]`.
    pub b64: Vec<[u64; 32]>,
    /// The predicates, one bit per lane.
    pub predicates: Vec<u32>,
}

impl Clone for Registers {
    fn clone(&self) -> Self {
        Self { b32: self.b32.clone(), b64: self.b64.clone(), predicates: self.predicates.clone() }
    }

    /// Copies the registers, and keeps the memory.
    fn clone_from(&mut self, source: &Self) {
        self.b32.clone_from(&source.b32);
        self.b64.clone_from(&source.b64);
        self.predicates.clone_from(&source.predicates);
    }
}

/// An instruction that only reads and writes registers, for the lanes of a mask.
pub type Compute = Box<dyn Fn(&mut Registers, u32) + Send + Sync>;

/// A register by its slot in the file of its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    Predicate(usize),
    /// A register of 16 bits, in [`Registers::b32`].
    B16(usize),
    B32(usize),
    B64(usize),
    /// A register of 128 bits, whose lower half has this slot in [`Registers::b64`] and whose upper half the next one.
    B128(usize),
}

impl Register {
    pub fn bits(self) -> u32 {
        match self {
            Self::Predicate(_) => 1,
            Self::B16(_) => 16,
            Self::B32(_) => 32,
            Self::B64(_) => 64,
            Self::B128(_) => 128,
        }
    }

    /// Returns the slot in the register's file.
    pub fn slot(self) -> usize {
        let (Self::Predicate(slot) | Self::B16(slot) | Self::B32(slot) | Self::B64(slot) | Self::B128(slot)) = self;
        slot
    }
}

impl Register {
    /// Returns the registers of at most 64 bits that make up the register, the lowest first.
    pub fn words(self) -> impl Iterator<Item = Self> {
        let (first, second) = match self {
            Self::B128(slot) => (Self::B64(slot), Some(Self::B64(slot + 1))),
            register => (register, None),
        };
        std::iter::once(first).chain(second)
    }
}

impl Registers {
    /// Returns the value of a register in one lane, zero-extended, or the lower half of a register of 128 bits.
    #[inline]
    pub fn get(&self, register: Register, lane: u32) -> u64 {
        match register {
            Register::Predicate(slot) => u64::from(self.predicates[slot] >> lane & 1),
            Register::B16(slot) | Register::B32(slot) => u64::from(self.b32[slot][lane as usize]),
            Register::B64(slot) | Register::B128(slot) => self.b64[slot][lane as usize],
        }
    }

    /// Sets a register in one lane to the low bits of `value`, or the lower half of a register of 128 bits.
    #[inline]
    pub fn set(&mut self, register: Register, lane: u32, value: u64) {
        match register {
            Register::Predicate(slot) => self.set_predicate(slot, 1 << lane, (value as u32 & 1) << lane),
            Register::B16(slot) => self.b32[slot][lane as usize] = value as u32 & 0xffff,
            Register::B32(slot) => self.b32[slot][lane as usize] = value as u32,
            Register::B64(slot) | Register::B128(slot) => self.b64[slot][lane as usize] = value,
        }
    }

    /// Returns the lanes in which a predicate holds, or does not hold if the flag is set.
    #[inline]
    pub fn guard(&self, (slot, negated): (usize, bool)) -> u32 {
        self.predicates[slot] ^ if negated { u32::MAX } else { 0 }
    }

    /// Sets a predicate in the lanes of `mask` to the bits of `value`.
    pub fn set_predicate(&mut self, slot: usize, mask: u32, value: u32) {
        let old = self.predicates[slot];
        self.predicates[slot] = old & !mask | value & mask;
    }
}
