//! Atomic operations of lanes. No lane branches.

use core::arch::asm;

use super::address::Space as StateSpace;
use super::view::View;
use super::warp_lanes::{Mask32, U32x32};
use super::wide_lanes::U64x32;
use crate::space::Space;

/// Emits a predicated instruction for the space of a view, with the address of the element at the lane's index.
macro_rules! predicated {
    ($view:expr, $mask:expr, $lane_bytes:expr, $before:expr, $opcode:literal, $operation:expr, $($operands:tt)*) => {
        let (address, lane_bytes) = ($view.0, $lane_bytes);
        if address.space == StateSpace::Shared {
            predicated!(@emit $before, $opcode, "shared", $operation,
                reg32 address.shared_address(0, lane_bytes), $mask, $($operands)*);
        } else {
            predicated!(@emit $before, $opcode, "global", $operation,
                reg64 address.global_address(0, lane_bytes), $mask, $($operands)*);
        }
    };
    (@emit
        $before:expr, $opcode:literal, $space:literal, $operation:expr, $class:ident $address:expr, $mask:expr,
        $($operands:tt)*
    ) => {
        // SAFETY: by the contract of the operation, the address is valid.
        unsafe {
            asm!(
                "{{", ".reg .pred held;", "setp.ne.u32 held, {condition}, 0;", $before,
                concat!("@held ", $opcode, ".", $space, ".", $operation, ";"), "}}",
                condition = in(reg32) u32::from($mask.0), address = in($class) $address, $($operands)*
                options(nostack, preserves_flags)
            )
        }
    };
}

macro_rules! updates {
    ($lanes:ident, $class:ident, $bytes:literal: $($name:ident: $operation:literal;)*) => {$(
        #[doc = concat!("Applies `red.", $operation, "` to the elements at the lanes' indices in the lanes of the mask.")]
        ///
        /// # Safety
        /// The elements lie within the array.
        #[inline(always)]
        pub unsafe fn $name<S: Space>(view: View, mask: Mask32, index: U32x32, x: $lanes) {
            predicated!(
                view, mask, index.0.wrapping_mul($bytes), "", "red", concat!($operation, " [{address}], {x}"),
                x = in($class) x.0,
            );
        }
    )*};
}

updates! {
    U32x32, reg32, 4:
    add_u32: "add.u32";
    min_u32: "min.u32";
    max_u32: "max.u32";
    min_i32: "min.s32";
    max_i32: "max.s32";
    and_u32: "and.b32";
    or_u32: "or.b32";
    xor_u32: "xor.b32";
    add_f32: "add.f32";
}

updates! {
    U64x32, reg64, 8:
    add_u64: "add.u64";
    min_u64: "min.u64";
    max_u64: "max.u64";
    and_u64: "and.b64";
    or_u64: "or.b64";
    xor_u64: "xor.b64";
    add_f64: "add.f64";
}

macro_rules! fetches {
    ($lanes:ident, $bits:ident, $class:ident, $bytes:literal, $zero:literal: $(
        $name:ident($($operand:ident),*): $operation:literal, $operands:literal;
    )*) => {$(
        #[doc = concat!("Applies `atom.", $operation, "` to the elements at the lanes' indices in the lanes of the mask.")]
        /// Returns the old elements, or zero in the other lanes.
        ///
        /// # Safety
        /// The elements lie within the array.
        #[inline(always)]
        pub unsafe fn $name<S: Space>(view: View, mask: Mask32, index: U32x32, $($operand: $lanes),*) -> $lanes {
            let old: $bits;
            predicated!(
                view, mask, index.0.wrapping_mul($bytes), $zero, "atom",
                concat!($operation, " {old}, [{address}], ", $operands),
                $($operand = in($class) $operand.0,)* old = out($class) old,
            );
            $lanes(old)
        }
    )*};
}

fetches! {
    U32x32, u32, reg32, 4, "mov.b32 {old}, 0;":
    fetch_add_u32(x): "add.u32", "{x}";
    exchange_u32(x): "exch.b32", "{x}";
    compare_exchange_u32(expected, x): "cas.b32", "{expected}, {x}";
}

fetches! {
    U64x32, u64, reg64, 8, "mov.b64 {old}, 0;":
    fetch_add_u64(x): "add.u64", "{x}";
    exchange_u64(x): "exch.b64", "{x}";
    compare_exchange_u64(expected, x): "cas.b64", "{expected}, {x}";
}
