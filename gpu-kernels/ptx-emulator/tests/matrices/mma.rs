//! The products `mma`, in every shape and type.

use crate::{bits_of, encode, kernel, matrix, product, run, times};

/// A matrix of an `mma`, with the place of each element as the manual's formulas give it.
struct Part<'a> {
    typ: &'a str,
    columns: usize,
    place: Box<dyn Fn(usize, usize) -> (usize, usize)>,
    /// The number of elements in a lane.
    count: usize,
}

impl<'a> Part<'a> {
    /// Returns the first, the second or the other factor of a product, for `part` 0, 1 or 2.
    fn new(typ: &'a str, [m, n, k]: [usize; 3], part: usize) -> Self {
        let packed = (32 / bits_of(typ)).max(1);
        let (rows, columns) = [(m, k), (k, n), (m, n)][part];
        let place: Box<dyn Fn(usize, usize) -> (usize, usize)> = match part {
            // In a matrix of 8 rows, each register has the next columns. In one of 16 rows, every other one.
            0 if m == 8 => Box::new(move |lane, i| (lane >> 2, (lane % 4) * packed + i % packed)),
            0 => Box::new(move |lane, i| {
                let row = if (i / packed).is_multiple_of(2) { lane >> 2 } else { (lane >> 2) + 8 };
                (row, (lane % 4) * packed + i % packed + i / (2 * packed) * 4 * packed)
            }),
            1 => Box::new(move |lane, i| ((lane % 4) * packed + i % packed + i / packed * 4 * packed, lane >> 2)),
            _ => Box::new(|lane, i| (if i < 2 { lane >> 2 } else { (lane >> 2) + 8 }, (lane % 4) * 2 + (i & 1))),
        };
        Self { typ, columns, place, count: rows * columns / 32 }
    }

    fn packed(&self) -> usize {
        (32 / bits_of(self.typ)).max(1)
    }

    /// Returns the number of registers.
    fn registers(&self) -> usize {
        self.count / self.packed()
    }

    /// Returns the registers of a lane that hold its elements.
    fn pack(&self, lane: usize, values: &[i64]) -> Vec<u64> {
        let mut registers = vec![0; self.registers()];
        for i in 0..self.count {
            let (row, column) = (self.place)(lane, i);
            let shift = i % self.packed() * bits_of(self.typ);
            registers[i / self.packed()] |= encode(self.typ, values[row * self.columns + column]) << shift;
        }
        registers
    }
}

/// Checks an `mma` with types `[d, a, b, c]`. The modifiers stand before and after the types.
fn check(shape: [usize; 3], types: [&str; 4], modifiers: [&str; 2], multiply: fn(i64, i64) -> i64) {
    let parts = [(0, types[1]), (1, types[2]), (2, types[3]), (2, types[0])];
    let parts = parts.map(|(part, typ)| Part::new(typ, shape, part));
    let [m, n, k] = shape;
    let values = [matrix(types[1], m, k, 1), matrix(types[2], k, n, 2), matrix(types[3], m, n, 3)];
    let (mut declarations, mut body, mut operands, mut at) = (String::new(), String::new(), Vec::new(), 0);
    for (part, name) in parts.iter().zip(["a", "b", "c", "d"]) {
        let bits = bits_of(part.typ).max(32);
        let names: Vec<_> = (0..part.registers()).map(|i| format!("%{name}{i}")).collect();
        declarations += &format!(".reg .b{bits} {};", names.join(", "));
        for register in names.iter().filter(|_| name != "d") {
            body += &format!("ld.global.b{bits} {register}, [%at+{at}];\n");
            at += 8;
        }
        operands.push(format!("{{{}}}", names.join(", ")));
    }
    body += &format!(
        "mma.sync.aligned.m{m}n{n}k{k}.row.col{}.{}{} {}, {}, {}, {};\n",
        modifiers[0],
        types.join("."),
        modifiers[1],
        operands[3],
        operands[0],
        operands[1],
        operands[2]
    );
    let outputs = parts[3].registers();
    for i in 0..outputs {
        body += &format!("st.global.b{} [%to+{}], %d{i};\n", bits_of(types[0]).max(32), 8 * i);
    }
    let lanes: Vec<Vec<u64>> = (0..32)
        .map(|lane| parts.iter().zip(&values).flat_map(|(part, values)| part.pack(lane, values)).collect())
        .collect();
    let ptx = kernel(&declarations, &body, at / 8, outputs);
    let mut expected = product(shape, [&values[0], &values[1], &values[2]], multiply);
    if modifiers[0] == ".satfinite" {
        for value in &mut expected {
            *value = (*value).clamp(i32::MIN.into(), i32::MAX.into());
        }
    }
    for (lane, found) in run(&ptx, &lanes, outputs).into_iter().enumerate() {
        assert_eq!(found, parts[3].pack(lane, &expected), "lane {lane}\n{ptx}");
    }
}

