//! Which stage of the kernels an instruction belongs to.

use std::collections::HashMap;

use crate::program::Program;

/// What a row is called whose instructions have no stage's line, in PTX that does not say where they were inlined.
const ELSEWHERE: &str = "elsewhere";

/// Instructions that the compiler gave no line.
const NO_LINE: &str = "without a line";

/// The stage of each instruction: the file of the innermost of its source lines, from where it was written outwards to the
/// kernel's entry, that is a stage's or a kernel's own. If none is, it is the outermost file; where the PTX gives only
/// innermost lines, it is not known which stage called, and nothing is guessed.
pub fn stages<'a>(program: &Program, files: &'a HashMap<u32, String>) -> Vec<&'a str> {
    let chained = program.source_locations.iter().any(|place| place.0.len() > 1);
    let of_place: Vec<&str> = program
        .source_locations
        .iter()
        .map(|place| {
            let paths = || place.0.iter().filter_map(|(file, _)| files.get(file));
            let outermost = paths().next_back().filter(|_| chained).map(|path| within(path));
            let unknown = if place.0.is_empty() { NO_LINE } else { ELSEWHERE };
            paths().find_map(|path| own(path)).or(outermost).unwrap_or(unknown)
        })
        .collect();
    program.code.iter().map(|inst| of_place[inst.source_location]).collect()
}

/// A path from its `src` on.
fn within(path: &str) -> &str {
    path.rsplit_once("src/").map_or(path, |(_, path)| path)
}

/// What a file of a stage or a kernel is called in the table: without `stages/` and `.rs`.
fn own(path: &str) -> Option<&str> {
    let name = within(path).strip_suffix(".rs")?;
    let kernel = matches!(name, "model" | "train" | "evaluate" | "generate") || name.starts_with("train/");
    match name.strip_prefix("stages/") {
        Some("mod") | None => kernel.then_some(name),
        stage => stage,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Device, Dims, Gpu};

    /// The rows of the table by stage of a kernel whose instructions have these places.
    fn rows(body: &str) -> Vec<String> {
        let text = format!(
            ".version 7.2\n.target sm_75\n.address_size 64\n.visible .entry k()\n{{\n.reg .b32 %r<9>;\n{body}\nret;\n}}\n\
             .file 1 \"./k/src/simt/tile.rs\"\n.file 2 \"./k/src/stages/linear.rs\"\n.file 3 \"./k/src/stages/mod.rs\"\n\
             .file 4 \"./k/src/train/batch.rs\"\n.file 5 \"./k/src/entry/gpu.rs\"\n.section .debug_str {{\nname:\n.b8 107, 0\n}}\n"
        );
        let mut gpu = Gpu::new(Device::default());
        let module = gpu.load(&text).unwrap();
        let dims = Dims::new(1, 32);
        let counts = gpu.launch(&module, "k", dims, &[]).unwrap();
        let table = counts.table(module.kernel("k").unwrap(), module.files(), dims);
        let rows = table.split_once("\nstage").unwrap().1.lines().skip(1).filter(|line| !line.is_empty());
        let mut rows: Vec<_> =
            rows.map(|row| format!("{} {}", row[..36].trim(), row[36..].split_whitespace().next().unwrap())).collect();
        rows.sort();
        rows
    }

    #[test]
    fn the_innermost_stage_of_the_chain_counts() {
        // As build.rs writes it, then as the manual has it (section 11.5.3).
        let comments = ".loc 1 7 1 // inlined at 2:5 3:9 4:20 5:1\nmov.u32 %r1, 1;\nmov.u32 %r1, 2;\n\
                        .loc 1 7 1 // inlined at 3:9 4:20 5:1\nmov.u32 %r1, 3;\n.loc 1 8 1 // inlined at 5:1\nmov.u32 %r1, 4;\n\
                        .loc 1 0 1 // inlined at 2:5 5:1\nmov.u32 %r1, 5;\n.loc 5 2 1";
        assert_eq!(rows(comments), ["entry/gpu.rs 2", "linear 3", "train/batch 1"]);
        let directives = ".loc 5 1 1\n.loc 4 20 1, function_name name, inlined_at 5 1 1\n\
                          .loc 2 5 1, function_name name, inlined_at 4 20 1\nmov.u32 %r1, 1;\n\
                          .loc 1 7 1, function_name name+0, inlined_at 2 5 1\nmov.u32 %r1, 2;\n.loc 5 2 1";
        assert_eq!(rows(directives), ["entry/gpu.rs 1", "linear 2"]);
    }

    #[test]
    fn without_a_chain_nothing_is_guessed() {
        let lines = ".loc 2 5 1\nmov.u32 %r1, 1;\n.loc 1 7 1\nmov.u32 %r1, 2;\nmov.u32 %r1, 3;\n.loc 2 0 1\nmov.u32 %r1, 4;\n.loc 4 9 1";
        assert_eq!(rows(lines), ["elsewhere 2", "linear 1", "train/batch 1", "without a line 1"]);
    }
}
