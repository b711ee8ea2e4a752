//! The operators of lane types.

/// Implements `+ - * /` field by field, as in `lanewise!(F32x32: 0, 1)`.
macro_rules! lanewise {
    ($type:ident: $($field:tt),+) => {
        lanewise!(Add add $type: $($field),+);
        lanewise!(Sub sub $type: $($field),+);
        lanewise!(Mul mul $type: $($field),+);
        lanewise!(Div div $type: $($field),+);
    };
    ($op:ident $method:ident $type:ident: $($field:tt),+) => {
        impl core::ops::$op for $type {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self($(core::ops::$op::$method(self.$field, other.$field)),+)
            }
        }
    };
}

/// Implements the bitwise operators of a type of integer lanes, and its shifts by two expressions of a value and a number of
/// bits.
macro_rules! integer_operators {
    ($type:ident: |$x:ident, $bits:ident| $shl:expr, $shr:expr) => {
        lanewise!(BitAnd bitand $type: 0);
        lanewise!(BitOr bitor $type: 0);
        lanewise!(BitXor bitxor $type: 0);

        impl core::ops::Not for $type {
            type Output = Self;
            #[inline(always)]
            fn not(self) -> Self {
                Self(!self.0)
            }
        }

        /// Shifts left by fewer bits than a lane has.
        impl core::ops::Shl<u32> for $type {
            type Output = Self;
            #[inline(always)]
            fn shl(self, $bits: u32) -> Self {
                let $x = self.0;
                Self($shl)
            }
        }

        /// Shifts right by fewer bits than a lane has. Signed values keep their sign.
        impl core::ops::Shr<u32> for $type {
            type Output = Self;
            #[inline(always)]
            fn shr(self, $bits: u32) -> Self {
                let $x = self.0;
                Self($shr)
            }
        }
    };
}
