//! Blocks of code for some lanes of a warp.

#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::warp::Warp;
use backend::Mask32;

impl Warp {
    /// Runs `work` if the condition holds in any lane, and passes the lanes in which it holds.
    ///
    /// All lanes of the warp run `work` together, so that it may shuffle, reduce and synchronise. Its loads, stores and
    /// assignments take the mask:
    ///
    /// ```
    /// use simt::{Cpu, Global, Kernel, Launch, Target, I32x32, inline};
    ///
    /// simt::entries! {
    ///     /// Halves the even elements. The length is 32.
    ///     halve: pub struct Halve {
    ///         /// The elements.
    ///         pub x: Global<i32>,
    ///     }
    /// }
    ///
    /// impl Kernel for Halve {
    ///     #[inline(always)]
    ///     fn run<T: Target>(&self, launch: &Launch<T>) {
    ///         let array = launch.array(self.x, "x");
    ///         launch.each_block(inline!(|block| {
    ///             block.each_warp(inline!(move |warp| {
    ///                 let mut x = array.load_lanes(0);
    ///                 let even = (x & I32x32::splat(1)).eq(I32x32::splat(0));
    ///                 warp.when(even, inline!(|even| x.set_where(even, x >> 1)));
    ///                 if warp.index == 0 {
    ///                     array.store_lanes(0, x);
    ///                 }
    ///             }));
    ///         }));
    ///     }
    /// }
    ///
    /// let mut x: [i32; 32] = core::array::from_fn(|i| i as i32);
    /// # #[cfg(not(feature = "race-check"))]
    /// // SAFETY: the array lives, nothing else uses it, and its length is 32.
    /// unsafe { Cpu::new().launch(1, &Halve { x: Global::of_mut(&mut x) }) };
    /// # #[cfg(not(feature = "race-check"))]
    /// assert_eq!(x[..6], [0, 1, 1, 3, 2, 5]);
    /// ```
    #[inline(always)]
    #[allow(clippy::unused_self)] // Only code that has a warp may branch for all of its lanes.
    pub fn when(&self, mask: Mask32, work: impl FnOnce(Mask32)) {
        if mask.any() {
            work(mask);
        }
    }

    /// Runs `work` as long as any lane is active. `work` takes the active lanes, of which `mask` is the first, and returns
    /// the lanes that go on. A lane that has stopped never becomes active again.
    #[inline(always)]
    #[allow(clippy::unused_self)] // As in `when`.
    pub fn while_any(&self, mask: Mask32, mut work: impl FnMut(Mask32) -> Mask32) {
        let mut active = mask;
        while active.any() {
            active = active & work(active);
        }
    }
}
