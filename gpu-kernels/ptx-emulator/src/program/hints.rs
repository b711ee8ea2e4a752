//! Instructions that change neither a register nor memory here, because caches, power and asynchrony are not modelled.

use super::forms::Table;
use super::instruction::Action;

/// Adds the forms of this file.
pub(super) fn forms(table: &mut Table) {
    for pattern in [
        "nanosleep.u32",
        "prefetch.global|local?.L1|L2|L2::evict_last|L2::evict_normal",
        "prefetch.const|param?.tensormap",
        "prefetchu.L1",
        "applypriority.global?.L2::evict_normal",
        "discard.global?.L2",
        "pmevent.mask?",
        "fence.proxy.alias|async|async.global|tensormap",
        "fence.proxy.async.shared::cta|shared::cluster",
        "fence.proxy.tensormap::generic.acquire|release.cta|cluster|gpu|sys",
        "fence.mbarrier_init.release.cluster",
        "fence.acquire.sync_restrict::shared::cluster.cluster",
        "fence.release.sync_restrict::shared::cta.cluster",
        "membar.proxy.alias",
        "griddepcontrol.launch_dependents|wait",
        "setmaxnreg.inc|dec.sync.aligned.u32",
        "cp.async.commit_group",
        "cp.async.wait_group",
        "cp.async.wait_all",
        "cp.async.bulk.commit_group",
        "cp.async.bulk.wait_group.read?",
        "cp.async.bulk.prefetch.L2.global",
    ] {
        table.add(pattern, |_| Ok(Action::Nothing));
    }
    // A policy changes no value, so that of the register does not matter.
    let priorities = "L2::evict_last|L2::evict_normal|L2::evict_first|L2::evict_unchanged";
    for pattern in [
        format!("createpolicy.fractional.{priorities}.L2::evict_first|L2::evict_unchanged?.b64"),
        format!("createpolicy.range.global?.{priorities}.L2::evict_first|L2::evict_unchanged?.b64"),
        "createpolicy.cvt.L2.b64".into(),
    ] {
        table.add(&pattern, |i| {
            let d = i.dest(i.operands.first().ok_or("expected a register for the result")?, 64)?;
            Ok(Action::Compute(Box::new(move |registers, mask| {
                (0..32).filter(|lane| mask >> lane & 1 == 1).for_each(|lane| registers.b64[d][lane] = 0);
            })))
        });
    }
}
