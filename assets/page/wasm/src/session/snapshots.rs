//! The states that a run has had, from which any step of the run can be computed again.

use microgpt::device::State;

/// The most memory of all snapshots, in bytes. A run of the default model has room for thousands of steps.
const BUDGET: usize = 48 << 20;

/// The most snapshots. A step lies then less than [`Snapshots::EVERY`] steps after a snapshot in most runs.
const MOST: usize = 256;

/// The states after every `every` steps of a run, from the initial one on.
pub(super) struct Snapshots {
    every: u64,
    most: usize,
    states: Vec<State>,
}

impl Snapshots {
    /// The number of steps between two snapshots, until there are too many.
    const EVERY: u64 = 10;

    /// Returns the snapshots of a run before its first step.
    pub(super) fn new(initial: State) -> Self {
        let bytes = 3 * size_of_val(initial.weights.values.as_slice());
        Self { every: Self::EVERY, most: (BUDGET / bytes).clamp(1, MOST), states: vec![initial] }
    }

    /// Returns the number of steps from `step` to the next snapshot.
    pub(super) fn until_next(&self, step: u64) -> u64 {
        self.every - step % self.every
    }

    /// Returns whether the state after `step` steps is to be kept.
    pub(super) fn wants(&self, step: u64) -> bool {
        step > self.last().step && step.is_multiple_of(self.every)
    }

    /// Keeps a state that is wanted. If there are too many, every other one is dropped.
    pub(super) fn push(&mut self, state: State) {
        self.states.push(state);
        while self.states.len() > self.most {
            self.every *= 2;
            let every = self.every;
            let first = self.first().step;
            self.states.retain(|state| state.step == first || state.step.is_multiple_of(every));
        }
    }

    /// Returns the state before the first step.
    pub(super) fn first(&self) -> &State {
        &self.states[0]
    }

    /// Returns the last state that is kept.
    pub(super) fn last(&self) -> &State {
        self.states.last().expect("the initial state is always kept")
    }

    /// Returns the last state after at most `step` steps.
    pub(super) fn before(&self, step: u64) -> &State {
        &self.states[self.states.partition_point(|state| state.step <= step) - 1]
    }
}

#[cfg(test)]
mod tests {
    use gpu_kernels::shape::RuntimeShape;
    use microgpt::weights::Weights;

    use super::*;

    fn state(step: u64) -> State {
        let shape = RuntimeShape { vocab: 3, block_size: 2, n_embd: 2, n_head: 1, n_layer: 1 };
        State { step, ..State::new(Weights::zeros(shape)) }
    }

    #[test]
    fn the_number_of_snapshots_stays_below_its_bound_and_each_step_has_one_before_it() {
        let mut snapshots = Snapshots::new(state(0));
        let mut step = 0;
        while step < 1_000_000 {
            step += snapshots.until_next(step);
            if snapshots.wants(step) {
                snapshots.push(state(step));
            }
            assert!(snapshots.states.len() <= MOST);
            for asked in [0, 9, step / 3, step] {
                let before = snapshots.before(asked).step;
                assert!(before <= asked && asked < before + 2 * snapshots.every, "{asked}: {before}");
            }
        }
        assert!(snapshots.every <= 2 * 1_000_000 / (MOST as u64 / 2), "{}", snapshots.every);
    }

    #[test]
    fn a_large_model_keeps_only_its_initial_state() {
        let mut snapshots = Snapshots { most: 1, ..Snapshots::new(state(0)) };
        snapshots.push(state(10));
        assert_eq!((snapshots.states.len(), snapshots.before(1000).step), (1, 0));
    }
}
