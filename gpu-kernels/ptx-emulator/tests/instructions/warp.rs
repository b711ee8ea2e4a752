//! Reductions, matches and barriers, which exchange values between lanes and warps (PTX ISA, section 9.7.13).

use crate::case::cut;
use crate::driver::{Driver, THREADS};
use crate::values::{Rows, rows};

/// Returns the kernel that runs `body` on the row's first value `%a`, of 32 and of 64 bits (`%w`), and writes the word
/// `%x`. `%u` is the thread's index in its block.
fn kernel(body: &str) -> String {
    format!(
        ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 from, .param .u64 to)\n{{\n\
         .reg .b64 %at, %to, %i, %w; .reg .b32 %t, %u, %a, %x, %y, %z; .reg .pred %p, %q; .reg .b64 %rd;\n\
         .shared .align 4 .b8 words[512];\n\
         mov.u32 %t, %ctaid.x; mov.u32 %u, %tid.x; mad.lo.u32 %t, %t, {THREADS}, %u; ld.param.u64 %at, [from];\n\
         mul.wide.u32 %i, %t, 32; add.u64 %at, %at, %i; ld.param.u64 %to, [to]; mul.wide.u32 %i, %t, 8; add.u64 %to, %to, %i;\n\
         ld.global.b32 %a, [%at]; ld.global.b64 %w, [%at]; and.b32 %y, %a, 1; setp.ne.u32 %p, %y, 0;\n\
         {body}\nst.global.b32 [%to], %x;\nret;\n}}\n"
    )
}

/// Checks a kernel in which each thread's result is a function of the values of a group of neighbours, and of the
/// thread's index in the group. The rows after the last one are zero.
#[track_caller]
fn check_groups(driver: &Driver, body: &str, group: usize, f: impl Fn(&[u64], usize) -> u64) {
    let all = rows(Rows::Integers);
    let mut values: Vec<u64> = all.iter().map(|row| row[0]).collect();
    values.resize(all.len().next_multiple_of(THREADS), 0);
    let ptx = kernel(body);
    for (i, found) in driver.map(&ptx, all).into_iter().enumerate() {
        let start = i / group * group;
        let expected = cut(f(&values[start..start + group], i - start), 32);
        assert_eq!(cut(found, 32), expected, "thread {i}\n{ptx}");
    }
}

/// Returns the signed value of the lowest 32 bits.
fn signed(x: u64) -> i64 {
    i64::from(x as u32 as i32)
}

/// Runs all kernels of this file.
pub fn check(driver: &Driver) {
    reductions(driver);
    matches(driver);
    barriers(driver);
}

fn reductions(driver: &Driver) {
    let unsigned = |x: &u64| cut(*x, 32);
    let redux = |name: &str| format!("redux.sync.{name} %x, %a, -1;");
    check_groups(driver, &redux("add.u32"), 32, |x, _| x.iter().map(unsigned).sum());
    check_groups(driver, &redux("add.s32"), 32, |x, _| x.iter().map(|x| signed(*x)).sum::<i64>() as u64);
    check_groups(driver, &redux("min.u32"), 32, |x, _| x.iter().map(unsigned).min().unwrap());
    check_groups(driver, &redux("max.u32"), 32, |x, _| x.iter().map(unsigned).max().unwrap());
    check_groups(driver, &redux("min.s32"), 32, |x, _| x.iter().map(|x| signed(*x)).min().unwrap() as u64);
    check_groups(driver, &redux("max.s32"), 32, |x, _| x.iter().map(|x| signed(*x)).max().unwrap() as u64);
    check_groups(driver, &redux("and.b32"), 32, |x, _| x.iter().fold(u64::MAX, |a, b| a & b));
    check_groups(driver, &redux("or.b32"), 32, |x, _| x.iter().fold(0, |a, b| a | b));
    check_groups(driver, &redux("xor.b32"), 32, |x, _| x.iter().fold(0, |a, b| a ^ b));
    // Each half of a warp is a set of members of its own.
    let halves = "and.b32 %y, %u, 16; setp.eq.u32 %q, %y, 0; mov.u32 %x, 0; @%q redux.sync.add.u32 %x, %a, 0xffff;";
    check_groups(driver, halves, 32, |x, i| if i < 16 { x[..16].iter().map(unsigned).sum() } else { 0 });
}

fn matches(driver: &Driver) {
    let equal = |x: &[u64], i: usize, bits: u32| {
        (0..32).filter(|j| cut(x[*j], bits) == cut(x[i], bits)).fold(0, |mask, j| mask | 1 << j)
    };
    check_groups(driver, "match.any.sync.b32 %x, %a, -1;", 32, |x, i| equal(x, i, 32));
    check_groups(driver, "match.any.sync.b64 %x, %w, -1;", 32, |x, i| equal(x, i, 64));
    let all = "match.all.sync.b32 %x|%q, %a, -1; @%q add.u32 %x, %x, 5;";
    let whole = u64::from(u32::MAX);
    check_groups(driver, all, 32, |x, i| if equal(x, i, 32) == whole { whole + 5 } else { 0 });
}

fn barriers(driver: &Driver) {
    let odd = |x: &[u64]| x.iter().filter(|x| **x % 2 == 1).count() as u64;
    let block = THREADS as u64;
    check_groups(driver, "bar.red.popc.u32 %x, 0, %p;", THREADS, |x, _| odd(x));
    check_groups(driver, "barrier.cta.red.popc.aligned.u32 %x, 0, !%p;", THREADS, |x, _| block - odd(x));
    let selected = |op: &str| format!("barrier.red.{op}.pred %q, 3, %p; selp.b32 %x, 7, 9, %q;");
    check_groups(driver, &selected("and"), THREADS, |x, _| if odd(x) == block { 7 } else { 9 });
    check_groups(driver, &selected("or"), THREADS, |x, _| if odd(x) > 0 { 7 } else { 9 });
    // Two pairs of warps have a barrier each. A thread reads what the other warp of its pair wrote.
    let pairs = "shl.b32 %y, %u, 2; mov.u32 %z, words; add.u32 %y, %y, %z; st.shared.b32 [%y], %a; shr.u32 %t, %u, 6;\n\
        add.u32 %t, %t, 1; barrier.sync %t, 64; xor.b32 %y, %u, 32; shl.b32 %y, %y, 2; add.u32 %y, %y, %z;\n\
        ld.shared.b32 %x, [%y];";
    check_groups(driver, pairs, 64, |x, i| x[i ^ 32]);
    // Warp 0 produces values and goes on, and the other warps wait for them.
    let produce = "mov.u32 %z, words; setp.ge.u32 %q, %u, 32; @%q bra CONSUME; shl.b32 %y, %u, 2; add.u32 %y, %y, %z;\n\
        st.shared.b32 [%y], %a; bar.arrive 1, 128; mov.u32 %x, 11; bra END; CONSUME: bar.sync 1, 128; and.b32 %y, %u, 31;\n\
        shl.b32 %y, %y, 2; add.u32 %y, %y, %z; ld.shared.b32 %x, [%y]; END:";
    check_groups(driver, produce, THREADS, |x, i| if i < 32 { 11 } else { x[i % 32] });
    check_groups(driver, "mov.u32 %x, WARP_SZ; add.u32 %x, %x, %envreg3;", THREADS, |_, _| 32);
}
