//! The lengths of launches on a GPU that also drives a display. Its driver ends a launch after a time limit, which is two
//! seconds on Windows.

use std::cell::Cell;

/// The duration in seconds that a launch aims at. A launch of longer documents than the one before takes a multiple of
/// this duration. The multiple must stay below half a second.
const TARGET: f64 = 0.1;
/// The largest number of items of a launch, as a multiple of the previous launch's number.
const GROWTH: usize = 4;

/// The number of items, such as steps or samples, that a kernel's next launch takes.
pub(super) struct Pace(Cell<usize>);

impl Pace {
    /// Returns the pace before the first launch, whose duration is unknown.
    pub(super) fn new() -> Self {
        Self(Cell::new(1))
    }

    /// Returns the largest number of items of the next launch.
    pub(super) fn items(&self) -> usize {
        self.0.get()
    }

    /// Adapts the pace to a launch of `items` that took this long.
    pub(super) fn record(&self, items: usize, seconds: f64) {
        // A shorter launch than the pace allows is no reason to shorten the next.
        let most = if items < self.items() { self.items() } else { items.saturating_mul(GROWTH) };
        self.0.set(((items as f64 * TARGET / seconds) as usize).clamp(1, most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the items of each of `launches` launches by a kernel that takes these seconds.
    fn launches(pace: &Pace, launches: usize, seconds: impl Fn(usize) -> f64) -> Vec<usize> {
        let launch = |_| {
            let items = pace.items();
            pace.record(items, seconds(items));
            items
        };
        (0..launches).map(launch).collect()
    }

    #[test]
    fn launches_grow_until_they_take_a_tenth_of_a_second() {
        assert_eq!(launches(&Pace::new(), 6, |items| 0.001 * items as f64), [1, 4, 16, 64, 100, 100]);
        assert_eq!(launches(&Pace::new(), 3, |_| 0.0), [1, 4, 16]);
    }

    #[test]
    fn a_slow_launch_shortens_the_next() {
        let pace = Pace::new();
        launches(&pace, 5, |_| 0.0);
        assert_eq!(launches(&pace, 3, |items| 0.01 * items as f64), [1024, 10, 10]);
        assert_eq!(launches(&pace, 2, |_| 3.0), [10, 1]);
    }

    #[test]
    fn a_launch_of_few_items_leaves_the_pace() {
        let pace = Pace::new();
        launches(&pace, 4, |_| 0.0);
        pace.record(1, 0.0001);
        assert_eq!(pace.items(), 256);
    }
}
