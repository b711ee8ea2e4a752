//! Calls: parameters in registers and in memory, calls by pointer, recursion, and the runtime library of the device.

use ptx_emulator::{DeviceProperties, Dims, Fault, FaultKind, Gpu};

const HEADER: &str = ".version 7.8\n.target sm_75\n.address_size 64\n";

/// Runs a kernel `k(to)` with this body on 32 threads. `%r1` is the thread's index and `%rd1` the address of the
/// thread's word. Returns the words and what the kernel printed.
fn run(definitions: &str, body: &str) -> (Result<Vec<u32>, Box<Fault>>, String) {
    let mut gpu = Gpu::new(DeviceProperties::default());
    let text = format!(
        "{HEADER}{definitions}\n.visible .entry k(.param .u64 to)\n{{\n.reg .pred %p<9>; .reg .b32 %r<19>;\n\
         .reg .b64 %rd<19>; ld.param.u64 %rd1, [to]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 4;\n\
         add.u64 %rd1, %rd1, %rd2;\n{body}\nret;\n}}\n"
    );
    let module = gpu.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let to = gpu.allocate(128).expect("the device has memory");
    let launched = gpu.launch(&module, "k", Dims::new(1, 32), &to.to_le_bytes()).map(|_| ());
    let words = gpu.read(to, 128).expect("the words are allocated");
    let words = words.chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes"))).collect();
    (launched.map(|()| words), gpu.take_output())
}

/// Checks the word that each thread writes.
#[track_caller]
fn check(definitions: &str, body: &str, expected: impl Fn(u32) -> u32) {
    let found = run(definitions, body).0.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(found, (0..32).map(expected).collect::<Vec<_>>());
}

/// Functions with parameters in registers, as hand-written PTX has them.
const REGISTERS: &str = "
.func (.reg .b32 %sum, .reg .b64 %wide) add_up(.reg .b32 %a, .reg .b32 %b, .reg .b16 %c)
{
.reg .b32 %w; .reg .pred %odd;
add.u32 %sum, %a, %b;
cvt.u32.u16 %w, %c;
cvt.u64.u32 %wide, %w;
and.b32 %w, %a, 1;
setp.ne.u32 %odd, %w, 0;
@%odd ret;
add.u32 %sum, %sum, 1000;
}";

#[test]
fn parameters_in_registers_are_passed_and_returned() {
    let body = "mov.u16 %h, 7; call (%r2, %rd3), add_up, (%r1, 5, %h); cvt.u32.u64 %r3, %rd3; add.u32 %r2, %r2, %r3;\n\
         setp.lt.u32 %p1, %r1, 16; @%p1 call (_, _), add_up, (%r1, %r1, %h); st.global.u32 [%rd1], %r2;";
    let body = format!(".reg .b16 %h; {body}");
    check(REGISTERS, &body, |thread| thread + 5 + 7 + if thread.is_multiple_of(2) { 1000 } else { 0 });
}

#[test]
fn a_call_under_a_predicate_changes_only_the_lanes_that_call() {
    let body = ".reg .b16 %h; mov.u16 %h, 7; mov.u32 %r2, 3; setp.ge.u32 %p1, %r1, 10;\n\
         @%p1 call (%r2, %rd3), add_up, (%r1, 5, %h); st.global.u32 [%rd1], %r2;";
    let sum = |thread: u32| thread + 5 + if thread.is_multiple_of(2) { 1000 } else { 0 };
    check(REGISTERS, body, |thread| if thread < 10 { 3 } else { sum(thread) });
}

/// Two functions of one type, and a table of their addresses.
const POINTERS: &str = "
.func (.param .b32 result) twice(.param .b32 x)
{
.reg .b32 %r; ld.param.b32 %r, [x]; shl.b32 %r, %r, 1; st.param.b32 [result], %r; ret;
}
.func (.param .b32 result) square(.param .b32 x)
{
.reg .b32 %r; ld.param.b32 %r, [x]; mul.lo.u32 %r, %r, %r; st.param.b32 [result], %r; ret;
}
.global .align 8 .u64 table[2] = {twice, square};";

