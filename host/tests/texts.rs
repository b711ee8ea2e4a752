//! The way from a text to documents, with its flags and with the notices about what became of the text.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use microgpt::corpus::{Corpus, DocumentConfig};

mod common;
use common::{Folder, refused};

/// Trains on `text.txt`. Returns its stdout and its stderr.
fn run(folder: &Folder, args: &str) -> (String, String) {
    let args = format!("--input text.txt --samples 0 --device cpu {args}");
    let output = folder.program(&args).assert().success().get_output().clone();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Returns the notices in `stderr` that start with `word`.
fn notices<'a>(stderr: &'a str, word: &str) -> Vec<&'a str> {
    stderr.lines().filter(|line| line.starts_with(word)).collect()
}

fn documents(text: &str, config: DocumentConfig) -> Vec<String> {
    let corpus = Corpus::from_text(text).unwrap().configured(config).unwrap();
    corpus.documents().map(str::to_owned).collect()
}

#[test]
fn a_corpus_has_the_documents_that_its_configuration_says() {
    let text = "  ab \r\n\n\tab\nze\u{301}\n \nz\u{e9}\nab\n";
    let default = DocumentConfig::default();
    assert_eq!(documents(text, default), ["ab", "ab", "ze\u{301}", "z\u{e9}", "ab"]);
    let spaces = DocumentConfig { keep_spaces: true, ..default };
    assert_eq!(documents(text, spaces), ["  ab ", "\tab", "ze\u{301}", " ", "z\u{e9}", "ab"]);
    let distinct = DocumentConfig { dedup: true, ..default };
    assert_eq!(documents(text, distinct), ["ab", "ze\u{301}", "z\u{e9}"]);
    assert_eq!(
        documents(text, DocumentConfig { nfc: true, dedup: true, ..DocumentConfig::default() }),
        ["ab", "z\u{e9}"]
    );
}

#[test]
fn validation_documents_that_are_also_trained_on_are_counted() {
    let folder = Folder::new();
    folder.write("text.txt", common::NAMES.repeat(40));
    let (stdout, stderr) = run(&folder, "");
    assert!(stdout.starts_with("num docs: 480 (train: 432, val: 48)\n"), "{stdout}");
    let notice = "repeated: 48 of 48 validation documents are also trained on; `--dedup` leaves copies out";
    assert_eq!(notices(&stderr, "repeated"), [notice]);
    let (stdout, stderr) = run(&folder, "--dedup");
    assert!(stdout.starts_with("num docs: 12 (train: 10, val: 2)\n"), "{stdout}");
    assert_eq!(notices(&stderr, "repeated"), [""; 0]);
    assert_eq!(notices(&stderr, "left out"), ["left out: 468 of 480 documents, which equal an earlier one"]);
    folder.write("text.txt", "emma\n emma\n".repeat(20));
    let named = ["`text.txt` has only copies of one document", "leave `--dedup` out"];
    refused(folder.program("--input text.txt --dedup"), 1, &named);
}

