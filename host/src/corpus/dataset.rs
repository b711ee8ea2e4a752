//! The documents of a corpus, as text and as tokens.

use std::sync::Arc;

use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use crate::error::{Error, ONE_DOCUMENT, Result};
use crate::tokenizer::Tokenizer;

/// The names in `assets/`, for runs without a file and without a network.
pub const EMBEDDED: &str = include_str!("../../../assets/names.txt");

/// The tokens of one document or more, which clones share.
///
/// Only [`Dataset`] constructs this type, because kernels index by tokens and offsets unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    tokens: Arc<[u32]>,
    offsets: Arc<[u32]>,
}

impl Documents {
    /// Returns the tokens of all documents, each with `BOS` at both ends.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Returns the start of each document in [`Self::tokens`], followed by the end of the last document.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Returns the number of documents.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the tokens of document `i`.
    ///
    /// # Panics
    /// If there is no document `i`.
    pub fn get(&self, i: usize) -> &[u32] {
        &self.tokens[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    /// Returns the documents up to the first `positions` tokens that a model predicts.
    #[must_use]
    pub fn cut(&self, positions: usize) -> Self {
        let (mut tokens, mut offsets) = (Vec::new(), vec![0]);
        for i in 0..self.len() {
            tokens.extend(&self.get(i)[..=self.positions(i, positions)]);
            offsets.push(tokens.len() as u32);
        }
        Self { tokens: tokens.into(), offsets: offsets.into() }
    }

    /// Returns n, the number of positions of document `i` at which a model of this block size predicts the next token.
    ///
    /// # Panics
    /// If there is no document `i`.
    pub fn positions(&self, i: usize, block_size: usize) -> usize {
        block_size.min(self.get(i).len() - 1)
    }
}

/// The documents that a run learns from and is validated on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The vocabulary.
    pub tokenizer: Tokenizer,
    /// The first nine tenths of the documents, rounded down.
    pub train: Documents,
    /// The remaining documents.
    pub val: Documents,
}

impl Dataset {
    /// Returns the documents as tokens, shuffled and split.
    ///
    /// Without a seed the documents keep their order. Without a tokenizer the vocabulary has the documents' characters.
    ///
    /// # Errors
    /// If there are fewer than two documents or more tokens than 32 bits can index, or if the given vocabulary lacks a
    /// character.
    pub fn new(documents: &[&str], seed: Option<u64>, tokenizer: Option<Tokenizer>) -> Result<Self> {
        if documents.len() < 2 {
            let found = if documents.is_empty() { "has no document" } else { ONE_DOCUMENT };
            return Err(Error::TooFewDocuments { corpus: "the corpus".to_owned(), found });
        }
        validate_len(documents.iter().map(|document| document.chars().count() as u64 + 2).sum())?;
        let tokenizer = tokenizer.unwrap_or_else(|| Tokenizer::new(documents.iter().copied()));
        let mut order: Vec<usize> = (0..documents.len()).collect();
        if let Some(seed) = seed {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            // The jump makes the shuffle independent of the initial weights, which are drawn from the same seed.
            rng.long_jump();
            order.shuffle(&mut rng);
        }
        // Neither side is empty, since there are at least two documents.
        let (train, val) = order.split_at(order.len() * 9 / 10);
        let [train, val] = [train, val].map(|order| encode(documents, order, &tokenizer));
        Ok(Self { train: train?, val: val?, tokenizer })
    }

    /// Returns documents that are not split, for a model that is only evaluated or sampled from. All of them train, and
    /// all validate.
    ///
    /// # Errors
    /// If there is no document, if there are more tokens than 32 bits can index, or if the vocabulary lacks a character.
    pub fn unsplit(documents: &[&str], tokenizer: Tokenizer) -> Result<Self> {
        if documents.is_empty() {
            return Err(Error::TooFewDocuments { corpus: "the corpus".to_owned(), found: "has no document" });
        }
        validate_len(documents.iter().map(|document| document.chars().count() as u64 + 2).sum())?;
        let all = encode(documents, &(0..documents.len()).collect::<Vec<_>>(), &tokenizer)?;
        Ok(Self { train: all.clone(), val: all, tokenizer })
    }
}

/// Returns the tokens of the documents with these indices.
fn encode(documents: &[&str], order: &[usize], tokenizer: &Tokenizer) -> Result<Documents> {
    let (mut tokens, mut offsets) = (Vec::new(), vec![0]);
    for &i in order {
        tokenizer.encode_into(documents[i], &mut tokens).map_err(|error| {
            let start: String = documents[i].chars().take(40).collect();
            let hint = "use a corpus with the characters of the given vocabulary alone";
            Error::failed(format!("encode document {} ({start:?})", i + 1), hint, error)
        })?;
        offsets.push(tokens.len() as u32);
    }
    Ok(Documents { tokens: tokens.into(), offsets: offsets.into() })
}

fn validate_len(tokens: u64) -> Result<()> {
    if tokens > u64::from(u32::MAX) {
        let expected = format!("at most {} tokens long", u32::MAX);
        return Err(Error::argument("a corpus", expected, &format!("{tokens} tokens"), "use a part of it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::text::documents;
    use super::*;

    #[test]
    fn more_tokens_than_32_bits_can_index_are_refused() {
        assert!(validate_len(u64::from(u32::MAX)).is_ok());
        assert!(validate_len(u64::from(u32::MAX) + 1).unwrap_err().to_string().contains("4294967296 tokens"));
    }

    #[test]
    fn the_embedded_names_are_distinct_and_of_the_26_letters() {
        let mut names: Vec<&str> = documents(EMBEDDED).collect();
        assert_eq!(names.join("\n") + "\n", EMBEDDED, "one a line, nothing to trim");
        assert!(Tokenizer::new(names.iter().copied()).chars().iter().copied().eq('a'..='z'));
        assert_eq!(names.len(), 5163);
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b));
    }
}
