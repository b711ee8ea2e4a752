//! The output of samples, as lines of text or as JSON objects. Samples of the corpus can be left out.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::console::Console;
use crate::error::{Error, Result};
use crate::sampler::{Sampler, Sampling, TextSample};
use crate::tokenizer::Tokenizer;

/// Samples to print.
pub(super) struct Samples<'a> {
    pub(super) sampler: Sampler<'a>,
    pub(super) sampling: Sampling,
    pub(super) tokenizer: &'a Tokenizer,
    /// The documents to leave out and to count, if that is asked for.
    pub(super) skip: Option<HashSet<&'a str>>,
}

/// Returns the documents with at most so many characters, such as those that a model sees up to its block size.
pub(super) fn seen<'a>(documents: &[&'a str], characters: usize) -> HashSet<&'a str> {
    let end = |document: &str| document.char_indices().nth(characters).map_or(document.len(), |(end, _)| end);
    documents.iter().map(|document| &document[..end(document)]).collect()
}

impl Samples<'_> {
    /// Prints the samples, as JSON objects if they have log-probabilities, as long as `goes_on` returns true.
    pub(super) fn print<W: Write>(mut self, console: &mut Console<W>, goes_on: impl Fn() -> bool) -> Result<()> {
        let total = self.sampling.samples;
        let (width, terminal) = (total.to_string().len().max(2), io::stdout().is_terminal());
        let (mut drawn, mut memorised) = (0, 0);
        let shows_pieces = self.sampler.is_long() && self.skip.is_none() && !self.sampling.logprobs;
        while drawn < total && !console.is_closed && goes_on() {
            let samples = if shows_pieces {
                self.draw_in_pieces(drawn + 1, width, terminal, console, &goes_on)
            } else {
                self.sampler.draw()
            };
            let mut samples = match samples {
                Err(Error::Stopped) => break,
                samples => samples?,
            };
            let launch = samples.len();
            samples.retain(|sample| self.skip.as_ref().is_none_or(|documents| !documents.contains(&*sample.text)));
            drawn += launch as u64;
            memorised += launch - samples.len();
            if self.sampling.logprobs {
                console.write(&objects(&samples, self.tokenizer)?)?;
            } else {
                // The first sample has been printed in pieces.
                let rest = &samples[usize::from(shows_pieces)..];
                console.lines(&lines(rest, width, self.shown(terminal)))?;
            }
        }
        if drawn < total && !console.is_closed {
            console.notice(format_args!("interrupted after {drawn} of {total} samples"));
        }
        if self.skip.is_some() {
            console.lines(&format!("memorised: {memorised} of {drawn} samples stand in the corpus\n"))?;
        }
        Ok(())
    }

    /// Returns the characters that reach the output as they are.
    fn shown(&self, terminal: bool) -> Shown {
        match (terminal, self.sampling.start) {
            (false, _) => Shown::All,
            (true, None) => Shown::Visible,
            (true, Some(_)) => Shown::Text,
        }
    }

    /// Draws the next samples, and prints the text of the first, which has this number, as it comes.
    fn draw_in_pieces<W: Write>(
        &mut self,
        number: u64,
        width: usize,
        terminal: bool,
        console: &mut Console<W>,
        goes_on: &impl Fn() -> bool,
    ) -> Result<Vec<TextSample>> {
        let shown = self.shown(terminal);
        console.lines(&format!("sample {number:>width$}: "))?;
        let samples = self.sampler.draw_to(|text| {
            console.lines(&shown.escape(text))?;
            if goes_on() && !console.is_closed { Ok(()) } else { Err(Error::Stopped) }
        });
        console.lines("\n")?;
        samples
    }
}

/// The characters that reach the output as they are. All others are escaped.
#[derive(Clone, Copy)]
enum Shown {
    /// All, because the output is no terminal.
    All,
    /// Those that a terminal does not obey.
    Visible,
    /// Those that a terminal does not obey, with line feeds and tabs, which belong to a continuous text.
    Text,
}

impl Shown {
    fn escape(self, text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            let is_shown = match self {
                Self::All => true,
                Self::Visible => !is_obeyed(c),
                Self::Text => !is_obeyed(c) || matches!(c, '\n' | '\t'),
            };
            if is_shown { escaped.push(c) } else { escaped.extend(c.escape_default()) }
        }
        escaped
    }
}

/// Returns a line for each sample, with a number of `width` columns.
fn lines(samples: &[TextSample], width: usize, shown: Shown) -> String {
    let mut lines = String::new();
    for TextSample { number, text, .. } in samples {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "sample {number:>width$}: {}", shown.escape(text));
    }
    lines
}

/// Returns whether a terminal obeys a character instead of showing it: a control character, the end of a line or a
/// paragraph, or a change of the writing direction.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A sample with `--format jsonl`.
#[derive(Serialize)]
struct Record<'a> {
    sample: u64,
    text: &'a str,
    /// The characters, and `<BOS>` if that ended the text.
    tokens: Vec<String>,
    /// The natural logarithm of each token's probability under the whole distribution at temperature 1.
    logprobs: &'a [f64],
}

/// Returns a JSON object for each sample.
fn objects(samples: &[TextSample], tokenizer: &Tokenizer) -> Result<String> {
    let mut lines = String::new();
    for TextSample { number, text, tokens, logprobs } in samples {
        let mut tokens: Vec<String> = tokens.iter().map(|&token| tokenizer.decode(&[token])).collect();
        tokens.resize(logprobs.len(), "<BOS>".to_owned());
        let record = Record { sample: *number, text, tokens, logprobs };
        lines += &serde_json::to_string(&record).map_err(|error| Error::failed("write a sample as JSON", "", error))?;
        lines.push('\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the line of a sample with this number and text.
    fn line(number: u64, text: &str, width: usize, shown: Shown) -> String {
        let sample = TextSample { number, text: text.to_owned(), tokens: vec![], logprobs: vec![] };
        lines(&[sample], width, shown)
    }

    #[test]
    fn lines_are_those_of_the_contract() {
        assert_eq!(line(1, "kaela", 2, Shown::Visible), "sample  1: kaela\n");
        assert_eq!(line(99, "", 3, Shown::All), "sample  99: \n");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let text = "a\u{1b}]0;\tß\u{9b}\u{c}\u{202e}\u{2028}さ\u{2066}";
        assert_eq!(
            line(1, text, 2, Shown::Visible),
            "sample  1: a\\u{1b}]0;\\tß\\u{9b}\\u{c}\\u{202e}\\u{2028}さ\\u{2066}\n"
        );
        assert_eq!(line(1, text, 2, Shown::All), format!("sample  1: {text}\n"));
        assert_eq!(line(1, "a\n\tb\u{7}", 2, Shown::Text), "sample  1: a\n\tb\\u{7}\n");
    }

    #[test]
    fn documents_are_seen_up_to_the_block() {
        let seen = seen(&["zoë", "abcdefgh", "さくらさ"], 3);
        assert_eq!(seen, HashSet::from(["zoë", "abc", "さくら"]));
    }
}