#[test]
fn lanes_call_different_functions_by_pointer() {
    let call = "
mov.u64 %rd3, table; and.b32 %r2, %r1, 1; mul.wide.u32 %rd4, %r2, 8; add.u64 %rd3, %rd3, %rd4;
ld.global.u64 %rd5, [%rd3];
{
.param .b32 argument; .param .b32 value; st.param.b32 [argument], %r1;
prototype_0 : .callprototype (.param .b32 _) _ (.param .b32 _);
call (value), %rd5, (argument), prototype_0;
ld.param.b32 %r3, [value];
}
st.global.u32 [%rd1], %r3;";
    check(POINTERS, call, |thread| if thread.is_multiple_of(2) { 2 * thread } else { thread * thread });
    let targets = ".reg .b32 %s; .param .b32 v; .param .b32 a; mov.u64 %rd5, square; st.param.b32 [a], %r1;\n\
         all: .calltargets twice, square; call (v), %rd5, (a), all; ld.param.b32 %s, [v]; st.global.u32 [%rd1], %s;";
    check(POINTERS, targets, |thread| thread * thread);
    let (result, _) = run(POINTERS, &call.replace("ld.global.u64 %rd5, [%rd3];", "mov.u64 %rd5, 64;"));
    let fault = result.expect_err("there is no function at address 64");
    assert_eq!((fault.kind, fault.lane), (FaultKind::Branch, Some(0)), "{fault}");
}

/// A function that calls itself twice, and one without an end.
const RECURSION: &str = "
.func (.param .b32 result) fibonacci(.param .b32 n)
{
.reg .b32 %r<9>; .reg .pred %p;
ld.param.b32 %r1, [n];
setp.lt.u32 %p, %r1, 2;
@%p bra SMALL;
sub.u32 %r2, %r1, 1;
{ .param .b32 a; .param .b32 v; st.param.b32 [a], %r2; call (v), fibonacci, (a); ld.param.b32 %r3, [v]; }
sub.u32 %r2, %r1, 2;
{ .param .b32 a; .param .b32 v; st.param.b32 [a], %r2; call (v), fibonacci, (a); ld.param.b32 %r4, [v]; }
add.u32 %r3, %r3, %r4;
st.param.b32 [result], %r3;
ret;
SMALL:
st.param.b32 [result], %r1;
ret;
}
.func endless() { call endless; ret; }";

#[test]
fn a_recursive_function_keeps_the_registers_of_each_call() {
    let body = ".param .b32 a; .param .b32 v; and.b32 %r2, %r1, 7; st.param.b32 [a], %r2; call (v), fibonacci, (a);\n\
         ld.param.b32 %r3, [v]; st.global.u32 [%rd1], %r3;";
    check(RECURSION, body, |thread| [0, 1, 1, 2, 3, 5, 8, 13][thread as usize % 8]);
    let fault = run(RECURSION, "call endless;").0.expect_err("the stack has an end");
    assert_eq!(fault.kind, FaultKind::StackOverflow, "{fault}");
}

#[test]
fn lanes_exit_inside_of_a_function() {
    let leave = ".func leave(.reg .b32 %n) { .reg .pred %p; setp.lt.u32 %p, %n, 8; @%p exit; ret; }";
    let body = "st.global.u32 [%rd1], 1; call leave, (%r1); st.global.u32 [%rd1], 2; bar.sync 0;";
    check(leave, body, |thread| if thread < 8 { 1 } else { 2 });
}

