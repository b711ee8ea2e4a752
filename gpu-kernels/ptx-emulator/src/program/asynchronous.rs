//! Asynchronous copies, barriers in shared memory, and clusters (PTX ISA, sections 9.7.9.25, 9.7.13.3, 9.7.13.15 and
//! 9.7.9.23).
//!
//! An asynchronous copy ends before the next instruction of its thread begins, which the manual allows.

use super::access::{Access, Order};
use super::decoder::{Decoded, Decoder, exactly};
use super::forms::{Table, alternatives};
use super::instruction::Action;
use super::memory::{SCOPES, access};
use super::operations::{AsyncBarrier, AsyncOperation, CLUSTER_RANK, CopyAsync};
use super::registers::Register;
use crate::ptx::syntax::{Operand, Space, Type};

/// The operations of `mbarrier` that change the barrier, and whether they return its state.
const ARRIVALS: [(&str, AsyncOperation, bool); 6] = [
    ("arrive", AsyncOperation::Arrive, true),
    ("arrive.expect_tx", AsyncOperation::ArriveExpect, true),
    ("arrive.noComplete", AsyncOperation::Arrive, true),
    ("arrive_drop", AsyncOperation::Drop, true),
    ("arrive_drop.noComplete", AsyncOperation::Drop, true),
    ("arrive_drop.expect_tx", AsyncOperation::DropExpect, true),
];

const SHARED: &str = "shared|shared::cta|shared::cluster";

/// Adds the forms of this file.
pub(super) fn forms(table: &mut Table) {
    table.add("cp.async.ca|cg.shared|shared::cta.global", copy);
    let scopes = alternatives(&SCOPES);
    table.add("cp.async.mbarrier.arrive.noinc?.shared|shared::cta?.b64", |i| {
        // Without `.noinc`, the arrival is added to the expected ones first.
        if i.has("noinc") { barrier(i, AsyncOperation::Arrive, Order::Release, false) } else { Ok(Action::Nothing) }
    });
    table.add("mbarrier.init.shared|shared::cta?.b64", |i| {
        barrier(i, AsyncOperation::Initialise, Order::Relaxed, false)
    });
    table.add("mbarrier.inval.shared|shared::cta?.b64", |_| Ok(Action::Nothing));
    for (name, operation) in [("expect_tx", AsyncOperation::Expect), ("complete_tx", AsyncOperation::Complete)] {
        table.add(&format!("mbarrier.{name}.relaxed?.{scopes}?.{SHARED}?.b64"), move |i| {
            barrier(i, operation, Order::Relaxed, false)
        });
    }
    for (name, operation, returns) in ARRIVALS {
        table.add(&format!("mbarrier.{name}.release|relaxed?.{scopes}?.{SHARED}?.b64"), move |i| {
            let order = if i.has("relaxed") { Order::Relaxed } else { Order::Release };
            barrier(i, operation, order, returns && i.operands.len() > 1 && !is_address(&i.operands[0]))
        });
    }
    for opcode in ["test_wait", "try_wait"] {
        let rest = format!("acquire|relaxed?.{scopes}?.shared|shared::cta?.b64");
        for (name, operation) in
            [(opcode.to_string(), AsyncOperation::Wait), (format!("{opcode}.parity"), AsyncOperation::WaitParity)]
        {
            table.add(&format!("mbarrier.{name}.{rest}"), move |i| {
                let order = if i.has("relaxed") { Order::Relaxed } else { Order::Acquire };
                barrier(i, operation, order, true)
            });
        }
    }
    table.add("mbarrier.pending_count.b64", |i| i.compute(|state: u64| state as u32 & 0xf_ffff));
    cluster_forms(table);
}

