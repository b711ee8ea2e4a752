//! The race checker, which records the accesses to every element of shared memory since the last barrier.
//!
//! On the CPU warps run one after the other and the lanes of a vector at once, which hides races that a GPU would show.
//! With the feature `race-check` every access of a [`View`](crate::View) is recorded here. Two accesses of one element
//! race if one is a write, and if the accesses are of two warps with no block barrier between, or of two lanes of a
//! warp with no `warp.sync()` between. A race panics with both source locations. Blocks have as many warps as on a GPU.
//! A seed determines the order of the warps.

use core::cell::RefCell;
use core::hash::{BuildHasherDefault, Hasher};
use core::panic::Location;
use std::collections::HashMap;
use std::vec::Vec;
use std::{format, thread_local};

use crate::space::Kind;

/// The lanes of the warp that touch the elements of an access, for the race checker.
#[derive(Clone, Copy)]
pub(super) enum Lanes {
    /// Element `i` by lane `i` of both half-warps.
    BothHalves,
    /// Element `i` by lane `i` of this half-warp.
    Half(u32),
    /// Every element by every lane.
    All,
    /// Every element by every lane of this half-warp.
    AllOfHalf(u32),
    /// Every element by this lane.
    One(u32),
    /// Element `i` by the lane of this column in the half-warp that holds row `i` of a block.
    Column(usize),
}

/// The index that stands for all warps of a block, which run the code between two `each_warp`.
const ALL_WARPS: usize = usize::MAX;

#[derive(Clone, Copy)]
struct Access {
    warp: usize,
    /// The number of the warp's calls of `warp.sync()` since the last block barrier.
    syncs: usize,
    /// The lanes that accessed the element, as bits.
    lanes: u32,
    location: &'static Location<'static>,
}

/// A multiplicative hash of addresses. There are millions of look-ups and no adversary.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, _: &[u8]) {
        unreachable!("addresses are hashed whole");
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Default)]
struct Element {
    write: Option<Access>,
    /// The reads since the last write.
    reads: Vec<Access>,
    /// The atomic accesses since the last write.
    atomics: Vec<Access>,
}

struct Checker {
    elements: HashMap<usize, Element, BuildHasherDefault<AddressHasher>>,
    warp: usize,
    syncs: usize,
    order: u64,
}

thread_local! {
    static CHECKER: RefCell<Checker> =
        RefCell::new(Checker { elements: HashMap::default(), warp: ALL_WARPS, syncs: 0, order: 0 });
}

/// Sets the order in which this thread's kernels run their warps. Zero is the ascending order. Any other value seeds a
/// permutation that changes from closure to closure.
pub fn set_warp_order(seed: u64) {
    CHECKER.with_borrow_mut(|checker| checker.order = seed);
}

/// Forgets every access. Call this function before a launch on memory that was freed and allocated anew.
pub fn launch() {
    CHECKER.with_borrow_mut(|checker| checker.elements.clear());
}

/// Returns the order of warps for the next `each_warp`.
pub(super) fn warp_order(warps: usize) -> Vec<usize> {
    CHECKER.with_borrow_mut(|checker| {
        let mut order: Vec<usize> = (0..warps).collect();
        if checker.order != 0 {
            for i in (1..warps).rev() {
                // The multiplier is Knuth's for a linear congruential generator, whose upper bits are random enough.
                checker.order = checker.order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                order.swap(i, (checker.order >> 33) as usize % (i + 1));
            }
        }
        order
    })
}

/// Begins the work of a warp.
pub(super) fn enter_warp(warp: usize) {
    CHECKER.with_borrow_mut(|checker| (checker.warp, checker.syncs) = (warp, 0));
}

/// Orders the current warp's later accesses after its earlier ones.
pub(super) fn warp_sync() {
    CHECKER.with_borrow_mut(|checker| checker.syncs += 1);
}

/// Ends an `each_warp`, and orders all later accesses after the earlier ones of every warp.
pub(super) fn block_barrier() {
    CHECKER.with_borrow_mut(|checker| {
        checker.elements.clear();
        (checker.warp, checker.syncs) = (ALL_WARPS, 0);
    });
}

/// Records an access of `lanes` of the current warp to the element at `address`.
///
/// # Panics
/// If the access races with an earlier one.
#[track_caller]
pub(super) fn access(address: usize, lanes: u32, kind: Kind) {
    let location = Location::caller();
    let conflict = CHECKER.with_borrow_mut(|checker| {
        let now = Access { warp: checker.warp, syncs: checker.syncs, lanes, location };
        let element = checker.elements.entry(address).or_default();
        let lanes_differ = |other: &Access| (lanes | other.lanes).count_ones() > 1;
        let races = |other: &Access| now.unordered(other) && (other.warp != now.warp || lanes_differ(other));
        let conflict = match kind {
            // A lane may read its own write, even if another lane wrote the same value.
            Kind::Read => {
                let write = element
                    .write
                    .filter(|write| now.unordered(write) && (write.warp != now.warp || lanes & !write.lanes != 0));
                write.or_else(|| element.atomics.iter().find(|other| races(other)).copied())
            }
            Kind::Write => {
                let earlier = element.reads.iter().chain(&element.write).chain(&element.atomics);
                earlier.copied().find(races)
            }
            Kind::Atomic => element.reads.iter().chain(&element.write).copied().find(races),
        };
        let conflict = conflict.map(|other| {
            let is_same = |access: &Access| core::ptr::eq(access.location, other.location);
            let wrote = element.write.iter().chain(&element.atomics).any(is_same);
            format!(
                "race: {} {} at {}, and {} {} the same element at {} with no {} between",
                other.accessor(),
                if wrote { "wrote" } else { "read" },
                other.location,
                now.accessor(),
                if kind == Kind::Read { "reads" } else { "writes" },
                now.location,
                if other.warp == now.warp { "warp.sync()" } else { "block barrier" },
            )
        });
        match kind {
            // Repeated reads by the same lanes race with the same writes, so that the first is enough.
            Kind::Read if element.reads.last().is_some_and(|last| last.same(&now)) => {}
            Kind::Read => element.reads.push(now),
            Kind::Write => *element = Element { write: Some(now), ..Element::default() },
            Kind::Atomic if element.atomics.last().is_some_and(|last| last.same(&now)) => {}
            Kind::Atomic => element.atomics.push(now),
        }
        conflict
    });
    if let Some(conflict) = conflict {
        panic!("{conflict}");
    }
}

impl Access {
    fn same(&self, other: &Self) -> bool {
        (self.warp, self.syncs, self.lanes) == (other.warp, other.syncs, other.lanes)
    }

    /// Returns whether the two accesses are of two warps, or of one warp with no `warp.sync()` between.
    fn unordered(&self, other: &Self) -> bool {
        self.warp != other.warp || self.syncs == other.syncs
    }

    fn accessor(&self) -> std::string::String {
        if self.warp == ALL_WARPS {
            "every warp".into()
        } else {
            format!("warp {} (lanes {:#x})", self.warp, self.lanes)
        }
    }
}
