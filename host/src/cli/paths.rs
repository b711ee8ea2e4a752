//! The files that the flags name.

use std::path::{Path, PathBuf};

use super::args::Cli;
use crate::atomic_file::is_same;
use crate::corpus::STDIN;
use crate::error::{Error, Result};

/// A file that a flag names.
struct Named<'a> {
    path: Option<&'a Path>,
    /// The verb of the error, for a file that is written.
    written_to: Option<&'static str>,
    description: &'static str,
}

/// Refuses a file that would be written over another that the run reads or writes. A checkpoint may be resumed and saved.
pub(super) fn check(cli: &Cli) -> Result<()> {
    let input = cli.run.input.clone().unwrap_or_else(|| PathBuf::from("input.txt"));
    let corpus = Some(&*input).filter(|path| *path != Path::new(STDIN));
    let named = |path, written_to, description| Named { path, written_to, description };
    let files = [
        named(corpus, None, "the corpus"),
        named(cli.run.save.as_deref(), Some("save"), "what `--save` writes"),
        named(cli.run.resume.as_deref(), None, "what `--resume` reads"),
        named(cli.run.init_from.as_deref(), None, "what `--init-from` reads"),
        named(cli.view.metrics.as_deref(), Some("write metrics"), "what `--metrics` writes"),
        named(cli.view.plot.as_deref(), Some("plot"), "what `--plot` writes"),
    ];
    for (i, file) in files.iter().enumerate() {
        let (Some(path), Some(verb)) = (file.path, file.written_to) else { continue };
        let same = files[..i].iter().find(|other| other.path.is_some_and(|other| is_same(other, path)));
        if let Some(Named { description, .. }) = same {
            let message = format!("cannot {verb} to `{}`: it is {description}", path.display());
            return Err(Error::usage(message, "give every file a name of its own"));
        }
    }
    Ok(())
}
