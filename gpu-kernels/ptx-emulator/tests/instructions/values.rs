//! The operands that instructions are tested with.

use std::sync::LazyLock;

/// A kind of operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Integers of any width.
    Integers,
    /// Single-precision values.
    Floats,
    /// Double-precision values.
    Doubles,
    /// Pairs of values of 16 bits, whose exponents are those of half precision or of the upper half of single precision.
    Halves,
}

/// Returns rows of four operands of this kind.
pub fn rows(kind: Rows) -> &'static [[u64; 4]] {
    static INTEGERS: LazyLock<Vec<[u64; 4]>> = LazyLock::new(|| table(&integer_edges(), 500, any_integer));
    static FLOATS: LazyLock<Vec<[u64; 4]>> = LazyLock::new(|| table(&float_edges(), 1000, any_float));
    static DOUBLES: LazyLock<Vec<[u64; 4]>> = LazyLock::new(|| table(&double_edges(), 1000, any_double));
    static HALVES: LazyLock<Vec<[u64; 4]>> = LazyLock::new(|| table(&half_edges(), 4000, any_half));
    match kind {
        Rows::Integers => &INTEGERS,
        Rows::Floats => &FLOATS,
        Rows::Doubles => &DOUBLES,
        Rows::Halves => &HALVES,
    }
}

/// Returns one row for each pair of edge values, filled up with further edge values, and then `random` random rows.
fn table(edges: &[u64], random: usize, any: fn(&mut Random) -> u64) -> Vec<[u64; 4]> {
    let pairs = edges.iter().flat_map(|a| edges.iter().map(move |b| [*a, *b]));
    let turn = |i: usize| edges[i % edges.len()];
    let edged = pairs.enumerate().map(|(i, [a, b])| [a, b, turn(i / 7 + i), turn(i / 3 + 5 * i)]);
    let mut rows: Vec<_> = edged.collect();
    let mut generator = Random(7);
    rows.extend((0..random).map(|_| std::array::from_fn(|_| any(&mut generator))));
    rows
}

/// A linear congruential generator with its high bits mixed into the low ones.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }
}

/// Returns the limits of integer types, shift amounts and bit fields, with their neighbours.
fn integer_edges() -> Vec<u64> {
    let small = [0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256];
    let wide = [0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0100];
    let widest = [i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX, 0x0123_4567_89ab_cdef, 0xdead_beef_cafe_f00d];
    small.into_iter().chain(wide).chain(widest).collect()
}

/// Returns a random integer of random magnitude.
fn any_integer(generator: &mut Random) -> u64 {
    let bits = generator.next();
    bits >> (generator.next() % 64)
}

/// Returns zeros, denormals, the limits of the format, halves, infinities and NaNs, and the limits of integer types,
/// all with both signs.
fn float_edges() -> Vec<u64> {
    let special =
        [0, 1, 2, 0x7f_ffff, 0x80_0000, 0x80_0001, 0x7f7f_ffff, 0x7f80_0000, 0x7f80_0001, 0x7fc0_0000, 0x7fff_ffff];
    let plain = [0.1, 0.499_999_97, 0.5, 1.0, 1.000_000_1, 1.5, 2.5, 3.0, 1e-20, 1e20, 8_388_607.5, 16_777_217.0];
    let ends = [127.5, 255.5, 32_767.5, 65_535.5, 2_147_483_648.0, 4_294_967_296.0, 9.223_372e18, 1.844_674_4e19];
    let all = special.into_iter().chain(plain.into_iter().chain(ends).map(f32::to_bits));
    all.flat_map(|bits| [u64::from(bits), u64::from(bits | 0x8000_0000)]).collect()
}

/// Returns random bits, a value of moderate exponent, or such a value with few significant bits. Sums of moderate
/// values cancel and round. Results from few significant bits are often ties.
fn any_float(generator: &mut Random) -> u64 {
    let bits = generator.next() as u32;
    u64::from(match generator.next() % 3 {
        0 => bits,
        1 => bits & 0x83ff_ffff | 0x3c00_0000,
        _ => bits & 0x83ff_f000 | 0x3c00_0000 | bits >> 5 & 1,
    })
}

/// Returns the edge values of double precision, like [`float_edges`].
fn double_edges() -> Vec<u64> {
    let special = [0, 1, (1 << 52) - 1, 1 << 52, 0x7fef_ffff_ffff_ffff, 0x7ff0 << 48, 0x7ff0 << 48 | 1, 0x7ff8 << 48];
    let plain = [
        0.1,
        0.5,
        1.0,
        1.5,
        2.5,
        3.0,
        1e-300,
        1e300,
        1e-40,
        1e-45,
        1.401e-45,
        3.5e38,
        16_777_217.0,
        4_503_599_627_370_495.5,
    ];
    let ends = [
        127.5,
        255.5,
        32_767.5,
        65_535.5,
        2_147_483_647.5,
        4_294_967_295.5,
        9.223_372_036_854_775e18,
        1.844_674_407_370_955e19,
    ];
    let all = special.into_iter().chain(plain.into_iter().chain(ends).map(f64::to_bits));
    all.flat_map(|bits| [bits, bits | 1 << 63]).collect()
}

/// Returns a random value like [`any_float`], or a value near the midpoint between two single-precision values.
fn any_double(generator: &mut Random) -> u64 {
    let bits = generator.next();
    match generator.next() % 4 {
        0 => bits,
        1 => bits & 0x803f_ffff_ffff_ffff | 0x3fc0 << 48,
        2 => bits & 0x803f_ffff_e000_0000 | 0x3fc0 << 48 | 0x1000_0000 | bits & 1,
        _ => bits & 0x803f_fff0_0000_0000 | 0x3fc0 << 48,
    }
}

/// Returns zeros, denormals, limits, infinities and NaNs of both formats of 16 bits, as pairs of different values.
fn half_edges() -> Vec<u64> {
    let half = [0, 1, 2, 0x3ff, 0x400, 0x401, 0x3bff, 0x3c00, 0x3c01, 0x3e00, 0x7bff, 0x7c00, 0x7c01, 0x7e00, 0x7fff];
    let upper = [0x7f, 0x80, 0x81, 0x3f7f, 0x3f80, 0x3f81, 0x4000, 0x4b80, 0x7f7f, 0x7f80, 0x7f81, 0x4049];
    let all: Vec<u64> = half.into_iter().chain(upper).flat_map(|bits| [bits, bits | 0x8000]).collect();
    (0..all.len()).map(|i| all[i] | all[(i * 5 + 3) % all.len()] << 16).collect()
}

/// Returns a pair of random bits, or of values of moderate exponent, whose sums cancel and round.
fn any_half(generator: &mut Random) -> u64 {
    let bits = generator.next() & 0xffff_ffff;
    match generator.next() % 3 {
        0 => bits,
        1 => bits & 0x8fff_8fff | 0x3000_3000,
        _ => bits & 0x83ff_83ff | 0x3f00_3f00,
    }
}
