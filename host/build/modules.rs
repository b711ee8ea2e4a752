//! What the compiler makes of the kernels, as the program carries it: a module of PTX for each kernel. A part of the repository's
//! build.rs.

use std::collections::HashMap;

/// Takes the compiler's comments out of the PTX, all but those that say where the code of a line was inlined. These become
/// short: `.loc 3 199 17 // src/tile.rs:199:17 @[ src/linear.rs:12:5 @[ src/train.rs:80:9 ] ]` turns into
/// `.loc 3 199 17 // inlined at 14:12 33:80`, where files have the numbers of `.file`.
pub fn without_comments(ptx: &str) -> String {
    let parts = |line: &'_ str| -> Option<(u32, Vec<(String, u32)>)> {
        let (directive, comment) = line.trim_start().strip_prefix(".loc")?.split_once("//")?;
        let file = directive.split_whitespace().next()?.parse().ok()?;
        // `path:line` or `path:line:column`.
        let frame = |frame: &str| {
            let (path, last) = frame.trim_matches([' ', ']']).rsplit_once(':')?;
            let line = path.rsplit_once(':').and_then(|(path, line)| Some((path.to_owned(), line.parse().ok()?)));
            line.or_else(|| Some((path.to_owned(), last.parse().ok()?)))
        };
        Some((file, comment.split("@[").map(frame).collect::<Option<_>>()?))
    };
    // The path of the line itself is that of its number.
    let first = |(file, frames): (u32, Vec<(String, u32)>)| Some((frames.into_iter().next()?.0, file));
    let mut numbers: HashMap<String, u32> = ptx.lines().filter_map(parts).filter_map(first).collect();
    let number = |line: &str| line.trim_start().strip_prefix(".file")?.split_whitespace().next()?.parse::<u32>().ok();
    let mut next = 1 + ptx.lines().filter_map(number).max().unwrap_or(0);
    let (mut text, mut files) = (String::new(), String::new());
    for line in ptx.lines() {
        // In the name of a file it is no comment.
        let code = line.split_once("//").filter(|_| number(line).is_none()).map_or(line, |(code, _)| code);
        text += code.trim_end();
        let frames = parts(line).map_or_else(Vec::new, |(_, frames)| frames);
        // Those of libraries, whose paths are absolute or in the home folder, would double the text.
        let own = frames.iter().skip(1).filter(|(path, _)| !path.starts_with(['/', '~']));
        for (i, (path, line)) in own.enumerate() {
            let number = *numbers.entry(path.clone()).or_insert_with(|| {
                files.extend(["\t.file\t", &next.to_string(), " \"", path, "\"\n"]);
                next += 1;
                next - 1
            });
            let before = if i == 0 { " // inlined at " } else { " " };
            text.extend([before, &number.to_string(), ":", &line.to_string()]);
        }
        text.push('\n');
    }
    // To the other files, which stand before the sections.
    let last = text.rfind("\t.file\t").map_or(0, |at| at + text[at..].find('\n').map_or(0, |end| end + 1));
    text.insert_str(last, &files);
    text
}

/// How PTX begins and ends a kernel.
const ENTRY: &str = ".visible .entry ";
const END: &str = "\n}\n";

/// Takes the PTX apart into a module for each kernel, so that a run has the driver compile only the kernels that it launches. The
/// PTX compiler is told that blocks have `block_threads` threads, and leaves registers for all of them.
pub fn split(ptx: &str, block_threads: usize) -> Result<Vec<(String, String)>, String> {
    for line in ptx.lines() {
        let external = line.starts_with(".extern .func") || line.starts_with(".extern .global");
        if external || line.starts_with(".func") || line.starts_with(".visible .func") {
            return Err(format!("the PTX is not one whole: `{line}`"));
        }
    }
    let (header, rest) = ptx.split_once(ENTRY).ok_or("the PTX has no kernel")?;
    let end = rest.rfind(END).ok_or("the PTX's last kernel has no end")? + END.len();
    // For a module that is marked for debugging the driver would not optimise.
    let header = header.lines().map(|line| line.strip_suffix(", debug").unwrap_or(line)).collect::<Vec<_>>().join("\n");
    // What follows the last kernel belongs to all: the files and functions that line numbers refer to.
    let (kernels, footer) = rest.split_at(end);
    let module = |kernel: &str| {
        let name = kernel.split('(').next().unwrap_or_default();
        // One model is trained in one block, which may take all registers.
        let limits = if name.starts_with("train") { ".minnctapersm 1\n" } else { "" };
        let limited = kernel.replacen("\n)\n{", &format!("\n)\n.maxntid {block_threads}, 1, 1\n{limits}{{"), 1);
        if limited == kernel {
            return Err(format!("the PTX's kernel `{name}` has no parameter list"));
        }
        Ok((name.to_owned(), format!("{header}\n{ENTRY}{limited}{footer}")))
    };
    kernels.split(ENTRY).map(module).collect()
}
