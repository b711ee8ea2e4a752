//! Loads, stores, atomics and fences (PTX ISA, sections 9.7.9.8 to 9.7.9.13, 9.7.13.4 to 9.7.13.6).

use super::builder::{Builder, Meaning};
use super::operands::{Decoded, Modifiers, not_for};
use super::{Access, Action, Atomic, Base, Dest, Order, Reg, Scope, window};
use crate::ptx::syntax::{Operand, Space, Type};

const SPACES: [(&str, Space); 9] = [
    ("global", Space::Global),
    ("shared", Space::Shared),
    ("shared::cta", Space::Shared),
    ("local", Space::Local),
    ("const", Space::Const),
    ("param", Space::Param),
    ("param::entry", Space::Param),
    ("param::func", Space::Param),
    ("generic", Space::Generic),
];
const SCOPES: [(&str, Scope); 4] =
    [("cta", Scope::Block), ("cluster", Scope::Device), ("gpu", Scope::Device), ("sys", Scope::Device)];
/// What caches may do changes no value.
const CACHE: [(&str, ()); 7] = [("ca", ()), ("cg", ()), ("cs", ()), ("lu", ()), ("cv", ()), ("wb", ()), ("wt", ())];

/// Order and scope of an access; a volatile one is relaxed at the scope of the system (section 8.4).
fn strength(m: &mut Modifiers) -> (Order, Scope) {
    let order = m.one_of(&[
        ("weak", Order::Weak),
        ("relaxed", Order::Relaxed),
        ("volatile", Order::Relaxed),
        ("acquire", Order::Acquire),
        ("release", Order::Release),
        ("acq_rel", Order::AcquireRelease),
    ]);
    (order.unwrap_or(Order::Weak), m.one_of(&SCOPES).unwrap_or(Scope::Device))
}

/// Everything of a load or store but its operands.
fn access(m: &mut Modifiers, typ_of_load: bool) -> Decoded<(Access, usize, Type)> {
    let (order, scope) = strength(m);
    let space = m.one_of(&SPACES).unwrap_or(Space::Generic);
    m.one_of(&CACHE);
    if typ_of_load {
        m.eat("nc");
    }
    let count = m.one_of(&[("v2", 2), ("v4", 4)]).unwrap_or(1);
    let typ = m.typ()?;
    m.end()?;
    if typ == Type::Pred || typ.bytes() as usize * count > 16 {
        return Err(not_for(typ));
    }
    let signed = matches!(typ, Type::S(_));
    let width = typ.bytes() as usize;
    let access = Access { space, order, scope, width, signed, elements: Vec::new(), base: Base::None, offset: 0 };
    Ok((access, count, typ))
}

impl Builder<'_> {
    fn address(&mut self, access: &mut Access, operand: &Operand) -> Decoded<()> {
        let Operand::Address(base, offset) = operand else { return Err("an address in brackets is wanted".into()) };
        access.offset = *offset;
        match &**base {
            Operand::Int(value) => access.offset = offset.wrapping_add(*value as i64),
            Operand::Name(name) => match self.meaning(name) {
                Some(Meaning::Address(space, address)) => symbol(access, name, space, address)?,
                Some(Meaning::Register(reg, _)) => {
                    self.reads.push(reg);
                    access.base = match reg {
                        Reg::Word(slot) => Base::Word(slot),
                        Reg::Long(slot) => Base::Long(slot),
                        Reg::Predicate(_) => return Err(format!("the predicate `{name}` is no address")),
                    };
                }
                None => return Err(format!("`{name}` is not declared")),
            },
            _ => return Err("this address is not of the subset".into()),
        }
        Ok(())
    }
}

/// Adds the address of a variable to an access, in the state space that it lies in.
fn symbol(access: &mut Access, name: &str, space: Space, address: u64) -> Decoded<()> {
    match (access.space, space) {
        (Space::Generic, space) => access.offset = access.offset.wrapping_add_unsigned(address + window(space)),
        // The parameters of functions lie with the local variables of the kernel that they are inlined into.
        (Space::Param, Space::Local) => {
            access.space = Space::Local;
            access.offset = access.offset.wrapping_add_unsigned(address);
        }
        (wanted, space) if wanted == space => access.offset = access.offset.wrapping_add_unsigned(address),
        (wanted, space) => return Err(format!("`{name}` lies in {space:?}, not in {wanted:?}")),
    }
    Ok(())
}

fn elements(operand: &Operand, count: usize) -> Decoded<&[Operand]> {
    let elements = match operand {
        Operand::Vector(elements) => &elements[..],
        operand => std::slice::from_ref(operand),
    };
    if elements.len() != count {
        return Err(format!("{count} registers are wanted, not {}", elements.len()));
    }
    Ok(elements)
}

fn as_dest(reg: Reg) -> Decoded<Dest> {
    match reg {
        Reg::Word(slot) => Ok(Dest::Word(slot, 32)),
        Reg::Long(slot) => Ok(Dest::Long(slot)),
        Reg::Predicate(_) => Err("a predicate cannot be stored".into()),
    }
}

fn check_width(dest: Dest, typ: Type) -> Decoded<Dest> {
    let bits = match dest {
        Dest::Word(_, bits) => bits,
        Dest::Long(_) => 64,
        Dest::Predicate(_) => 0,
    };
    if bits < typ.bits() { Err(format!("a register of {bits} bits cannot hold type {typ:?}")) } else { Ok(dest) }
}