/// Adds the forms of clusters.
fn cluster_forms(table: &mut Table) {
    table.add("barrier.cluster.arrive.release|relaxed?.aligned?", |i| {
        Ok(Action::ClusterArrive { releases: !i.has("relaxed") })
    });
    table.add("barrier.cluster.wait.acquire?.aligned?", |_| Ok(Action::ClusterWait));
    // The rank of a block in its cluster, plus 1, is in the bits from `CLUSTER_RANK` on of an address.
    let mapped = |address: u64, rank: u32| address & !(0xff << CLUSTER_RANK) | u64::from(rank + 1) << CLUSTER_RANK;
    table.add("mapa.shared::cluster?.u32", move |i| i.compute(move |a: u32, rank: u32| mapped(a.into(), rank) as u32));
    table.add("mapa.shared::cluster?.u64", move |i| i.compute(move |a: u64, rank: u32| mapped(a, rank)));
    for (typ, bits) in [("u32", 32), ("u64", 64)] {
        table.add(&format!("getctarank.shared::cluster?.{typ}"), move |i| {
            let [d, a] = exactly(i.operands)?;
            let (a, own) = (i.source(a, bits)?, i.special("%cluster_ctarank")?);
            let (a, d) = (if bits == 64 { Register::B64(a) } else { Register::B32(a) }, i.dest(d, 32)?);
            Ok(Action::Compute(Box::new(move |registers, mask| {
                for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
                    let rank = (registers.get(a, lane) >> CLUSTER_RANK) as u32 & 0xff;
                    let rank = rank.checked_sub(1).unwrap_or(registers.b32[own][lane as usize]);
                    registers.b32[d][lane as usize] = rank;
                }
            })))
        });
    }
    table.add("elect.sync", |i| {
        let [d, members] = exactly(i.operands)?;
        let members = i.source(members, 32)?;
        let (d, p) = match d {
            Operand::Pair(parts) => (Some(i.any_dest(&parts[0], 32)?), i.dest(&parts[1], 1)?),
            _ => return Err("expected two results".into()),
        };
        Ok(Action::Elect { d, p, members })
    });
}

fn is_address(operand: &Operand) -> bool {
    matches!(operand, Operand::Address(..))
}

/// Decodes `cp.async [dst], [src], size{, bytes}`, where the rest of the destination becomes zero, or with a predicate as
/// the last operand, which makes all of it zero.
fn copy(i: &mut Decoder) -> Decoded {
    let [to, from, size, rest @ ..] = i.operands else { return Err("expected two addresses and a size".into()) };
    let Operand::Int(len @ (4 | 8 | 16)) = size else { return Err("expected a size of 4, 8 or 16 bytes".into()) };
    let (to, from) = (access(i, to, Type::B(8))?, access(i, from, Type::B(8))?);
    let from = Access { space: Space::Global, ..from };
    let bytes = rest.first().map(|bytes| i.any_source(bytes, 32)).transpose()?;
    Ok(Action::CopyAsync(Box::new(CopyAsync { to, from, len: *len as usize, bytes })))
}

/// Decodes `mbarrier.op {d,} [a]{, b}`.
fn barrier(i: &mut Decoder, operation: AsyncOperation, order: Order, returns: bool) -> Decoded {
    let operands = i.operands;
    let (d, rest) = operands.split_at_checked(usize::from(returns)).ok_or("expected a result")?;
    let [address, rest @ ..] = rest else { return Err("expected the address of a barrier".into()) };
    let (mut access, wide) = (access(i, address, Type::B(64))?, operation == AsyncOperation::Wait);
    access.order = order;
    let waits = matches!(operation, AsyncOperation::Wait | AsyncOperation::WaitParity);
    let operand = match rest.first() {
        Some(operand) => {
            let slot = i.source(operand, if wide { 64 } else { 32 })?;
            if wide { Register::B64(slot) } else { Register::B32(slot) }
        }
        None if waits => return Err("expected a state or a parity".into()),
        None => Register::B32(i.names.constant(32, 1)),
    };
    let d = match d.first() {
        Some(Operand::Name(name)) if name == "_" => None,
        Some(d) if waits => Some(Register::Predicate(i.dest(d, 1)?)),
        Some(d) => Some(Register::B64(i.dest(d, 64)?)),
        None => None,
    };
    Ok(Action::AsyncBarrier(Box::new(AsyncBarrier { access, operation, operand, d })))
}
