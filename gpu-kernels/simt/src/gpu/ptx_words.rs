//! The loads and stores of elements of 16, 32 and 64 bits, and the atomic operations. No lane branches.

use core::arch::asm;

macro_rules! loads {
    ($($instruction:literal $load:ident $load_where:ident $word:ty, $word_class:ident, $address:ty, $class:ident;)*) => {$(
        #[doc = concat!("Loads an element by `", $instruction, "`.")]
        ///
        /// # Safety
        /// The address is valid for reads, and aligned.
        #[inline(always)]
        pub unsafe fn $load(address: $address) -> $word {
            let x: $word;
            // SAFETY: by the contract of this function, the address is valid and aligned.
            unsafe {
                asm!(
                    concat!($instruction, " {}, [{}];"),
                    out($word_class) x, in($class) address, options(pure, readonly, nostack, preserves_flags)
                );
            }
            x
        }

        #[doc = concat!("Loads an element by `", $instruction, "` if `condition` holds, otherwise returns `otherwise`.")]
        ///
        /// # Safety
        /// If `condition` holds, the address is valid for reads, and aligned.
        #[inline(always)]
        pub unsafe fn $load_where(condition: bool, address: $address, otherwise: $word) -> $word {
            let x: $word;
            // SAFETY: by the contract of this function, an address that is read is valid and aligned.
            unsafe {
                asm!(
                    "{{", ".reg .pred held;",
                    "setp.ne.u32 held, {condition}, 0;",
                    concat!("mov.", loads!(@bits $word_class), " {x}, {otherwise};"),
                    concat!("@held ", $instruction, " {x}, [{address}];"),
                    "}}",
                    condition = in(reg32) u32::from(condition), otherwise = in($word_class) otherwise,
                    address = in($class) address, x = out($word_class) x,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            x
        }
    )*};
    (@bits reg32) => { "b32" };
    (@bits reg64) => { "b64" };
}

loads! {
    "ld.shared.u16" load_shared16 load_shared16_where u32, reg32, u32, reg32;
    "ld.shared.b32" load_shared32 load_shared32_where u32, reg32, u32, reg32;
    "ld.shared.b64" load_shared64 load_shared64_where u64, reg64, u32, reg32;
    "ld.global.u16" load_global16 load_global16_where u32, reg32, u64, reg64;
    "ld.global.b32" load_global32 load_global32_where u32, reg32, u64, reg64;
    "ld.global.b64" load_global64 load_global64_where u64, reg64, u64, reg64;
    "ld.global.nc.u16" load_constant16 load_constant16_where u32, reg32, u64, reg64;
    "ld.global.nc.b32" load_constant32 load_constant32_where u32, reg32, u64, reg64;
    "ld.global.nc.b64" load_constant64 load_constant64_where u64, reg64, u64, reg64;
}

macro_rules! stores {
    ($($instruction:literal $store:ident $store_where:ident $word:ty, $word_class:ident, $address:ty, $class:ident;)*) => {$(
        #[doc = concat!("Stores an element by `", $instruction, "`.")]
        ///
        /// # Safety
        /// The address is valid for writes, and aligned.
        #[inline(always)]
        pub unsafe fn $store(address: $address, x: $word) {
            // SAFETY: by the contract of this function, the address is valid and aligned.
            unsafe {
                asm!(
                    concat!($instruction, " [{}], {};"),
                    in($class) address, in($word_class) x, options(nostack, preserves_flags)
                );
            }
        }

        #[doc = concat!("Updates an element by `", $instruction, "` if `condition` holds.")]
        ///
        /// # Safety
        /// If `condition` holds, the address is valid for reads and writes, and aligned.
        #[inline(always)]
        pub unsafe fn $store_where(condition: bool, address: $address, x: $word) {
            // SAFETY: by the contract of this function, an address that is written is valid and aligned.
            unsafe {
                asm!(
                    "{{", ".reg .pred held;",
                    "setp.ne.u32 held, {condition}, 0;",
                    concat!("@held ", $instruction, " [{address}], {x};"),
                    "}}",
                    condition = in(reg32) u32::from(condition), address = in($class) address, x = in($word_class) x,
                    options(nostack, preserves_flags)
                );
            }
        }
    )*};
}

stores! {
    "st.shared.u16" store_shared16 store_shared16_where u32, reg32, u32, reg32;
    "st.shared.b32" store_shared32 store_shared32_where u32, reg32, u32, reg32;
    "st.shared.b64" store_shared64 store_shared64_where u64, reg64, u32, reg32;
    "st.global.u16" store_global16 store_global16_where u32, reg32, u64, reg64;
    "st.global.b32" store_global32 store_global32_where u32, reg32, u64, reg64;
    "st.global.b64" store_global64 store_global64_where u64, reg64, u64, reg64;
}
