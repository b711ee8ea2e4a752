//! The random numbers of samples.
#![allow(missing_docs)]

use gpu_kernels::generate::generator;
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

#[test]
fn a_seed_gives_the_generator_of_rand_xoshiro() {
    // Small seeds, and such as a launch makes of them.
    for seed in (0..1000).flat_map(|i: u64| [i, i.wrapping_mul(0xd134_2543_de82_ef95)]) {
        assert_eq!(generator(seed), Xoshiro128PlusPlus::seed_from_u64(seed), "seed {seed}");
    }
}
