//! Each arithmetic instruction against exact results: edge values, and many others. The oracles are the processor's IEEE
//! operations, or whole numbers wide enough to be exact.
#![allow(
    clippy::precedence,
    clippy::float_cmp,
    clippy::neg_cmp_op_on_partial_ord,
    reason = "oracles read like the manual"
)]
#![allow(clippy::cast_lossless, clippy::type_complexity, reason = "a table of one-line oracles")]

mod driver;

use driver::Driver;

/// Zeros, denormals, the ends of the range, halves, infinities and what is not a number, with both signs.
fn float_edges() -> Vec<u64> {
    let positive =
        [0, 1, 0x7f_ffff, 0x80_0000, 0x80_0001, 0x7f7f_ffff, 0x7f80_0000, 0x7fc0_0000, 0x7f80_0001, 0x7fff_ffff];
    let plain =
        [0.5f32, 1.0, 1.5, 2.5, 3.0, 0.1, 1e-20, 1e20, 16_777_217.0, 2_147_483_648.0, 4_294_967_296.0, 0.499_999_97];
    let all = positive.into_iter().chain(plain.map(f32::to_bits));
    all.flat_map(|bits| [u64::from(bits), u64::from(bits | 0x8000_0000)]).collect()
}

fn whole_edges() -> Vec<u64> {
    let ends = [
        0,
        1,
        2,
        3,
        7,
        31,
        32,
        33,
        63,
        64,
        65,
        255,
        256,
        0x7fff,
        0x8000,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
    ];
    let wide = [0x1_0000_0000, i64::MAX as u64, 1 << 63, u64::MAX, 0x0123_4567_89ab_cdef, 0xdead_beef_cafe_f00d];
    ends.into_iter().chain(wide).collect()
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }
}

/// All pairs of edges, the third operand one more of them in turn, and random rows.
fn rows(edges: &[u64], random: usize) -> Vec<[u64; 3]> {
    let mut generator = Random(7);
    let pairs = edges.iter().flat_map(|a| edges.iter().map(move |b| [*a, *b]));
    let edged = pairs.enumerate().map(|(i, [a, b])| [a, b, edges[(i / 7 + i) % edges.len()]]);
    let mut rows: Vec<_> = edged.collect();
    rows.extend((0..random).map(|_| [generator.next(), generator.next(), generator.next()]));
    rows
}

#[track_caller]
fn check(driver: &Driver, instruction: &str, bits: [u32; 4], rows: &[[u64; 3]], oracle: impl Fn(u64, u64, u64) -> u64) {
    let cut = |i: usize, value: u64| if bits[i] == 64 { value } else { value & ((1 << bits[i]) - 1) };
    for (row, found) in rows.iter().zip(driver.map(instruction, bits, rows)) {
        let [a, b, c] = [cut(1, row[0]), cut(2, row[1]), cut(3, row[2])];
        let expected = cut(0, oracle(a, b, c));
        assert_eq!(cut(0, found), expected, "{instruction} a={a:#x} b={b:#x} c={c:#x}: {found:#x}, not {expected:#x}");
    }
}

const W: [u32; 4] = [32; 4];
const L: [u32; 4] = [64; 4];