#[test]
fn functions_have_shared_variables_of_their_own() {
    let function = |name: &str, value: u32| {
        format!(
            ".func (.reg .b32 %v) {name}() {{ .shared .align 4 .b32 cell; .reg .b32 %t; .reg .pred %p;\n\
             mov.u32 %t, %tid.x; setp.eq.u32 %p, %t, 0; @%p st.shared.u32 [cell], {value}; bar.sync 0;\n\
             ld.shared.u32 %v, [cell]; ret; }}\n"
        )
    };
    let body = "call (%r2), first, (); call (%r3), second, (); call (%r4), first, (); mad.lo.u32 %r2, %r2, 100, %r3;\n\
         st.global.u32 [%rd1], %r2;";
    check(&(function("first", 3) + &function("second", 4)), body, |_| 304);
}

/// The declarations of the runtime library and three strings.
const LIBRARY: &str = "
.extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);
.extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 c);
.extern .func (.param .b64 r) malloc(.param .b64 n);
.extern .func free(.param .b64 p);
.extern .func unknown(.param .b64 p);
.global .align 1 .b8 format[] = {37, 100, 32, 37, 103, 32, 37, 115, 10, 0};
.global .align 1 .b8 name[] = {97, 46, 99, 117, 0};";

#[test]
fn kernels_print_and_assert() {
    let print = "
.local .align 8 .b8 arguments[24]; .param .b64 f; .param .b64 a; .param .b32 r; .reg .b64 %buffer;
setp.ne.u32 %p1, %r1, 5; @%p1 exit;
st.local.u32 [arguments], %r1; mov.u64 %rd3, 0d3FF8000000000000; st.local.u64 [arguments+8], %rd3;
mov.u64 %rd4, name; st.local.u64 [arguments+16], %rd4;
mov.u64 %rd5, format; st.param.b64 [f], %rd5; mov.u64 %buffer, arguments; cvta.local.u64 %buffer, %buffer;
st.param.b64 [a], %buffer; call.uni (r), vprintf, (f, a); ld.param.b32 %r2, [r];
st.global.u32 [%rd1], %r2;";
    let (result, output) = run(LIBRARY, print);
    assert_eq!(result.unwrap_or_else(|fault| panic!("{fault}"))[5], 3, "three arguments were printed");
    assert_eq!(output, "5 1.5 a.cu\n");
    let assertion = "
.param .b64 m; .param .b64 f; .param .b32 l; .param .b64 n; .param .b64 c;
mov.u64 %rd3, name; st.param.b64 [m], %rd3; st.param.b64 [f], %rd3; st.param.b32 [l], 7; st.param.b64 [n], %rd3;
st.param.b64 [c], 1; setp.eq.u32 %p1, %r1, 9; @%p1 call.uni __assertfail, (m, f, l, n, c);";
    let fault = run(LIBRARY, assertion).0.expect_err("the assertion of thread 9 fails");
    assert_eq!((fault.kind, fault.lane), (FaultKind::Assert, Some(9)), "{fault}");
    assert_eq!(fault.message, "a.cu:7: a.cu: assertion `a.cu` failed");
}

#[test]
fn kernels_allocate_memory() {
    let body = ".param .b64 n; .param .b64 p; st.param.b64 [n], 8; call (p), malloc, (n); ld.param.b64 %rd3, [p];\n\
         st.u32 [%rd3+4], %r1; ld.u32 %r2, [%rd3+4]; st.global.u32 [%rd1], %r2;\n\
         st.param.b64 [n], %rd3; call free, (n); setp.eq.u32 %p1, %r1, 40; @%p1 call free, (n);";
    check(LIBRARY, body, |thread| thread);
    let twice = run(LIBRARY, &body.replace("%r1, 40", "%r1, 4")).0.expect_err("thread 4 frees its memory twice");
    assert_eq!((twice.kind, twice.lane), (FaultKind::OutOfBounds, Some(4)), "{twice}");
    let fault = run(LIBRARY, ".param .b64 n; st.param.b64 [n], 8; call unknown, (n);").0.expect_err("there is no body");
    assert_eq!(fault.message, "`call`: the function `unknown` has no body");
}
