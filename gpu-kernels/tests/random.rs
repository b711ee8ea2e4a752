//! The random numbers of samples.
#![allow(missing_docs)]

use gpu_kernels::generate::generator;
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

#[test]
fn a_seed_gives_the_generator_of_rand_xoshiro() {
    // Steps of this odd number visit seeds of all magnitudes.
    for seed in (0..1000).map(|i: u64| i.wrapping_mul(0xd134_2543_de82_ef95)) {
        assert_eq!(generator(seed), Xoshiro128PlusPlus::seed_from_u64(seed), "seed {seed}");
    }
}
