//! Integer arithmetic (PTX ISA, section 9.7.1).

use super::forms::{Table, typed_forms};

/// Adds the forms of integer arithmetic.
pub(super) fn forms(table: &mut Table) {
    typed_forms! { table, (T, Wide) in [(u16, u32) (s16, i32) (u32, u64) (s32, i64) (u64, u128) (s64, i128)] {
        "add" => T::wrapping_add,
        "sub" => T::wrapping_sub,
        "mul.lo" => T::wrapping_mul,
        "mul.hi" => |a: T, b: T| ((Wide::from(a) * Wide::from(b)) >> T::BITS) as T,
        "mad.lo" => |a: T, b: T, c: T| a.wrapping_mul(b).wrapping_add(c),
        "mad.hi" => |a: T, b: T, c: T| (((Wide::from(a) * Wide::from(b)) >> T::BITS) as T).wrapping_add(c),
        // Division by zero gives an unspecified value (section 9.7.1.7). GPUs give all ones.
        "div" => |a: T, b: T| if b == 0 { !0 } else { a.wrapping_div(b) },
        // The remainder by zero is unspecified as well (section 9.7.1.8). Here it is the dividend.
        "rem" => |a: T, b: T| if b == 0 { a } else { a.wrapping_rem(b) },
        "min" => <T as Ord>::min,
        "max" => <T as Ord>::max,
    } }
    typed_forms! { table, (T, Wide) in [(u16, u32) (s16, i32) (u32, u64) (s32, i64)] {
        "mul.wide" => |a: T, b: T| Wide::from(a) * Wide::from(b),
        "mad.wide" => |a: T, b: T, c: Wide| (Wide::from(a) * Wide::from(b)).wrapping_add(c),
    } }
    typed_forms! { table, T in [s16 s32 s64] {
        "neg" => T::wrapping_neg,
        "abs" => T::wrapping_abs,
    } }
    // Saturation is for `.s32` alone (sections 9.7.1.1 and 9.7.1.2).
    table.lanes("add.sat.s32", i32::saturating_add);
    table.lanes("sub.sat.s32", i32::saturating_sub);
}
