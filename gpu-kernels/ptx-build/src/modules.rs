//! The edits of the PTX's text, which shorten its comments and split it into one module per kernel.

use std::collections::HashMap;

use crate::error::Error;
use crate::offsets::fold_offsets;

/// The limits of a kernel's launches, which ptxas takes into account when it assigns registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchBounds {
    /// The largest number of threads of a block, `.maxntid`.
    pub block_threads: usize,
    /// The number of blocks that a multiprocessor must be able to hold, `.minnctapersm`. If absent, ptxas decides.
    pub min_blocks: Option<u32>,
}

/// A module of PTX with a single kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The kernel's name.
    pub kernel: String,
    /// The PTX.
    pub ptx: String,
}

/// Deletes the comments of the PTX, except those that say where the code of a line was inlined. The remaining comments
/// are shortened to file numbers and lines, innermost call first. Missing `.file` directives of the file numbers are
/// added.
///
/// For example, `.loc 3 199 17 // src/tile.rs:199:17 @[ src/linear.rs:12:5 @[ src/train.rs:80:9 ] ]` becomes
/// `.loc 3 199 17 // inlined at 14:12 33:80`. Calls in the sources of libraries, whose paths start with `/` or `~`, are
/// left out, because they would double the length of the text. Windows' backslashes become slashes, so that every
/// system makes the same PTX.
pub fn shorten_comments(ptx: &str) -> String {
    // PTX has backslashes only in paths, doubled in directives and single in comments.
    let ptx = &ptx.replace(r"\\", "/").replace('\\', "/");
    // The first frame of a line is in the file of its directive.
    let file_of_line = |line| inline_frames(line).map(|(file, frames)| (frames[0].0, file));
    let mut numbers: HashMap<&str, u32> = ptx.lines().filter_map(file_of_line).collect();
    let mut next = 1 + ptx.lines().filter_map(file_number).max().unwrap_or(0);
    let (mut text, mut files) = (String::new(), String::new());
    for line in ptx.lines() {
        // A path in a `.file` directive may contain `//`.
        let code = if file_number(line).is_some() { line } else { line.split("//").next().unwrap_or(line) };
        text += code.trim_end();
        let frames = inline_frames(line).map_or_else(Vec::new, |(_, frames)| frames);
        let calls = frames.iter().skip(1).filter(|(path, _)| !path.starts_with(['/', '~']) && !has_drive(path));
        for (i, (path, line)) in calls.enumerate() {
            let number = *numbers.entry(path).or_insert_with(|| {
                files.extend(["\t.file\t", &next.to_string(), " \"", path, "\"\n"]);
                next += 1;
                next - 1
            });
            let before = if i == 0 { " // inlined at " } else { " " };
            text.extend([before, &number.to_string(), ":", &line.to_string()]);
        }
        text.push('\n');
    }
    // The new directives are inserted after the last `.file` directive, because debug sections may come next.
    let last = text.rfind("\t.file\t").map_or(0, |at| at + text[at..].find('\n').map_or(0, |end| end + 1));
    text.insert_str(last, &files);
    text
}

/// Returns whether a path starts with a drive of Windows, such as `C:`.
fn has_drive(path: &str) -> bool {
    path.starts_with(|c: char| c.is_ascii_alphabetic()) && path[1..].starts_with(':')
}

/// Returns the file number of a `.loc` directive, and the frames of its comment, one or more, from the innermost on.
fn inline_frames(line: &str) -> Option<(u32, Vec<(&str, u32)>)> {
    let (directive, comment) = line.trim_start().strip_prefix(".loc")?.split_once("//")?;
    let file = directive.split_whitespace().next()?.parse().ok()?;
    Some((file, comment.split("@[").map(frame).collect::<Option<_>>()?))
}

/// Returns path and line of `path:line` or `path:line:column`.
fn frame(frame: &str) -> Option<(&str, u32)> {
    let (path, last) = frame.trim_matches([' ', ']']).rsplit_once(':')?;
    let with_column = path.rsplit_once(':').and_then(|(path, line)| Some((path, line.parse().ok()?)));
    with_column.or_else(|| Some((path, last.parse().ok()?)))
}

/// Returns the number of a `.file` directive.
fn file_number(line: &str) -> Option<u32> {
    line.trim_start().strip_prefix(".file")?.split_whitespace().next()?.parse().ok()
}

/// The text before a kernel's name, and the text at the end of a kernel.
const ENTRY: &str = ".visible .entry ";
const END: &str = "\n}\n";

/// Splits the PTX into one module per kernel, adds each kernel's launch bounds, and folds the constant addends of addresses
/// into the accesses.
///
/// # Errors
/// If the PTX has no kernel, or code or data outside of kernels.
pub fn split(ptx: &str, launch_bounds: impl Fn(&str) -> LaunchBounds) -> Result<Vec<Module>, Error> {
    let outside = [".extern .func", ".extern .global", ".func", ".visible .func"];
    if let Some(line) = ptx.lines().find(|line| outside.iter().any(|prefix| line.starts_with(prefix))) {
        return Err(Error(format!("the PTX has code or data outside of its kernels: `{line}`")));
    }
    let (header, rest) = ptx.split_once(ENTRY).ok_or_else(|| Error("the PTX has no kernel".to_owned()))?;
    let end = rest.rfind(END).ok_or_else(|| Error("the PTX's last kernel has no end".to_owned()))? + END.len();
    // The driver does not optimise a module that is marked for debugging.
    let header = header.lines().map(|line| line.strip_suffix(", debug").unwrap_or(line)).collect::<Vec<_>>().join("\n");
    // The files and sections after the last kernel belong to the line numbers of all kernels.
    let (kernels, footer) = rest.split_at(end);
    let module = |kernel: &str| {
        let name = kernel.split('(').next().unwrap_or_default();
        let LaunchBounds { block_threads, min_blocks } = launch_bounds(name);
        let min_blocks = min_blocks.map_or_else(String::new, |blocks| format!(".minnctapersm {blocks}\n"));
        let bounded = kernel.replacen("\n)\n{", &format!("\n)\n.maxntid {block_threads}, 1, 1\n{min_blocks}{{"), 1);
        if bounded == kernel {
            return Err(Error(format!("the PTX's kernel `{name}` has no parameter list")));
        }
        Ok(Module { kernel: name.to_owned(), ptx: format!("{header}\n{ENTRY}{}{footer}", fold_offsets(&bounded)) })
    };
    kernels.split(ENTRY).map(module).collect()
}
