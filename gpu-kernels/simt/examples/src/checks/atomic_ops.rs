//! Every atomic operation, on elements of 32 and of 64 bits.

use simt::{F32x32, F64x32, Global, Kernel, Launch, Mask32, Target, U32x32, U64x32, WARP, inline};

/// The number of results.
pub const COUNTS: usize = 22;
/// The number of elements of shared memory.
const SHARED_COUNTS: usize = 8;

/// Makes the kernel for an integer and a float of one size, with its counterpart.
macro_rules! atomic_ops {
    ($name:ident: $kernel:ident, $element:ident, $lanes:ident, $float:ident, $float_lanes:ident, $naive:ident) => {
        simt::entries! {
            /// Applies the operations in a launch of one block.
            $name: pub struct $kernel {
                /// Integers, whose number is a multiple of 32.
                pub n: Global<$element>,
                /// The results, which begin as zeros.
                pub counts: Global<$element>,
            }
        }

        impl Kernel for $kernel {
            const SHARED: usize = SHARED_COUNTS * size_of::<$element>() / 4;

            #[inline(always)]
            fn run<T: Target>(&self, launch: &Launch<T>) {
                let (n, counts) = (launch.constant(self.n, "n"), launch.array(self.counts, "counts"));
                let (rows, all, at, splat) = (self.n.len() / WARP, Mask32::splat(true), U32x32::splat, $lanes::splat);
                let (three, copied) = (Mask32::lanes_below(3), Mask32::lanes_below(SHARED_COUNTS));
                launch.each_block(inline!(|block| {
                    block.shared::<{ Self::SHARED }>(inline!(|block, shared| {
                        let words = shared.cast::<$element>();
                        block.each_warp(inline!(move |warp| {
                            if warp.index == 0 {
                                words.store_where(copied, 0, splat(0));
                            }
                        }));
                        block.each_warp(inline!(move |warp| {
                            for row in warp.block_stride(rows) {
                                let (value, parity) = (n.load_lanes(row * WARP), U32x32::lane_index() & at(1));
                                counts.atomic_add(all, parity, value);
                                counts.atomic_max(all, at(2), value);
                                counts.atomic_or(Mask32::lanes_below(5), at(3), value);
                                counts.atomic_xor(all, at(4), value);
                                counts.cast::<$float>().relaxed_add(all, at(5), $float_lanes::splat(0.25));
                                words.atomic_add(all, parity, value);
                                words.atomic_max(all, at(2), value);
                                words.atomic_or(Mask32::lanes_below(5), at(3), value);
                                words.atomic_xor(all, at(4), value);
                                words.cast::<$float>().relaxed_add(all, at(5), $float_lanes::splat(0.25));
                                // The old values are different numbers in any order.
                                counts.atomic_add(all, at(7), counts.relaxed_fetch_add(all, at(6), splat(1)));
                                counts.atomic_add(three, at(8), words.relaxed_fetch_add(three, at(6), splat(1)));
                                // Only the first of all lanes and warps finds a zero.
                                let old = counts.relaxed_compare_exchange(all, at(9), splat(0), splat(1));
                                counts.atomic_add(old.eq(splat(0)), at(10), splat(1));
                                // The exchanged values and the last one are all values.
                                counts.atomic_add(all, at(11), words.relaxed_exchange(all, at(7), value));
                            }
                        }));
                        block.each_warp(inline!(move |warp| {
                            if warp.index == 0 {
                                counts.atomic_add(Mask32::lanes_below(1), at(11), splat(words.load_scalar(7)));
                                warp.sync();
                                words.store_scalar(7, 0);
                                warp.sync();
                                counts.at(12).store_where(copied, 0, words.load_where(copied, 0, splat(0)));
                                counts.atomic_min(all, at(20), splat(7));
                                counts.store_scalar(21, $element::MAX);
                                warp.sync();
                                counts.atomic_min(all, at(21), n.load_lanes(0) | splat(5));
                                counts.atomic_and(all, at(21), splat(6));
                            }
                        }));
                    }));
                }));
            }
        }

        /// Returns the results.
        #[cfg(not(target_arch = "nvptx64"))]
        pub fn $naive(n: &[$element]) -> std::vec::Vec<$element> {
            let sum = |n: &mut dyn Iterator<Item = $element>| n.fold(0, $element::wrapping_add);
            let parities = [0, 1].map(|parity| sum(&mut n.iter().skip(parity).step_by(2).copied()));
            let or = n.chunks(WARP).flat_map(|row| &row[..5]).fold(0, |x, y| x | y);
            let (max, xor) = (n.iter().copied().fold(0, $element::max), n.iter().fold(0, |x, y| x ^ y));
            let (len, threes) = (n.len() as $element, (3 * n.len() / WARP) as $element);
            let common = [parities[0], parities[1], max, or, xor, (0.25 * len as $float).to_bits()];
            let triangle = |n: $element| n * (n - 1) / 2;
            let relaxed = [len, triangle(len), triangle(threes), 1, 1, sum(&mut n.iter().copied())];
            let min = n[..WARP].iter().map(|x| x | 5).fold($element::MAX, $element::min);
            [&common[..], &relaxed, &common, &[threes, 0, 0, min & 6]].concat()
        }
    };
}

atomic_ops! { atomic_ops: AtomicOps, u32, U32x32, f32, F32x32, naive }
atomic_ops! { wide_atomic_ops: WideAtomicOps, u64, U64x32, f64, F64x32, naive_wide }
