//! Logic, shifts and bit fields (PTX ISA, sections 9.7.1 and 9.7.8), with oracles that compute each bit separately.

use crate::case::Case;
use crate::oracle::{WIDTHS, bits_of, is_signed, value};
use crate::values::Rows;

/// Returns the value of this width in which `bit(i)` is bit `i`, counted from the lowest.
fn gather(width: u32, bit: impl Fn(u64) -> bool) -> u64 {
    (0..u64::from(width)).filter(|i| bit(*i)).fold(0, |bits, i| bits | 1 << i)
}

/// Returns whether bit `i` of `x` is set.
fn has(x: u64, i: u64) -> bool {
    i < 64 && x >> i & 1 == 1
}

/// Adds the cases of bitwise logic.
fn logic(cases: &mut Vec<Case>) {
    let binary: [(&str, fn(bool, bool) -> bool); 3] =
        [("and", |a, b| a && b), ("or", |a, b| a || b), ("xor", |a, b| a != b)];
    for (typ, register, width) in [("pred", "pred", 1), ("b16", "b16", 16), ("b32", "b32", 32), ("b64", "b64", 64)] {
        for (name, f) in binary {
            let form = format!("{name}.{typ} {register},{register},{register}");
            cases.push(Case::new(form, Rows::Integers, move |x| gather(width, |i| f(has(x[0], i), has(x[1], i)))));
        }
        let not = move |x: &[u64]| gather(width, |i| !has(x[0], i));
        cases.push(Case::new(format!("not.{typ} {register},{register}"), Rows::Integers, not));
        if width > 1 {
            let form = format!("cnot.{typ} {register},{register}");
            cases.push(Case::new(form, Rows::Integers, |x| u64::from(x[0] == 0)));
        }
    }
    for table in 0..256 {
        let lop3 = move |x: &[u64]| {
            gather(32, |i| {
                let column = u64::from(has(x[0], i)) << 2 | u64::from(has(x[1], i)) << 1 | u64::from(has(x[2], i));
                has(table, column)
            })
        };
        cases.push(Case::new("lop3.b32 b32,b32,b32,b32,const", Rows::Integers, lop3).with_constant(table));
    }
}

/// Adds the cases of shifts.
fn shifts(cases: &mut Vec<Case>) {
    for width in WIDTHS {
        let left = move |x: &[u64]| gather(width, |i| i >= x[1] && has(x[0], i - x[1]));
        cases.push(Case::new(format!("shl.b{width} b{width},b{width},b32"), Rows::Integers, left));
        for kind in ["b", "u", "s"] {
            let typ = format!("{kind}{width}");
            let form = format!("shr.{typ} b{width},b{width},b32");
            let right = move |x: &[u64]| {
                let beyond = is_signed(&typ) && has(x[0], u64::from(width) - 1);
                gather(width, |i| if i + x[1] < u64::from(width) { has(x[0], i + x[1]) } else { beyond })
            };
            cases.push(Case::new(form, Rows::Integers, right));
        }
    }
    // A funnel shift returns one half of the shifted 64-bit concatenation of both operands (section 9.7.8.7).
    let amounts: [(&str, fn(u64) -> u64); 2] = [("wrap", |c| c % 32), ("clamp", |c| c.min(32))];
    for (mode, amount) in amounts {
        let both = |x: &[u64], i: u64| if i < 32 { has(x[0], i) } else { has(x[1], i - 32) };
        let left = move |x: &[u64]| gather(32, |i| both(x, i + 32 - amount(x[2])));
        let right = move |x: &[u64]| gather(32, |i| both(x, i + amount(x[2])));
        cases.push(Case::new(format!("shf.l.{mode}.b32 b32,b32,b32,b32"), Rows::Integers, left));
        cases.push(Case::new(format!("shf.r.{mode}.b32 b32,b32,b32,b32"), Rows::Integers, right));
    }
}

