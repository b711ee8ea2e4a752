//! The differences between the two compilers that make PTX. One is rustc's own NVPTX backend. The other is
//! Rust-CUDA's backend, with its library `cuda_std` (feature `rust-cuda`).

#[cfg(feature = "rust-cuda")]
pub use rust_cuda::{block, blocks, shared_base, thread};
#[cfg(not(feature = "rust-cuda"))]
pub use rustc::{block, blocks, shared_base, thread};

#[cfg(feature = "rust-cuda")]
mod rust_cuda {
    pub use cuda_std::thread::{block_idx_x as block, grid_dim_x as blocks, thread_idx_x as thread};

    /// Returns the address of the launch's dynamic shared memory, in the shared state space.
    #[inline(always)]
    pub fn shared_base() -> u32 {
        let generic: *mut u32 = cuda_std::shared::dynamic_shared_mem();
        let address: u64;
        // SAFETY: the instructions only compute on registers.
        unsafe {
            core::arch::asm!("cvta.to.shared.u64 {}, {};", out(reg64) address, in(reg64) generic, options(pure, nomem, nostack, preserves_flags));
        }
        address as u32
    }

    /// Defines kernels, functions that the host launches with one argument each.
    #[macro_export]
    macro_rules! ptx_entries {
        ($($(#[$attribute:meta])* pub unsafe fn $name:ident($args:ident: $type:ty) $body:block)*) => {$(
            $(#[$attribute])*
            #[$crate::cuda_std::kernel]
            pub unsafe fn $name($args: $type) $body
        )*};
    }
}

#[cfg(not(feature = "rust-cuda"))]
mod rustc {
    use core::arch::{asm, global_asm, nvptx};

    /// Returns the index of the thread in its block.
    #[inline(always)]
    pub fn thread() -> u32 {
        // SAFETY: the intrinsic only reads a special register.
        unsafe { nvptx::_thread_idx_x() as u32 }
    }

    /// Returns the index of the block in the grid.
    #[inline(always)]
    pub fn block() -> u32 {
        // SAFETY: the intrinsic only reads a special register.
        unsafe { nvptx::_block_idx_x() as u32 }
    }

    /// Returns the number of blocks of the grid.
    #[inline(always)]
    pub fn blocks() -> u32 {
        // SAFETY: the intrinsic only reads a special register.
        unsafe { nvptx::_grid_dim_x() as u32 }
    }

    // Rust has no syntax for the dynamic shared memory of a launch.
    global_asm!(".extern .shared .align 16 .b8 block_memory[];");

    /// Returns the address of the launch's dynamic shared memory, in the shared state space.
    #[inline(always)]
    pub fn shared_base() -> u32 {
        let address: u32;
        // SAFETY: the instructions only take the address of the variable declared above.
        unsafe {
            asm!("mov.u32 {}, block_memory;", out(reg32) address, options(pure, nomem, nostack, preserves_flags));
        }
        address
    }

    /// Defines kernels, functions that the host launches with one argument each.
    #[macro_export]
    macro_rules! ptx_entries {
        ($($(#[$attribute:meta])* pub unsafe fn $name:ident($args:ident: $type:ty) $body:block)*) => {$(
            $(#[$attribute])*
            #[unsafe(no_mangle)]
            pub unsafe extern "ptx-kernel" fn $name($args: $type) $body
        )*};
    }

    /// Ends the kernel, so that the host reads an error. A GPU cannot report more. The host checks every size before a
    /// launch, so that no kernel panics.
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo) -> ! {
        // SAFETY: `trap` ends the kernel and accesses no memory.
        unsafe { nvptx::trap() }
    }
}
