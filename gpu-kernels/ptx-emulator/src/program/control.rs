//! Control flow, barriers and what lanes of a warp tell each other (PTX ISA, sections 9.7.9.6, 9.7.12 and 9.7.13).

use super::builder::Builder;
use super::operands::{Decoded, Modifiers, exactly};
use super::{Action, Shuffle, ShuffleMode, VoteMode};
use crate::ptx::syntax::{Operand, Type};

pub(super) fn decode(builder: &mut Builder, opcode: &str, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    match opcode {
        "bra" => {
            let uniform = m.eat("uni");
            m.end()?;
            let [Operand::Name(name)] = exactly(o)? else { return Err("a label is wanted".into()) };
            Ok(Action::Branch { target: builder.label(name), uniform })
        }
        "brx" => table(builder, m, o),
        "ret" => {
            let uniform = m.eat("uni");
            m.end()?;
            Ok(builder.frame.end.map_or(Action::Exit, |target| Action::Branch { target, uniform }))
        }
        "exit" => m.end().map(|()| Action::Exit),
        "trap" => m.end().map(|()| Action::Trap),
        "bar" | "barrier" => barrier(builder, opcode, m, o),
        "shfl" => shuffle(builder, m, o),
        "vote" => vote(builder, m, o),
        "activemask" => {
            let typ = m.typ()?;
            m.end()?;
            let [d] = exactly(o)?;
            Ok(Action::ActiveMask { d: builder.dest(d, typ.bits())? })
        }
        "nanosleep" => {
            let _ = m.typ()?;
            m.end().map(|()| Action::Nothing)
        }
        "prefetch" | "prefetchu" => Ok(Action::Nothing),
        _ => Err("this instruction is not of the subset".into()),
    }
}

/// `brx.idx{.uni} index, table` (section 9.7.12.4).
fn table(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    if !m.eat("idx") {
        return Err("`.idx` is missing".into());
    }
    let uniform = m.eat("uni");
    m.end()?;
    let [index, Operand::Name(name)] = exactly(o)? else { return Err("the label of a table is wanted".into()) };
    let index = builder.source::<u32>(index)?;
    let Some(names) = builder.table(name) else { return Err(format!("there is no table `{name}`")) };
    let targets = names.iter().map(|name| builder.label(name)).collect();
    Ok(Action::Table { index, targets, uniform })
}

/// `bar.sync a`, `barrier.sync.aligned a` and `bar.warp.sync mask` (sections 9.7.13.1 and 9.7.13.2).
fn barrier(builder: &mut Builder, opcode: &str, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    if opcode == "bar" && m.eat("warp") {
        if !m.eat("sync") {
            return Err("`.sync` is missing".into());
        }
        m.end()?;
        let [members] = exactly(o)?;
        return Ok(Action::WarpSync { members: builder.source::<u32>(members)? });
    }
    m.eat("cta");
    if !m.eat("sync") {
        return Err("only `.sync` is of the subset".into());
    }
    if opcode == "barrier" && !m.eat("aligned") {
        return Err("only the `.aligned` form is of the subset".into());
    }
    m.end()?;
    match o {
        [Operand::Int(id @ 0..=15)] => Ok(Action::Barrier(*id as usize)),
        _ => Err("one constant from 0 to 15 is wanted: barriers of a part of the block are not of the subset".into()),
    }
}

/// `shfl.sync.mode.b32 d{|p}, a, b, c, members` (section 9.7.9.6).
fn shuffle(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    if !m.eat("sync") {
        return Err("only `.sync` is of the subset".into());
    }
    let modes = [
        ("up", ShuffleMode::Up),
        ("down", ShuffleMode::Down),
        ("bfly", ShuffleMode::Butterfly),
        ("idx", ShuffleMode::Index),
    ];
    let mode = m.one_of(&modes).ok_or("its mode is missing")?;
    if m.typ()? != Type::B(32) {
        return Err("its type is `.b32`".into());
    }
    m.end()?;
    let [d, a, b, c, members] = exactly(o)?;
    let (a, b) = (builder.source::<u32>(a)?, builder.source::<u32>(b)?);
    let (c, members) = (builder.source::<u32>(c)?, builder.source::<u32>(members)?);
    let (d, p) = match d {
        Operand::Pair(d, p) => (builder.dest(d, 32)?, Some(builder.dest(p, 1)?)),
        d => (builder.dest(d, 32)?, None),
    };
    Ok(Action::Shuffle(Shuffle { mode, d, p, a, b, c, members }))
}

/// `vote.sync.mode d, {!}p, members` (section 9.7.13.10).
fn vote(builder: &mut Builder, m: &mut Modifiers, o: &[Operand]) -> Decoded {
    if !m.eat("sync") {
        return Err("only `.sync` is of the subset".into());
    }
    let modes =
        [("all", VoteMode::All), ("any", VoteMode::Any), ("uni", VoteMode::Uniform), ("ballot", VoteMode::Ballot)];
    let mode = m.one_of(&modes).ok_or("its mode is missing")?;
    let bits = m.typ()?.bits();
    m.end()?;
    if bits != if mode == VoteMode::Ballot { 32 } else { 1 } {
        return Err("its type is `.b32` for `.ballot`, else `.pred`".into());
    }
    let [d, p, members] = exactly(o)?;
    let (p, negated) = builder.signed_predicate(p)?;
    let members = builder.source::<u32>(members)?;
    Ok(Action::Vote { d: builder.any_dest(d, bits)?, p, negated, members, mode })
}
