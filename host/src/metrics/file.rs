//! The file of the metrics, which keeps its content until the first write.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem;
use std::path::Path;

/// A file of metrics, or a pipe or a device, to be appended to or overwritten.
pub(super) struct Output {
    file: File,
    /// The length to cut the file to before the first write.
    kept: Option<u64>,
    /// The line before the first row, until it is written.
    header: String,
}

impl Output {
    /// Opens the file, and leaves it as it is. The first write replaces its content. With `append`, the first write
    /// only removes a last line that is incomplete, which a killed run can leave. A file that is new or replaced starts
    /// with `header`.
    pub(super) fn open(path: &Path, append: bool, header: String) -> io::Result<Self> {
        // A pipe or a device has no content to look at, and a pipe that is also opened for reading never ends.
        let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        let mut file =
            File::options().create(true).truncate(false).read(is_file).write(true).append(append).open(path)?;
        let start = if is_file { start(&mut file, 4096)? } else { Vec::new() };
        let is_metrics = if header.is_empty() { is_json(&start) } else { is_csv(&start, &header) };
        if !is_metrics {
            return Err(io::Error::other("it has something else than metrics of this format"));
        }
        let kept = if is_file && append { whole_lines(&mut file)? } else { 0 };
        if kept > 0 && !start.starts_with(header.as_bytes()) {
            return Err(io::Error::other(format!("its columns are not {}", header.trim_end())));
        }
        // A pipe has had its header from the group before.
        let has_header = if is_file { kept > 0 } else { append };
        Ok(Self { file, kept: is_file.then_some(kept), header: if has_header { String::new() } else { header } })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(len) = self.kept.take() {
            self.file.set_len(len)?;
            self.file.seek(SeekFrom::Start(len))?;
        }
        self.file.write_all(mem::take(&mut self.header).as_bytes())?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The text of an object before its seed.
pub(super) const SEED: &str = "{\"seed\":";

/// The start of the header of CSV.
pub(super) const CSV: &str = "seed,";

/// Returns the first bytes of a file, at most `len`.
fn start(file: &mut File, len: u64) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(len).read_to_end(&mut start)?;
    Ok(start)
}

/// Returns whether a file is empty or begins as JSON lines of metrics do. A killed run may have left a part of its
/// first line.
fn is_json(start: &[u8]) -> bool {
    let start = &start[..start.len().min(64)];
    let Ok(start) = str::from_utf8(start) else { return false };
    let Some(seed) = start.strip_prefix(SEED) else { return SEED.starts_with(start) };
    let rest = after_number(seed);
    let is_next = |rest: &str, next: &str| rest.starts_with(next) || next.starts_with(rest);
    match rest.strip_prefix(",\"step\":") {
        Some(step) => is_next(after_number(step), ",\"loss\":"),
        None => is_next(rest, ",\"step\":") || is_next(rest, ",\"sweep\":{"),
    }
}

/// Returns the text after the digits that it begins with.
fn after_number(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_digit())
}

/// Returns whether a file is empty or begins as CSV of metrics does, maybe of other swept settings. A killed run may have left
/// a part of its header.
fn is_csv(start: &[u8], header: &str) -> bool {
    // Only the header is text as a whole, because a character of a row may be cut.
    let Some(end) = start.iter().position(|&byte| byte == b'\n') else { return header.as_bytes().starts_with(start) };
    str::from_utf8(&start[..end]).is_ok_and(|columns| columns.starts_with(CSV) && columns.contains(",step,loss,"))
}

/// Returns the length of a file up to the end of its last complete line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut block = [0; 4096];
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let block = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(block)?;
        if let Some(newline) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "{\"seed\":42,\"step\":1,\"loss\":3.25}\n";

    /// Returns the content of the file after it was opened, and after `{}` was written to it.
    fn written(before: &[u8], append: bool) -> Result<[Vec<u8>; 2], String> {
        written_with("", before, append)
    }

    /// Returns the same of a file with a header.
    fn written_with(header: &str, before: &[u8], append: bool) -> Result<[Vec<u8>; 2], String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.jsonl");
        fs::write(&path, before).unwrap();
        let opened = Output::open(&path, append, header.to_owned()).map_err(|error| error.to_string());
        assert_eq!(fs::read(&path).unwrap(), before, "opening it changes nothing");
        let mut output = opened?;
        let opened = fs::read(&path).unwrap();
        // Only the first of the two writes finds the earlier content.
        output.write_all(b"{").and_then(|()| output.write_all(b"}\n")).unwrap();
        Ok([opened, fs::read(&path).unwrap()])
    }

    #[test]
    fn objects_are_added_after_a_complete_line() {
        let long = format!("{{\"seed\":1,\"sweep\":{{{}", "x".repeat(10_000));
        let whole = format!("{long}\n");
        for (before, kept) in [
            ("", ""),
            ("{\"se", ""),
            ("{\"seed\":4", ""),
            (LINE, LINE),
            (&*format!("{LINE}{LINE}{{"), &*format!("{LINE}{LINE}")),
            (&*format!("{LINE}{long}"), LINE),
            (&*long, ""),
            (&*whole, &*whole),
        ] {
            let after = |kept: &str| Ok([before.as_bytes().to_vec(), format!("{kept}{{}}\n").into_bytes()]);
            assert_eq!(written(before.as_bytes(), true), after(kept));
            assert_eq!(written(before.as_bytes(), false), after(""));
        }
    }

    #[test]
    fn a_file_of_something_else_is_not_written_to() {
        for text in [
            "remember the milk",
            "emma\nolivia\n",
            "{}\n",
            "{\"seed\":1,\"name\":2}\n",
            "{\"seed\":7,\"step\":3,\"reward\":0.93}\n",
            "[",
            "{\"seed\": 1}",
        ] {
            for append in [false, true] {
                assert_eq!(
                    written(text.as_bytes(), append),
                    Err("it has something else than metrics of this format".to_owned())
                );
            }
        }
        assert!(written(b"\xff\0\0", false).is_err());
    }

    #[test]
    fn csv_has_one_header_of_the_same_columns() {
        const HEADER: &str = "seed,step,loss,lr\n";
        let content = |before: &str, append| written_with(HEADER, before.as_bytes(), append).map(|[_, after]| after);
        for (before, append, after) in [
            ("", false, "seed,step,loss,lr\n{}\n"),
            ("se", true, "seed,step,loss,lr\n{}\n"),
            ("seed,step,loss,lr\n1,2,3,4\n1,", true, "seed,step,loss,lr\n1,2,3,4\n{}\n"),
            ("seed,eps,step,loss,lr\n1,1,2,3,4\n", false, "seed,step,loss,lr\n{}\n"),
        ] {
            assert_eq!(content(before, append), Ok(after.as_bytes().to_vec()), "{before:?}");
        }
        let cut = format!("{HEADER}x{}\n", "é".repeat(4096));
        assert_eq!(content(&cut, true), Ok(format!("{cut}{{}}\n").into_bytes()));
        let other = content("seed,eps,step,loss,lr\n1,1,2,3,4\n", true);
        assert_eq!(other, Err("its columns are not seed,step,loss,lr".to_owned()));
        for foreign in [LINE, "seed,name\n1,emma\n", "seed,name", "seed,step,reward\n"] {
            assert!(content(foreign, false).is_err() && content(foreign, true).is_err(), "{foreign}");
        }
        assert!(written(HEADER.as_bytes(), false).is_err());
    }
}
