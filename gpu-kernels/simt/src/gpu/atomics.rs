//! Atomic operations of lanes. No lane branches.

use core::arch::asm;

use super::address::Space;
use super::lanes::F32x32;
use super::view::View;
use super::warp_lanes::{I32x32, Mask32, U32x32};

/// Emits a predicated instruction for the space of an address.
macro_rules! predicated {
    ($address:expr, $lane_bytes:expr, $shared:expr, $global:expr, $($operands:tt)*) => {
        if $address.space == Space::Shared {
            asm!(
                "{{", ".reg .pred held;", "setp.ne.u32 held, {condition}, 0;", $shared, "}}",
                address = in(reg32) $address.shared_address(0, $lane_bytes), $($operands)*
            );
        } else {
            asm!(
                "{{", ".reg .pred held;", "setp.ne.u32 held, {condition}, 0;", $global, "}}",
                address = in(reg64) $address.global_address(0, $lane_bytes), $($operands)*
            );
        }
    };
}

macro_rules! updates {
    ($($name:ident: $lanes:ident, $operation:literal;)*) => {$(
        #[doc = concat!("Applies `red.", $operation, "` to the elements at the lanes' indices in the lanes of the mask.")]
        ///
        /// # Safety
        /// The elements lie within the array.
        #[inline(always)]
        pub unsafe fn $name(view: View, mask: Mask32, index: U32x32, x: $lanes) {
            // SAFETY: by the contract of this function, the addresses are valid.
            unsafe {
                predicated!(
                    view.0, index.0.wrapping_mul(4),
                    concat!("@held red.shared.", $operation, " [{address}], {x};"),
                    concat!("@held red.global.", $operation, " [{address}], {x};"),
                    condition = in(reg32) u32::from(mask.0), x = in(reg32) x.0, options(nostack, preserves_flags)
                );
            }
        }
    )*};
}

updates! {
    add: U32x32, "add.u32";
    min_u32: U32x32, "min.u32";
    max_u32: U32x32, "max.u32";
    min_i32: I32x32, "min.s32";
    max_i32: I32x32, "max.s32";
    and: U32x32, "and.b32";
    or: U32x32, "or.b32";
    xor: U32x32, "xor.b32";
    add_f32: F32x32, "add.f32";
}

macro_rules! fetches {
    ($($name:ident($($operand:ident),*): $operation:literal, $operands:literal;)*) => {$(
        #[doc = concat!("Applies `atom.", $operation, "` to the elements, and returns the old ones.")]
        ///
        /// # Safety
        /// The elements lie within the array.
        #[inline(always)]
        pub unsafe fn $name(view: View, mask: Mask32, index: U32x32, $($operand: U32x32),*) -> U32x32 {
            let old: u32;
            // SAFETY: by the contract of this function, the addresses are valid.
            unsafe {
                predicated!(
                    view.0, index.0.wrapping_mul(4),
                    concat!("mov.b32 {old}, 0; @held atom.shared.", $operation, " {old}, [{address}], ", $operands, ";"),
                    concat!("mov.b32 {old}, 0; @held atom.global.", $operation, " {old}, [{address}], ", $operands, ";"),
                    condition = in(reg32) u32::from(mask.0), $($operand = in(reg32) $operand.0,)* old = out(reg32) old,
                    options(nostack, preserves_flags)
                );
            }
            U32x32(old)
        }
    )*};
}

fetches! {
    fetch_add(x): "add.u32", "{x}";
    exchange(x): "exch.b32", "{x}";
    compare_exchange(expected, x): "cas.b32", "{expected}, {x}";
}
