//! The notices about what became of the text of a corpus.

use std::collections::BTreeSet;

use rustc_hash::FxHashSet;

use crate::corpus::{Corpus, CorpusMode, Dataset, is_mixed};

/// The share of the documents, in percent, that the block size of a notice takes whole.
const WHOLE_PERCENT: usize = 99;

/// The lines before the first step, apart from those about the device and the models.
pub(super) struct Introduction<'a> {
    /// The source of the corpus.
    pub(super) source: &'a str,
    /// The notices for stderr.
    pub(super) notices: Vec<String>,
    /// The numbers of documents and of tokens, for stdout.
    pub(super) counts: String,
}

impl<'a> Introduction<'a> {
    /// Introduces the documents of a corpus and their split, for models of these block sizes.
    pub(super) fn new(
        corpus: &'a Corpus,
        documents: &[&str],
        dataset: &Dataset,
        block_sizes: &BTreeSet<usize>,
    ) -> Self {
        let (source, vocab) = (&corpus.source[..], dataset.tokenizer.vocab_size());
        if corpus.config.mode == CorpusMode::Text {
            let (train, val) = (dataset.train.tokens().len(), dataset.val_tokens());
            let counts = format!("num tokens: {} (train: {train}, val: {val})\nvocab size: {vocab}\n", train + val);
            return Self { source, notices: mixed(dataset, documents).into_iter().collect(), counts };
        }
        let mut notices = notices(corpus, documents, dataset);
        if let (Some(least), true) = (block_sizes.first(), block_sizes.len() > 1) {
            notices.push(format!(
                "compared: every val loss is that of each document's first {least} tokens, which all of these models \
                 predict"
            ));
        }
        let with_hint = |cut| cut + "; `--corpus text` reads the text as a whole";
        notices.extend(block_sizes.iter().filter_map(|&block_size| cut(documents, block_size).map(with_hint)));
        let (all, train, val) = (documents.len(), dataset.train.len(), dataset.val.len());
        let counts = format!("num docs: {all} (train: {train}, val: {val})\nvocab size: {vocab}\n");
        Self { source, notices, counts }
    }
}

/// Returns notices about the documents of a corpus, without those that [`cut`] gives.
fn notices(corpus: &Corpus, documents: &[&str], dataset: &Dataset) -> Vec<String> {
    let all = documents.len();
    let mut notices = Vec::new();
    let trimmed = trimmed(&corpus.text, documents);
    if trimmed > 0 && !corpus.config.keep_spaces {
        notices.push(format!("trimmed: white space at the ends of {trimmed} lines; `--keep-spaces` keeps it"));
    }
    if corpus.config.dedup {
        let lines = corpus.line_count();
        notices.push(format!("left out: {} of {lines} documents, which equal an earlier one", lines - all));
    }
    let (repeated, val) = (repeated(dataset), dataset.val.len());
    if repeated > 0 {
        notices.push(format!(
            "repeated: {repeated} of {val} validation documents are also trained on; `--dedup` leaves copies out"
        ));
    }
    notices.extend(mixed(dataset, documents));
    notices
}

/// Returns the notice that letters with accents are composed in some places only, if they are.
fn mixed(dataset: &Dataset, documents: &[&str]) -> Option<String> {
    const NOTICE: &str = "mixed: letters with accents are one character in some places and several in others; \
                          `--normalize nfc` composes them";
    is_mixed(&dataset.tokenizer, documents).then(|| NOTICE.to_owned())
}

/// Returns the number of lines that lost white space at their ends, in a text with these documents.
fn trimmed(text: &str, documents: &[&str]) -> usize {
    // Most texts have their documents and line ends alone, and need not be read again.
    let with_ends: usize = documents.iter().map(|document| document.len() + 1).sum();
    if text.len() + usize::from(!text.ends_with('\n')) == with_ends {
        return 0;
    }
    text.lines().filter(|line| (1..line.len()).contains(&line.trim().len())).count()
}

