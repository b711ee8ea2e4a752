//! A plugin of QEMU that counts the instructions of a program and writes their number to stderr when the program ends.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The version of the plugin interface, that of QEMU 6 to 8.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 1;

static EXECUTED: AtomicUsize = AtomicUsize::new(0);

// These functions are declared as in `include/qemu/qemu-plugin.h` of QEMU 7.2.
unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, translated: extern "C" fn(u64, *mut c_void));
    fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut c_void,
        executed: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        instructions: *mut c_void,
    );
    fn qemu_plugin_tb_n_insns(block: *const c_void) -> usize;
    fn qemu_plugin_register_atexit_cb(id: u64, ended: extern "C" fn(u64, *mut c_void), data: *mut c_void);
}

/// Registers the count of a translated block's instructions at each execution of the block.
extern "C" fn translated(_: u64, block: *mut c_void) {
    // SAFETY: QEMU passes a block that is valid during the call. The pointer carries the number of instructions, and
    // nothing dereferences it.
    unsafe {
        let instructions = std::ptr::without_provenance_mut(qemu_plugin_tb_n_insns(block));
        qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, instructions);
    }
}

extern "C" fn executed(_: c_uint, instructions: *mut c_void) {
    EXECUTED.fetch_add(instructions.addr(), Relaxed);
}

extern "C" fn ended(_: u64, _: *mut c_void) {
    eprintln!("instructions: {}", EXECUTED.load(Relaxed));
}

/// Registers the callbacks when QEMU loads the plugin.
#[unsafe(no_mangle)]
pub extern "C" fn qemu_plugin_install(id: u64, _: *const c_void, _: c_int, _: *const *const c_char) -> c_int {
    // SAFETY: the callbacks have the types that QEMU calls them with, and live as long as the plugin.
    unsafe {
        qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
        qemu_plugin_register_atexit_cb(id, ended, std::ptr::null_mut());
    }
    0
}
