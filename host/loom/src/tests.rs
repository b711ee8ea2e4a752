//! The models. In each phase an item writes its own cell and reads the cells of the phase before, without atomics. loom
//! reports every read and write that the protocol does not order.

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use crate::phases::Phases;
use crate::sync::{Access, weaken};

/// The phases' protocol with the cells that the items work on.
struct Team {
    phases: Phases,
    /// The cells of even and of odd phases, with a cell for each item.
    cells: [Vec<UnsafeCell<usize>>; 2],
}

impl Team {
    fn work(&self, phase: usize, item: usize) {
        if phase > 0 {
            for cell in &self.cells[(phase - 1) % 2] {
                // SAFETY: loom checks that nothing writes the cell meanwhile.
                assert_eq!(cell.with(|value| unsafe { *value }), phase, "a cell of the phase before");
            }
        }
        // SAFETY: loom checks that nothing else accesses the cell meanwhile.
        self.cells[phase % 2][item].with_mut(|value| unsafe { *value = phase + 1 });
    }
}

/// Runs `phases` phases of `items` items on a leader and `helpers` other threads, in every order with at most
/// `preemptions` changes of thread that no wait asks for.
fn check(phases: usize, items: usize, helpers: usize, preemptions: usize) {
    let mut model = Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 20_000;
    model.check(move || {
        let cells = || (0..items).map(|_| UnsafeCell::new(0)).collect();
        let team = Arc::new(Team { phases: Phases::new(items), cells: [cells(), cells()] });
        let help = |item| {
            let team = Arc::clone(&team);
            thread::spawn(move || team.phases.help(item, &|phase, item| team.work(phase, item)))
        };
        // Several helpers may want the same item.
        let threads: Vec<_> = (0..helpers).map(|helper| help(1 + helper % (items - 1))).collect();
        team.phases.lead(phases, &|phase, item| team.work(phase, item));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn two_threads_run_phases_in_order() {
    check(3, 2, 1, 3);
}

#[test]
fn three_threads_run_phases_in_order() {
    check(2, 2, 2, 1);
}

// A relaxed store of a phase's number or of what is done, or a relaxed load of them, lets a thread begin before it sees the
// last phase's cells.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_store_is_caught() {
    weaken(Access::Store);
    check(3, 2, 1, 3);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_load_is_caught() {
    weaken(Access::Load);
    check(3, 2, 1, 3);
}
