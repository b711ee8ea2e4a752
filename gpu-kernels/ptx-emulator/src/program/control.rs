//! Control flow, barriers, shuffles and votes (PTX ISA, sections 9.7.9.6, 9.7.12 and 9.7.13).

use super::decoder::{Decoded, Decoder, exactly};
use super::forms::{Table, alternatives};
use super::instruction::{Action, Shuffle, ShuffleFunction, VoteFunction};
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
    table.add("nanosleep.u32", |_| Ok(Action::Nothing));
    table.add("prefetch.global|local?.L1|L2|L2::evict_last|L2::evict_normal", |_| Ok(Action::Nothing));
    table.add("prefetchu.L1", |_| Ok(Action::Nothing));
    table.add("bar.cta?.sync", barrier);
    table.add("barrier.cta?.sync.aligned", barrier);
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

/// Decodes a barrier of the whole block (section 9.7.13.1).
fn barrier(i: &mut Decoder) -> Decoded {
    match i.operands {
        [Operand::Int(id @ 0..=15)] => Ok(Action::Barrier(*id as usize)),
        _ => Err("expected one constant from 0 to 15; barriers of a part of the block are not of the subset".into()),
    }
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
    Ok(Action::Shuffle(Shuffle { function, d, p, a, b, c, members }))
}

/// Decodes `vote.sync.mode d, {!}p, members` (section 9.7.13.10).
fn vote(i: &mut Decoder) -> Decoded {
    let function = i.one_of(&VOTES).expect("the form has a mode");
    let [d, p, members] = exactly(i.operands)?;
    let (p, negated) = i.negatable(p)?;
    let members = i.source(members, 32)?;
    Ok(Action::Vote { d: i.any_dest(d, i.typ().bits())?, p, negated, members, function })
}
