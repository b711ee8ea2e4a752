//! Atomic read-modify-writes (PTX ISA, sections 9.7.13.4 and 9.7.13.6), which are tested by the value in memory and by
//! the returned value.

use crate::case::cut;
use crate::driver::{Driver, THREADS};
use crate::oracle::{bits_of, value};
use crate::values::{Rows, rows};

/// A function from the old value, the operand, and the swap value of `cas` to the new value.
type Function = fn(i128, i128, i128) -> i128;

/// The operations, with their types and functions.
const FUNCTIONS: [(&str, &[&str], Function); 10] = [
    ("and", &["b32", "b64"], |old, b, _| old & b),
    ("or", &["b32", "b64"], |old, b, _| old | b),
    ("xor", &["b32", "b64"], |old, b, _| old ^ b),
    ("exch", &["b32", "b64"], |_, b, _| b),
    ("cas", &["b16", "b32", "b64"], |old, b, c| if old == b { c } else { old }),
    ("add", &["u32", "s32", "u64", "s64"], |old, b, _| old + b),
    ("inc", &["u32"], |old, b, _| if old >= b { 0 } else { old + 1 }),
    ("dec", &["u32"], |old, b, _| if old == 0 || old > b { b } else { old - 1 }),
    ("min", &["u32", "s32", "u64", "s64"], |old, b, _| old.min(b)),
    ("max", &["u32", "s32", "u64", "s64"], |old, b, _| old.max(b)),
];

/// Returns the kernel that applies an operation to a copy of the row's first value in this state space, and writes the
/// register `result`.
fn kernel(opcode: &str, space: &str, name: &str, typ: &str, result: &str) -> String {
    let bits = bits_of(typ);
    let d = if opcode == "atom" { "%d, " } else { "" };
    let swap = if name == "cas" { ", %c" } else { "" };
    format!(
        ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 from, .param .u64 to)\n{{\n\
         .shared .align 8 .b8 block[{}]; .reg .b64 %at, %to, %i, %x; .reg .b32 %t, %u; .reg .b{bits} %d, %a, %b, %c;\n\
         mov.u32 %t, %ctaid.x; mov.u32 %u, %tid.x; mad.lo.u32 %t, %t, {THREADS}, %u; ld.param.u64 %at, [from];\n\
         mul.wide.u32 %i, %t, 32; add.u64 %at, %at, %i; ld.param.u64 %to, [to]; mul.wide.u32 %i, %t, 8; add.u64 %to, %to, %i;\n\
         mov.u64 %x, block; mul.wide.u32 %i, %u, 8; add.u64 %x, %x, %i; ld.global.b{bits} %a, [%at];\n\
         ld.global.b{bits} %b, [%at+8]; ld.global.b{bits} %c, [%at+16]; st.shared.b{bits} [%x], %a;\n\
         {opcode}.{space}.{name}.{typ} {d}[{address}], %b{swap};\nld.{space}.b{bits} %c, [{address}]; st.global.b{bits} [%to], {result};\n\
         ret;\n}}\n",
        8 * THREADS,
        address = if space == "shared" { "%x" } else { "%at" },
    )
}

/// Runs every operation in every state space.
pub fn check(driver: &Driver) {
    for (name, types, f) in FUNCTIONS {
        for typ in types {
            for (opcode, space, result) in
                [("atom", "global", "%d"), ("atom", "global", "%c"), ("red", "global", "%c"), ("atom", "shared", "%c")]
            {
                if opcode == "red" && matches!(name, "exch" | "cas") {
                    continue;
                }
                let ptx = kernel(opcode, space, name, typ, result);
                let bits = bits_of(typ);
                for (row, found) in rows(Rows::Integers).iter().zip(driver.map(&ptx, rows(Rows::Integers))) {
                    let [old, b, c] = [0, 1, 2].map(|i| value(typ, row[i]));
                    let expected = cut((if result == "%d" { old } else { f(old, b, c) }) as u64, bits);
                    assert_eq!(cut(found, bits), expected, "{old:#x} {b:#x} {c:#x}\n{ptx}");
                }
            }
        }
    }
}
