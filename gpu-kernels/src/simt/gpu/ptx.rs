//! Every instruction that is not plain Rust.
//!
//! A value that leaves an `asm!` is opaque to the compiler, which is on purpose where addresses are concerned: it would
//! turn sums of aligned addresses into `or`, which no memory instruction can take as its offset.

use core::arch::asm;

use super::compiler::thread;

/// The same number, which the compiler cannot know.
#[inline(always)]
pub fn opaque32(x: u32) -> u32 {
    let y: u32;
    // SAFETY: copies a register. Not `pure`: each time must count.
    unsafe { asm!("mov.b32 {}, {};", out(reg32) y, in(reg32) x, options(nomem, nostack, preserves_flags)) };
    y
}

/// The same number, which the compiler cannot know.
#[inline(always)]
pub fn opaque64(x: u64) -> u64 {
    let y: u64;
    // SAFETY: copies a register. Not `pure`: each time must count.
    unsafe { asm!("mov.b64 {}, {};", out(reg64) y, in(reg64) x, options(nomem, nostack, preserves_flags)) };
    y
}

/// Which warp of the block.
#[inline(always)]
pub fn warp() -> u32 {
    uniform(thread() / 32)
}

/// The same number, which all lanes of the warp share, so that the compiler knows it: where a branch depends on a number
/// that might differ from lane to lane, it guards every shuffle against lanes that are elsewhere.
#[inline(always)]
pub fn uniform(x: u32) -> u32 {
    let y: u32;
    // SAFETY: lanes of a warp run the same code throughout.
    unsafe {
        asm!("shfl.sync.idx.b32 {}, {}, 0, 31, 0xffffffff;", out(reg32) y, in(reg32) x, options(nomem, nostack, preserves_flags));
    }
    y
}

/// Which lane of the warp.
#[inline(always)]
pub fn lane() -> u32 {
    let lane: u32;
    // SAFETY: reads a special register.
    unsafe { asm!("mov.u32 {}, %laneid;", out(reg32) lane, options(pure, nomem, nostack, preserves_flags)) };
    lane
}

/// The lane's channel, four times: the bytes from a tile's first element to the lane's.
#[inline(always)]
pub fn channel_bytes() -> u32 {
    let bytes: u32;
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!(
            "{{",
            ".reg .b32 channel;",
            "and.b32 channel, {lane}, 15;",
            "shl.b32 {bytes}, channel, 2;",
            "}}",
            lane = in(reg32) lane(),
            bytes = out(reg32) bytes,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    bytes
}

/// 0 in the lower half-warp, 1 in the upper one.
#[inline(always)]
pub fn half() -> u32 {
    let half: u32;
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!("shr.u32 {}, {}, 4;", out(reg32) half, in(reg32) lane(), options(pure, nomem, nostack, preserves_flags));
    }
    half
}

/// The block's first thread counts the block in, and waits until there are `arrivals`. The release makes visible to others what
/// this block has written, the acquire to this block what the others have; the block barriers around it extend both to all
/// of its threads.
///
/// # Safety
/// `counter` is valid, and so many arrivals come.
#[inline(always)]
pub unsafe fn await_blocks(counter: *mut u32, arrivals: u32) {
    if thread() == 0 {
        // SAFETY: the caller vouches for the counter.
        unsafe {
            asm!("fence.acq_rel.gpu;", "red.release.gpu.global.add.u32 [{}], 1;", in(reg64) counter, options(nostack));
        }
        let mut arrived = arrivals.wrapping_sub(1);
        while (arrived.wrapping_sub(arrivals) as i32) < 0 {
            // SAFETY: as above.
            unsafe {
                asm!("ld.acquire.gpu.global.u32 {}, [{}];", out(reg32) arrived, in(reg64) counter, options(nostack))
            };
        }
    }
}

/// The number of the lane whose index differs by the bits of `mask`.
#[inline(always)]
pub fn shuffle_xor(x: f32, mask: u32) -> f32 {
    let y: f32;
    // SAFETY: lanes of a warp run the same code throughout. Not `pure`: it must stay where all lanes come by.
    unsafe {
        asm!("shfl.sync.bfly.b32 {}, {}, {}, 31, 0xffffffff;", out(reg32) y, in(reg32) x, in(reg32) mask, options(nomem, nostack, preserves_flags));
    }
    y
}

