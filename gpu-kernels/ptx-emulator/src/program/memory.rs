//! Loads, stores, atomics and fences (PTX ISA, sections 9.7.9.8 to 9.7.9.13, 9.7.13.4 to 9.7.13.6).

use super::access::{Access, Order, Scope};
use super::decoder::{Decoded, Decoder, exactly};
use super::forms::{Table, alternatives};
use super::half_format::{BF16, F16, HalfFormat};
use super::instruction::{Action, Atomic, window};
use super::names::Meaning;
use super::registers::Register;
use super::rounding::Rounding;
use crate::ptx::syntax::{Operand, Space, Type};

/// The memory orders. A volatile access is relaxed at the scope of the system (section 8.4).
pub(super) const ORDERS: [(&str, Order); 6] = [
    ("weak", Order::Weak),
    ("relaxed", Order::Relaxed),
    ("volatile", Order::Relaxed),
    ("acquire", Order::Acquire),
    ("release", Order::Release),
    ("acq_rel", Order::AcquireRelease),
];
/// The state spaces. Generic addresses are converted to and from the first six (section 9.7.9.20).
pub(super) const SPACES: [(&str, Space); 10] = [
    ("global", Space::Global),
    ("const", Space::Const),
    ("shared", Space::Shared),
    ("shared::cta", Space::Shared),
    ("local", Space::Local),
    ("param", Space::Param),
    ("param::entry", Space::Param),
    ("param::func", Space::Param),
    ("generic", Space::Generic),
    ("shared::cluster", Space::Shared),
];
/// The scopes of memory orders. The scope of a cluster is that of the device here.
pub(super) const SCOPES: [(&str, Scope); 4] =
    [("cta", Scope::Block), ("cluster", Scope::Device), ("gpu", Scope::Device), ("sys", Scope::Device)];
const LEVELS: [(&str, Scope); 3] = [("cta", Scope::Block), ("gl", Scope::Device), ("sys", Scope::Device)];
/// The number of elements of a vector.
const VECTORS: [(&str, usize); 2] = [("v2", 2), ("v4", 4)];
/// The cache operators, which change no value.
const CACHE: &str = "ca|cg|cs|lu|cv|wb|wt";
const TYPES: &str = "b8|b16|b32|b64|b128|u8|u16|u32|u64|s8|s16|s32|s64|f32|f64";

/// The new value of an atomic operation, from the old one, the operand and the swap value.
type AtomicFunction = fn(u64, u64, u64) -> u64;

/// The atomic operations by name and types (section 9.7.13.4).
const ATOMICS: [(&str, &str, AtomicFunction); 14] = [
    ("and", "b32|b64", |old, b, _| old & b),
    ("or", "b32|b64", |old, b, _| old | b),
    ("xor", "b32|b64", |old, b, _| old ^ b),
    ("exch", "b32|b64", |_, b, _| b),
    ("cas", "b16|b32|b64", |old, b, c| if old == b { c } else { old }),
    ("add", "u32|s32|u64|s64", |old, b, _| old.wrapping_add(b)),
    ("inc", "u32", |old, b, _| if old >= b { 0 } else { old + 1 }),
    ("dec", "u32", |old, b, _| if old == 0 || old > b { b } else { old - 1 }),
    ("min", "u32|u64", |old, b, _| old.min(b)),
    ("max", "u32|u64", |old, b, _| old.max(b)),
    ("min", "s32", |old, b, _| (old as i32).min(b as i32) as u64),
    ("max", "s32", |old, b, _| (old as i32).max(b as i32) as u64),
    ("min", "s64", |old, b, _| (old as i64).min(b as i64) as u64),
    ("max", "s64", |old, b, _| (old as i64).max(b as i64) as u64),
];

/// The sums of floating-point values. Those of `f32` in global memory flush denormals on GPUs before compute
/// capability 9.0. The emulator keeps them.
const FLOAT_SUMS: [(&str, AtomicFunction); 6] = [
    ("f32", |old, b, _| u64::from((f32::from_bits(old as u32) + f32::from_bits(b as u32)).to_bits())),
    ("f64", |old, b, _| (f64::from_bits(old) + f64::from_bits(b)).to_bits()),
    ("f16", |old, b, _| half_sum(F16, old, b)),
    ("bf16", |old, b, _| half_sum(BF16, old, b)),
    ("f16x2", |old, b, _| half_sum(F16, old & 0xffff, b & 0xffff) | half_sum(F16, old >> 16, b >> 16) << 16),
    ("bf16x2", |old, b, _| half_sum(BF16, old & 0xffff, b & 0xffff) | half_sum(BF16, old >> 16, b >> 16) << 16),
];

