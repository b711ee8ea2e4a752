//! Video instructions (PTX ISA, section 9.7.18), logic with a predicate, and registers of 128 bits and of vectors.

use crate::case::cut;
use crate::driver::{Driver, THREADS};
use crate::values::{Rows, rows};

/// Checks a body that computes the word `%x` from the row's words `%a`, `%b` and `%c`.
#[track_caller]
fn check_word(driver: &Driver, body: &str, f: impl Fn(u64, u64, u64) -> u64) {
    let ptx = format!(
        ".version 8.3\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 from, .param .u64 to)\n{{\n\
         .reg .b64 %at, %to, %i, %l, %h; .reg .b32 %t, %u, %a, %b, %c, %x, %y; .reg .pred %p, %q; .reg .b128 %w, %v;\n\
         .reg .v4 .b32 %g;\n\
         mov.u32 %t, %ctaid.x; mov.u32 %u, %tid.x; mad.lo.u32 %t, %t, {THREADS}, %u; ld.param.u64 %at, [from];\n\
         mul.wide.u32 %i, %t, 32; add.u64 %at, %at, %i; ld.param.u64 %to, [to]; mul.wide.u32 %i, %t, 8; add.u64 %to, %to, %i;\n\
         ld.global.b32 %a, [%at]; ld.global.b32 %b, [%at+8]; ld.global.b32 %c, [%at+16];\n\
         {body}\nst.global.b32 [%to], %x;\nret;\n}}\n"
    );
    let all = rows(Rows::Integers);
    for (row, found) in all.iter().zip(driver.map(&ptx, all)) {
        let [a, b, c] = [0, 1, 2].map(|i| cut(row[i], 32));
        assert_eq!(cut(found, 32), cut(f(a, b, c), 32), "{a:#x} {b:#x} {c:#x}\n{body}");
    }
}

/// Returns the value of the part of a word from bit `at` on.
fn part(word: u64, at: u32, bits: u32, signed: bool) -> i64 {
    let value = cut(word >> at, bits) as i64;
    if signed && value >> (bits - 1) == 1 { value - (1 << bits) } else { value }
}

/// Returns the nearest value that a type of some bits has.
fn clamp(value: i64, bits: u32, signed: bool) -> i64 {
    if signed { value.max(-(1 << (bits - 1))).min((1 << (bits - 1)) - 1) } else { value.max(0).min((1 << bits) - 1) }
}

