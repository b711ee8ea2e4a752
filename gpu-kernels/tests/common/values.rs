//! Pseudorandom values.

/// Returns pseudorandom values in `[-1, 1)` that depend on `seed` alone.
pub fn values(seed: u64, len: usize) -> Vec<f32> {
    let value = |i: u64| {
        // This is the finaliser of SplitMix64.
        let mut x = (seed << 32 | i).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len as u64).map(value).collect()
}
