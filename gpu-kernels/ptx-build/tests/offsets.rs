//! Tests of the folding of constant addends into the addresses of accesses.
#![allow(missing_docs)]

use ptx_build::offsets::fold_offsets;

#[track_caller]
fn assert_folded(ptx: &str, expected: &str) {
    let lines = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&fold_offsets(ptx)), lines(expected));
}

#[test]
fn an_addend_of_an_address_becomes_an_offset() {
    assert_folded(
        "mov.u32 %r1, block_memory;
         add.s32 \t%r2, %r1, 64;
         .loc 3 1 1
         ld.shared.b32 %r3, [%r2];
         st.shared.v4.b32 [%r2], {%r3, %r3, %r3, %r3};
         add.s64 %rd2, %rd1, -8;
         @%p1 ld.global.b32 %r4, [%rd2+4];
         cvta.to.global.u64 %rd1, %rd9;",
        "mov.u32 %r1, block_memory;
         .loc 3 1 1
         ld.shared.b32 %r3, [%r1+64];
         st.shared.v4.b32 [%r1+64], {%r3, %r3, %r3, %r3};
         @%p1 ld.global.b32 %r4, [%rd1+-4];
         cvta.to.global.u64 %rd1, %rd9;",
    );
}

#[test]
fn sums_of_sums_are_folded_one_after_the_other() {
    assert_folded(
        "mov.u32 %r1, block_memory;
         add.s32 %r2, %r1, 64;
         ld.shared.b32 %r3, [%r2];
         add.s32 %r4, %r3, 4;
         ld.shared.b32 %r5, [%r4];",
        "mov.u32 %r1, block_memory;
         ld.shared.b32 %r3, [%r1+64];
         ld.shared.b32 %r5, [%r3+4];",
    );
}

#[test]
fn a_sum_with_another_use_stays() {
    let ptx = "mov.u32 %r1, block_memory;
         add.s32 %r2, %r1, 64;
         st.shared.b32 [%r2], %r2;
         add.s32 %r3, %r1, 32;
         ld.shared.b32 %r4, [%r3];
         mul.lo.s32 %r5, %r3, 3;";
    assert_folded(ptx, ptx);
}

/// The register of a loop's address takes several values, of which the sum holds the one at its own line.
#[test]
fn a_sum_of_a_register_with_several_values_is_folded_only_up_to_the_next_value() {
    assert_folded(
        "mov.u32 %r1, block_memory;
         $L__BB0_1:
         add.s32 %r2, %r1, 4;
         $L__tmp7:
         ld.shared.b32 %r3, [%r2];
         add.s32 %r4, %r1, 8;
         add.s32 %r1, %r1, 128;
         ld.shared.b32 %r5, [%r4];
         add.s32 %r6, %r1, 12;
         @%p1 bra $L__BB0_1;
         $L__BB0_2:
         ld.shared.b32 %r7, [%r6];",
        "mov.u32 %r1, block_memory;
         $L__BB0_1:
         $L__tmp7:
         ld.shared.b32 %r3, [%r1+4];
         add.s32 %r4, %r1, 8;
         add.s32 %r1, %r1, 128;
         ld.shared.b32 %r5, [%r4];
         add.s32 %r6, %r1, 12;
         @%p1 bra $L__BB0_1;
         $L__BB0_2:
         ld.shared.b32 %r7, [%r6];",
    );
}

#[test]
fn a_sum_under_a_guard_stays() {
    let ptx = "mov.u32 %r1, block_memory;
         @%p1 add.s32 %r2, %r1, 64;
         @!%p1 mov.b32 %r2, 0;
         ld.shared.b32 %r3, [%r2];";
    assert_folded(ptx, ptx);
}

#[test]
fn an_address_that_states_an_offset_of_zero_is_folded_as_one_without() {
    assert_folded(
        "mov.u32 %r1, block_memory;
         add.s32 %r2, %r1, 512;
         ld.shared.v4.b32 {%r3, %r4, %r5, %r6}, [%r2+0];
         st.shared.b32 [ %r2 + 4 ], %r3;",
        "mov.u32 %r1, block_memory;
         ld.shared.v4.b32 {%r3, %r4, %r5, %r6}, [%r1+512];
         st.shared.b32 [%r1+516], %r3;",
    );
}