fn float(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

/// The bits of a result; what is not a number has one pattern.
fn bits(x: f32) -> u64 {
    u64::from(if x.is_nan() { 0x7fff_ffff } else { x.to_bits() })
}

fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

fn floats(d: &Driver) {
    let rows = rows(&float_edges(), 2000);
    check(d, "add.rn.f32 %d, %a, %b;", W, &rows, |a, b, _| bits(float(a) + float(b)));
    check(d, "sub.rn.f32 %d, %a, %b;", W, &rows, |a, b, _| bits(float(a) - float(b)));
    check(d, "mul.rn.f32 %d, %a, %b;", W, &rows, |a, b, _| bits(float(a) * float(b)));
    check(d, "div.rn.f32 %d, %a, %b;", W, &rows, |a, b, _| bits(float(a) / float(b)));
    check(d, "fma.rn.f32 %d, %a, %b, %c;", W, &rows, |a, b, c| bits(float(a).mul_add(float(b), float(c))));
    check(d, "sqrt.rn.f32 %d, %a;", W, &rows, |a, _, _| bits(float(a).sqrt()));
    check(d, "rcp.rn.f32 %d, %a;", W, &rows, |a, _, _| bits(1.0 / float(a)));
    check(d, "add.rn.ftz.f32 %d, %a, %b;", W, &rows, |a, b, _| bits(flush(flush(float(a)) + flush(float(b)))));
    check(d, "mul.rn.ftz.f32 %d, %a, %b;", W, &rows, |a, b, _| bits(flush(flush(float(a)) * flush(float(b)))));
    let sat = |x: f32| bits(if x > 0.0 { x.min(1.0) } else { 0.0 });
    check(d, "add.rn.sat.f32 %d, %a, %b;", W, &rows, |a, b, _| sat(float(a) + float(b)));
    let number = |f: fn(f32, f32) -> f32, tie: fn(u32, u32) -> u32| {
        move |a: u64, b: u64, _: u64| {
            let (x, y) = (float(a), float(b));
            if x == y { u64::from(tie(a as u32, b as u32)) } else { bits(f(x, y)) }
        }
    };
    // Of zeros, -0 is the smaller.
    check(d, "min.f32 %d, %a, %b;", W, &rows, number(f32::min, |a, b| a | b));
    check(d, "max.f32 %d, %a, %b;", W, &rows, number(f32::max, |a, b| a & b));
    check(d, "setp.lt.f32 %p, %a, %b; selp.b32 %d, 1, 0, %p;", W, &rows, |a, b, _| u64::from(float(a) < float(b)));
    check(d, "setp.geu.f32 %p, %a, %b; selp.b32 %d, 1, 0, %p;", W, &rows, |a, b, _| u64::from(!(float(a) < float(b))));
    check(d, "setp.neu.f32 %p|%q, %a, %b; selp.b32 %d, 1, 0, %q;", W, &rows, |a, b, _| u64::from(float(a) == float(b)));
    check(d, "setp.nan.f32 %p, %a, %b; selp.b32 %d, 1, 0, %p;", W, &rows, |a, b, _| {
        u64::from(float(a).is_nan() || float(b).is_nan())
    });
}

/// A number as a multiple of 2^-40; those of the test below fit.
fn scaled(x: f32) -> i128 {
    (f64::from(x) * (1u64 << 40) as f64) as i128
}

/// Whether `r` is `exact / 2^80` rounded by the mode.
fn rounded(mode: &str, r: f32, exact: i128) -> bool {
    let at = |x: f32| scaled(x) << 40;
    match mode {
        "rm" => at(r) <= exact && at(r.next_up()) > exact,
        "rp" => at(r) >= exact && at(r.next_down()) < exact,
        "rz" => at(r).abs() <= exact.abs() && at(r.abs().next_up()) > exact.abs(),
        _ => {
            let off = |x: f32| (at(x) - exact).abs();
            let even = r.to_bits() & 1 == 0;
            [r.next_up(), r.next_down()].iter().all(|n| off(r) < off(*n) || off(r) == off(*n) && even)
        }
    }
}

/// Every rounding mode of sums, products and both in one, against whole numbers of 128 bits.
fn roundings(d: &Driver) {
    let mut generator = Random(3);
    // Numbers of 12 bits between 1/16 and 16, whose neighbours are multiples of 2^-40 too.
    let mut number = || {
        u64::from(
            ((generator.next() % 8192) as f32 / 512.0 + 0.0625).copysign(generator.next() as i64 as f32).to_bits()
                & 0xffff_ff00
                | 0x55,
        )
    };
    let rows: Vec<[u64; 3]> = (0..3000).map(|_| [number(), number(), number()]).collect();
    for mode in ["rn", "rz", "rm", "rp"] {
        let lines: [(&str, fn(f32, f32, f32) -> i128); 3] = [
            ("add.MODE.f32 %d, %a, %b;", |a, b, _| (scaled(a) + scaled(b)) << 40),
            ("mul.MODE.f32 %d, %a, %b;", |a, b, _| scaled(a) * scaled(b)),
            ("fma.MODE.f32 %d, %a, %b, %c;", |a, b, c| scaled(a) * scaled(b) + (scaled(c) << 40)),
        ];
        for (line, exact) in lines {
            let line = line.replace("MODE", mode);
            for (row, found) in rows.iter().zip(d.map(&line, W, &rows)) {
                let [a, b, c] = row.map(float);
                let exact = exact(a, b, c);
                // Cancellation leaves numbers whose neighbours are no multiples of 2^-40.
                if exact.abs() > 1 << 72 {
                    assert!(rounded(mode, float(found), exact), "{line} {a:e} {b:e} {c:e}: {:e}", float(found));
                }
            }
        }
    }
}

fn wholes(d: &Driver) {
    let rows = rows(&whole_edges(), 1000);
    let s = |x: u64| i128::from(x as u32 as i32);
    check(d, "add.s32 %d, %a, %b;", W, &rows, |a, b, _| a + b);
    check(d, "sub.s64 %d, %a, %b;", L, &rows, u64_op(u64::wrapping_sub));
    check(d, "mul.lo.s32 %d, %a, %b;", W, &rows, |a, b, _| a * b);
    check(d, "mul.hi.u32 %d, %a, %b;", W, &rows, |a, b, _| a * b >> 32);
    check(d, "mul.hi.s32 %d, %a, %b;", W, &rows, move |a, b, _| (s(a) * s(b) >> 32) as u64);
    check(d, "mul.hi.u64 %d, %a, %b;", L, &rows, |a, b, _| (u128::from(a) * u128::from(b) >> 64) as u64);
    check(d, "mul.wide.s32 %d, %a, %b;", [64, 32, 32, 32], &rows, move |a, b, _| (s(a) * s(b)) as u64);
    check(d, "mul.wide.u16 %d, %a, %b;", [32, 16, 16, 32], &rows, |a, b, _| a * b);
    check(d, "mad.lo.u32 %d, %a, %b, %c;", W, &rows, |a, b, c| (a * b).wrapping_add(c));
    check(d, "mad.wide.u32 %d, %a, %b, %c;", [64, 32, 32, 64], &rows, |a, b, c| (a * b).wrapping_add(c));
    let divisible: Vec<_> = rows.iter().filter(|row| row[1] as u32 != 0).copied().collect();
    check(d, "div.u32 %d, %a, %b;", W, &divisible, |a, b, _| a / b);
    check(d, "rem.u64 %d, %a, %b;", L, &divisible, |a, b, _| a % b);
    check(d, "div.s32 %d, %a, %b;", W, &divisible, move |a, b, _| (s(a) / s(b)) as u64);
    check(d, "rem.s32 %d, %a, %b;", W, &divisible, move |a, b, _| (s(a) % s(b)) as u64);
    check(d, "min.s32 %d, %a, %b;", W, &rows, move |a, b, _| s(a).min(s(b)) as u64);
    check(d, "max.u64 %d, %a, %b;", L, &rows, u64_op(u64::max));
    check(d, "abs.s32 %d, %a;", W, &rows, move |a, _, _| s(a).unsigned_abs() as u64);
    check(d, "setp.lt.s32 %p, %a, %b; selp.b32 %d, 1, 0, %p;", W, &rows, move |a, b, _| u64::from(s(a) < s(b)));
    check(d, "setp.hi.u32 %p, %a, %b; selp.b32 %d, 1, 0, %p;", W, &rows, |a, b, _| u64::from(a > b));
}

fn u64_op(f: fn(u64, u64) -> u64) -> impl Fn(u64, u64, u64) -> u64 {
    move |a, b, _| f(a, b)
}

fn bit_fields(d: &Driver) {
    let rows = rows(&whole_edges(), 1000);
    let shift = [64, 64, 32, 32];
    check(d, "shl.b32 %d, %a, %b;", W, &rows, |a, b, _| if b > 31 { 0 } else { a << b });
    check(d, "shr.u64 %d, %a, %b;", shift, &rows, |a, b, _| if b > 63 { 0 } else { a >> b });
    check(d, "shr.s64 %d, %a, %b;", shift, &rows, |a, b, _| (a as i64 >> b.min(63)) as u64);
    check(d, "shf.l.wrap.b32 %d, %a, %b, %c;", W, &rows, |a, b, c| (b << 32 | a) << (c & 31) >> 32);
    check(d, "shf.r.clamp.b32 %d, %a, %b, %c;", W, &rows, |a, b, c| (b << 32 | a) >> c.min(32));
    // Bit by bit, as section 9.7.1.18 of the manual has it.
    let extract = |a: u64, at: u64, len: u64, width: u64, signed: bool| {
        let (at, len) = (at & 255, len & 255);
        let sign = signed && len > 0 && a >> (at + len - 1).min(width - 1) & 1 == 1;
        (0..width)
            .filter(|i| if *i < len && at + i < width { a >> (at + i) & 1 == 1 } else { sign })
            .fold(0, |d, i| d | 1 << i)
    };
    check(d, "bfe.u32 %d, %a, %b, %c;", W, &rows, move |a, b, c| extract(a, b, c, 32, false));
    check(d, "bfe.s32 %d, %a, %b, %c;", W, &rows, move |a, b, c| extract(a, b, c, 32, true));
    check(d, "bfe.u64 %d, %a, %b, %c;", shift, &rows, move |a, b, c| extract(a, b, c, 64, false));
    check(d, "bfe.s64 %d, %a, %b, %c;", shift, &rows, move |a, b, c| extract(a, b, c, 64, true));
    check(d, "bfi.b32 %d, %a, %b, %c, 9;", W, &rows, |a, b, c| {
        let at = c & 255;
        (0..32)
            .filter(|i| if (at..at + 9).contains(i) { a >> (i - at) & 1 == 1 } else { b >> i & 1 == 1 })
            .fold(0, |d, i| d | 1 << i)
    });
    check(d, "prmt.b32 %d, %a, %b, %c;", W, &rows, |a, b, c| {
        let byte = |i: u64| (b << 32 | a) >> (8 * (c >> (4 * i) & 7)) & 255;
        (0..4).map(|i| if c >> (4 * i) & 8 == 0 { byte(i) << (8 * i) } else { (byte(i) >> 7) * 255 << (8 * i) }).sum()
    });
    check(d, "popc.b64 %d, %a;", [32, 64, 32, 32], &rows, |a, _, _| (0..64).map(|i| a >> i & 1).sum());
    check(d, "clz.b32 %d, %a;", W, &rows, |a, _, _| (0..32).take_while(|i| a >> (31 - i) & 1 == 0).count() as u64);
    check(d, "brev.b32 %d, %a;", W, &rows, |a, _, _| (0..32).map(|i| (a >> i & 1) << (31 - i)).sum());
    check(d, "lop3.b32 %d, %a, %b, %c, 0xe8;", W, &rows, |a, b, c| a & b | a & c | b & c);
    check(d, "cnot.b32 %d, %a;", W, &rows, |a, _, _| u64::from(a == 0));
    check(d, "not.b16 %d, %a;", [16; 4], &rows, |a, _, _| !a);
}

fn conversions(d: &Driver) {
    let (floats, wholes) = (rows(&float_edges(), 500), rows(&whole_edges(), 500));
    // Beyond the range the nearest number, and 0 of what is not a number: Rust's `as`.
    check(d, "cvt.rzi.s32.f32 %d, %a;", W, &floats, |a, _, _| float(a) as i32 as u64);
    check(d, "cvt.rzi.u32.f32 %d, %a;", W, &floats, |a, _, _| u64::from(float(a) as u32));
    check(d, "cvt.rni.s32.f32 %d, %a;", W, &floats, |a, _, _| float(a).round_ties_even() as i32 as u64);
    check(d, "cvt.rmi.f32.f32 %d, %a;", W, &floats, |a, _, _| bits(float(a).floor()));
    check(d, "cvt.rn.f32.s32 %d, %a;", W, &wholes, |a, _, _| bits(a as u32 as i32 as f32));
    check(d, "cvt.rn.f32.u64 %d, %a;", [32, 64, 32, 32], &wholes, |a, _, _| bits(a as f32));
    check(d, "cvt.rn.f32.s64 %d, %a;", [32, 64, 32, 32], &wholes, |a, _, _| bits(a as i64 as f32));
    check(d, "cvt.u64.u32 %d, %a;", [64, 32, 32, 32], &wholes, |a, _, _| a);
    check(d, "cvt.s64.s32 %d, %a;", [64, 32, 32, 32], &wholes, |a, _, _| a as u32 as i32 as i64 as u64);
    check(d, "cvt.u16.u64 %d, %a;", [16, 64, 32, 32], &wholes, |a, _, _| a);
    check(d, "cvt.s32.s8 %d, %a;", W, &wholes, |a, _, _| a as i8 as i32 as u64);
    check(d, "cvt.sat.u8.s32 %d, %a;", W, &wholes, |a, _, _| (a as u32 as i32).clamp(0, 255) as u64);
    check(d, "mov.b64 %d, {%a, %b};", [64, 32, 32, 32], &wholes, |a, b, _| b << 32 | a);
    check(d, "mov.b64 {%d, %t}, %a;", [32, 64, 32, 32], &wholes, |a, _, _| a);
}

/// Double precision, on numbers of few bits beside the edges.
fn doubles(d: &Driver) {
    let edges =
        [0.0, -0.0, 1.0, -1.5, 1e300, 1e-300, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY].map(f64::to_bits);
    let rows = rows(&edges, 1000);
    let of = f64::from_bits;
    // The bits of what is not a number differ from machine to machine.
    let known: Vec<_> = rows
        .into_iter()
        .filter(|&[a, b, c]| {
            let all = [of(a) + of(b), of(a) * of(b), of(a) / of(b), of(a).mul_add(of(b), of(c)), of(a).sqrt()];
            !all.iter().any(|x| x.is_nan())
        })
        .collect();
    check(d, "add.rn.f64 %d, %a, %b;", L, &known, |a, b, _| (of(a) + of(b)).to_bits());
    check(d, "mul.rn.f64 %d, %a, %b;", L, &known, |a, b, _| (of(a) * of(b)).to_bits());
    check(d, "div.rn.f64 %d, %a, %b;", L, &known, |a, b, _| (of(a) / of(b)).to_bits());
    check(d, "fma.rn.f64 %d, %a, %b, %c;", L, &known, |a, b, c| of(a).mul_add(of(b), of(c)).to_bits());
    check(d, "sqrt.rn.f64 %d, %a;", L, &known, |a, _, _| of(a).sqrt().to_bits());
    check(d, "cvt.rn.f32.f64 %d, %a;", [32, 64, 64, 64], &known, |a, _, _| bits(of(a) as f32));
}

fn all(driver: &Driver) {
    for family in [floats, roundings, wholes, bit_fields, conversions, doubles] {
        family(driver);
    }
}

#[test]
fn on_the_emulator() {
    all(&Driver::emulated());
}

#[test]
#[ignore = "no GPU asked for: run with --ignored where there is one"]
fn on_a_gpu() {
    all(&Driver::real());
}
