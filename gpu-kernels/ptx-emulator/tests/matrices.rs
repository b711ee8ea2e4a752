//! Products of matrices in registers (PTX ISA, section 9.7.14), against products of integers on the host. The values are
//! small, so that every result is exact.

use ptx_emulator::{DeviceProperties, Dims, Gpu};
use rustc_apfloat::Float;
use rustc_apfloat::ieee::{BFloat, Double, Float8E4M3FN, Float8E5M2, Half, Single};

/// Returns the width of an element type in bits.
fn bits_of(typ: &str) -> usize {
    match typ {
        "f64" => 64,
        "f32" | "tf32" | "s32" => 32,
        "f16" | "bf16" => 16,
        "s4" | "u4" => 4,
        "b1" => 1,
        _ => 8,
    }
}

/// Returns the bits of an integer in an element type.
fn encode(typ: &str, value: i64) -> u64 {
    fn float<F: Float>(value: i64) -> u64 {
        F::from_i128(value.into()).value.to_bits() as u64
    }
    match typ {
        "f64" => float::<Double>(value),
        "f32" | "tf32" => float::<Single>(value),
        "f16" => float::<Half>(value),
        "bf16" => float::<BFloat>(value),
        "e4m3" => float::<Float8E4M3FN>(value),
        "e5m2" => float::<Float8E5M2>(value),
        typ => value as u64 & (u64::MAX >> (64 - bits_of(typ))),
    }
}

/// Returns a matrix of integers that the type can hold. No two rows and no two columns are equal.
fn matrix(typ: &str, rows: usize, columns: usize, seed: u64) -> Vec<i64> {
    let (low, count) = match typ {
        "b1" => (0, 2),
        "u4" => (0, 16),
        "s4" => (-8, 16),
        "u8" => (0, 256),
        "s8" => (-128, 256),
        "s32" => (-1_000_000, 2_000_001),
        "e5m2" => (-4, 9),
        _ => (-8, 17),
    };
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + ((state >> 33) % count) as i64
    };
    (0..rows * columns).map(|_| next()).collect()
}

/// Returns `a * b + c`, or the number of ones in the combination of bits.
fn product([m, n, k]: [usize; 3], [a, b, c]: [&[i64]; 3], multiply: fn(i64, i64) -> i64) -> Vec<i64> {
    let sum = |row: usize, column: usize| (0..k).map(|i| multiply(a[row * k + i], b[i * n + column])).sum::<i64>();
    (0..m * n).map(|at| c[at] + sum(at / n, at % n)).collect()
}

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
                let row = if i / packed % 2 == 0 { lane >> 2 } else { (lane >> 2) + 8 };
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

/// Runs a kernel on one warp. Each lane has words of eight bytes, and gets `outputs` of them back.
fn run(ptx: &str, inputs: &[Vec<u64>], outputs: usize) -> Vec<Vec<u64>> {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let module = gpu.load(ptx).unwrap_or_else(|error| panic!("{error}\n{ptx}"));
    let flat: Vec<u8> = inputs.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
    let (from, to) = (gpu.allocate(flat.len()).unwrap(), gpu.allocate(32 * 8 * outputs).unwrap());
    assert!(gpu.write(from, &flat));
    let params: Vec<u8> = [from, to].iter().flat_map(|x| x.to_le_bytes()).collect();
    gpu.launch(&module, "k", Dims::new(1, 32), &params).unwrap_or_else(|fault| panic!("{fault}\n{ptx}"));
    let bytes = gpu.read(to, 32 * 8 * outputs).unwrap();
    let words: Vec<_> = bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    words.chunks(outputs).map(<[u64]>::to_vec).collect()
}

