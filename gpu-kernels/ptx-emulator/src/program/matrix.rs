//! Products of matrices whose elements the lanes of a warp hold (PTX ISA, section 9.7.14).

use super::decoder::{Decoded, Decoder, exactly};
use super::elements::{ELEMENTS, Element};
use super::forms::Table;
use super::fragments::{Fragment, Layout};
use super::instruction::Action;
use super::registers::Register;
use super::rounding::FusedMultiplyAdd as _;
use crate::ptx::syntax::Operand;

/// The shapes of `mma`, with the types of the first two matrices and of the other two.
const MMA: [(&str, &str, &str); 6] = [
    ("m16n8k8|m16n8k16", "f16", "f16|f32"),
    ("m16n8k8|m16n8k16", "bf16", "f32"),
    ("m16n8k4|m16n8k8", "tf32", "f32"),
    ("m8n8k4|m16n8k4|m16n8k8|m16n8k16", "f64", "f64"),
    ("m16n8k16|m16n8k32", "e4m3|e5m2", "f16|f32"),
    ("m8n8k16|m16n8k16|m16n8k32", "s8|u8", "s32"),
];
const MMA_SMALL: [(&str, &str); 2] = [("m8n8k32|m16n8k32|m16n8k64", "s4|u4"), ("m8n8k128|m16n8k128|m16n8k256", "b1")];

/// The shapes of `wmma`, with the types of the first two matrices and of the other two.
pub(super) const WMMA: [(&str, &str, &str); 7] = [
    ("m16n16k16|m32n8k16|m8n32k16", "f16", "f16|f32"),
    ("m16n16k16|m32n8k16|m8n32k16", "bf16", "f32"),
    ("m16n16k16|m32n8k16|m8n32k16", "s8|u8", "s32"),
    ("m16n16k8", "tf32", "f32"),
    ("m8n8k4", "f64", "f64"),
    ("m8n8k32", "s4|u4", "s32"),
    ("m8n8k128", "b1", "s32"),
];

/// Adds the forms of products of matrices.
pub(super) fn forms(table: &mut Table) {
    for (shapes, factors, sums) in MMA {
        let rounding = if factors == "f64" { ".rn?" } else { "" };
        let types = format!("{sums}.{factors}.{factors}.{sums}{rounding}");
        table.add(&format!("mma.sync.aligned.{shapes}.row.col.satfinite?.{types}"), |i| mma(i, None));
    }
    for (shapes, factors) in MMA_SMALL {
        let mma_form = format!("mma.sync.aligned.{shapes}.row.col.satfinite?.s32.{factors}.{factors}.s32");
        if factors == "b1" {
            table.add(&format!("{mma_form}.xor|and.popc"), |i| mma(i, None));
        } else {
            table.add(&mma_form, |i| mma(i, None));
        }
    }
    for (shapes, factors, sums) in WMMA {
        let layouts = "row|col.row|col";
        let last = if factors == "f64" { "rn" } else { "satfinite" };
        let mut types = format!("{sums}.{factors}.{factors}.{sums}.{last}?");
        if factors == "f16" {
            // The types of the factors are left out.
            types = format!("{sums}.{sums}.satfinite?");
        }
        let implied = (factors == "f16").then_some(Element::F16);
        let operation = if factors == "b1" { ".xor|and.popc" } else { "" };
        table.add(&format!("wmma.mma{operation}.sync.aligned.{layouts}.{shapes}.{types}"), move |i| mma(i, implied));
    }
    table.add("movmatrix.sync.aligned.m8n8.trans.b16", transpose);
}

/// Returns the numbers of a shape such as `m16n8k16`.
pub(super) fn shape(i: &Decoder) -> Decoded<[usize; 3]> {
    let shape = i.modifiers().find_map(|modifier| {
        let (m, rest) = modifier.strip_prefix('m')?.split_once('n')?;
        let (n, k) = rest.split_once('k')?;
        Some([m.parse().ok()?, n.parse().ok()?, k.parse().ok()?])
    });
    shape.ok_or_else(|| "expected a shape".into())
}

