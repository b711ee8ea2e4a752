//! Sums, differences and products with a carry (PTX ISA, section 9.7.2).
//!
//! The carry of each lane is a bit of a predicate of its own. After a difference, it holds where a borrow occurred.

use super::decoder::{Decoded, Decoder};
use super::forms::Table;
use super::instruction::Action;
use super::registers::{Register, Registers};

/// The result of an operation on three values and a carry. Its bits above the width of the type hold the carry.
type Operation = fn([u128; 3], u128, u32) -> u128;

/// Adds the forms with a carry.
pub(super) fn forms(table: &mut Table) {
    const TYPES: &str = "u32|s32|b32|u64|s64|b64";
    let sum: Operation = |[a, b, _], carry, _| a + b + carry;
    let difference: Operation = |[a, b, _], borrow, _| a.wrapping_sub(b).wrapping_sub(borrow);
    let low: Operation = |[a, b, c], carry, bits| ((a.wrapping_mul(b)) & (u128::MAX >> (128 - bits))) + c + carry;
    for (name, reads, sources, operation) in [
        ("add.cc", false, 2, sum),
        ("addc.cc?", true, 2, sum),
        ("sub.cc", false, 2, difference),
        ("subc.cc?", true, 2, difference),
        ("mad.lo.cc", false, 3, low),
        ("madc.lo.cc?", true, 3, low),
    ] {
        table.add(&format!("{name}.{TYPES}"), move |i| decode(i, reads, sources, operation));
    }
    for (name, reads) in [("mad.hi.cc", false), ("madc.hi.cc?", true)] {
        table.add(&format!("{name}.u32|u64"), move |i| {
            decode(i, reads, 3, |[a, b, c], carry, bits| ((a * b) >> bits) + c + carry)
        });
        table.add(&format!("{name}.s32|s64"), move |i| {
            decode(i, reads, 3, |[a, b, c], carry, bits| {
                let signed = |x: u128| (x << (128 - bits)) as i128 >> (128 - bits);
                let high = ((signed(a) * signed(b)) >> bits) as u128 & (u128::MAX >> (128 - bits));
                high + c + carry
            })
        });
    }
}

/// Decodes an instruction that reads the carry if `reads` holds, and writes it if it has the modifier `.cc`.
fn decode(i: &mut Decoder, reads: bool, sources: usize, operation: Operation) -> Decoded {
    if i.operands.len() != sources + 1 {
        return Err(format!("expected {} operands, found {}", sources + 1, i.operands.len()));
    }
    let (bits, writes, operands) = (i.typ().bits(), i.has("cc"), i.operands);
    let mut slots = [0; 3];
    for (slot, operand) in slots.iter_mut().zip(&operands[1..]) {
        *slot = i.source(operand, bits)?;
    }
    let d = i.dest(&operands[0], bits)?;
    let carry = i.names.carry();
    i.reads.extend(reads.then_some(Register::Predicate(carry)));
    i.writes.extend(writes.then_some(Register::Predicate(carry)));
    Ok(Action::Compute(Box::new(move |registers, mask| {
        let of = |slot| if bits == 64 { Register::B64(slot) } else { Register::B32(slot) };
        let carries = if reads { registers.predicates[carry] } else { 0 };
        let value = |registers: &Registers, slot, lane| u128::from(registers.get(of(slot), lane));
        let mut out = 0;
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            let values = slots.map(|slot| value(registers, slot, lane));
            let result = operation(values, u128::from(carries >> lane & 1), bits);
            registers.set(of(d), lane, result as u64);
            out |= u32::from(result >> bits & 1 == 1) << lane;
        }
        if writes {
            registers.set_predicate(carry, mask, out);
        }
    })))
}
