//! Loads and stores of matrices (PTX ISA, sections 9.7.14.4 and 9.7.14.5).

use super::decoder::{Decoded, Decoder};
use super::elements::ELEMENTS;
use super::forms::Table;
use super::fragments::{Fragment, Layout};
use super::instruction::Action;
use super::matrix::{WMMA, registers, shape};
use super::memory::access;
use super::operations::{MatrixAccess, MatrixPart};
use crate::ptx::syntax::{Operand, Type};

/// The numbers of matrices of 8 by 8 elements.
const COUNTS: [(&str, usize); 3] = [("x1", 1), ("x2", 2), ("x4", 4)];

/// Adds the forms of loads and stores of matrices.
pub(super) fn forms(table: &mut Table) {
    let spaces = "global|shared|shared::cta";
    for (shapes, factors, sums) in WMMA {
        let place = format!("sync.aligned.row|col.{shapes}.{spaces}?");
        table.add(&format!("wmma.load.a|b.{place}.{factors}"), |i| fragment(i, false));
        table.add(&format!("wmma.load.c.{place}.{sums}"), |i| fragment(i, false));
        table.add(&format!("wmma.store.d.{place}.{sums}"), |i| fragment(i, true));
    }
    for (opcode, stores) in [("ldmatrix", false), ("stmatrix", true)] {
        let pattern = format!("{opcode}.sync.aligned.m8n8.x1|x2|x4.trans?.shared|shared::cta?.b16");
        table.add(&pattern, move |i| rows(i, stores));
    }
}

/// Splits the operands into the registers, the address and the others. A store has the address first.
fn split<'a>(i: &Decoder<'a>, stores: bool) -> Decoded<(&'a Operand, &'a Operand, &'a [Operand])> {
    match i.operands {
        [address, value, rest @ ..] if stores => Ok((value, address, rest)),
        [value, address, rest @ ..] => Ok((value, address, rest)),
        _ => Err("expected registers and an address".into()),
    }
}

/// Decodes `wmma.load r, [p]{, stride}` and `wmma.store [p], r{, stride}`.
fn fragment(i: &mut Decoder, stores: bool) -> Decoded {
    let (value, address, rest) = split(i, stores)?;
    let ([m, n, k], part) = (shape(i)?, i.one_of(&[("a", 0), ("b", 1), ("c", 2), ("d", 2)]));
    let (size, layout) = match part {
        Some(0) => ([m, k], Layout::OpaqueFactor),
        Some(1) => ([k, n], Layout::OpaqueFactor),
        _ => ([m, n], Layout::OpaqueSum),
    };
    let element = i.one_of(&ELEMENTS).ok_or("expected the type of the elements")?;
    let mut fragment = Fragment::new(element, size, layout);
    registers(i, value, &mut fragment, !stores)?;
    let by_columns = i.has("col");
    let default = if by_columns { size[0] } else { size[1] };
    let stride = match rest {
        [stride] => i.source(stride, 32)?,
        _ => i.names.constant(32, default as u64),
    };
    let access = access(i, address, Type::B(8))?;
    let part = MatrixPart::Fragment { fragment, stride, by_columns };
    Ok(Action::MatrixAccess(Box::new(MatrixAccess { access, part, stores })))
}

/// Decodes `ldmatrix r, [p]` and `stmatrix [p], r`.
fn rows(i: &mut Decoder, stores: bool) -> Decoded {
    let (value, address, _) = split(i, stores)?;
    let count = i.one_of(&COUNTS).unwrap_or(1);
    let parts = match value {
        Operand::Vector(parts) => &parts[..],
        operand => std::slice::from_ref(operand),
    };
    if parts.len() != count {
        return Err(format!("expected {count} registers, found {}", parts.len()));
    }
    let mut slots = Vec::new();
    for part in parts {
        slots.push(if stores { i.source(part, 32)? } else { i.dest(part, 32)? });
    }
    let access = access(i, address, Type::B(16))?;
    let part = MatrixPart::Rows { registers: slots, transposed: i.has("trans") };
    Ok(Action::MatrixAccess(Box::new(MatrixAccess { access, part, stores })))
}
