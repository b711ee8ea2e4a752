//! Division by Newton's method, from estimates that the host gives and from those of the processor.

use simt::{Global, Kernel, Launch, Target, WARP, inline, quotient_from_estimate};

simt::entries! {
    /// Divides rows of 32 values.
    division: pub struct Division {
        /// The numerators.
        pub a: Global<f32>,
        /// The divisors.
        pub b: Global<f32>,
        /// Estimates of the divisors' inverses.
        pub estimates: Global<f32>,
        /// The quotients by these estimates.
        pub from_estimates: Global<f32>,
        /// The quotients by `Warp::divide`.
        pub quotients: Global<f32>,
    }
}

impl Kernel for Division {
    #[inline(always)]
    fn run<T: Target>(&self, launch: &Launch<T>) {
        let (a, b) = (launch.array(self.a, "a"), launch.array(self.b, "b"));
        let estimates = launch.array(self.estimates, "estimates");
        let (from_estimates, quotients) =
            (launch.array(self.from_estimates, "from_estimates"), launch.array(self.quotients, "quotients"));
        let n = self.a.len();
        launch.each_block(inline!(|block| {
            block.each_warp(inline!(move |warp| {
                for row in warp.grid_share().items(0, n / WARP) {
                    let i = row * WARP;
                    let (a, b) = (a.load_lanes(i), b.load_lanes(i));
                    from_estimates.store_lanes(i, quotient_from_estimate(a, b, estimates.load_lanes(i)));
                    let [quotient] = warp.divide([a], [b]);
                    quotients.store_lanes(i, quotient);
                }
            }));
        }));
    }
}