/// Returns the number of validation documents that equal a training document.
fn repeated(dataset: &Dataset) -> usize {
    let Dataset { train, val, .. } = dataset;
    // The standard library's hashes would take as long as the rest of the start.
    let mut unseen: FxHashSet<&[u32]> = (0..val.len()).map(|i| val.get(i)).collect();
    let distinct = unseen.len();
    for i in 0..train.len() {
        unseen.remove(train.get(i));
    }
    if unseen.len() == distinct {
        return 0;
    }
    (0..val.len()).filter(|&i| !unseen.contains(val.get(i))).count()
}

/// Returns the notice that documents are longer than a block, if some are.
pub(super) fn cut(documents: &[&str], block_size: usize) -> Option<String> {
    let mut lengths: Vec<usize> = documents.iter().map(|document| document.chars().count()).collect();
    let cut = lengths.iter().filter(|&&length| length + 1 > block_size).count();
    if cut == 0 {
        return None;
    }
    let (all, characters) = (lengths.len(), lengths.iter().sum::<usize>());
    let lost: usize = lengths.iter().map(|length| length.saturating_sub(block_size)).sum();
    let longest = lengths.iter().max().copied().unwrap_or(0);
    let place = (all * WHOLE_PERCENT).div_ceil(100) - 1;
    let (_, &mut length, _) = lengths.select_nth_unstable(place);
    let percent = 100.0 * lost as f64 / characters as f64;
    let whole = if length < block_size {
        format!("which takes {WHOLE_PERCENT} % of the documents whole")
    } else {
        format!("`--block-size {}` takes {WHOLE_PERCENT} % of the documents whole", length + 1)
    };
    Some(format!(
        "cut: {cut} of {all} documents to their first `--block-size {block_size}` tokens, without {percent:.1} % of all \
         characters; the longest document has {longest}; {whole}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validation_document_that_is_trained_on_is_counted() {
        let repeated = |documents: &[&str]| repeated(&Dataset::new(documents, None, None).unwrap());
        let mut documents = vec!["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        assert_eq!(repeated(&documents), 0);
        // The last two validate.
        documents[10] = "b";
        assert_eq!(repeated(&documents), 1);
        documents[9] = "b";
        assert_eq!(repeated(&documents), 2);
        // A copy within the validation is not trained on.
        (documents[9], documents[10]) = ("k", "k");
        assert_eq!(repeated(&documents), 0);
    }

    #[test]
    fn lines_with_white_space_at_their_ends_are_counted() {
        let trimmed = |text| trimmed(text, &crate::corpus::documents(text).collect::<Vec<_>>());
        assert_eq!(trimmed("ab\ncd\n"), 0);
        assert_eq!(trimmed("ab\r\n\n \ncd"), 0);
        assert_eq!(trimmed("ab\ncd"), 0);
        assert_eq!(trimmed("ab \ncd"), 1);
        assert_eq!(trimmed("ab\ncd \n"), 1);
        assert_eq!(trimmed("  ab\ncd\u{3000}\n\te\t\n \n"), 3);
    }

    #[test]
    fn a_cut_names_what_is_lost_and_the_block_size_that_keeps_it() {
        let mut documents = vec!["abc"; 98];
        documents.extend(["abcde", "abcdefghij"]);
        assert_eq!(cut(&documents, 11), None);
        let lost = |block_size| cut(&documents, block_size).unwrap();
        assert_eq!(
            lost(4),
            "cut: 2 of 100 documents to their first `--block-size 4` tokens, without 2.3 % of all characters; the longest \
             document has 10; `--block-size 6` takes 99 % of the documents whole"
        );
        assert!(lost(10).starts_with("cut: 1 of 100 documents to their first `--block-size 10` tokens, without 0.0 %"));
        assert!(lost(6).ends_with("which takes 99 % of the documents whole"));
        assert!(
            lost(2).starts_with("cut: 100 of 100 documents to their first `--block-size 2` tokens, without 35.3 %")
        );
    }
}