/// Returns the kernel `k(from, to)` around a body. `%at` and `%to` are the addresses of the lane's words.
fn kernel(declarations: &str, body: &str, inputs: usize, outputs: usize) -> String {
    format!(
        ".version 8.3\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 from, .param .u64 to)\n{{\n\
         .reg .b64 %from, %at, %to; .reg .b32 %t, %u; .shared .align 16 .b8 block[4096];\n{declarations}\n\
         ld.param.u64 %from, [from]; ld.param.u64 %to, [to]; mov.u32 %t, %laneid;\n\
         mad.wide.u32 %at, %t, {}, %from; mad.wide.u32 %to, %t, {}, %to;\n{body}\nret;\n}}\n",
        8 * inputs,
        8 * outputs,
    )
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
        expected.iter_mut().for_each(|value| *value = (*value).clamp(i32::MIN.into(), i32::MAX.into()));
    }
    for (lane, found) in run(&ptx, &lanes, outputs).into_iter().enumerate() {
        assert_eq!(found, parts[3].pack(lane, &expected), "lane {lane}\n{ptx}");
    }
}

fn times(a: i64, b: i64) -> i64 {
    a * b
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

/// Checks `wmma` with types `[d, a, b, c]`, in shared memory with padded rows.
fn check_wmma(shape: [usize; 3], types: [&str; 4], by_columns: [bool; 3]) {
    let [m, n, k] = shape;
    let sizes = [(m, k), (k, n), (m, n)];
    let names = ["a", "b", "c"];
    let values = [matrix(types[1], m, k, 4), matrix(types[2], k, n, 5), matrix(types[3], m, n, 6)];
    let layout = |i: usize| if by_columns[i] { "col" } else { "row" };
    let stride = |i: usize| (if by_columns[i] { sizes[i].0 } else { sizes[i].1 }) + 16;
    let mut memory = vec![0u8; 3 * 4096];
    for (i, values) in values.iter().enumerate() {
        for (at, value) in values.iter().enumerate() {
            let (row, column) = (at / sizes[i].1, at % sizes[i].1);
            let index = if by_columns[i] { column * stride(i) + row } else { row * stride(i) + column };
            let (bits, value) = (bits_of(types[i + 1]), encode(types[i + 1], *value));
            let byte = 4096 * i + index * bits / 8;
            match bits {
                1 | 4 => memory[byte] |= (value << (index * bits % 8)) as u8,
                bits => memory[byte..byte + bits / 8].copy_from_slice(&value.to_le_bytes()[..bits / 8]),
            }
        }
    }
    let count = |i: usize, typ: &str| match typ {
        "f16" if i < 2 => 8,
        typ => sizes[i].0 * sizes[i].1 * bits_of(typ).min(32) / 1024,
    };
    let shape_name = format!("m{m}n{n}k{k}");
    let (mut declarations, mut body, mut operands) = (String::new(), String::new(), Vec::new());
    for (i, name) in [0, 1, 2, 2].into_iter().zip(["a", "b", "c", "d"]) {
        let typ = if name == "d" { types[0] } else { types[i + 1] };
        let list: Vec<_> = (0..count(i, typ)).map(|i| format!("%{name}{i}")).collect();
        declarations += &format!(".reg .b{} {};", bits_of(typ).max(32), list.join(", "));
        let vector = format!("{{{}}}", list.join(", "));
        if name != "d" {
            body += &format!(
                "add.u64 %at, %from, {}; wmma.load.{}.sync.aligned.{}.{shape_name}.global.{typ} {vector}, [%at], {};\n",
                4096 * i,
                names[i],
                layout(i),
                stride(i)
            );
        }
        operands.push(vector);
    }
    let short = types[1] == "f16";
    let names = if short { format!("{}.{}", types[0], types[3]) } else { types.join(".") };
    let operation = if types[1] == "b1" { ".xor.popc" } else { "" };
    body += &format!(
        "wmma.mma{operation}.sync.aligned.{}.{}.{shape_name}.{names} {}, {}, {}, {};\nld.param.u64 %to, [to];\n\
         wmma.store.d.sync.aligned.row.{shape_name}.global.{} [%to], {};",
        layout(0),
        layout(1),
        operands[3],
        operands[0],
        operands[1],
        operands[2],
        types[0],
        operands[3]
    );
    let ptx = kernel(&declarations, &body, 0, 0);
    let words: Vec<_> = memory.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    let found = run(&ptx, &[words], 8).concat();
    let multiply = if types[1] == "b1" { |a, b| a ^ b } else { times };
    let expected = product(shape, [&values[0], &values[1], &values[2]], multiply);
    let bits = bits_of(types[0]);
    for (at, expected) in expected.into_iter().enumerate() {
        let value = found[at * bits / 64] >> (at * bits % 64) & (u64::MAX >> (64 - bits));
        assert_eq!(value, encode(types[0], expected), "element {at}\n{ptx}");
    }
}

#[test]
fn wmma_multiplies_matrices_of_every_shape_type_and_layout() {
    let layouts = [[false; 3], [true; 3], [false, true, false], [true, false, true]];
    for layout in layouts {
        for shape in [[16, 16, 16], [32, 8, 16], [8, 32, 16]] {
            for (d, c) in [("f32", "f32"), ("f16", "f16"), ("f32", "f16"), ("f16", "f32")] {
                check_wmma(shape, [d, "f16", "f16", c], layout);
            }
            check_wmma(shape, ["f32", "bf16", "bf16", "f32"], layout);
            check_wmma(shape, ["s32", "s8", "s8", "s32"], layout);
            check_wmma(shape, ["s32", "u8", "u8", "s32"], layout);
        }
        check_wmma([16, 16, 8], ["f32", "tf32", "tf32", "f32"], layout);
        check_wmma([8, 8, 4], ["f64"; 4], layout);
    }
    check_wmma([8, 8, 32], ["s32", "s4", "s4", "s32"], [false, true, false]);
    check_wmma([8, 8, 32], ["s32", "u4", "u4", "s32"], [false, true, false]);
    check_wmma([8, 8, 128], ["s32", "b1", "b1", "s32"], [false, true, false]);
}

#[test]
fn matrices_of_sixteen_bits_are_loaded_stored_and_transposed() {
    // Row `r` of the memory holds the elements `8 * r + column`.
    let rows: Vec<u64> = (0..64u64).map(|i| (0..4).map(|j| (4 * i + j) << (16 * j)).sum()).collect();
    for transposed in [false, true] {
        let trans = if transposed { ".trans" } else { "" };
        let body = format!(
            "mov.b32 %u, block; mad.lo.u32 %u, %t, 16, %u; ld.global.v2.b64 {{%l, %h}}, [%at];\n\
             st.shared.v2.b64 [%u], {{%l, %h}}; bar.warp.sync -1;\n\
             ldmatrix.sync.aligned.m8n8.x4{trans}.shared.b16 {{%a, %b, %c, %d}}, [%u];\n\
             st.global.v4.b32 [%to], {{%a, %b, %c, %d}};\n\
             movmatrix.sync.aligned.m8n8.trans.b16 %a, %a; st.global.b32 [%to+16], %a;\n\
             bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%a}}, [%u]; bar.warp.sync -1;\n\
             stmatrix.sync.aligned.m8n8.x1{trans}.shared.b16 [%u], {{%a}}; bar.warp.sync -1;\n\
             ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%a}}, [%u]; st.global.b32 [%to+20], %a;"
        );
        let ptx = kernel(".reg .b32 %a, %b, %c, %d; .reg .b64 %l, %h;", &body, 2, 4);
        let lanes: Vec<Vec<u64>> = rows.chunks(2).map(<[u64]>::to_vec).collect();
        for (lane, found) in run(&ptx, &lanes, 4).into_iter().enumerate() {
            let (row, column) = (lane as u64 / 4, lane as u64 % 4 * 2);
            let pair = |matrix: u64, transposed: bool| {
                let at = |i: u64, j: u64| 64 * matrix + if transposed { 8 * j + i } else { 8 * i + j };
                at(row, column) | at(row, column + 1) << 16
            };
            let words: Vec<u64> = found.iter().flat_map(|word| [word & 0xffff_ffff, word >> 32]).collect();
            let loaded: Vec<u64> = (0..4).map(|matrix| pair(matrix, transposed)).collect();
            assert_eq!(words[..4], loaded, "lane {lane}");
            assert_eq!(words[4..6], [pair(0, !transposed), pair(0, transposed)], "lane {lane}");
        }
    }
}
