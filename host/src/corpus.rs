//! The text that a run learns from: where it comes from, and how it becomes tokens.
//!
//! A document is a line without the white space around it; an empty line is none.

#[cfg(not(target_family = "wasm"))]
mod load;

use std::sync::Arc;

use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

#[cfg(not(target_family = "wasm"))]
pub use self::load::{Corpus, Download, STDIN, Source};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// The names in `assets/`: what a run without a file and without a network learns from.
pub const EMBEDDED: &str = include_str!("../../assets/names.txt");

const ONE_PER_LINE: &str = "a corpus is a text file with one document on each line, for instance a name";

/// The documents of a text, in its order.
pub fn documents(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// The text in `bytes`, checked; `name` is the file or the address that an error names.
///
/// # Errors
/// Not UTF-8, or fewer than two documents.
pub fn parse(bytes: Vec<u8>, name: &str) -> Result<String> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Error::new(format!("`{name}` is not UTF-8: the byte 0x{:02x} at offset {offset}", error.as_bytes()[offset]))
            .hint("convert the file to UTF-8")
    })?;
    // A byte order mark, which some editors write, belongs to no document.
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    match documents(&text).take(2).count() {
        0 if text.is_empty() => Err(Error::new(format!("`{name}` is empty")).hint(ONE_PER_LINE)),
        0 => Err(Error::new(format!("`{name}` has only white space")).hint(ONE_PER_LINE)),
        1 => Err(too_few(&format!("`{name}`"), 1)),
        _ => Ok(text),
    }
}

fn too_few(name: &str, documents: usize) -> Error {
    let count = if documents == 0 { "no document" } else { "only one document" };
    Error::new(format!("{name} has {count}"))
        .hint("put at least two documents on lines of their own: one to train on and one to validate on")
}

/// One document or more as tokens, one after the other. A clone shares them.
///
/// Only [`Dataset::new`] makes them: kernels index by these numbers without a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    tokens: Arc<[u32]>,
    offsets: Arc<[u32]>,
}

impl Documents {
    /// The tokens of all documents, each with `BOS` at both ends.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Where each document starts in [`Self::tokens`], and last where the last one ends.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The number of documents.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of document `i`.
    ///
    /// # Panics
    /// If there is no document `i`.
    pub fn get(&self, i: usize) -> &[u32] {
        &self.tokens[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    /// n: the positions of document `i` at which a model of this block size predicts the next token.
    ///
    /// # Panics
    /// If there is no document `i`.
    pub fn positions(&self, i: usize, block_size: usize) -> usize {
        block_size.min(self.get(i).len() - 1)
    }
}

/// What a run learns from and is measured on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The vocabulary.
    pub tokenizer: Tokenizer,
    /// The first nine tenths of the documents, rounded down.
    pub train: Documents,
    /// The rest.
    pub val: Documents,
}

impl Dataset {
    /// Shuffles the documents by `seed`, or keeps their order without one, splits them, and turns them into tokens of
    /// the given vocabulary, or of their own.
    ///
    /// # Errors
    /// Fewer than two documents, a character outside of the given vocabulary, or more tokens than 32 bits can index.
    pub fn new(documents: &[&str], seed: Option<u64>, tokenizer: Option<Tokenizer>) -> Result<Self> {
        if documents.len() < 2 {
            return Err(too_few("the corpus", documents.len()));
        }
        check_tokens(documents.iter().map(|document| document.chars().count() as u64 + 2).sum())?;
        let tokenizer = tokenizer.unwrap_or_else(|| Tokenizer::new(documents.iter().copied()));
        let mut order: Vec<usize> = (0..documents.len()).collect();
        if let Some(seed) = seed {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            // Away from the numbers that the initial weights are drawn from.
            rng.long_jump();
            order.shuffle(&mut rng);
        }
        // With two documents or more, neither side is empty.
        let (train, val) = order.split_at(order.len() * 9 / 10);
        let encode = |order: &[usize]| {
            let (mut tokens, mut offsets) = (Vec::new(), vec![0]);
            for &i in order {
                tokenizer.encode_into(documents[i], &mut tokens).map_err(|error| {
                    let start: String = documents[i].chars().take(40).collect();
                    Error::new(format!("cannot encode document {} ({start:?})", i + 1))
                        .caused_by(error)
                        .hint("the vocabulary is that of the checkpoint: use a corpus with no other characters")
                })?;
                offsets.push(tokens.len() as u32);
            }
            Ok::<_, Error>(Documents { tokens: tokens.into(), offsets: offsets.into() })
        };
        Ok(Self { train: encode(train)?, val: encode(val)?, tokenizer })
    }
}

fn check_tokens(tokens: u64) -> Result<()> {
    if tokens > u64::from(u32::MAX) {
        return Err(Error::new(format!("the corpus has {tokens} tokens, more than the {} supported", u32::MAX))
            .hint("use a part of it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_corpus_is_distinct_names_of_the_26_letters() {
        let mut names: Vec<&str> = documents(EMBEDDED).collect();
        assert_eq!(names.join("\n") + "\n", EMBEDDED, "one a line, nothing to trim");
        assert!(Tokenizer::new(names.iter().copied()).chars().iter().copied().eq('a'..='z'));
        assert_eq!(names.len(), 5163);
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn more_tokens_than_32_bits_can_index_are_refused() {
        assert!(check_tokens(u64::from(u32::MAX)).is_ok());
        assert!(check_tokens(u64::from(u32::MAX) + 1).unwrap_err().report().contains("4294967296 tokens"));
    }
}
