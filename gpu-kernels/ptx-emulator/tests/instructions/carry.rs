//! Chains of instructions with a carry (PTX ISA, section 9.7.2), against sums and products of integers that are wide
//! enough to be exact.

use crate::case::cut;
use crate::driver::{Driver, THREADS};
use crate::oracle::{bits_of, value};
use crate::values::{Rows, rows};

/// Returns the kernel that runs `chain` on the row's first three values `%a`, `%b` and `%c`, and writes `result`.
fn kernel(typ: &str, chain: &str, result: &str) -> String {
    let bits = bits_of(typ);
    format!(
        ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 from, .param .u64 to)\n{{\n\
         .reg .b64 %at, %to, %i; .reg .b32 %t, %u; .reg .b{bits} %a, %b, %c, %x, %y, %z;\n\
         mov.u32 %t, %ctaid.x; mov.u32 %u, %tid.x; mad.lo.u32 %t, %t, {THREADS}, %u; ld.param.u64 %at, [from];\n\
         mul.wide.u32 %i, %t, 32; add.u64 %at, %at, %i; ld.param.u64 %to, [to]; mul.wide.u32 %i, %t, 8; add.u64 %to, %to, %i;\n\
         ld.global.b{bits} %a, [%at]; ld.global.b{bits} %b, [%at+8]; ld.global.b{bits} %c, [%at+16];\n\
         {chain}\nst.global.b{bits} [%to], {result};\nret;\n}}\n"
    )
}

/// A chain, and the results in `%x`, `%y` and `%z`, as a function of the three values and the width.
type Chain = (&'static str, fn([i128; 3], u32) -> [i128; 3]);

/// Returns whether a sum of unsigned values exceeds the width.
fn carry(sum: i128, bits: u32) -> i128 {
    sum >> bits
}

/// The chains. In each, the second instruction reads and writes the carry, and the third one only reads it.
const CHAINS: [Chain; 3] = [
    ("add.cc.T %x, %a, %b; addc.cc.T %y, %b, %c; addc.T %z, %a, 0;", |[a, b, c], bits| {
        let second = b + c + carry(a + b, bits);
        [a + b, second, a + carry(second, bits)]
    }),
    ("sub.cc.T %x, %a, %b; subc.cc.T %y, %b, %c; subc.T %z, %a, 0;", |[a, b, c], _| {
        let second = b - c - i128::from(a < b);
        [a - b, second, a - i128::from(second < 0)]
    }),
    ("mad.lo.cc.T %x, %a, %b, %c; madc.hi.cc.T %y, %a, %b, %c; madc.lo.T %z, %b, 0, %c;", |[a, b, c], bits| {
        // 64-bit products exceed 127 bits, so both halves come from parts.
        let (high, low) = product(a, b, bits);
        let second = high + c + carry(low + c, bits);
        [low + c, second, c + carry(second, bits)]
    }),
];

/// Returns the upper and the lower half of a product, by halves of the first factor.
fn product(a: i128, b: i128, bits: u32) -> (i128, i128) {
    let half = bits / 2;
    let (a_high, a_low, mask) = (a >> half, a & ((1 << half) - 1), (1i128 << bits) - 1);
    let low = a_low * b;
    let middle = a_high * b + (low >> half);
    (middle >> half, (middle << half | low & ((1 << half) - 1)) & mask)
}

/// Runs every chain.
pub fn check(driver: &Driver) {
    for (chain, f) in CHAINS {
        for typ in ["u32", "u64"] {
            for (i, result) in ["%x", "%y", "%z"].into_iter().enumerate() {
                let ptx = kernel(typ, &chain.replace('T', typ), result);
                let found = driver.map(&ptx, rows(Rows::Integers));
                for (row, found) in rows(Rows::Integers).iter().zip(found) {
                    let values = [0, 1, 2].map(|at| value(typ, row[at]));
                    let expected = cut(f(values, bits_of(typ))[i] as u64, bits_of(typ));
                    assert_eq!(cut(found, bits_of(typ)), expected, "{result} of {values:#x?}\n{ptx}");
                }
            }
        }
    }
    signed_high(driver);
}

/// Checks the upper half of a signed product, which differs from that of an unsigned one.
fn signed_high(driver: &Driver) {
    let ptx = kernel("s32", "mad.hi.cc.s32 %x, %a, %b, %c; madc.hi.s32 %x, %x, 0, 0;", "%x");
    for (row, found) in rows(Rows::Integers).iter().zip(driver.map(&ptx, rows(Rows::Integers))) {
        let high = (value("s32", row[0]) * value("s32", row[1])) >> 32;
        let expected = carry(value("u32", cut(high as u64, 32)) + value("u32", row[2]), 32);
        assert_eq!(i128::from(cut(found, 32)), expected, "{row:#x?}\n{ptx}");
    }
}