/// Adds the cases of bit fields.
fn fields(cases: &mut Vec<Case>) {
    for typ in ["u32", "s32", "u64", "s64"] {
        let width = bits_of(typ);
        // Bits beyond the end of the field or of the operand are copies of the sign bit (section 9.7.1.18).
        let extract = move |x: &[u64]| {
            let (at, len, last) = (x[1] & 255, x[2] & 255, u64::from(width) - 1);
            let sign = is_signed(typ) && len > 0 && has(x[0], (at + len - 1).min(last));
            gather(width, |i| if i < len && at + i <= last { has(x[0], at + i) } else { sign })
        };
        cases.push(Case::new(format!("bfe.{typ} b{width},b{width},b32,b32"), Rows::Integers, extract));
        // `bfind` finds the highest bit that differs from the sign bit (section 9.7.1.16).
        for shift in [false, true] {
            let find = move |x: &[u64]| {
                let sign = value(typ, x[0]) < 0;
                let found = (0..u64::from(width)).rev().find(|i| has(x[0], *i) != sign);
                found.map_or(0xffff_ffff, |at| if shift { u64::from(width) - 1 - at } else { at })
            };
            let modifier = if shift { ".shiftamt" } else { "" };
            cases.push(Case::new(format!("bfind{modifier}.{typ} b32,b{width}"), Rows::Integers, find));
        }
    }
    for width in [32, 64] {
        for len in ["b32", "const"] {
            let insert = move |x: &[u64]| {
                let (at, len) = (x[2] & 255, x[3] & 255);
                gather(width, |i| if (at..at + len).contains(&i) { has(x[0], i - at) } else { has(x[1], i) })
            };
            let form = format!("bfi.b{width} b{width},b{width},b{width},b32,{len}");
            cases.push(Case::new(form, Rows::Integers, insert));
        }
        let last = u64::from(width) - 1;
        let reverse = move |x: &[u64]| gather(width, |i| has(x[0], last - i));
        cases.push(Case::new(format!("brev.b{width} b{width},b{width}"), Rows::Integers, reverse));
        let ones = move |x: &[u64]| (0..=last).filter(|i| has(x[0], *i)).count() as u64;
        cases.push(Case::new(format!("popc.b{width} b32,b{width}"), Rows::Integers, ones));
        let zeros = move |x: &[u64]| (0..=last).take_while(|i| !has(x[0], last - i)).count() as u64;
        cases.push(Case::new(format!("clz.b{width} b32,b{width}"), Rows::Integers, zeros));
    }
    // Each nibble selects one of eight bytes, or eight copies of that byte's sign bit (section 9.7.9.7).
    let permute = |x: &[u64]| {
        gather(32, |i| {
            let nibble = x[2] >> (4 * (i / 8));
            let (byte, bit) = (nibble & 7, if nibble & 8 == 0 { i % 8 } else { 7 });
            has(x[1] << 32 | x[0], 8 * byte + bit)
        })
    };
    cases.push(Case::new("prmt.b32 b32,b32,b32,b32", Rows::Integers, permute));
}

/// Adds the cases of masks, of extensions from any width, and of the search for the n-th set bit.
fn masks(cases: &mut Vec<Case>) {
    for (mode, clamps) in [("clamp", true), ("wrap", false)] {
        let amount = move |x: u64| if clamps { x.min(32) } else { x % 32 };
        let mask = move |x: &[u64]| gather(32, |i| i >= amount(x[0]) && i < amount(x[0]) + amount(x[1]));
        cases.push(Case::new(format!("bmsk.{mode}.b32 b32,b32,b32"), Rows::Integers, mask));
        for typ in ["u32", "s32"] {
            let extend = move |x: &[u64]| {
                let bits = amount(x[1]);
                let sign = typ == "s32" && bits > 0 && has(x[0], bits - 1);
                gather(32, |i| if i < bits { has(x[0], i) } else { sign })
            };
            cases.push(Case::new(format!("szext.{mode}.{typ} b32,b32,b32"), Rows::Integers, extend));
        }
    }
    let find = |x: &[u64]| {
        let (base, offset) = (x[1] as i64, i64::from(x[2] as i32));
        let step = if offset < 0 { -1 } else { 1 };
        let (mut at, mut left) = (base, offset.abs().max(1));
        while (0..32).contains(&at) {
            left -= i64::from(has(x[0], at as u64));
            if left == 0 {
                return at as u64;
            }
            if offset == 0 {
                break;
            }
            at += step;
        }
        u64::from(u32::MAX)
    };
    cases.push(Case::new("fns.b32 b32,b32,b32,b32", Rows::Integers, find));
}

/// Adds the cases of `prmt` with a mode, by the tables of section 9.7.9.7. A row has the bytes of the result, the highest
/// first, for each selector.
fn permutations(cases: &mut Vec<Case>) {
    let modes: [(&str, [[u64; 4]; 4]); 6] = [
        ("f4e", [[3, 2, 1, 0], [4, 3, 2, 1], [5, 4, 3, 2], [6, 5, 4, 3]]),
        ("b4e", [[5, 6, 7, 0], [6, 7, 0, 1], [7, 0, 1, 2], [0, 1, 2, 3]]),
        ("rc8", [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]]),
        ("ecl", [[3, 2, 1, 0], [3, 2, 1, 1], [3, 2, 2, 2], [3, 3, 3, 3]]),
        ("ecr", [[0, 0, 0, 0], [1, 1, 1, 0], [2, 2, 1, 0], [3, 2, 1, 0]]),
        ("rc16", [[1, 0, 1, 0], [3, 2, 3, 2], [1, 0, 1, 0], [3, 2, 3, 2]]),
    ];
    for (mode, table) in modes {
        let permute = move |x: &[u64]| {
            gather(32, |i| {
                let byte = table[(x[2] & 3) as usize][3 - i as usize / 8];
                has(x[1] << 32 | x[0], 8 * byte + i % 8)
            })
        };
        cases.push(Case::new(format!("prmt.b32.{mode} b32,b32,b32,b32"), Rows::Integers, permute));
    }
}

/// Returns all cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    logic(&mut cases);
    masks(&mut cases);
    permutations(&mut cases);
    shifts(&mut cases);
    fields(&mut cases);
    cases
}