#[test]
fn products_of_floating_point_matrices_are_exact_for_small_integers() {
    for k in [8, 16] {
        for (d, c) in [("f32", "f32"), ("f16", "f16")] {
            check([16, 8, k], [d, "f16", "f16", c], ["", ""], times);
        }
        check([16, 8, k], ["f32", "bf16", "bf16", "f32"], ["", ""], times);
        check([16, 8, k / 2], ["f32", "tf32", "tf32", "f32"], ["", ""], times);
    }
    for shape in [[8, 8, 4], [16, 8, 4], [16, 8, 8], [16, 8, 16]] {
        check(shape, ["f64"; 4], ["", ""], times);
    }
    for (a, b) in [("e4m3", "e4m3"), ("e4m3", "e5m2"), ("e5m2", "e4m3"), ("e5m2", "e5m2")] {
        check([16, 8, 32], ["f32", a, b, "f32"], ["", ""], times);
    }
}

#[test]
fn products_of_integer_matrices_wrap_around_or_saturate() {
    for (a, b) in [("s8", "s8"), ("s8", "u8"), ("u8", "s8"), ("u8", "u8")] {
        for shape in [[8, 8, 16], [16, 8, 16], [16, 8, 32]] {
            check(shape, ["s32", a, b, "s32"], ["", ""], times);
            check(shape, ["s32", a, b, "s32"], [".satfinite", ""], times);
        }
    }
    for (a, b) in [("s4", "s4"), ("s4", "u4"), ("u4", "s4"), ("u4", "u4")] {
        for shape in [[8, 8, 32], [16, 8, 32], [16, 8, 64]] {
            check(shape, ["s32", a, b, "s32"], ["", ""], times);
        }
    }
    for shape in [[8, 8, 128], [16, 8, 128], [16, 8, 256]] {
        check(shape, ["s32", "b1", "b1", "s32"], ["", ".xor.popc"], |a, b| a ^ b);
        check(shape, ["s32", "b1", "b1", "s32"], ["", ".and.popc"], |a, b| a & b);
    }
}

#[test]
fn a_sum_beyond_the_range_of_integers_saturates_only_with_the_modifier() {
    for (modifier, expected) in [("", i32::MAX.wrapping_add(16)), (".satfinite", i32::MAX)] {
        let body = format!(
            "mov.b32 %a, 0x01010101; mov.b32 %c, {};\n\
             mma.sync.aligned.m8n8k16.row.col{modifier}.s32.s8.s8.s32 {{%c, %d}}, {{%a}}, {{%a}}, {{%c, %c}};\n\
             st.global.b32 [%to], %c; st.global.b32 [%to+4], %d;",
            i32::MAX
        );
        let found = run(&kernel(".reg .b32 %a, %c, %d;", &body, 1, 1), &vec![vec![0]; 32], 1);
        let expected = u64::from(expected as u32) << 32 | u64::from(expected as u32);
        assert_eq!(found, vec![vec![expected]; 32]);
    }
}
