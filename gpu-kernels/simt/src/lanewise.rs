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
