//! The output of samples, as lines of text or as JSON objects. Samples of the corpus can be left out.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write;

use serde::Serialize;

use super::console::Console;
use crate::error::{Error, Result};
use crate::sampler::{Sampler, TextSample};
use crate::tokenizer::Tokenizer;

/// The way to print samples.
pub(super) struct SamplePrinter<'a> {
    /// The number of samples.
    pub(super) samples: u64,
    /// The documents of the corpus, if samples that are among them are skipped and counted.
    pub(super) skip: Option<HashSet<&'a str>>,
    /// Whether a sample is a JSON object.
    pub(super) jsonl: bool,
    /// Whether stdout is a terminal, which would obey the control characters of a sample.
    pub(super) terminal: bool,
    /// The model's vocabulary.
    pub(super) tokenizer: &'a Tokenizer,
}

/// A sample with `--format jsonl`.
#[derive(Serialize)]
struct Record<'a> {
    /// The number, from 1.
    sample: u64,
    text: &'a str,
    /// The characters, and `<BOS>` if that ended the text.
    tokens: Vec<String>,
    /// The natural logarithm of each token's probability under the whole distribution at temperature 1.
    logprobs: &'a [f64],
}

impl SamplePrinter<'_> {
    /// Prints the samples of a sampler, a launch at a time, until `is_stopped`.
    pub(super) fn print(
        &self,
        sampler: &mut Sampler,
        console: &mut Console<impl Write>,
        is_stopped: impl Fn() -> bool,
    ) -> Result<()> {
        let (mut drawn, mut memorised) = (0, 0);
        while drawn < self.samples && !console.is_closed() && !is_stopped() {
            let mut samples = sampler.draw()?;
            let launch = samples.len();
            if let Some(documents) = &self.skip {
                samples.retain(|sample| !documents.contains(&*sample.text));
            }
            drawn += launch as u64;
            memorised += launch - samples.len();
            if self.jsonl {
                console.write(&self.objects(&samples)?)?;
            } else {
                console.lines(&self.lines(&samples))?;
            }
        }
        if self.skip.is_some() {
            console.line(&format!("memorised: {memorised} of {drawn} samples stand in the corpus"))?;
        }
        Ok(())
    }

    /// Returns a line for each sample.
    fn lines(&self, samples: &[TextSample]) -> String {
        let width = self.samples.to_string().len().max(2);
        let mut lines = String::new();
        for TextSample { number, text, .. } in samples {
            // Writing to a string cannot fail.
            let _ = write!(lines, "sample {number:>width$}: ");
            for c in text.chars() {
                if self.terminal && c.is_control() { lines.extend(c.escape_default()) } else { lines.push(c) }
            }
            lines.push('\n');
        }
        lines
    }

    /// Returns a JSON object for each sample.
    fn objects(&self, samples: &[TextSample]) -> Result<String> {
        let mut lines = String::new();
        for TextSample { number, text, tokens, logprobs } in samples {
            let mut tokens: Vec<String> = tokens.iter().map(|&token| self.tokenizer.decode(&[token])).collect();
            tokens.resize(logprobs.len(), "<BOS>".to_owned());
            let record = Record { sample: *number, text, tokens, logprobs };
            lines += &serde_json::to_string(&record).map_err(|error| Error::Json { source: error.into() })?;
            lines.push('\n');
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the line of a sample with this number and text, out of `samples`.
    fn line(number: u64, text: &str, samples: u64, terminal: bool) -> String {
        let tokenizer = Tokenizer::new(["ab"]);
        let printer = SamplePrinter { samples, skip: None, jsonl: false, terminal, tokenizer: &tokenizer };
        printer.lines(&[TextSample { number, text: text.to_owned(), tokens: vec![], logprobs: vec![] }])
    }

    #[test]
    fn lines_are_those_of_the_contract() {
        assert_eq!(line(1, "kaela", 20, false), "sample  1: kaela\n");
        assert_eq!(line(99, "", 100, false), "sample  99: \n");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let text = "a\u{1b}[2J\tß\u{9b}";
        assert_eq!(line(1, text, 1, true), "sample  1: a\\u{1b}[2J\\tß\\u{9b}\n");
        assert_eq!(line(1, text, 1, false), "sample  1: a\u{1b}[2J\tß\u{9b}\n");
    }
}