/// Returns the sum of two values of a 16-bit format, rounded to nearest.
fn half_sum(format: HalfFormat, a: u64, b: u64) -> u64 {
    let sum = format.value(a as u16) + format.value(b as u16);
    u64::from(format.bits(sum, Rounding::Nearest))
}

/// Adds the forms of instructions that access memory.
pub(super) fn forms(table: &mut Table) {
    let (scopes, spaces) = (alternatives(&SCOPES), alternatives(&SPACES));
    let modifiers = format!("{scopes}?.{spaces}?.{CACHE}?.nc?.unified?.{}?.{TYPES}", alternatives(&VECTORS));
    for opcode in ["ld", "ldu"] {
        table.add(&format!("{opcode}.weak|relaxed|volatile|acquire?.{modifiers}"), load);
    }
    table.add(&format!("st.weak|relaxed|volatile|release?.{}", modifiers.replace(".nc?", "")), store);
    for (name, types, function) in ATOMICS {
        let operation = format!(
            "{}?.{scopes}?.global|shared|shared::cta|shared::cluster|generic?.{name}.{types}",
            alternatives(&ORDERS)
        );
        table.add(&format!("atom.{operation}"), move |i| atomic(i, true, name == "cas", function));
        // `red` returns nothing, so it has no `exch` and no `cas` (section 9.7.13.6).
        if !matches!(name, "exch" | "cas") {
            table.add(&format!("red.{operation}"), move |i| atomic(i, false, false, function));
        }
    }
    for (types, function) in FLOAT_SUMS {
        let modifiers = format!(
            "{}?.{scopes}?.global|shared|shared::cta|shared::cluster|generic?.v2|v4?.add.noftz?.{types}",
            alternatives(&ORDERS)
        );
        for (opcode, returns) in [("atom", true), ("red", false)] {
            table.add(&format!("{opcode}.{modifiers}"), move |i| {
                i.inexact = Some("the order of the sums differs between runs");
                atomic(i, returns, false, function)
            });
        }
    }
    for (pattern, scopes) in [("fence.sc|acq_rel|acquire|release?", &SCOPES[..]), ("membar", &LEVELS)] {
        table.add(&format!("{pattern}.{}", alternatives(scopes)), |i| {
            Ok(Action::Fence(i.one_of(scopes).expect("the form has a scope")))
        });
    }
}

/// Decodes the modifiers and the address `[base+offset]` of an access to elements of a type.
pub(super) fn access(i: &mut Decoder, address: &Operand, typ: Type) -> Decoded<Access> {
    let mut access = Access {
        space: i.one_of(&SPACES).unwrap_or(Space::Generic),
        order: i.one_of(&ORDERS).unwrap_or(Order::Weak),
        scope: i.one_of(&SCOPES).unwrap_or(Scope::Device),
        width: typ.bytes().min(8) as usize,
        signed: matches!(typ, Type::S(_)),
        elements: Vec::new(),
        base: None,
        offset: 0,
    };
    let Operand::Address(base, offset) = address else { return Err("expected an address in brackets".into()) };
    access.offset = *offset;
    match &**base {
        Operand::Int(value) => access.offset = offset.wrapping_add(*value as i64),
        Operand::Name(name) => {
            if let Some(Meaning::Address(space, address)) = i.names.meaning(name) {
                symbol(&mut access, name, space, address)?;
                return Ok(access);
            }
            let register = i.any_source(base, 64)?;
            if register.bits() < 32 {
                return Err(format!("expected an address, found `{name}` of {} bits", register.bits()));
            }
            access.base = Some(register);
        }
        _ => return Err("this address is not of the subset".into()),
    }
    Ok(access)
}

/// Adds the address of a variable to an access, in the state space of the variable.
fn symbol(access: &mut Access, name: &str, space: Space, address: u64) -> Decoded<()> {
    let base = match (access.space, space) {
        (Space::Generic, space) => window(space),
        // A function's parameters are local variables of the kernel into which the function is inlined.
        (Space::Param, Space::Local) => {
            access.space = Space::Local;
            0
        }
        (expected, space) if expected == space => 0,
        (expected, space) => return Err(format!("`{name}` is in {space:?}, expected {expected:?}")),
    };
    access.offset = access.offset.wrapping_add_unsigned(base + address);
    Ok(())
}

