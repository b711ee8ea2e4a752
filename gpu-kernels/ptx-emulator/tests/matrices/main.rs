//! Products of matrices in registers (PTX ISA, section 9.7.14), against products of integers on the host. The values are
//! small, so that every result is exact.

#![allow(clippy::format_push_string, reason = "the kernels are short")]

mod mma;
mod wmma;

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

/// Returns the product of two integers.
fn times(a: i64, b: i64) -> i64 {
    a * b
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
