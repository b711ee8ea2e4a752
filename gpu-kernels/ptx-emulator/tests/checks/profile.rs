//! The rows of a profile by op, for kernels with known source lines.

use ptx_emulator::{Bound, Checks, DeviceProperties, Dims, Gpu};

/// Profiles a kernel and returns the name and the instruction count of each op, sorted.
fn rows(body: &str, ops: &[&str]) -> Vec<String> {
    let text = format!(
        ".version 7.2\n.target sm_75\n.address_size 64\n.visible .entry k()\n{{\n.reg .b32 %r<9>;\n{body}\nret;\n}}\n\
         .file 1 \"./k/src/lanes/view.rs\"\n.file 2 \"./k/src/ops/linear.rs\"\n.file 3 \"./k/src/ops/mod.rs\"\n\
         .file 4 \"./k/src/train/batch.rs\"\n.file 5 \"./k/src/entry/gpu.rs\"\n.section .debug_str {{\nname:\n.b8 107, 0\n}}\n"
    );
    let mut gpu = Gpu::new(DeviceProperties::default());
    let module = gpu.load(&text).unwrap();
    let table = gpu.launch(&module, "k", Dims::new(1, 32), &[]).unwrap().table(ops);
    let rows = table.split_once("\nop").unwrap().1.lines().skip(1).filter(|line| !line.is_empty());
    let mut rows: Vec<_> = rows
        .map(|row| row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).take(2).collect::<Vec<_>>().join(" "))
        .collect();
    rows.sort();
    rows
}

const COMMENTS: &str = ".loc 1 7 1 // inlined at 2:5 3:9 4:20 5:1\nmov.u32 %r1, 1;\nmov.u32 %r1, 2;\n\
                        .loc 1 7 1 // inlined at 3:9 4:20 5:1\nmov.u32 %r1, 3;\n.loc 1 8 1 // inlined at 5:1\nmov.u32 %r1, 4;\n\
                        .loc 1 0 1 // inlined at 2:5 5:1\nmov.u32 %r1, 5;\n.loc 5 2 1";

#[test]
fn an_instruction_belongs_to_the_innermost_op_of_its_inline_chain() {
    assert_eq!(rows(COMMENTS, &["src/ops/"]), ["entry/gpu 3", "ops/linear 3"]);
    assert_eq!(rows(COMMENTS, &["src/ops/", "src/train/"]), ["entry/gpu 2", "ops/linear 3", "train/batch 1"]);
    // The directives of PTX ISA, section 11.5.3, take the place of comments.
    let directives = ".loc 5 1 1\n.loc 4 20 1, function_name name, inlined_at 5 1 1\n\
                      .loc 2 5 1, function_name name, inlined_at 4 20 1\nmov.u32 %r1, 1;\n\
                      .loc 1 7 1, function_name name+0, inlined_at 2 5 1\nmov.u32 %r1, 2;\n.loc 5 2 1";
    assert_eq!(rows(directives, &["src/ops/"]), ["entry/gpu 1", "ops/linear 2"]);
}

#[test]
fn an_instruction_belongs_to_its_innermost_file_if_no_ops_are_given() {
    assert_eq!(rows(COMMENTS, &[]), ["entry/gpu 1", "lanes/view 5"]);
}

#[test]
fn no_op_is_guessed_without_inline_chains() {
    let lines = ".loc 2 5 1\nmov.u32 %r1, 1;\n.loc 1 7 1\nmov.u32 %r1, 2;\nmov.u32 %r1, 3;\n.loc 2 0 1\nmov.u32 %r1, 4;\n.loc 4 9 1";
    let expected = ["elsewhere 2", "ops/linear 1", "train/batch 1", "without a line 1"];
    assert_eq!(rows(lines, &["src/ops/", "src/train/"]), expected);
}

/// Returns the bound of a block of five warps, of which the first and the last one share a partition.
fn bound(body: &str) -> Bound {
    let text = format!(
        ".version 7.2\n.target sm_75\n.address_size 64\n.visible .entry k()\n{{\n.reg .b32 %r<9>;\n.reg .f32 %f<9>;\n\
         .shared .align 4 .b8 s[8192];\nmov.u32 %r1, %tid.x;\n{body}\nret;\n}}\n"
    );
    let mut gpu = Gpu::new(DeviceProperties::default());
    gpu.timed = true;
    gpu.checks = Checks::Memory;
    let module = gpu.load(&text).unwrap();
    gpu.launch(&module, "k", Dims::new(1, 160), &[]).unwrap().bound.clone()
}

