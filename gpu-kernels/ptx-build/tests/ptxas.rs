//! Tests of the parsers for the output of ptxas and nvdisasm.
#![allow(missing_docs)]

#[path = "../src/assembler.rs"]
mod assembler;

use assembler::{MachineCode, Resources};

const LOG: &str = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_90'
ptxas info    : Function properties for first
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 16 bytes stack size, 64 bytes smem
ptxas info    : Compile time = 10.000 ms
ptxas info    : Compiling entry function 'second' for 'sm_90'
ptxas info    : Function properties for second
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, used 0 barriers
";

#[test]
fn the_log_of_ptxas_gives_the_resources_of_each_kernel() {
    let first = Resources { registers: 128, shared: 64, stack: 16, spill_stores: 8, spill_loads: 12 };
    assert_eq!(Resources::parse(LOG, "first").unwrap(), first);
    let second = Resources { registers: 8, shared: 0, stack: 0, spill_stores: 0, spill_loads: 0 };
    assert_eq!(Resources::parse(LOG, "second").unwrap(), second);
    let error = Resources::parse(LOG, "third").unwrap_err();
    assert!(error.starts_with("the log of ptxas does not describe the kernel `third`:\n"), "{error}");
}

#[test]
fn the_listing_of_nvdisasm_gives_the_operations_of_a_kernel() {
    let listing = "\
\t.section\t.text.add,\"ax\",@progbits
.text.add:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 LDS.128 R4, [R2+0x10] ;
.L_x_0:
        /*0020*/                   LDS R8, [R2] ;
\t.section\t.text.other,\"ax\",@progbits
.text.other:
        /*0000*/                   EXIT ;
";
    let code = MachineCode::parse(listing, "add").unwrap();
    assert_eq!(code.operations, ["LDC", "LDS.128", "LDS"]);
    assert_eq!((code.bytes, code.count("LDS"), code.count("LD")), (48, 2, 0));
    let error = MachineCode::parse(listing, "absent").unwrap_err();
    assert_eq!(error, "the listing of nvdisasm has no kernel `absent`");
}
