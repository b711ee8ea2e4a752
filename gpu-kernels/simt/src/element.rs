//! The types of the elements of arrays.

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::half;
use crate::lanes::Lanes;
use backend::{F32x32, F64x32, I32x32, U32x32, U64x32, W16, W32, W64, Word};

/// The type of an element of an array: `f32`, `u32`, `i32`, `f64`, `u64`, [`F16`] or [`Bf16`].
pub trait Element: Copy + Send + Sync + sealed::Sealed {
    /// The values of a warp's lanes.
    type Lanes: Lanes;

    /// The element's bits in memory.
    #[doc(hidden)]
    type Word: Word;

    /// Returns the values with these bits.
    #[doc(hidden)]
    fn from_word(bits: <Self::Word as Word>::Lanes) -> Self::Lanes;

    /// Returns the bits of the values.
    #[doc(hidden)]
    fn to_word(values: Self::Lanes) -> <Self::Word as Word>::Lanes;
}

/// The value of one lane, which is the same in all lanes of a warp.
pub type Scalar<E> = <<E as Element>::Lanes as Lanes>::Scalar;

/// A float of 16 bits with 5 bits of exponent, IEEE's binary16, as an element of an array. A kernel computes with `f32`.
/// A store rounds to nearest, ties to even.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct F16(pub u16);

/// A float of 16 bits with 8 bits of exponent, the upper half of an `f32`, as an element of an array. A kernel computes
/// with `f32`. A store rounds to nearest, ties to even.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

macro_rules! elements {
    ($($element:ident: $lanes:ident, $word:ident, $from:expr, $to:expr;)*) => {
        mod sealed {
            pub trait Sealed {}
            $(impl Sealed for super::$element {})*
        }

        $(impl Element for $element {
            type Lanes = $lanes;
            type Word = $word;

            #[inline(always)]
            fn from_word(bits: <$word as Word>::Lanes) -> $lanes {
                $from(bits)
            }

            #[inline(always)]
            fn to_word(values: $lanes) -> <$word as Word>::Lanes {
                $to(values)
            }
        })*
    };
}

// The macro's module `sealed` names the primitive types through these.
use core::primitive::{f32, f64, i32, u32, u64};

elements! {
    f32: F32x32, W32, F32x32::from_bits, F32x32::to_bits;
    i32: I32x32, W32, U32x32::to_i32, I32x32::to_u32;
    u32: U32x32, W32, U32x32::from, U32x32::from;
    f64: F64x32, W64, F64x32::from_bits, F64x32::to_bits;
    u64: U64x32, W64, U64x32::from, U64x32::from;
    F16: F32x32, W16, half::from_f16, half::to_f16;
    Bf16: F32x32, W16, half::from_bf16, half::to_bf16;
}
