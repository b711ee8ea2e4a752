//! Planted races, which the race checker must catch.
//!
//! Run with `cargo test -p microgpt-simt --features race-check --test races`.
#![cfg(feature = "race-check")]
#![allow(missing_docs)]

mod arrays;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use simt::{AnyCpu, Block, F32x16, F32x32, Grid, HALF_WARP, View, WARPS, race};

/// Runs `work` on one block with a view of 64 elements, and returns the message of the checker's panic.
fn caught(work: impl Fn(&Block<AnyCpu>, View)) -> Option<String> {
    let mut memory = [0.0f32; 64];
    // SAFETY: the memory outlives the launch, and only the launch accesses the memory meanwhile.
    let view = unsafe { View::new(memory.as_mut_ptr(), 64) };
    panics(|| Grid::new(0..1, 1, AnyCpu).each_block(|block| work(block, view)))
}

/// Runs a launch, and returns the message of the checker's panic.
fn panics(launch: impl FnOnce()) -> Option<String> {
    race::launch();
    race::set_warp_order(0);
    let result = catch_unwind(AssertUnwindSafe(launch));
    result.err().map(|panic| *panic.downcast::<String>().expect("the checker panics with a message"))
}

/// Asserts that the checker reports a race and names `missing` as the missing barrier.
#[track_caller]
fn assert_race(missing: &str, work: impl Fn(&Block<AnyCpu>, View)) -> String {
    let race = caught(work).expect("the race is caught");
    assert!(race.ends_with(&format!("with no {missing} between")), "{race}");
    race
}

/// Asserts that a race between two lanes of warp 0 is caught.
#[track_caller]
fn assert_race_in_a_warp(work: impl Fn(View)) {
    assert_race("warp.sync()", |block, view| {
        block.each_warp(|warp| {
            if warp.index == 0 {
                work(view);
            }
        });
    });
}

/// Asserts that a race is caught between the accesses `first` of warp 1 and `second` of warp 2.
#[track_caller]
fn assert_race_of_two_warps(first: impl Fn(View), second: impl Fn(View)) -> String {
    assert_race("block barrier", |block, view| {
        block.each_warp(|warp| match warp.index {
            1 => first(view),
            2 => second(view),
            _ => {}
        });
    })
}

fn ones() -> F32x16 {
    F32x16::splat(1.0)
}

#[test]
fn a_read_of_another_warp_s_write_is_caught() {
    let race = assert_race_of_two_warps(|view| view.store(16, ones()), |view| _ = view.load(16));
    assert!(race.contains("warp 1") && race.contains("warp 2"), "{race}");
    assert_eq!(race.matches("tests/races/main.rs:").count(), 2, "both source locations are named: {race}");
}

#[test]
fn a_write_after_another_warp_s_read_is_caught() {
    assert_race("block barrier", |block, view| {
        block.each_warp(|warp| {
            view.load_scalar(3);
            if warp.index == 7 {
                view.store_scalar(3, 1.0);
            }
        });
    });
}

#[test]
fn two_warps_writes_of_one_element_are_caught() {
    assert_race_of_two_warps(|view| view.store_scalar(63, 1.0), |view| view.store_scalar(63, 1.0));
}

#[test]
fn a_race_on_a_row_s_last_element_is_caught() {
    assert_race_of_two_warps(|view| view.store(0, ones()), |view| _ = view.load(15));
}

#[test]
fn a_race_on_tokens_is_caught() {
    assert_race_of_two_warps(|view| view.as_u32().store_scalar(5, 7), |view| _ = view.at(5).as_u32().load_scalar(0));
    assert_race_of_two_warps(|view| _ = view.as_u32().load_uniform(5), |view| view.as_u32().store_scalar(5, 7));
}

#[test]
fn a_read_of_tokens_that_another_warp_copied_is_caught() {
    assert_race_of_two_warps(
        |view| view.at(32).as_u32().copy_from(view.as_u32(), 3),
        |view| _ = view.at(32).as_u32().load_scalar(2),
    );
}

