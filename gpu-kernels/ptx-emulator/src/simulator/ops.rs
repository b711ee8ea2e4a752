//! The attribution of instructions to ops by their source files.

use std::collections::HashMap;

use crate::program::Program;

/// The name for instructions of no op, in PTX that does not say where code was inlined.
const ELSEWHERE: &str = "elsewhere";

/// The name for instructions without a source line.
const NO_LINE: &str = "without a line";

/// Returns for each instruction the name of its op, as `Profile::table` describes it.
///
/// PTX without inline chains does not tell which op called a helper, so no op is guessed there.
pub fn op_names<'a>(program: &Program, files: &'a HashMap<u32, String>, ops: &[impl AsRef<str>]) -> Vec<&'a str> {
    let chained = program.source_locations.iter().any(|location| location.0.len() > 1);
    let is_op = |path: &&String| !path.ends_with("/mod.rs") && ops.iter().any(|op| path.contains(op.as_ref()));
    let names: Vec<&str> = program
        .source_locations
        .iter()
        .map(|location| {
            let paths = || location.0.iter().filter_map(|(file, _)| files.get(file));
            let op = if ops.is_empty() { paths().next() } else { paths().find(is_op) };
            let outermost = || paths().next_back().filter(|_| chained);
            let unknown = if location.0.is_empty() { NO_LINE } else { ELSEWHERE };
            op.or_else(outermost).map_or(unknown, |path| module_path(path))
        })
        .collect();
    program.code.iter().map(|inst| names[inst.source_location]).collect()
}

/// Returns the part of a path after its last `src/`, without `.rs`.
fn module_path(path: &str) -> &str {
    let path = path.rsplit_once("src/").map_or(path, |(_, path)| path);
    path.strip_suffix(".rs").unwrap_or(path)
}
