//! The classes of the Driver API's functions, called as programs call them.
#![allow(missing_docs)]

#[path = "../driver/mod.rs"]
#[macro_use]
mod driver;
mod callbacks;
mod graphs;
mod memory;
mod misuse;
mod modules;
mod streams;

use driver::Driver;

/// A module with a kernel `add(to, n)` that adds `n` to each of 32 words, and a variable `table`.
const ADD: &str = ".version 7.0\n.target sm_75\n.address_size 64\n.visible .global .align 4 .b8 table[12];\n\
    .visible .entry add(.param .u64 to, .param .u64 n)\n{\n.reg .b32 %r<4>; .reg .b64 %rd<6>;\n\
    ld.param.u64 %rd1, [to]; ld.param.u64 %rd2, [n]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd3, %r1, 8;\n\
    add.u64 %rd1, %rd1, %rd3; ld.global.u64 %rd4, [%rd1]; add.u64 %rd4, %rd4, %rd2; st.global.u64 [%rd1], %rd4;\nret;\n}\n";

/// Returns the kernel `add` and 32 words of zeros.
fn add_and_words(driver: &Driver) -> (usize, u64) {
    let module = driver.load(ADD).unwrap();
    let words = driver.allocate(256).unwrap();
    assert_eq!(driver.write(words, &[0; 32]), 0);
    (driver.function(module, "add").unwrap(), words)
}

/// Runs an ignored test of this executable with settings of the emulator.
#[track_caller]
fn rerun(test: &str, settings: &str) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--ignored", "--exact", test]).env("PTX_EMULATOR", settings).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