/// The number of the lane `distance` channels lower in the same half-warp, its own where there is none.
#[inline(always)]
pub fn shuffle_up(x: f32, distance: u32) -> f32 {
    let y: f32;
    // SAFETY: as for `shuffle_xor`. The clamp 0x1000 divides the warp into halves.
    unsafe {
        asm!("shfl.sync.up.b32 {}, {}, {}, 0x1000, 0xffffffff;", out(reg32) y, in(reg32) x, in(reg32) distance, options(nomem, nostack, preserves_flags));
    }
    y
}

/// The number of the half-warp's last channel.
#[inline(always)]
pub fn shuffle_last(x: f32) -> f32 {
    let y: f32;
    // SAFETY: as for `shuffle_xor`. The clamp 0x100f divides the warp into halves.
    unsafe {
        asm!("shfl.sync.idx.b32 {}, {}, 15, 0x100f, 0xffffffff;", out(reg32) y, in(reg32) x, options(nomem, nostack, preserves_flags));
    }
    y
}

/// The lanes where `condition` holds, as bits.
#[inline(always)]
pub fn ballot(condition: bool) -> u32 {
    let bits: u32;
    // SAFETY: as for `shuffle_xor`.
    unsafe {
        asm!(
            "{{",
            ".reg .pred condition;",
            "setp.ne.u32 condition, {condition}, 0;",
            "vote.sync.ballot.b32 {bits}, condition, 0xffffffff;",
            "}}",
            condition = in(reg32) u32::from(condition),
            bits = out(reg32) bits,
            options(nomem, nostack, preserves_flags)
        );
    }
    bits
}

macro_rules! memory {
    ($($space:literal $load:ident $store:ident $load4:ident $store4:ident $address:ty, $class:ident;)*) => {$(
        #[doc = concat!("The four bytes at this address of ", $space, " memory.")]
        ///
        /// # Safety
        /// The address is valid for reads, and aligned.
        #[inline(always)]
        pub unsafe fn $load(address: $address) -> u32 {
            let x: u32;
            // SAFETY: the caller vouches for the address.
            unsafe {
                asm!(concat!("ld.", $space, ".b32 {}, [{}];"), out(reg32) x, in($class) address, options(pure, readonly, nostack, preserves_flags));
            }
            x
        }

        #[doc = concat!("Writes four bytes at this address of ", $space, " memory.")]
        ///
        /// # Safety
        /// The address is valid for writes, and aligned.
        #[inline(always)]
        pub unsafe fn $store(address: $address, x: u32) {
            // SAFETY: the caller vouches for the address.
            unsafe {
                asm!(concat!("st.", $space, ".b32 [{}], {};"), in($class) address, in(reg32) x, options(nostack, preserves_flags));
            }
        }

        #[doc = concat!("The sixteen bytes at this address of ", $space, " memory.")]
        ///
        /// # Safety
        /// The address is valid for reads, and aligned to sixteen bytes.
        #[inline(always)]
        pub unsafe fn $load4(address: $address) -> [u32; 4] {
            let (x, y, z, w): (u32, u32, u32, u32);
            // SAFETY: the caller vouches for the address.
            unsafe {
                asm!(
                    concat!("ld.", $space, ".v4.b32 {{{}, {}, {}, {}}}, [{}];"),
                    out(reg32) x, out(reg32) y, out(reg32) z, out(reg32) w, in($class) address,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            [x, y, z, w]
        }

        #[doc = concat!("Writes sixteen bytes at this address of ", $space, " memory.")]
        ///
        /// # Safety
        /// The address is valid for writes, and aligned to sixteen bytes.
        #[inline(always)]
        pub unsafe fn $store4(address: $address, [x, y, z, w]: [u32; 4]) {
            // SAFETY: the caller vouches for the address.
            unsafe {
                asm!(
                    concat!("st.", $space, ".v4.b32 [{}], {{{}, {}, {}, {}}};"),
                    in($class) address, in(reg32) x, in(reg32) y, in(reg32) z, in(reg32) w,
                    options(nostack, preserves_flags)
                );
            }
        }
    )*};
}

memory! {
    "shared" load_shared store_shared load_shared4 store_shared4 u32, reg32;
    "global" load_global store_global load_global4 store_global4 u64, reg64;
}