#[test]
fn a_region_takes_as_long_as_its_fullest_partition_its_longest_chain_or_its_shared_memory() {
    // The first warp and the last one issue 22 instructions each in one partition, and the chain has two of 4 cycles.
    let independent = "add.u32 %r2, %r1, 1;\n".repeat(20);
    let issue = bound(&independent);
    assert_eq!((issue.regions, issue.cycles, issue.parts), (1, 44, [44, 8, 0]));
    // Each addition waits 4 cycles for the one before.
    let chain = bound(&"add.u32 %r1, %r1, 1;\n".repeat(20));
    assert_eq!((chain.cycles, chain.parts), (84, [44, 84, 0]));
    // The lanes of a warp access one bank, each in a round of its own.
    let conflicts = bound("shl.b32 %r2, %r1, 7;\nand.b32 %r2, %r2, 4095;\nst.shared.u32 [%r2+1024], %r1;");
    assert_eq!((conflicts.cycles, conflicts.parts[2]), (5 * 32, 5 * 32));
    assert_eq!(conflicts.savings()[0], ("no bank conflicts".to_owned(), 5 * 32 - 36));
    // The barrier ends a region, which takes the 20 cycles of the barrier.
    let two = bound(&format!("{independent}bar.sync 0;\n{independent}"));
    assert_eq!((two.regions, two.cycles), (2, 44 + 42));
}

#[test]
fn arithmetic_whose_results_are_addresses_alone_is_told() {
    let saved = |body: &str| {
        let savings = bound(&body.repeat(30)).savings();
        savings.into_iter().find(|(name, _)| name == "no address arithmetic").map_or(0, |(_, saved)| saved)
    };
    // The shared memory is the limit of the rest.
    assert_eq!(saved("shl.b32 %r2, %r1, 2;\nand.b32 %r3, %r2, 63;\nld.shared.f32 %f1, [%r3+1024];\n"), 184 - 150);
    // The address is stored too.
    assert_eq!(saved("shl.b32 %r2, %r1, 2;\nand.b32 %r3, %r2, 63;\nst.shared.u32 [%r3+1024], %r3;\n"), 0);
}

/// Returns the table of a launch of two blocks, with the cycles of this block.
fn table(body: &str, block: Option<u32>) -> String {
    let text = format!(
        ".version 7.2\n.target sm_75\n.address_size 64\n.visible .entry k()\n{{\n.reg .b32 %r<9>;\n.reg .pred %p<2>;\n\
         .shared .align 4 .b8 s[4];\n{body}\nret;\n}}\n"
    );
    let mut gpu = Gpu::new(DeviceProperties::default());
    (gpu.timed, gpu.checks, gpu.block) = (true, Checks::Memory, block);
    let module = gpu.load(&text).unwrap();
    gpu.launch(&module, "k", Dims::new(2, 32), &[]).unwrap().table(&[""; 0])
}

/// Returns the columns of cycles (all, issue, chain, shared memory, in order) of the only region of a block's profile.
fn columns(body: &str, block: Option<u32>) -> Vec<u64> {
    let table = table(body, block);
    let row = table.lines().find_map(|line| line.strip_prefix("up to the end")).unwrap();
    row.split_whitespace().skip(1).take(5).map(|word| word.parse().unwrap()).collect()
}

#[test]
fn a_profile_states_the_cycles_of_the_block_that_is_asked_for() {
    let work = "add.u32 %r1, %r1, 1;\n".repeat(20);
    let body = format!("mov.u32 %r1, %ctaid.x;\nsetp.eq.u32 %p1, %r1, 0;\n@%p1 bra END;\n{work}END:");
    assert_eq!(columns(&body, None), columns(&body, Some(1)));
    // After the move, the comparison and the branch, the first block ends, and the second one adds.
    assert_eq!([0, 1].map(|block| columns(&body, Some(block))[2]), [(3 + 1) * 4, (3 + 20) * 4]);
}

#[test]
fn a_profile_says_that_the_block_that_is_asked_for_is_beyond_the_grid() {
    let body = "mov.u32 %r1, 0;";
    let (within, beyond) = (table(body, Some(1)), table(body, Some(2)));
    assert!(within.contains("longest chain of dependences") && !within.contains("beyond"), "{within}");
    let said = "kernel `k`: 2 blocks of 32 threads\nno cycles, because block 2 is beyond this grid\n";
    assert!(beyond.starts_with(said) && !beyond.contains("longest"), "{beyond}");
}

#[test]
fn in_order_a_load_in_a_loop_waits_for_the_last_one() {
    let body = "st.shared.u32 [s], 1;\nmov.u32 %r1, 0;\nmov.u32 %r2, 0;\nLOOP:\nld.shared.u32 %r3, [s];\n\
                add.u32 %r2, %r2, %r3;\nadd.u32 %r1, %r1, 1;\nsetp.lt.u32 %p1, %r1, 9;\n@%p1 bra LOOP;";
    let cycles = columns(body, None);
    // The counter takes 12 cycles an iteration, and the load 24 beside it.
    assert!(cycles[2] < 9 * 20 && cycles[4] > 9 * 30, "{cycles:?}");
}