/// Returns the elements of an access with this type and vector modifier.
fn elements<'a>(i: &Decoder, operand: &'a Operand) -> Decoded<&'a [Operand]> {
    let count = i.one_of(&VECTORS).unwrap_or(1);
    let elements = match operand {
        Operand::Vector(elements) => &elements[..],
        operand => std::slice::from_ref(operand),
    };
    if elements.len() != count {
        return Err(format!("expected {count} registers, found {}", elements.len()));
    }
    if i.typ().bytes() as usize * count > 16 {
        return Err(format!("expected at most 16 bytes, found {count} elements of `.{}`", i.typ()));
    }
    Ok(elements)
}

/// Returns the register if it can hold the type of an access.
pub(super) fn wide_enough(register: Register, typ: Type) -> Decoded<Register> {
    match register {
        Register::Predicate(_) => Err("expected a register, found a predicate".into()),
        _ if register.bits() < typ.bits() => {
            Err(format!("a register of {} bits cannot hold `.{typ}`", register.bits()))
        }
        _ => Ok(register),
    }
}

/// Decodes `ld d, [a]` and `ldu d, [a]`.
fn load(i: &mut Decoder) -> Decoded {
    let [d, address] = exactly(i.operands)?;
    let typ = i.typ();
    let mut access = access(i, address, typ)?;
    for d in elements(i, d)? {
        access.elements.extend(wide_enough(i.any_dest(d, typ.bits())?, typ)?.words());
    }
    Ok(Action::Load(Box::new(access)))
}

/// Decodes `st [a], b`.
fn store(i: &mut Decoder) -> Decoded {
    let [address, a] = exactly(i.operands)?;
    let typ = i.typ();
    let mut access = access(i, address, typ)?;
    if matches!(access.space, Space::Const | Space::Param) {
        return Err(format!("state space {:?} cannot be written", access.space));
    }
    for a in elements(i, a)? {
        access.elements.extend(wide_enough(i.any_source(a, typ.bits())?, typ)?.words());
    }
    Ok(Action::Store(Box::new(access)))
}

/// Decodes `atom {d,} [a], b{, c}`, and `red` without the destination. The elements of a vector are separate atomics.
fn atomic(i: &mut Decoder, returns: bool, swaps: bool, function: AtomicFunction) -> Decoded {
    let Some(count) = i.one_of(&VECTORS) else {
        return Ok(Action::Atomic(Box::new(scalar_atomic(i, i.operands, returns, swaps, function)?)));
    };
    let element = |operand: &Operand, at: usize| match operand {
        Operand::Vector(parts) if parts.len() == count => Ok(parts[at].clone()),
        Operand::Address(base, offset) => {
            Ok(Operand::Address(base.clone(), offset + i64::from(at as u32 * i.typ().bytes())))
        }
        _ => Err(format!("expected {count} registers")),
    };
    let mut lists = Vec::new();
    for at in 0..count {
        lists.push(i.operands.iter().map(|operand| element(operand, at)).collect::<Decoded<Vec<_>>>()?);
    }
    let atomics = lists.iter().map(|operands| scalar_atomic(i, operands, returns, swaps, function));
    Ok(Action::Atomics(atomics.collect::<Decoded<Vec<_>>>()?))
}

/// Decodes an atomic on one value.
fn scalar_atomic(
    i: &mut Decoder,
    operands: &[Operand],
    returns: bool,
    swaps: bool,
    function: AtomicFunction,
) -> Decoded<Atomic> {
    let (d, rest) = operands.split_at_checked(usize::from(returns)).ok_or("expected a register for the result")?;
    let (address, operand, swap) = match rest {
        [address, operand] if !swaps => (address, operand, None),
        [address, operand, swap] if swaps => (address, operand, Some(swap)),
        _ => return Err(format!("expected {} operands, found {}", 2 + d.len() + usize::from(swaps), operands.len())),
    };
    let (typ, bits) = (i.typ(), i.typ().bits());
    let mut access = access(i, address, typ)?;
    if access.order == Order::Weak {
        access.order = Order::Relaxed;
    }
    let mut source = |operand| {
        let slot = i.source(operand, bits)?;
        Ok::<_, String>(match bits {
            64 => Register::B64(slot),
            32 => Register::B32(slot),
            _ => Register::B16(slot),
        })
    };
    let operand = source(operand)?;
    let swap = swap.map(source).transpose()?;
    let d = d.first().map(|d| i.any_dest(d, bits)).transpose()?;
    access.signed = false;
    Ok(Atomic { access, d, operand, swap, function })
}