#[test]
fn spaces_at_the_ends_of_lines_are_removed_with_a_notice_or_kept() {
    let folder = Folder::new();
    folder.write("text.txt", "def f():\n    return 1\n\n \nx = 2\t\r\ny\n");
    let (stdout, stderr) = run(&folder, "");
    let notice = "trimmed: white space at the ends of 2 lines; `--keep-spaces` keeps it";
    assert_eq!(notices(&stderr, "trimmed"), [notice]);
    assert!(stdout.starts_with("num docs: 4 ("), "{stdout}");
    let (stdout, stderr) = run(&folder, "--keep-spaces --block-size 16 --save model.st");
    assert_eq!(notices(&stderr, "trimmed"), [""; 0]);
    // The line of one space is a document, too.
    assert!(stdout.starts_with("num docs: 5 ("), "{stdout}");
    // The saved model reads other texts in its way.
    folder.write("other.txt", "  x\n y\n");
    let output = folder.program("eval model.st other.txt --per-document -").output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(
        listed.contains(r#""text":"  x","tokens":4,"#) && listed.contains(r#""text":" y","tokens":3,"#),
        "{listed}"
    );
    folder.write("other.txt", "  xé\n");
    refused(folder.program("eval model.st other.txt"), 1, &["`other.txt`, line 1, column 4", "U+00E9"]);
    // The ends of lines on Windows are no white space of a document.
    folder.write("text.txt", "ab\r\ncd\r\n\r\n");
    assert_eq!(notices(&run(&folder, "").1, "trimmed"), [""; 0]);
}

#[test]
fn forms_of_unicode_are_named_or_composed() {
    let folder = Folder::new();
    let (composed, decomposed) = ("z\u{e9}\nabc\nd\u{e9}f\n", "ze\u{301}\nabc\nde\u{301}f\n");
    for (text, prompt, form) in
        [(composed, "e\u{301}", "composed form (NFC)"), (decomposed, "\u{e9}", "decomposed form (NFD)")]
    {
        folder.write("text.txt", text);
        let (_, stderr) = run(&folder, "--save model.st");
        assert_eq!(notices(&stderr, "mixed"), [""; 0]);
        let named = format!("has characters that the model knows in {form} alone");
        refused(folder.program(&format!("--input text.txt --prompt {prompt}")), 1, &[&named]);
        refused(folder.program(&format!("sample model.st --prompt {prompt}")), 1, &[&named]);
        folder.write("other.txt", format!("a{prompt}\n"));
        refused(folder.program("eval model.st other.txt"), 1, &["`other.txt`, line 1, column", &named]);
    }
    folder.write("text.txt", [composed, decomposed].concat());
    let (stdout, stderr) = run(&folder, "");
    assert_eq!(notices(&stderr, "mixed").len(), 1);
    assert!(stdout.contains("\nvocab size: 10\n"), "{stdout}");
    let (stdout, stderr) = run(&folder, "--normalize nfc --save model.st");
    assert_eq!(notices(&stderr, "mixed"), [""; 0]);
    assert!(stdout.contains("\nvocab size: 8\n"), "{stdout}");
    // The saved model takes either form.
    folder.write("other.txt", [composed, decomposed].concat());
    folder.program("eval model.st other.txt").assert().success();
    for prompt in ["e\u{301}", "\u{e9}"] {
        let output = folder.program(&format!("sample model.st --samples 1 --prompt {prompt}")).assert().success();
        assert!(output.get_output().stdout.starts_with("sample  1: \u{e9}".as_bytes()));
    }
}

#[test]
fn a_run_is_resumed_with_the_documents_of_its_flags() {
    let folder = Folder::new();
    folder.write("text.txt", " ab\ncde\nab\ncde\u{301}\nfgh\n");
    let flags = "--keep-spaces --normalize nfc --dedup";
    let whole = run(&folder, &format!("{flags} --steps 8 --save whole.st")).0;
    run(&folder, &format!("{flags} --steps 8 --stop-after 4 --save half.st"));
    let args = "--input text.txt --device cpu --samples 0 --resume half.st";
    let output = folder.program(&format!("{args} --save resumed.st")).assert().success().get_output().clone();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().next(), whole.lines().next());
    let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert!(bytes("resumed.st") == bytes("whole.st"));
    let info = String::from_utf8(folder.program("info half.st").output().unwrap().stdout).unwrap();
    for line in ["keep_spaces    yes", "normalize      nfc", "dedup          yes"] {
        assert!(info.lines().any(|other| other == line), "{line}\n{info}");
    }
    run(&folder, "--steps 8 --stop-after 4 --save plain.st");
    for (flag, named) in [
        ("--dedup", "belongs to a run without `--dedup`"),
        ("--normalize nfc", "belongs to a run of `--normalize none`"),
        ("--keep-spaces", "belongs to a run without `--keep-spaces`"),
    ] {
        refused(folder.program(&format!("--input text.txt {flag} --resume plain.st")), 1, &["`plain.st`", named]);
    }
}

// The start of 4,096 threads takes far longer than the training.
#[test]
fn no_more_threads_start_than_there_is_work_for() {
    let folder = Folder::new();
    folder.write("text.txt", common::NAMES);
    let start = Instant::now();
    let (stdout, stderr) = run(&folder, "--steps 200 --batch 8 --threads 4096");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let notice = notices(&stderr, "threads: ");
    assert!(notice.len() == 1 && notice[0].contains(" of `--threads 4096`, on "), "{stderr}");
    let (one, stderr) = run(&folder, "--steps 200 --batch 8 --threads 1");
    assert_eq!(notices(&stderr, "threads: "), [""; 0]);
    assert_eq!(common::untimed(&stdout), common::untimed(&one));
}

// `script` provides a terminal.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_escaped_control_characters_and_a_file_gets_them_raw() {
    let folder = Folder::new();
    let text = "a\u{1b}]0;t\n".repeat(2);
    folder.write("text.txt", &text);
    let args = "--input text.txt --steps 300 --temperature 0 --samples 1 --log-every 0 --device cpu";
    let raw = folder.program(args).output().unwrap().stdout;
    assert!(String::from_utf8(raw).unwrap().ends_with("sample  1: a\u{1b}]0;t\n"));
    let program = assert_cmd::cargo::cargo_bin!("microgpt").display();
    let script = ["-qec", &format!("{program} {args} --quiet"), "/dev/null"];
    let output = std::process::Command::new("script").args(script).current_dir(&folder.0).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.ends_with("sample  1: a\\u{1b}]0;t\r\n"), "{shown:?}");
    let objects = folder.program(&format!("{args} --format jsonl")).output().unwrap().stdout;
    assert!(String::from_utf8(objects).unwrap().contains(r#""text":"a\u001b]0;t""#));
}
