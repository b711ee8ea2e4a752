//! One value for each of 16 channels, known to both half-warps: a register.

use core::f32::math;
use core::ops::Neg;

use super::ptx;
use crate::shape::TILE;

/// One number for each of 16 channels, known to both half-warps.
#[derive(Clone, Copy)]
pub struct F32x16(pub(super) f32);

/// One bit pattern for each of 16 channels.
#[derive(Clone, Copy)]
pub struct U32x16(u32);

/// One condition for each of 16 channels.
#[derive(Clone, Copy)]
pub struct Mask16(bool);

/// The square root, correctly rounded.
#[inline(always)]
pub fn sqrt(x: f32) -> f32 {
    math::sqrt(x)
}

impl Neg for F32x16 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

lanewise!(F32x16: 0);

/// Which of 16 channels is the lane's.
#[inline(always)]
fn channel() -> u32 {
    ptx::lane() % TILE as u32
}

/// The sum over each group of `width` lanes (a power of two up to 16), known to all of the group.
#[inline(always)]
pub(super) fn group_sum(mut x: f32, width: usize) -> f32 {
    if width > 8 {
        x += ptx::shuffle_xor(x, 8);
    }
    if width > 4 {
        x += ptx::shuffle_xor(x, 4);
    }
    if width > 2 {
        x += ptx::shuffle_xor(x, 2);
    }
    if width > 1 {
        x += ptx::shuffle_xor(x, 1);
    }
    x
}

impl F32x16 {
    /// The same number for every channel.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(x)
    }

    /// `self * b + c`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, b: Self, c: Self) -> Self {
        Self(math::mul_add(self.0, b.0, c.0))
    }

    /// The square root, correctly rounded.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        Self(math::sqrt(self.0))
    }

    /// The larger of the two; `other` if either is not a number.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        self.gt(other).select(self, other)
    }

    /// The smaller of the two; `other` if either is not a number.
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        self.lt(other).select(self, other)
    }

    /// Where `self < other`.
    #[inline(always)]
    pub fn lt(self, other: Self) -> Mask16 {
        Mask16(self.0 < other.0)
    }

    /// Where `self > other`.
    #[inline(always)]
    pub fn gt(self, other: Self) -> Mask16 {
        Mask16(self.0 > other.0)
    }

    /// Where `self == other`.
    #[inline(always)]
    pub fn equals(self, other: Self) -> Mask16 {
        Mask16(self.0 == other.0)
    }

    /// The bit patterns.
    #[inline(always)]
    pub fn to_bits(self) -> U32x16 {
        U32x16(self.0.to_bits())
    }

    /// The numbers with these bit patterns.
    #[inline(always)]
    pub fn from_bits(bits: U32x16) -> Self {
        Self(f32::from_bits(bits.0))
    }

    /// The sum over each group of `width` channels (a power of two up to 16), known to all of the group: a butterfly
    /// from the widest step to the narrowest.
    #[inline(always)]
    pub fn group_sum(self, width: usize) -> Self {
        Self(group_sum(self.0, width))
    }

    /// The sum over all channels.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        group_sum(self.0, TILE)
    }

    /// The largest number of all channels.
    #[inline(always)]
    pub fn reduce_max(self) -> f32 {
        let x = self.max(Self(ptx::shuffle_xor(self.0, 8)));
        let x = x.max(Self(ptx::shuffle_xor(x.0, 4)));
        let x = x.max(Self(ptx::shuffle_xor(x.0, 2)));
        x.max(Self(ptx::shuffle_xor(x.0, 1))).0
    }

    /// For each channel the sum of the numbers up to and including its own.
    #[inline(always)]
    pub fn prefix_sum(self) -> Self {
        let add_lower = |x: Self, step: u32| {
            let lower = Self(ptx::shuffle_up(x.0, step));
            x + Mask16(channel() >= step).select(lower, Self(0.0))
        };
        add_lower(add_lower(add_lower(add_lower(self, 1), 2), 4), 8)
    }

    /// The number of the last channel.
    #[inline(always)]
    pub fn last(self) -> f32 {
        ptx::shuffle_last(self.0)
    }
}

impl U32x16 {
    /// The same bits for every channel.
    #[inline(always)]
    pub fn splat(x: u32) -> Self {
        Self(x)
    }

    /// Shifted left by `N` bits.
    #[inline(always)]
    pub fn shl<const N: u32>(self) -> Self {
        Self(self.0 << N)
    }

    /// Shifted right by `N` bits, as signed numbers.
    #[inline(always)]
    pub fn sar<const N: i32>(self) -> Self {
        Self((self.0 as i32 >> N) as u32)
    }

    /// The wrapping sum.
    #[inline(always)]
    pub fn wrapping_add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// The wrapping difference.
    #[inline(always)]
    pub fn wrapping_sub(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }

    /// The bits that both have.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The signed numbers as floats.
    #[inline(always)]
    pub fn signed_to_f32(self) -> F32x16 {
        F32x16(self.0 as i32 as f32)
    }
}

impl Mask16 {
    /// The channels before `n`.
    #[inline(always)]
    pub fn first(n: usize) -> Self {
        Self(channel() < n.min(TILE) as u32)
    }

    /// The channel `i`; none if `i` is not below 16.
    #[inline(always)]
    pub fn only(i: usize) -> Self {
        Self(channel() == i.min(TILE) as u32)
    }

    /// Where both hold.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Where `self` holds and `other` does not.
    #[inline(always)]
    pub fn and_not(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Where either holds.
    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// `a` where the condition holds, else `b`.
    #[inline(always)]
    pub fn select(self, a: F32x16, b: F32x16) -> F32x16 {
        if self.0 { a } else { b }
    }

    /// The conditions as bits, channel 0 the lowest.
    #[inline(always)]
    pub fn bits(self) -> u32 {
        ptx::ballot(self.0) & 0xffff
    }
}
