//! Modules and launches that are made to exhaust the host. Each must end in an error, within bounded time and memory.

use std::time::{Duration, Instant};

use ptx_emulator::{DeviceProperties, Dims, Error, Fault, FaultKind, Gpu, Watchdog};

/// Returns a module with these definitions and a kernel `k` with this body.
fn module(definitions: &str, body: &str) -> String {
    let header = ".version 7.8\n.target sm_75\n.address_size 64\n";
    format!(
        "{header}{definitions}\n.visible .entry k(.param .u64 p)\n{{\n.reg .pred %p<9>; .reg .b32 %r<9>;\n\
         .reg .b64 %rd<9>; ld.param.u64 %rd1, [p];\n{body}\nret;\n}}\n"
    )
}

/// Loads a module, and launches `k` with a pointer to 4,096 bytes of zeros under a small limit of instructions.
fn launch(ptx: &str, dims: Dims) -> Result<Result<(), Box<Fault>>, Error> {
    let mut gpu = Gpu::new(DeviceProperties::default());
    gpu.watchdog = Watchdog { instructions: 1_000_000, time: Duration::from_mins(1) };
    let module = gpu.load(ptx)?;
    let memory = gpu.allocate(4096).expect("the device has memory");
    assert!(gpu.write(memory, &[0; 4096]));
    Ok(gpu.launch(&module, "k", dims, &memory.to_le_bytes()).map(|_| ()))
}

/// Checks that the launch of a kernel with these definitions and this body has a fault of this kind.
#[track_caller]
fn check(definitions: &str, body: &str, dims: Dims, kind: FaultKind) {
    let fault = launch(&module(definitions, body), dims).expect("the module loads").expect_err("the launch fails");
    assert_eq!(fault.kind, kind, "{fault}");
}

#[test]
fn more_shared_memory_than_a_multiprocessor_has_is_refused() {
    let halves = ".shared .align 4 .b8 a[2147483648];\n.shared .align 4 .b8 b[2147483648];";
    let body = "mov.u32 %r1, a; st.shared.u32 [%r1], 1; mov.u32 %r1, b; st.shared.u32 [%r1], 1;";
    check(halves, body, Dims::new(1, 1), FaultKind::Resources);
    let dynamic = Dims { shared: usize::MAX, ..Dims::new(1, 1) };
    check("", "", dynamic, FaultKind::Resources);
    check("", "", Dims::new(1, 1025), FaultKind::Resources);
}

#[test]
fn nested_operands_and_scopes_end_in_an_error() {
    for open in ["{", "[", "("] {
        let nested = module("", &format!("mov.u32 %r1, {};", open.repeat(20_000)));
        let error = launch(&nested, Dims::new(1, 1)).expect_err("the operand is refused");
        assert_eq!(error.to_string(), "line 9: this operand is nested too deeply");
    }
    let scopes = module("", &format!("{}{}", "{".repeat(20_000), "}".repeat(20_000)));
    let error = launch(&scopes, Dims::new(1, 1)).expect_err("the scopes are refused");
    assert_eq!(error.to_string(), "line 9: the scopes are nested too deeply");
}

#[test]
fn a_modifier_of_many_parts_is_parsed_in_linear_time() {
    let start = Instant::now();
    let long = module("", &format!("mov.u32{} %r1, 1;", "::a".repeat(600_000)));
    let fault = launch(&long, Dims::new(1, 1)).expect("the module loads").expect_err("there is no such modifier");
    assert_eq!(fault.kind, FaultKind::Unsupported);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_module_that_defines_a_kernel_twice_is_refused() {
    let twice = module(".visible .entry k() { ret; }", "");
    let error = launch(&twice, Dims::new(1, 1)).expect_err("the module is refused");
    assert_eq!(error.to_string(), "line 5: `k` is defined twice");
}

#[test]
fn registers_without_a_use_take_no_memory() {
    let body = ".reg .b32 %x<4000000000>; mov.u32 %x3999999999, 7; st.global.u32 [%rd1], %x3999999999;";
    assert!(launch(&module("", body), Dims::new(1, 1)).is_ok_and(|launched| launched.is_ok()));
    let beyond = module("", ".reg .b32 %x<9>; mov.u32 %x9, 7;");
    let fault = launch(&beyond, Dims::new(1, 1)).expect("the module loads").expect_err("the last register is %x8");
    assert_eq!(fault.kind, FaultKind::Unsupported, "{fault}");
}

#[test]
fn source_locations_that_name_themselves_stay_short() {
    let body = ".loc 1 1 1, function_name $f, inlined_at 1 1 1\nadd.u32 %r1, %r1, 1;\n".repeat(20_000);
    let files = ".file 1 \"a.cu\"";
    assert!(launch(&module(files, &body), Dims::new(1, 1)).is_ok_and(|launched| launched.is_ok()));
}

#[test]
fn endless_loops_end_by_the_limit_of_instructions() {
    // A barrier or a store changes what other warps can see, so the launch is never idle.
    check("", "L: bar.sync 0; bra L;", Dims::new(1, 64), FaultKind::Timeout);
    let counter = "L: add.u32 %r1, %r1, 1; st.global.u32 [%rd1], %r1; bra L;";
    check("", counter, Dims::new(1, 1), FaultKind::Timeout);
}

#[test]
fn an_endless_loop_ends_by_the_limit_of_time() {
    let mut gpu = Gpu::new(DeviceProperties::default());
    gpu.watchdog.time = Duration::from_millis(50);
    let module = gpu.load(&module("", "L: bar.sync 0; bra L;")).expect("the module loads");
    let fault = gpu.launch(&module, "k", Dims::new(1, 64), &[0; 8]).expect_err("the loop has no end");
    assert_eq!(fault.kind, FaultKind::Timeout, "{fault}");
}

#[test]
fn the_largest_grid_takes_no_memory_for_its_order() {
    for order in [0, 1] {
        let mut gpu = Gpu::new(DeviceProperties::default());
        gpu.order = order;
        gpu.watchdog.instructions = 100_000;
        let module = gpu.load(&module("", "")).expect("the module loads");
        let fault =
            gpu.launch(&module, "k", Dims::new(i32::MAX as u32, 1), &[0; 8]).expect_err("the grid is too large");
        assert_eq!(fault.kind, FaultKind::Timeout, "{fault}");
    }
}

#[test]
fn functions_that_only_call_end_by_the_limit_of_instructions() {
    let twice = |i: u32| format!(".func f{} {{ call f{i}; call f{i}; }}\n", i + 1);
    let functions: String = (0..60).map(twice).collect();
    check(&format!(".func f0 {{ ret; }}\n{functions}"), "call f60;", Dims::new(1, 1), FaultKind::Timeout);
}

#[test]
fn a_long_chain_of_calls_overflows_the_stack_of_the_device_alone() {
    let once = |i: u32| format!(".func f{} {{ call f{i}; }}\n", i + 1);
    let functions: String = (0..20_000).map(once).collect();
    check(&format!(".func f0 {{ ret; }}\n{functions}"), "call f20000;", Dims::new(1, 1), FaultKind::StackOverflow);
}
