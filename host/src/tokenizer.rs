//! The conversion of text to tokens and back, with one token per character.

use crate::error::{Error, Result};

/// The token before and after every document.
pub const BOS: u32 = 0;

/// A vocabulary, in which token 0 is `<BOS>` and tokens 1 and up are characters in the order of their code points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    chars: Vec<char>,
    /// The token of each code point up to the last character's, which is [`BOS`] for those without one.
    tokens: Vec<u32>,
}

impl Tokenizer {
    /// Returns the vocabulary of all characters in these documents.
    pub fn new<'a>(documents: impl IntoIterator<Item = &'a str>) -> Self {
        // A table by code point yields sorted characters without a sort of a long corpus.
        let mut seen: Vec<bool> = Vec::new();
        for c in documents.into_iter().flat_map(str::chars) {
            let index = c as usize;
            if index >= seen.len() {
                seen.resize(index + 1, false);
            }
            seen[index] = true;
        }
        let code_points = (0u32..).zip(seen).filter(|&(_, seen)| seen);
        Self::of_sorted(code_points.filter_map(|(code_point, _)| char::from_u32(code_point)).collect())
    }

    /// Returns the vocabulary of these characters, such as those of a checkpoint.
    ///
    /// # Errors
    /// If there are no characters, or they are not distinct and sorted by code point.
    pub fn from_chars(chars: Vec<char>) -> Result<Self> {
        const EXPECTED: &str = "distinct characters in the order of their code points";
        const HINT: &str = "sort the characters, and remove those that stand twice";
        if chars.is_empty() || !chars.is_sorted_by(|first, second| first < second) {
            let value: String = chars.iter().collect();
            return Err(Error::argument("a vocabulary", EXPECTED, &format!("{value:?}"), HINT));
        }
        Ok(Self::of_sorted(chars))
    }

    fn of_sorted(chars: Vec<char>) -> Self {
        let mut tokens = vec![BOS; chars.last().map_or(0, |&last| last as usize + 1)];
        for (token, &c) in (BOS + 1..).zip(&chars) {
            tokens[c as usize] = token;
        }
        Self { chars, tokens }
    }

    fn token(&self, c: char) -> Option<u32> {
        self.tokens.get(c as usize).copied().filter(|&token| token != BOS)
    }

    /// Returns V, the number of tokens with `<BOS>`.
    pub fn vocab_size(&self) -> usize {
        self.chars.len() + 1
    }

    /// Returns the characters of tokens 1 and up.
    pub fn chars(&self) -> &[char] {
        &self.chars
    }

    /// Returns whether a character is in the vocabulary.
    pub fn contains(&self, c: char) -> bool {
        self.token(c).is_some()
    }

    /// Returns a document's tokens, `[BOS, characters.., BOS]`.
    ///
    /// # Errors
    /// [`Error::UnknownCharacter`] if the vocabulary lacks a character.
    pub fn encode(&self, document: &str) -> Result<Vec<u32>> {
        let mut tokens = Vec::new();
        self.encode_into(document, &mut tokens)?;
        Ok(tokens)
    }

    /// Appends a document's tokens to `tokens`.
    pub(crate) fn encode_into(&self, document: &str, tokens: &mut Vec<u32>) -> Result<()> {
        tokens.push(BOS);
        for c in document.chars() {
            tokens.push(self.known(c)?);
        }
        tokens.push(BOS);
        Ok(())
    }

    /// Returns the tokens of the characters alone, without `BOS`.
    ///
    /// # Errors
    /// [`Error::UnknownCharacter`] if the vocabulary lacks a character.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        text.chars().map(|c| self.known(c)).collect()
    }

    fn known(&self, c: char) -> Result<u32> {
        self.token(c).ok_or_else(|| Error::UnknownCharacter { character: c })
    }

    /// Returns the text of these tokens without `<BOS>`. An unknown token becomes U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let chars = tokens.iter().filter(|&&token| token != BOS);
        chars.map(|&token| self.chars.get(token as usize - 1).copied().unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_characters_in_code_point_order() {
        let tokenizer = Tokenizer::new(["ba", "cab"]);
        assert_eq!(tokenizer.chars(), ['a', 'b', 'c']);
        assert_eq!(tokenizer.vocab_size(), 4);
        assert_eq!(tokenizer.encode("cab").unwrap(), [BOS, 3, 1, 2, BOS]);
        assert_eq!(tokenizer.encode("").unwrap(), [BOS, BOS]);
    }

    #[test]
    fn any_unicode_round_trips() {
        let documents = ["zoë", "Łukasz", "さくら", "𝒜lice", "e\u{301}", "\u{10FFFF}\0"];
        let tokenizer = Tokenizer::new(documents);
        assert!(tokenizer.chars().is_sorted_by(|a, b| a < b));
        for document in documents {
            let tokens = tokenizer.encode(document).unwrap();
            assert_eq!(tokens.len(), document.chars().count() + 2);
            assert_eq!(tokenizer.decode(&tokens), document);
        }
        assert_eq!(Tokenizer::from_chars(tokenizer.chars().to_vec()).unwrap(), tokenizer);
    }

    #[test]
    fn an_unknown_character_is_named() {
        let error = Tokenizer::new(["abc"]).encode("abö").unwrap_err();
        assert_eq!(error.to_string(), "the character 'ö' (U+00F6) is not in the vocabulary");
    }

    #[test]
    fn an_unknown_token_is_replaced() {
        assert_eq!(Tokenizer::new(["ab"]).decode(&[BOS, 1, 3, u32::MAX, 2, BOS]), "a\u{FFFD}\u{FFFD}b");
    }

    #[test]
    fn characters_that_are_empty_unsorted_or_doubled_are_refused() {
        for chars in [vec![], vec!['b', 'a'], vec!['a', 'a'], vec!['a', 'c', 'b']] {
            assert!(Tokenizer::from_chars(chars.clone()).is_err(), "{chars:?}");
        }
    }
}