type Operation = (&'static str, fn(i64, i64) -> i64);

const OPERATIONS: [Operation; 5] = [
    ("vadd", |a, b| a + b),
    ("vsub", |a, b| a - b),
    ("vabsdiff", |a, b| if a > b { a - b } else { b - a }),
    ("vmin", |a, b| if a < b { a } else { b }),
    ("vmax", |a, b| if a > b { a } else { b }),
];

/// Runs the video instructions on whole registers and on selected parts.
fn scalar_video(driver: &Driver) {
    for (name, f) in OPERATIONS {
        for (d, a, b) in [(false, false, false), (true, true, true), (true, false, true), (false, true, false)] {
            let types = [d, a, b].map(|signed| if signed { "s32" } else { "u32" }).join(".");
            let value = move |x: u64, y: u64| f(part(x, 0, 32, a), part(y, 0, 32, b));
            check_word(driver, &format!("{name}.{types} %x, %a, %b;"), |x, y, _| value(x, y) as u64);
            check_word(driver, &format!("{name}.{types}.sat %x, %a, %b;"), |x, y, _| clamp(value(x, y), 32, d) as u64);
            check_word(driver, &format!("{name}.{types}.add %x, %a, %b, %c;"), |x, y, z| {
                (value(x, y) as u64).wrapping_add(z)
            });
            let selected = move |x: u64, y: u64| f(part(x, 8, 8, a), part(y, 16, 16, b));
            let body = format!("{name}.{types}.max %x, %a.b1, %b.h1, %c;");
            check_word(driver, &body, |x, y, z| {
                let result = part(selected(x, y) as u64, 0, 32, d);
                result.max(part(z, 0, 32, d)) as u64
            });
            check_word(driver, &format!("{name}.{types}.sat %x.b2, %a.b1, %b.h1, %c;"), |x, y, z| {
                z & !0xff_0000 | cut(clamp(selected(x, y), 8, d) as u64, 8) << 16
            });
        }
    }
    check_word(driver, "vset.u32.s32.lt %x, %a, %b;", |a, b, _| {
        u64::from(part(a, 0, 32, false) < part(b, 0, 32, true))
    });
    check_word(driver, "vset.s32.s32.ge.add %x, %a.h0, %b.h1, %c;", |a, b, c| {
        u64::from(part(a, 0, 16, true) >= part(b, 16, 16, true)) + c
    });
    check_word(driver, "vshl.u32.u32.u32.clamp %x, %a, %b;", |a, b, _| if b >= 32 { 0 } else { a << b });
    check_word(driver, "vshr.s32.s32.u32.wrap %x, %a, %b;", |a, b, _| (part(a, 0, 32, true) >> (b % 32)) as u64);
    check_word(driver, "vmad.s32.s32.s32.sat.shr7 %x, %a.h0, %b.h1, %c;", |a, b, c| {
        let sum = part(a, 0, 16, true) * part(b, 16, 16, true) + part(c, 0, 32, true);
        clamp(sum.div_euclid(128), 32, true) as u64
    });
    check_word(driver, "vmad.u32.u32.u32.po %x, %a.b3, %b.h0, %c;", |a, b, c| (a >> 24) * cut(b, 16) + c + 1);
}

/// Runs the video instructions on two and four parts.
fn packed_video(driver: &Driver) {
    let average: Operation =
        ("vavrg", |a, b| if a + b >= 0 { (a + b + 1).div_euclid(2) } else { (a + b).div_euclid(2) });
    for (name, f) in OPERATIONS.into_iter().chain([average]) {
        for (count, bits) in [(2, 16), (4, 8)] {
            for (typ, signed) in [("u32", false), ("s32", true)] {
                let opcode = format!("{name}{count}.{typ}.{typ}.{typ}");
                let value =
                    move |x: u64, y: u64, i: u32| f(part(x, i * bits, bits, signed), part(y, i * bits, bits, signed));
                let all = move |each: &dyn Fn(u32) -> i64| {
                    (0..count).map(|i| cut(each(i) as u64, bits) << (i * bits)).sum::<u64>()
                };
                check_word(driver, &format!("{opcode} %x, %a, %b, %c;"), |x, y, _| all(&|i| value(x, y, i)));
                check_word(driver, &format!("{opcode}.sat %x, %a, %b, %c;"), |x, y, _| {
                    all(&|i| clamp(value(x, y, i), bits, signed))
                });
                check_word(driver, &format!("{opcode}.add %x, %a, %b, %c;"), |x, y, z| {
                    (0..count).fold(z, |sum, i| sum.wrapping_add(value(x, y, i) as u64))
                });
            }
        }
    }
    check_word(driver, "vset4.u32.u32.gt %x, %a, %b, %c;", |a, b, _| {
        (0..4).map(|i| u64::from(part(a, 8 * i, 8, false) > part(b, 8 * i, 8, false)) << (8 * i)).sum()
    });
    // The parts of `%b` have the numbers from 4 on. Only bytes 0 and 2 of the result are written.
    check_word(driver, "vadd4.u32.u32.u32 %x.b20, %a.b7123, %b.b4567, %c;", |a, b, c| {
        let byte = |word: u64, i: u32| cut(word >> (8 * i), 8);
        let low = cut(byte(a, 3) + byte(b, 3), 8);
        let high = cut(byte(a, 1) + byte(b, 1), 8);
        c & 0xff00_ff00 | low | high << 16
    });
    check_word(driver, "vsub2.s32.s32.s32 %x, %a.h01, %b.h10, %c;", |a, _, _| {
        let half = |word: u64, i: u32| cut(word >> (16 * i), 16);
        cut(half(a, 1).wrapping_sub(half(a, 0)), 16) | cut(half(a, 0).wrapping_sub(half(a, 1)), 16) << 16
    });
}

/// Runs logic that combines its result with a predicate.
fn logic(driver: &Driver) {
    for (name, combine) in
        [("or", (|p, q| p | q) as fn(bool, bool) -> bool), ("and", |p, q| p & q), ("xor", |p, q| p ^ q)]
    {
        for negated in [false, true] {
            let body = format!(
                "setp.lt.u32 %q, %b, %c; lop3.{name}.b32 %x|%p, %a, %b, %c, 0xe8, {}%q; selp.b32 %y, 1, 0, %p;\n\
                 xor.b32 %x, %x, %y;",
                if negated { "!" } else { "" }
            );
            check_word(driver, &body, |a, b, c| {
                let majority = a & b | a & c | b & c;
                majority ^ u64::from(combine(majority != 0, (b < c) != negated))
            });
        }
    }
}

/// Runs moves, loads and stores of registers of 128 bits and of vectors.
fn wide_registers(driver: &Driver) {
    let through_memory = "mov.b64 %l, {%a, %b}; mov.b64 %h, {%c, %a}; mov.b128 %w, {%l, %h}; mov.b128 %v, %w;
        st.global.b128 [%at], %v; ld.global.b128 %w, [%at]; mov.b128 {%l, %h}, %w; mov.b64 {%x, %y}, %l;
        mad.lo.u32 %x, %x, 3, %y; mov.b64 {%a, %b}, %h; mad.lo.u32 %x, %x, 5, %a; mad.lo.u32 %x, %x, 7, %b;";
    check_word(driver, through_memory, |a, b, c| {
        let sum = a.wrapping_mul(3).wrapping_add(b).wrapping_mul(5).wrapping_add(c);
        sum.wrapping_mul(7).wrapping_add(a)
    });
    let vector = "mov.b32 %g.x, %a; mov.b32 %g.y, %b; mov.b32 %g.z, %c; mov.b32 %g.w, 9; st.global.v4.b32 [%at], %g;
        ld.global.v4.b32 {%x, %y, %a, %b}, [%at]; mad.lo.u32 %x, %x, 3, %y; mad.lo.u32 %x, %x, %b, %a;";
    check_word(driver, vector, |a, b, c| a.wrapping_mul(3).wrapping_add(b).wrapping_mul(9).wrapping_add(c));
}

/// Runs all kernels of this file.
pub fn check(driver: &Driver) {
    scalar_video(driver);
    packed_video(driver);
    logic(driver);
    wide_registers(driver);
}
