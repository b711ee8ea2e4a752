//! The products `wmma`, in every shape, type and layout.

use crate::{bits_of, encode, kernel, matrix, product, run, times};

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
