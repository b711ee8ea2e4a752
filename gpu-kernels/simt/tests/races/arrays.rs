//! Planted races and accesses out of bounds in arrays of kernels.

use simt::{AnyCpu, Array, Array2, F32x32, F64x32, Global, Grid, KernelBlock, Launch, Mask32, U32x32, U64x32, WARP};

use super::panics;

/// Runs `work` on one block with an array of 64 elements, and returns the message of the checker's panic.
fn caught(work: impl Fn(&KernelBlock<AnyCpu>, Array<f32>)) -> Option<String> {
    let mut memory = [0.0f32; 64];
    let array = Global::of_mut(&mut memory);
    panics(|| {
        // SAFETY: the memory outlives the launch, and only the launch accesses the memory meanwhile.
        let launch = unsafe { Launch::new(Grid::new(0..1, 1, AnyCpu)) };
        launch.each_block(|block| work(block, launch.array(array, "weights")));
    })
}

/// Asserts that a race between two lanes of warp 0 is caught.
#[track_caller]
fn assert_race_in_a_warp(work: impl Fn(Array<f32>) + Sync) {
    let race = caught(|block, array| {
        block.each_warp(|warp| {
            if warp.index == 0 {
                work(array);
            }
        });
    });
    let race = race.expect("the race is caught");
    assert!(race.ends_with("with no warp.sync() between"), "{race}");
}

/// Asserts that a race is caught between the accesses `first` of warp 1 and `second` of warp 2.
#[track_caller]
fn assert_race_of_two_warps(first: impl Fn(Array<f32>) + Sync, second: impl Fn(Array<f32>) + Sync) {
    let race = caught(|block, array| {
        block.each_warp(|warp| match warp.index {
            1 => first(array),
            2 => second(array),
            _ => {}
        });
    });
    let race = race.expect("the race is caught");
    assert!(race.ends_with("with no block barrier between"), "{race}");
}

fn ones() -> F32x32 {
    F32x32::splat(1.0)
}

fn all() -> Mask32 {
    Mask32::splat(true)
}

/// Adds 1 to the element `i` in lane 3, atomically.
fn add_atomically(array: Array<f32>, i: u32) {
    let lane_3 = Mask32::lanes_below(4) & !Mask32::lanes_below(3);
    array.cast::<u32>().atomic_add(lane_3, U32x32::splat(i), U32x32::splat(1));
}

#[test]
fn atomic_operations_race_only_with_plain_accesses() {
    assert_race_of_two_warps(|array| add_atomically(array, 7), |array| _ = array.load_scalar(7));
    assert_race_of_two_warps(|array| _ = array.load_scalar(7), |array| add_atomically(array, 7));
    assert_race_of_two_warps(|array| add_atomically(array, 7), |array| array.store_scalar(7, 1.0));
    assert_race_of_two_warps(|array| array.store_scalar(7, 1.0), |array| add_atomically(array, 7));
    assert_race_of_two_warps(
        |array| array.cast::<u64>().atomic_add(all(), U32x32::splat(7), U64x32::splat(1)),
        |array| _ = array.cast::<f64>().load_scalar(7),
    );
    let race = caught(|block, array| {
        block.each_warp(|_| {
            let (words, seven) = (array.cast::<u32>(), U32x32::splat(7));
            words.atomic_max(all(), seven, U32x32::lane_index());
            words.relaxed_exchange(all(), seven, seven);
            array.relaxed_add(all(), seven, ones());
            let wide = array.cast::<u64>();
            wide.atomic_min(all(), seven, U64x32::splat(3));
            wide.relaxed_compare_exchange(all(), seven, U64x32::splat(3), U64x32::splat(5));
            array.cast::<f64>().relaxed_add(all(), seven, F64x32::splat(1.0));
        });
        block.each_warp(|_| _ = array.load_scalar(7));
    });
    assert_eq!(race, None);
}

#[test]
fn scattered_stores_to_one_element_are_caught() {
    assert_race_in_a_warp(|array| array.scatter(all(), U32x32::splat(2), ones()));
    assert_race_in_a_warp(|array| {
        array.store_lanes(0, ones());
        array.gather(all(), U32x32::lane_index() ^ U32x32::splat(1), ones());
    });
    assert_race_in_a_warp(|array| {
        array.load_lanes(1);
        array.store_where(Mask32::lanes_below(2), 0, ones());
    });
    // Lane 1 reads what lane 0 wrote, because the elements are twice as large.
    assert_race_in_a_warp(|array| {
        array.cast::<f64>().store_scalar(0, 1.0);
        array.store_where(Mask32::lanes_below(1), 0, ones());
    });
}

#[test]
fn additions_in_order_to_one_element_are_no_race() {
    let race = caught(|block, array| {
        block.each_in_order(3, |warp, item| {
            array.add_in_order(warp, all(), U32x32::splat(item as u32 % 2), ones());
        });
        block.each_warp(|_| assert_eq!((array.load_scalar(0), array.load_scalar(1)), (64.0, 32.0)));
    });
    assert_eq!(race, None);
}

#[test]
fn lanes_outside_of_the_mask_access_nothing() {
    let race = caught(|block, array| {
        block.each_warp(|warp| {
            if warp.index == 0 {
                array.store_where(Mask32::lanes_below(4), 60, ones());
                array.gather(Mask32::lanes_below(1), U32x32::lane_index() * U32x32::splat(64), ones());
            }
        });
    });
    assert_eq!(race, None);
}

/// Asserts that `work` accesses these elements of an array of 64 out of its bounds.
#[track_caller]
fn assert_out_of_bounds(access: &str, work: impl Fn(Array<f32>)) {
    let message = caught(|_, array| work(array)).expect("the access is caught");
    assert!(message.starts_with(&format!("access to {access} of `weights`, expected ")), "{message}");
}

#[test]
fn an_access_out_of_bounds_names_the_array_its_elements_and_the_length() {
    assert_out_of_bounds("elements 64..65", |array| _ = array.at(40).load_lanes(0));
    assert_out_of_bounds("elements 96..97", |array| _ = array.gather(all(), U32x32::splat(3 * WARP as u32), ones()));
    // The array has room for 32 elements of 64 bits.
    assert_out_of_bounds("elements 32..33", |array| array.cast::<f64>().store_lanes(1, F64x32::splat(0.0)));
    assert_out_of_bounds("elements 65..66", |array| {
        array.cast::<u32>().atomic_or(all(), U32x32::splat(65), U32x32::splat(1));
    });
    assert_out_of_bounds("elements 33..34", |array| {
        array.cast::<u64>().atomic_max(all(), U32x32::splat(33), U64x32::splat(1));
    });
}

#[test]
fn an_access_beyond_a_matrix_names_its_rows_and_columns() {
    fn matrix(array: Array<f32>) -> Array2<f32> {
        array.at(1).matrix(3, 10, 20).part(0, 0, 3, 40)
    }
    assert_out_of_bounds("rows 0..1 and columns 0..32", |array| {
        let matrix = array.matrix(2, 31, 32);
        matrix.load_lanes(0, 0);
    });
    assert_out_of_bounds("rows 3..4 and columns 2..3", |array| matrix(array).store_scalar(3, 2, 1.0));
    assert_out_of_bounds("rows 0..0 and columns 10..11", |array| {
        _ = array.matrix(3, 10, 20).load_column(0, 10, ones());
    });
    let message = caught(|_, array| matrix(array).store_row(2, 4, ones()));
    assert_eq!(message, None, "the elements beyond the last column are left out");
}