#[test]
fn a_read_of_another_lane_s_write_without_a_sync_is_caught() {
    assert_race_in_a_warp(|view| {
        view.store(0, ones());
        view.load_scalar(5);
    });
}

#[test]
fn a_read_of_copied_tokens_without_a_sync_is_caught() {
    assert_race_in_a_warp(|view| {
        view.at(32).as_u32().copy_from(view.as_u32(), 3);
        view.at(32).as_u32().load_scalar(0);
    });
}

#[test]
fn a_write_over_elements_that_the_other_half_warp_reads_is_caught() {
    assert_race_in_a_warp(|view| view.store(0, view.load(0)));
}

#[test]
fn a_read_of_the_other_half_warp_s_write_without_a_sync_is_caught() {
    let rows = || F32x32::splat(1.0);
    assert_race_in_a_warp(|view| {
        view.store_halves(0, HALF_WARP, rows());
        view.load_halves(HALF_WARP, HALF_WARP);
    });
    assert_race_in_a_warp(|view| {
        view.store_halves(0, HALF_WARP, rows());
        view.broadcast_pairs(0).broadcast_pair(0);
    });
}

#[test]
fn two_half_warps_writes_of_one_row_are_caught() {
    assert_race_in_a_warp(|view| view.store_halves(0, 0, F32x32::splat(1.0)));
}

// With stride 3 the columns overlap, and the block of 16 by 16 elements fits in the view.
#[test]
fn overlapping_columns_of_a_transposed_block_are_caught() {
    assert_race_in_a_warp(|view| view.store_transposed(0, 3, [F32x32::splat(1.0); HALF_WARP / 2]));
}

#[test]
fn barriers_and_syncs_mend_these_races() {
    let race = caught(|block, view| {
        block.each_warp(|warp| {
            if warp.index == 1 {
                let x = view.load(0);
                warp.sync();
                view.store(0, x);
                warp.sync();
                view.load_scalar(5);
            }
        });
        block.each_warp(|_| {
            view.load_scalar(0);
        });
        block.each_warp(|warp| {
            if warp.index == 9 {
                view.store_scalar(0, 1.0);
            }
        });
    });
    assert_eq!(race, None);
}

#[test]
fn a_lane_may_read_its_own_write() {
    let race = caught(|block, view| {
        block.each_warp(|warp| {
            if warp.index == 3 {
                view.store_halves(0, HALF_WARP, F32x32::splat(1.0));
                view.load_halves(0, HALF_WARP);
            }
        });
    });
    assert_eq!(race, None);
}

#[test]
fn an_access_out_of_bounds_names_its_elements_and_the_length() {
    for (first, expected) in [(49, "elements 49..65"), (64, "elements 64..80")] {
        let message = caught(|block, view| block.each_warp(|_| _ = view.load(first))).expect("it is caught");
        assert!(message.contains(expected) && message.ends_with("expected a range within 0..64"), "{message}");
    }
    let message = caught(|block, view| block.each_warp(|_| _ = view.at(60).load_scalar(4))).expect("it is caught");
    assert!(message.contains("elements 64..65"), "{message}");
}

#[test]
fn every_seed_permutes_the_warps() {
    let order = |seed: u64| {
        race::set_warp_order(seed);
        let order = RefCell::new(Vec::new());
        Grid::new(0..1, 1, AnyCpu).each_block(|block| {
            block.each_warp(|warp| order.borrow_mut().push(warp.index));
        });
        order.into_inner()
    };
    let ascending: Vec<usize> = (0..WARPS).collect();
    assert_eq!(order(0), ascending);
    for seed in [1, 2] {
        let mut permuted = order(seed);
        assert_eq!(permuted, order(seed), "the order depends on the seed alone");
        assert_ne!(permuted, ascending);
        permuted.sort_unstable();
        assert_eq!(permuted, ascending);
    }
}
