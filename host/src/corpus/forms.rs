//! The canonical forms of Unicode, in which one letter with an accent is one character (NFC) or several (NFD).

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc, is_nfc_quick, is_nfd_quick};

use crate::tokenizer::Tokenizer;

/// Returns a text in composed form (NFC).
pub(crate) fn compose(text: &str) -> String {
    text.nfc().collect()
}

/// Returns the name of the form in which the vocabulary has all characters of `text`, if there is one.
pub(crate) fn form_in(tokenizer: &Tokenizer, text: &str) -> Option<&'static str> {
    match () {
        () if text.nfc().all(|c| tokenizer.contains(c)) => Some("composed form (NFC)"),
        () if text.nfd().all(|c| tokenizer.contains(c)) => Some("decomposed form (NFD)"),
        () => None,
    }
}

/// Returns whether documents of this vocabulary have composed characters in some places and decomposed ones in others.
pub(crate) fn is_mixed(tokenizer: &Tokenizer, documents: &[&str]) -> bool {
    // Most vocabularies have characters of one form alone, so that the documents need not be read.
    let has =
        |is_quick: &dyn Fn(char) -> IsNormalized| tokenizer.chars().iter().any(|&c| is_quick(c) != IsNormalized::Yes);
    let one = std::iter::once;
    has(&|c| is_nfd_quick(one(c)))
        && has(&|c| is_nfc_quick(one(c)))
        && documents.iter().any(|document| !is_nfc(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_that_in_which_the_vocabulary_has_the_text() {
        let of = |document: &str, text: &str| form_in(&Tokenizer::new([document]), text);
        assert_eq!(of("ze\u{301}", "\u{e9}z"), Some("decomposed form (NFD)"));
        assert_eq!(of("z\u{e9}", "e\u{301}z"), Some("composed form (NFC)"));
        assert_eq!(of("ze", "\u{e9}"), None);
    }

    #[test]
    fn documents_of_both_forms_are_mixed() {
        let mixed = |documents: &[&str]| is_mixed(&Tokenizer::new(documents.iter().copied()), documents);
        assert!(mixed(&["\u{e9}", "e\u{301}"]) && mixed(&["\u{e9}a", "e\u{300}"]));
        assert!(!mixed(&["\u{e9}", "ab"]) && !mixed(&["e\u{301}", "ab"]) && !mixed(&["ab", "さくら"]));
        // No character is composed of x and this mark.
        assert!(!mixed(&["\u{e9}", "x\u{301}"]));
    }
}