/// Returns the registers of a fragment, each of 32 bits, or of 64 bits for double precision.
pub(super) fn registers(i: &mut Decoder, operand: &Operand, fragment: &mut Fragment, written: bool) -> Decoded<()> {
    let parts = match operand {
        Operand::Vector(parts) => &parts[..],
        operand => std::slice::from_ref(operand),
    };
    if parts.len() != fragment.count() {
        return Err(format!("expected {} registers, found {}", fragment.count(), parts.len()));
    }
    let bits = fragment.element.bits().max(32);
    for part in parts {
        let slot = if written { i.dest(part, bits)? } else { i.source(part, bits)? };
        fragment.registers.push(if bits == 64 { Register::B64(slot) } else { Register::B32(slot) });
    }
    Ok(())
}

/// Decodes `mma` and `wmma.mma`, `d = a * b + c`. The factors of a `wmma` without their types have the type `implied`.
fn mma(i: &mut Decoder, implied: Option<Element>) -> Decoded {
    let [m, n, k] = shape(i)?;
    let opaque = i.opcode == "wmma";
    let [d_type, a_type, b_type, c_type] = match (i.all_of(&ELEMENTS), implied) {
        (types, Some(element)) if types.len() == 2 => [types[0], element, element, types[1]],
        (types, _) => types.try_into().map_err(|_| "expected four types")?,
    };
    let operands = exactly::<4>(i.operands)?;
    let [first, second, sum] = if opaque {
        [Layout::OpaqueFactor, Layout::OpaqueFactor, Layout::OpaqueSum]
    } else {
        [Layout::First, Layout::Second, Layout::Sum]
    };
    let (mut d, mut c) = (Fragment::new(d_type, [m, n], sum), Fragment::new(c_type, [m, n], sum));
    let (mut a, mut b) = (Fragment::new(a_type, [m, k], first), Fragment::new(b_type, [k, n], second));
    for (fragment, operand) in [&mut a, &mut b, &mut c].into_iter().zip(&operands[1..]) {
        registers(i, operand, fragment, false)?;
    }
    registers(i, &operands[0], &mut d, true)?;
    if d_type.is_float() {
        i.inexact = Some("the order and the rounding of its sums differ between GPUs");
    }
    let saturate = i.has("satfinite");
    let product: fn(f64, f64, f64) -> f64 = match a_type {
        Element::B1 if i.has("and") => |a, b, sum| sum + a * b,
        Element::B1 => |a, b, sum| if a == b { sum } else { sum + 1.0 },
        Element::F64 => |a, b, sum| a.fused_multiply_add(b, sum),
        // All products are exact in double precision.
        _ => |a, b, sum| sum + a * b,
    };
    Ok(Action::Matrix(Box::new(move |registers| {
        let (a, b, mut sums) = (a.read(registers), b.read(registers), c.read(registers));
        for (row, sums) in a.chunks(k).zip(sums.chunks_mut(n)) {
            for (a, b) in row.iter().zip(b.chunks(n)) {
                sums.iter_mut().zip(b).for_each(|(sum, b)| *sum = product(*a, *b, *sum));
            }
        }
        d.write(registers, &sums, saturate);
    })))
}

/// Decodes `movmatrix.sync.aligned.m8n8.trans.b16 d, a`.
fn transpose(i: &mut Decoder) -> Decoded {
    let [d, a] = exactly(i.operands)?;
    let (a, d) = (i.source(a, 32)?, i.dest(d, 32)?);
    Ok(Action::Matrix(Box::new(move |registers| {
        let source = registers.b32[a];
        // Lane `4 * row + pair` holds columns `2 * pair` and `2 * pair + 1` of a row.
        let element = |row: usize, column: usize| source[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
        registers.b32[d] = std::array::from_fn(|lane| {
            let (row, column) = (lane / 4, 2 * (lane % 4));
            element(column, row) | element(column + 1, row) << 16
        });
    })))
}
