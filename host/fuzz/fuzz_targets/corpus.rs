//! Any bytes are a corpus or an error, and the tokens of a corpus decode to its documents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use microgpt::Tokenizer;
use microgpt::corpus::{self, Dataset};

fuzz_target!(|bytes: &[u8]| {
    // The first byte decides on the shuffle.
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let text = match corpus::parse(bytes.to_vec(), "fuzzed.txt") {
        Ok(text) => text,
        Err(error) => {
            assert!(error.report().contains("fuzzed.txt"), "{}", error.report());
            return;
        }
    };
    let mut documents: Vec<&str> = corpus::documents(&text).collect();
    let seed = (first > 0).then_some(first.into());
    let dataset = Dataset::new(&documents, seed, None).unwrap();
    assert_eq!(dataset.train.len(), documents.len() * 9 / 10);
    let sides = [&dataset.train, &dataset.val];
    let tokens = sides.into_iter().flat_map(|side| (0..side.len()).map(|i| side.get(i)));
    let mut decoded: Vec<String> = tokens.map(|tokens| dataset.tokenizer.decode(tokens)).collect();
    if seed.is_some() {
        documents.sort_unstable();
        decoded.sort_unstable();
    }
    assert_eq!(decoded, documents);
    assert_eq!(Tokenizer::from_chars(dataset.tokenizer.chars().to_vec()).unwrap(), dataset.tokenizer);
});
