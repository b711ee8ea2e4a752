//! The data that a run learns from and is validated on, as tokens.

use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::documents::Documents;
use super::windows::{self, Drawing};
use crate::error::{Error, ONE_DOCUMENT, Result};
use crate::tokenizer::Tokenizer;

/// The names in `assets/`, for runs without a file and without a network.
pub const EMBEDDED: &str = include_str!("../../../assets/names.txt");

/// The documents that a run learns from and is validated on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The vocabulary.
    pub tokenizer: Tokenizer,
    /// The first nine tenths of the documents, rounded down. Of a continuous text, they are one document.
    pub train: Documents,
    /// The remaining documents. Of a continuous text, they are windows side by side.
    pub val: Documents,
    /// The drawing of windows from a continuous text, or `None` for documents that steps take whole.
    pub windows: Option<Drawing>,
}

/// The documents of one step or more.
pub(crate) struct Batches {
    pub(crate) documents: Documents,
    /// The index of the first step's first document. The other documents follow, modulo their number.
    pub(crate) first: u32,
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
        Ok(Self { train: train?, val: val?, tokenizer, windows: None })
    }

    /// Returns a continuous text as tokens, of which steps draw windows with this seed. The first nine tenths of the text
    /// train, rounded down. The rest validates in windows of a model of `block_size` tokens, which are documents of
    /// `block_size + 1` tokens. Without a tokenizer the vocabulary has the text's characters.
    ///
    /// # Errors
    /// [`Error::ShortText`] if the validation part has no window of `block_size + 1` tokens, and an error if there are more
    /// tokens than 32 bits can index, or if the given vocabulary lacks a character.
    pub fn continuous(text: &str, seed: u64, tokenizer: Option<Tokenizer>, block_size: usize) -> Result<Self> {
        let len = validate_text(text, block_size)?;
        let (train, needed) = (len / 10 * 9 + len % 10 * 9 / 10, block_size.saturating_mul(10).saturating_add(1));
        // With so many characters, the last tenth, rounded up, has a window. So has the rest, which is longer.
        if len < needed {
            let most = len.div_ceil(10).saturating_sub(1);
            return Err(Error::ShortText { corpus: "the corpus".to_owned(), found: len, needed, most });
        }
        let tokenizer = tokenizer.unwrap_or_else(|| Tokenizer::new([text]));
        let tokens = encode_text(text, &tokenizer)?;
        let val = windows::side_by_side(&tokens[train..], block_size);
        let train = Documents::new(tokens[..train].to_vec(), vec![0, train as u32]);
        Ok(Self { train, val, tokenizer, windows: Some(Drawing::new(seed)) })
    }

    /// Returns a continuous text in windows side by side for a model of `block_size` tokens, which is only evaluated.
    ///
    /// # Errors
    /// [`Error::ShortText`] if the text has fewer than two characters, and an error if there are more tokens than 32 bits
    /// can index, or if the vocabulary lacks a character.
    pub fn unsplit_continuous(text: &str, tokenizer: Tokenizer, block_size: usize) -> Result<Self> {
        let len = validate_text(text, block_size)?;
        if len < 2 {
            let corpus = "the corpus".to_owned();
            return Err(Error::ShortText { corpus, found: len, needed: 2, most: 0 });
        }
        let all = windows::side_by_side(&encode_text(text, &tokenizer)?, block_size);
        Ok(Self { train: all.clone(), val: all, tokenizer, windows: None })
    }

    /// Returns the dataset with these characters, documents that train and documents that validate. Documents are their
    /// tokens and offsets. `windows` is the seed of the first window of a continuous text.
    ///
    /// # Errors
    /// If the characters are not those of a vocabulary.
    #[cfg(feature = "mpi")]
    pub(crate) fn from_tokens(
        characters: Vec<char>,
        documents: [(Vec<u32>, Vec<u32>); 2],
        windows: Option<u64>,
    ) -> Result<Self> {
        let tokenizer = Tokenizer::from_chars(characters)?;
        let [train, val] = documents.map(|(tokens, offsets)| Documents::new(tokens, offsets));
        Ok(Self { train, val, tokenizer, windows: windows.map(Drawing::with_seed) })
    }

    /// Returns the number of tokens of a continuous text that validate.
    pub fn val_tokens(&self) -> usize {
        // Windows side by side share a token.
        self.val.tokens().len() + 1 - self.val.len()
    }

    /// Divides the validation part of a continuous text into windows for a model of `block_size` tokens.
    pub fn divide(&mut self, block_size: usize) {
        let windows = (0..self.val.len()).map(|i| self.val.get(i));
        let tokens = self.val.get(0)[..1].iter().chain(windows.flat_map(|window| &window[1..]));
        self.val = windows::side_by_side(&tokens.copied().collect::<Vec<_>>(), block_size);
    }

    /// Returns the number of tokens in the windows of `steps` steps, or 0 if steps take whole documents.
    ///
    /// # Errors
    /// If there are more tokens than 32 bits can index.
    pub(crate) fn window_tokens(&self, steps: usize, batch: usize, block_size: usize) -> Result<u32> {
        if self.windows.is_none() {
            return Ok(0);
        }
        let tokens = (steps as u128 * batch as u128).saturating_mul(block_size as u128 + 1);
        u32::try_from(tokens).map_err(|_| {
            let (expected, hint) = (format!("at most {}", u32::MAX), "lower --batch or --block-size");
            Error::argument("the number of a step's tokens", expected, &tokens, hint)
        })
    }

    /// Returns the documents of `steps` steps from `step`, each of `batch` documents, for a model of `block_size` tokens.
    ///
    /// # Errors
    /// If the windows of a step have more tokens than 32 bits can index.
    pub(crate) fn batches(&self, step: u64, steps: usize, batch: usize, block_size: usize) -> Result<Batches> {
        let Some(drawing) = self.windows else {
            let first = (u128::from(step) * batch as u128 % self.train.len() as u128) as u32;
            return Ok(Batches { documents: self.train.clone(), first });
        };
        self.window_tokens(steps, batch, block_size)?;
        let first = step.wrapping_mul(batch as u64);
        let documents = drawing.draw(self.train.tokens(), first, steps * batch, block_size);
        Ok(Batches { documents, first: 0 })
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
        Ok(Self { train: all.clone(), val: all, tokenizer, windows: None })
    }
}

/// Returns the number of characters of a continuous text, whose windows side by side share a token.
fn validate_text(text: &str, block_size: usize) -> Result<usize> {
    let len = text.chars().count();
    validate_len((len + len.div_ceil(block_size)) as u64)?;
    Ok(len)
}

/// Returns the tokens of a continuous text.
fn encode_text(text: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let hint = "use a corpus with the characters of the given vocabulary alone";
    tokenizer.encode_text(text).map_err(|error| Error::failed("encode the text", hint, error))
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
    Ok(Documents::new(tokens, offsets))
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
