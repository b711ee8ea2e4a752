//! Runs that print less, train only, or validate on all documents.

use super::*;

#[test]
fn a_run_of_no_samples_trains_only() {
    let folder = Folder::new();
    let trained = folder.stdout("--steps 5 --samples 1 --save sampled.safetensors");
    let only = folder.stdout("--steps 5 --samples 0 --save only.safetensors");
    assert_eq!(only, trained.split_once("--- inference ---").unwrap().0);
    let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert!(bytes("only.safetensors") == bytes("sampled.safetensors"));
    assert_eq!(folder.stdout("--steps 5 --samples 0 --unique"), only, "nothing is counted either");
}

#[test]
fn all_validation_documents_are_more_than_the_first() {
    let folder = Folder::new();
    // Two of the twelve documents validate.
    let losses = |val_docs: &str| folder.stdout(&format!("--steps 2 --val-every 1 --val-docs {val_docs} --samples 0"));
    assert_eq!(losses("all"), losses("2"));
    assert_ne!(losses("all"), losses("1"));
}

#[test]
fn a_quiet_run_prints_results_and_errors_alone() {
    let folder = Folder::new();
    for args in ["--steps 5 --save model.safetensors", "--steps 5 --format jsonl", "--steps 5 --seeds 2"] {
        let [loud, quiet] = ["", "--quiet"].map(|flag| folder.run(&format!("{args} {flag}")).output().unwrap());
        let stdout = |bytes: &[u8]| untimed(str::from_utf8(bytes).unwrap());
        assert_eq!(stdout(&quiet.stdout), stdout(&loud.stdout), "{args}");
        assert!(quiet.stderr.is_empty() && !loud.stderr.is_empty(), "{args}: {}", stdout(&quiet.stderr));
    }
    refused(folder.run("--quiet --prompt X"), 1, &["'X' (U+0058)"]);
}
