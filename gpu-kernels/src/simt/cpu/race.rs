//! The race checker: remembers, for every element of shared memory, who touched it since the last barrier.
//!
//! On the CPU warps run one after the other and the lanes of a vector at once, which hides races that a GPU would show.
//! With the feature `race-check` every access of a [`super::Tile`] comes here, and a conflict panics with both places:
//! two warps touch one element with no block barrier between, or two lanes of a warp with no `warp.sync()` between, and one
//! of them writes. Blocks then have as many warps as on a GPU, of one token each, which run in an order drawn from a seed.

use core::cell::RefCell;
use core::hash::{BuildHasherDefault, Hasher};
use core::panic::Location;
use std::collections::HashMap;
use std::vec::Vec;
use std::{format, thread_local};

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// Stands for code between two `each_warp`, which all warps of a block run.
const ALL_WARPS: usize = usize::MAX;

#[derive(Clone, Copy)]
struct Access {
    warp: usize,
    /// How many times the warp had synchronised since the last block barrier.
    syncs: usize,
    /// Which lanes touched the element.
    lanes: u32,
    place: &'static Location<'static>,
}

/// Spreads addresses by a multiplication: there are millions of look-ups, and no adversary.
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
    reads: Vec<Access>,
}

struct State {
    elements: HashMap<usize, Element, BuildHasherDefault<AddressHasher>>,
    warp: usize,
    syncs: usize,
    order: u64,
}

thread_local! {
    static STATE: RefCell<State> =
        RefCell::new(State { elements: HashMap::default(), warp: ALL_WARPS, syncs: 0, order: 0 });
}

/// Sets the order in which this thread's kernels run their warps: 0 is ascending, any other number seeds a permutation that
/// changes from closure to closure.
pub fn set_warp_order(seed: u64) {
    STATE.with_borrow_mut(|state| state.order = seed);
}

/// Forgets every access: between two launches on memory that was freed meanwhile.
pub fn launch() {
    STATE.with_borrow_mut(|state| state.elements.clear());
}

/// The order of the next `each_warp`.
pub(super) fn warp_order(warps: usize) -> Vec<usize> {
    STATE.with_borrow_mut(|state| {
        let mut order: Vec<usize> = (0..warps).collect();
        if state.order != 0 {
            for i in (1..warps).rev() {
                // Knuth's multiplier for a linear congruential generator; its upper bits are good enough here.
                state.order = state.order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                order.swap(i, (state.order >> 33) as usize % (i + 1));
            }
        }
        order
    })
}

pub(super) fn enter_warp(warp: usize) {
    STATE.with_borrow_mut(|state| (state.warp, state.syncs) = (warp, 0));
}

pub(super) fn warp_sync() {
    STATE.with_borrow_mut(|state| state.syncs += 1);
}

pub(super) fn block_barrier() {
    STATE.with_borrow_mut(|state| {
        state.elements.clear();
        (state.warp, state.syncs) = (ALL_WARPS, 0);
    });
}

/// Records that `lanes` of the current warp touch the element at `address`.
#[track_caller]
pub(super) fn access(address: usize, lanes: u32, kind: Kind) {
    let place = Location::caller();
    let conflict = STATE.with_borrow_mut(|state| {
        let now = Access { warp: state.warp, syncs: state.syncs, lanes, place };
        let element = state.elements.entry(address).or_default();
        let conflict = match kind {
            // A lane may read what it wrote itself, even if another lane wrote the same.
            Kind::Read => element
                .write
                .filter(|write| now.unordered(write) && (write.warp != now.warp || lanes & !write.lanes != 0)),
            Kind::Write => {
                let lanes_differ = |other: &&Access| (lanes | other.lanes).count_ones() > 1;
                let earlier = element.reads.iter().chain(&element.write);
                earlier.filter(|other| now.unordered(other)).find(|o| o.warp != now.warp || lanes_differ(o)).copied()
            }
        };
        let conflict = conflict.map(|other| {
            let wrote = element.write.is_some_and(|write| core::ptr::eq(write.place, other.place));
            format!(
                "race: {} {} at {}, and {} {} the same element at {} with no {} between",
                other.who(),
                if wrote { "wrote" } else { "read" },
                other.place,
                now.who(),
                if kind == Kind::Write { "writes" } else { "reads" },
                now.place,
                if other.warp == now.warp { "warp.sync()" } else { "block barrier" },
            )
        });
        match kind {
            // Of reads by the same lanes one after the other, the first is enough.
            Kind::Read if element.reads.last().is_some_and(|last| last.same(&now)) => {}
            Kind::Read => element.reads.push(now),
            Kind::Write => *element = Element { write: Some(now), reads: Vec::new() },
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

    /// Whether nothing orders the two accesses: another warp's, or this warp's since its last `warp.sync()`.
    fn unordered(&self, other: &Self) -> bool {
        self.warp != other.warp || self.syncs == other.syncs
    }

    fn who(&self) -> std::string::String {
        if self.warp == ALL_WARPS {
            "every warp".into()
        } else {
            format!("warp {} (lanes {:#x})", self.warp, self.lanes)
        }
    }
}
