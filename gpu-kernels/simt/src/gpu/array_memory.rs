//! The accesses of [`Array`](crate::Array) to memory.

use super::lanes::F32x32;
use super::ptx;
use super::view::View;
use super::warp_lanes::{Mask32, U32x32};
use crate::space::Kind;
use crate::target::WARP;

impl View {
    /// Returns a text in place of the name, which only the CPU knows.
    #[inline(always)]
    pub(crate) fn name(self) -> &'static str {
        ""
    }

    /// Does nothing, because the emulator checks the accesses of PTX.
    #[inline(always)]
    pub(crate) fn record_lanes(self, _bytes: usize, _mask: Mask32, _i: usize, _index: U32x32, _kind: Kind) {}

    /// Does nothing, as [`Self::record_lanes`].
    #[inline(always)]
    pub(crate) fn record_scalar(self, _bytes: usize, _i: usize, _kind: Kind) {}

    /// Loads the elements of [`Array::load_wide`](crate::Array::load_wide), four of a lane by one instruction.
    ///
    /// # Safety
    /// The elements lie within the array.
    #[inline(always)]
    pub(crate) unsafe fn load_wide<const W: usize>(self, i: usize) -> [F32x32; W] {
        let mut x = [F32x32(0.0); W];
        if W == 4 {
            let bits = self.0.read4::<0>(i, 16 * ptx::lane());
            for j in 0..W {
                x[j] = F32x32(f32::from_bits(bits[j]));
            }
        } else {
            for j in 0..W {
                x[j] = F32x32(f32::from_bits(self.0.read(i + WARP * j, 4 * ptx::lane())));
            }
        }
        x
    }

    /// Stores the elements of [`Array::store_wide`](crate::Array::store_wide), as [`Self::load_wide`].
    ///
    /// # Safety
    /// The elements lie within the array.
    #[inline(always)]
    pub(crate) unsafe fn store_wide<const W: usize>(self, i: usize, x: [F32x32; W]) {
        if W == 4 {
            let mut bits = [0; 4];
            for j in 0..W {
                bits[j] = x[j].0.to_bits();
            }
            self.0.write4::<0>(i, 16 * ptx::lane(), bits);
        } else {
            for j in 0..W {
                self.0.write(i + WARP * j, 4 * ptx::lane(), x[j].0.to_bits());
            }
        }
    }
}
