//! Control flow, barriers, shuffles and votes (PTX ISA, sections 9.7.9.6, 9.7.12 and 9.7.13).

use super::decoder::{Decoded, Decoder, exactly};
use super::forms::{Table, alternatives};
use super::instruction::{Action, Barrier, BarrierReduction, Reduction, Shuffle, ShuffleFunction, VoteFunction};
use super::registers::Register;
use crate::ptx::syntax::Operand;

const SHUFFLES: [(&str, ShuffleFunction); 4] = [
    ("up", |lane, b, _, last| (lane - b, lane - b >= last)),
    ("down", |lane, b, _, last| (lane + b, lane + b <= last)),
    ("bfly", |lane, b, _, last| (lane ^ b, lane ^ b <= last)),
    ("idx", |lane, b, segment, last| (lane & segment | b & !segment, lane & segment | b & !segment <= last)),
];
const VOTES: [(&str, VoteFunction); 4] = [
    ("all", |ballot, members| u64::from(ballot == members)),
    ("any", |ballot, _| u64::from(ballot != 0)),
    ("uni", |ballot, members| u64::from(ballot == members || ballot == 0)),
    ("ballot", |ballot, _| u64::from(ballot)),
];

const UNSIGNED_REDUCTIONS: [(&str, Reduction); 3] = [("add", u32::wrapping_add), ("min", u32::min), ("max", u32::max)];
const SIGNED_REDUCTIONS: [(&str, Reduction); 3] = [
    ("add", u32::wrapping_add),
    ("min", |a, b| (a as i32).min(b as i32) as u32),
    ("max", |a, b| (a as i32).max(b as i32) as u32),
];
const BIT_REDUCTIONS: [(&str, Reduction); 3] = [("and", |a, b| a & b), ("or", |a, b| a | b), ("xor", |a, b| a ^ b)];

/// Adds the forms of control flow, barriers, shuffles and votes.
pub(super) fn forms(table: &mut Table) {
    table.add("bra.uni?", branch);
    table.add("brx.idx.uni?", branch_by_table);
    table.add("ret.uni?", |i| {
        let uniform = i.has("uni");
        Ok(i.names.frame.end.map_or(Action::Exit, |target| Action::Branch { target, uniform }))
    });
    table.add("exit", |_| Ok(Action::Exit));
    table.add("trap", |_| Ok(Action::Trap));
    for opcode in ["bar.cta?", "barrier.cta?"] {
        let aligned = if opcode.starts_with("barrier") { ".aligned?" } else { "" };
        table.add(&format!("{opcode}.sync{aligned}"), |i| barrier(i, false));
        table.add(&format!("{opcode}.arrive{aligned}"), |i| barrier(i, true));
        table.add(&format!("{opcode}.red.popc{aligned}.u32"), barrier_reduction);
        table.add(&format!("{opcode}.red.and|or{aligned}.pred"), barrier_reduction);
    }
    table.add(&format!("redux.sync.{}.u32", alternatives(&UNSIGNED_REDUCTIONS)), |i| reduce(i, &UNSIGNED_REDUCTIONS));
    table.add(&format!("redux.sync.{}.s32", alternatives(&SIGNED_REDUCTIONS)), |i| reduce(i, &SIGNED_REDUCTIONS));
    table.add(&format!("redux.sync.{}.b32", alternatives(&BIT_REDUCTIONS)), |i| reduce(i, &BIT_REDUCTIONS));
    table.add("match.any|all.sync.b32|b64", find_equal);
    table.add("brkpt", |_| Ok(Action::Trap));
    table.add("bar.warp.sync", |i| {
        let [members] = exactly(i.operands)?;
        Ok(Action::WarpSync { members: i.source(members, 32)? })
    });
    table.add(&format!("shfl.sync.{}.b32", alternatives(&SHUFFLES)), shuffle);
    table.add("vote.sync.all|any|uni.pred", vote);
    table.add("vote.sync.ballot.b32", vote);
    table.add("activemask.b32", |i| {
        let [d] = exactly(i.operands)?;
        Ok(Action::ActiveMask { d: i.dest(d, 32)? })
    });
}

/// Decodes `bra{.uni} label` (section 9.7.12.3).
fn branch(i: &mut Decoder) -> Decoded {
    let [Operand::Name(name)] = exactly(i.operands)? else { return Err("expected a label".into()) };
    Ok(Action::Branch { target: i.names.label(name), uniform: i.has("uni") })
}

/// Decodes `brx.idx{.uni} index, table` (section 9.7.12.4).
fn branch_by_table(i: &mut Decoder) -> Decoded {
    let [index, Operand::Name(name)] = exactly(i.operands)? else { return Err("expected the label of a table".into()) };
    let index = i.source(index, 32)?;
    let labels = i.names.frame.tables.get(name).cloned().ok_or_else(|| format!("there is no table `{name}`"))?;
    let targets = labels.iter().map(|label| i.names.label(label)).collect();
    Ok(Action::Table { index, targets, uniform: i.has("uni") })
}