/// `ld` and `ldu`.
pub(super) fn load(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let (mut access, count, typ) = access(m, true)?;
    if matches!(access.order, Order::Release | Order::AcquireRelease) {
        return Err("a load cannot release".into());
    }
    let [d, address] = o else { return Err("it takes two operands".into()) };
    builder.address(&mut access, address)?;
    for d in elements(d, count)? {
        let dest = builder.any_dest(d, typ.bits().max(16))?;
        access.elements.push(check_width(dest, typ)?);
    }
    Ok(Action::Load(access))
}

/// `st`.
pub(super) fn store(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let (mut access, count, typ) = access(m, false)?;
    if matches!(access.order, Order::Acquire | Order::AcquireRelease) {
        return Err("a store cannot acquire".into());
    }
    let [address, a] = o else { return Err("it takes two operands".into()) };
    builder.address(&mut access, address)?;
    if access.space == Space::Const || access.space == Space::Param {
        return Err(format!("state space {:?} cannot be written", access.space));
    }
    for a in elements(a, count)? {
        let source = as_dest(builder.any_source(a)?)?;
        access.elements.push(if matches!(a, Operand::Name(_)) && typ.bits() > 16 {
            check_width(source, typ)?
        } else {
            source
        });
    }
    Ok(Action::Store(access))
}

/// What an atomic operation writes, from the old value, the operand and the swap value.
fn atomic_function(name: &str, typ: Type) -> Option<fn(u64, u64, u64) -> u64> {
    Some(match (name, typ) {
        ("and", Type::B(_)) => |old, b, _| old & b,
        ("or", Type::B(_)) => |old, b, _| old | b,
        ("xor", Type::B(_)) => |old, b, _| old ^ b,
        ("exch", Type::B(_)) => |_, b, _| b,
        ("cas", Type::B(_)) => |old, b, c| if old == b { c } else { old },
        ("add", Type::U(_) | Type::S(32)) => |old, b, _| old.wrapping_add(b),
        ("inc", Type::U(32)) => |old, b, _| if old >= b { 0 } else { old + 1 },
        ("dec", Type::U(32)) => |old, b, _| if old == 0 || old > b { b } else { old - 1 },
        ("min", Type::U(_)) => |old, b, _| old.min(b),
        ("max", Type::U(_)) => |old, b, _| old.max(b),
        ("min", Type::S(32)) => |old, b, _| (old as i32).min(b as i32) as u64,
        ("max", Type::S(32)) => |old, b, _| (old as i32).max(b as i32) as u64,
        ("min", Type::S(64)) => |old, b, _| (old as i64).min(b as i64) as u64,
        ("max", Type::S(64)) => |old, b, _| (old as i64).max(b as i64) as u64,
        _ => return None,
    })
}

/// `atom` and `red`. Floating-point atomics are refused: the order of their sums is not that of any program.
pub(super) fn atomic(builder: &mut Builder, opcode: &str, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    let (order, scope) = strength(m);
    let space = m.one_of(&SPACES).unwrap_or(Space::Generic);
    let name = m.next().ok_or("its operation is missing")?;
    let typ = m.typ()?;
    m.end()?;
    if !matches!(space, Space::Generic | Space::Global | Space::Shared) || typ.bits() < 32 {
        return Err(not_for(typ));
    }
    // `red` gives nothing back, so that it has no use for these (section 9.7.13.6).
    let function = atomic_function(name, typ).filter(|_| opcode == "atom" || !matches!(name, "exch" | "cas"));
    let Some(function) = function else {
        return Err(format!("operation `.{name}` on type {typ:?} is not of the subset"));
    };
    let order = if order == Order::Weak { Order::Relaxed } else { order };
    let (width, signed) = (typ.bytes() as usize, false);
    let mut access = Access { space, order, scope, width, signed, elements: Vec::new(), base: Base::None, offset: 0 };
    let (d, rest) = match o.split_first() {
        Some((d, rest)) if opcode == "atom" => (Some(d), rest),
        _ => (None, o),
    };
    let (address, operand, swap) = match rest {
        [address, operand] if name != "cas" => (address, operand, None),
        [address, operand, swap] if name == "cas" => (address, operand, Some(swap)),
        _ => return Err("it takes another number of operands".into()),
    };
    builder.address(&mut access, address)?;
    let mut source = |operand| -> Decoded<Dest> {
        Ok(match typ.bits() {
            64 => Dest::Long(builder.source::<u64>(operand)?),
            _ => Dest::Word(builder.source::<u32>(operand)?, 32),
        })
    };
    let operand = source(operand)?;
    let swap = swap.map(source).transpose()?;
    let d = d.map(|d| builder.any_dest(d, typ.bits())).transpose()?;
    Ok(Action::Atomic(Atomic { access, d, operand, swap, function }))
}

/// `fence{.sc,.acq_rel}.scope` and `membar.level`.
pub(super) fn fence(_: &mut Builder, opcode: &str, m: &mut Modifiers) -> Decoded {
    let scope = if opcode == "fence" {
        let _ = m.eat("sc") || m.eat("acq_rel");
        m.one_of(&SCOPES)
    } else {
        m.one_of(&[("cta", Scope::Block), ("gl", Scope::Device), ("sys", Scope::Device)])
    };
    m.end()?;
    Ok(Action::Fence(scope.ok_or("its scope is missing")?))
}
