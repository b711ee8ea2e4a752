//! Generated kernels against a naive interpreter. `host/fuzz` draws kernels from more bytes.

mod compare;
mod interpreter;
mod operations;
mod program;

#[test]
fn generated_kernels_give_the_results_of_a_naive_interpreter() {
    for seed in 0..300 {
        compare::compare(&compare::Random(seed << 32).bytes(600));
    }
}