/// Decodes `bar{.cta}.sync a{, b}` and `bar{.cta}.arrive a, b` (section 9.7.13.1). Only an aligned barrier requires that
/// the lanes of a warp reach it together, but the emulator requires that of every barrier.
fn barrier(i: &mut Decoder, arrives: bool) -> Decoded {
    let (id, threads) = match i.operands {
        [id] if !arrives => (id, None),
        [id, threads] => (id, Some(threads)),
        _ => return Err("expected the number of a barrier, and then a number of threads".into()),
    };
    let id = i.source(id, 32)?;
    let threads = threads.map(|threads| i.source(threads, 32)).transpose()?;
    Ok(Action::Barrier(Box::new(Barrier { id, threads, arrives, reduction: None })))
}

/// Decodes `bar.red.op d, a{, b}, {!}p`.
fn barrier_reduction(i: &mut Decoder) -> Decoded {
    let (d, id, threads, p) = match i.operands {
        [d, id, p] => (d, id, None, p),
        [d, id, threads, p] => (d, id, Some(threads), p),
        operands => return Err(format!("expected 3 or 4 operands, found {}", operands.len())),
    };
    let function: fn(u32, u32) -> u64 = match i.one_of(&[("popc", 0), ("and", 1), ("or", 2)]) {
        Some(0) => |yes, _| u64::from(yes),
        Some(1) => |yes, all| u64::from(yes == all),
        _ => |yes, _| u64::from(yes > 0),
    };
    let id = i.source(id, 32)?;
    let threads = threads.map(|threads| i.source(threads, 32)).transpose()?;
    let (p, negated) = i.negatable(p)?;
    let bits = if i.has("popc") { 32 } else { 1 };
    let d = i.any_dest(d, bits)?;
    if d.bits() != bits {
        return Err(format!("the register of the result has {} bits, expected {bits}", d.bits()));
    }
    let reduction = Some(BarrierReduction { d, p, negated, function });
    Ok(Action::Barrier(Box::new(Barrier { id, threads, arrives: false, reduction })))
}

/// Decodes `redux.sync.op.type d, a, members` (section 9.7.13.13).
fn reduce(i: &mut Decoder, table: &[(&str, Reduction)]) -> Decoded {
    let function = i.one_of(table).expect("the form has an operation");
    let [d, a, members] = exactly(i.operands)?;
    let (a, members) = (i.source(a, 32)?, i.source(members, 32)?);
    Ok(Action::Reduce { d: i.dest(d, 32)?, a, members, function })
}

/// Decodes `match.any.sync.type d, a, members` and `match.all.sync.type d{|p}, a, members` (section 9.7.13.11).
fn find_equal(i: &mut Decoder) -> Decoded {
    let [d, a, members] = exactly(i.operands)?;
    let bits = i.typ().bits();
    let slot = i.source(a, bits)?;
    let a = if bits == 64 { Register::B64(slot) } else { Register::B32(slot) };
    let members = i.source(members, 32)?;
    let all = i.has("all");
    let (d, p) = match d {
        Operand::Pair(parts) if all => (i.dest(&parts[0], 32)?, Some(i.dest(&parts[1], 1)?)),
        d => (i.dest(d, 32)?, None),
    };
    Ok(Action::Match { d, p, a, members, all })
}

/// Decodes `shfl.sync.mode.b32 d{|p}, a, b, c, members` (section 9.7.9.6).
fn shuffle(i: &mut Decoder) -> Decoded {
    let function = i.one_of(&SHUFFLES).expect("the form has a mode");
    let [d, a, b, c, members] = exactly(i.operands)?;
    let (a, b, c) = (i.source(a, 32)?, i.source(b, 32)?, i.source(c, 32)?);
    let members = i.source(members, 32)?;
    let (d, p) = match d {
        Operand::Pair(parts) => (i.dest(&parts[0], 32)?, Some(i.dest(&parts[1], 1)?)),
        d => (i.dest(d, 32)?, None),
    };
    Ok(Action::Shuffle(Box::new(Shuffle { function, d, p, a, b, c, members })))
}

/// Decodes `vote.sync.mode d, {!}p, members` (section 9.7.13.10).
fn vote(i: &mut Decoder) -> Decoded {
    let function = i.one_of(&VOTES).expect("the form has a mode");
    let [d, p, members] = exactly(i.operands)?;
    let (p, negated) = i.negatable(p)?;
    let members = i.source(members, 32)?;
    Ok(Action::Vote { d: i.any_dest(d, i.typ().bits())?, p, negated, members, function })
}
