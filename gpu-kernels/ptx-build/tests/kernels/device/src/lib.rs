//! Access to a thread's index and to shared memory, and the panic handler.
#![no_std]
#![feature(asm_experimental_arch, stdarch_nvptx)]

use core::arch::{asm, global_asm, nvptx};

global_asm!(".extern .shared .align 16 .b8 shared_memory[];");

/// Returns the thread's index in its block. The compiler must inline this function even without an attribute.
pub fn thread_index() -> usize {
    // SAFETY: the intrinsic only reads a special register.
    unsafe { nvptx::_thread_idx_x() as usize }
}

/// Stores a value in the thread's word of shared memory.
///
/// # Safety
/// The launch provides a word for each thread of a block.
#[inline(always)]
pub unsafe fn store_shared(value: f32) {
    // SAFETY: by the contract of this function, shared memory has a word for this thread.
    unsafe {
        asm!(
            "{{ .reg .b32 base; mov.b32 base, shared_memory; add.u32 base, base, {offset}; st.shared.f32 [base], {value}; }}",
            offset = in(reg32) 4 * thread_index() as u32,
            value = in(reg32) value,
        );
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: `trap` ends the kernel and accesses no memory.
    unsafe { nvptx::trap() }
}
