//! The command `eval`, which evaluates a saved model on a text.

use std::f64::consts::LN_2;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::{Console, Loss};
use super::notices::cut;
use super::overwrite::refuse_other_than_documents;
use super::paths::{NamedFile, refuse_same};
use super::saved;
use super::shared_args::DeviceArgs;
use crate::atomic_file::AtomicFile;
use crate::checkpoint::{self, document_config};
use crate::corpus::{self, CorpusMode, Dataset, DocumentConfig, STDIN, compose, form_in, unify_line_ends};
use crate::device::{Evaluation, total};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::tokenizer::Tokenizer;

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// The checkpoint that `--save` wrote
    model: PathBuf,
    /// The text, UTF-8 with one document on each line, or - for standard input
    file: PathBuf,
    /// Write a JSON object for every document to this file, or to standard output for -. An older list is replaced
    #[arg(long, value_name = "FILE.jsonl")]
    per_document: Option<PathBuf>,
    /// The treatment of a document that has a character outside of the model's vocabulary
    #[arg(long, value_enum, default_value = "refuse")]
    unknown: Unknown,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Unknown {
    /// End with an error that names the character's line and column
    Refuse,
    /// Leave the document out
    Skip,
}

/// A document of the text.
struct Document<'a> {
    /// The number of its line, from 1.
    line: usize,
    text: &'a str,
}

/// A line of `--per-document`.
#[derive(Serialize)]
struct Record<'a> {
    line: usize,
    text: &'a str,
    tokens: u64,
    nll: f64,
}

/// Evaluates the model that `args` names.
pub(super) fn run(args: &EvalArgs, quiet: bool) -> Result<()> {
    let prints_documents = args.per_document.as_deref() == Some(Path::new(STDIN));
    let console = &mut Console::new(io::stdout().lock(), 0, prints_documents).quiet(quiet);
    let output = args.per_document.as_deref().filter(|_| !prints_documents);
    refuse_same(&[
        NamedFile { path: Some(&args.model), written: None, role: "the model" },
        NamedFile { path: Some(&args.file), written: None, role: "the text" },
        NamedFile { path: output, written: Some("write documents"), role: "what `--per-document` writes" },
    ])?;
    let output = output.map(AtomicFile::new).transpose()?;
    output.as_ref().map_or(Ok(()), |file| refuse_other_than_documents(file.path()))?;
    let Model { state, tokenizer } = Model::load(&args.model)?;
    let config = document_config(&checkpoint::describe(&args.model)?);
    let (text, block_size) = (read(&args.file, config)?, state.weights.shape.block_size as usize);
    let (documents, dataset) = if config.mode == CorpusMode::Text {
        continuous(&text, tokenizer, args, block_size)?
    } else {
        let documents = documents(&text, &tokenizer, args, config, console)?;
        let texts: Vec<&str> = documents.iter().map(|document| document.text).collect();
        if let Some(notice) = cut(&texts, block_size) {
            console.notice(notice);
        }
        let dataset = Dataset::unsplit(&texts, tokenizer)?;
        (documents, dataset)
    };
    let mut models = saved::open(&args.model, state, &dataset, &args.device, console)?;
    let evaluations = models.model(0).evaluate_each(usize::MAX)?;
    let kind = if config.mode == CorpusMode::Text { "windows" } else { "documents" };
    let summary = summary(kind, &documents, &evaluations).ok_or_else(|| {
        let message = format!("the loss of `{}` is not finite", args.model.display());
        Error::usage(message, "use an earlier checkpoint, since the run that wrote this one has diverged")
    })?;
    if args.per_document.is_some() {
        let lines = records(&documents, &evaluations)?;
        output.as_ref().map_or_else(|| console.write(&lines), |file| file.save(lines.as_bytes()))?;
    }
    console.lines(&summary)
}

/// Returns the text in a file, or in standard input, with characters in the form that the model was trained on.
fn read(path: &Path, config: DocumentConfig) -> Result<String> {
    let name = corpus::name(path);
    let bytes = corpus::read_bytes(path)
        .map_err(|error| Error::failed(format!("read {name}"), "give a text with one document on each line", error))?;
    let text = corpus::decode(bytes, &name)?;
    let text = if config.nfc { compose(&text) } else { text };
    Ok(if config.mode == CorpusMode::Text { unify_line_ends(text) } else { text })
}

/// A part of the text with a character that the model does not know.
struct Unread<'a> {
    /// The number of its line, from 1.
    line: usize,
    /// The number of characters of the line before it.
    indent: usize,
    text: &'a str,
    hint: &'static str,
}

impl Unread<'_> {
    /// Returns the error of the first unknown character.
    fn refuse(&self, args: &EvalArgs, tokenizer: &Tokenizer, error: Error) -> Error {
        let &Self { line, indent, text, hint } = self;
        let column = indent + text.chars().take_while(|&c| tokenizer.contains(c)).count() + 1;
        let place = format!("{}, line {line}, column {column}", corpus::name(&args.file));
        let Some(form) = form_in(tokenizer, text) else {
            return Error::failed(format!("evaluate {place}"), hint, error);
        };
        let message = format!("{place}, has characters that the model knows in {form} alone");
        Error::usage(message, "bring the text to that form, or train with `--normalize nfc`")
    }
}

/// Returns the windows of a continuous text, with the characters that a model of this block size predicts in each.
fn continuous<'a>(
    text: &'a str,
    tokenizer: Tokenizer,
    args: &EvalArgs,
    block_size: usize,
) -> Result<(Vec<Document<'a>>, Dataset)> {
    if args.unknown == Unknown::Skip {
        let message = "`--unknown skip` leaves out documents, of which a model of `--corpus text` knows none";
        return Err(Error::usage(message, "remove the characters from the text that the model does not know"));
    }
    for (line, text) in (1..).zip(text.split_inclusive(['\n'])) {
        let hint = "remove the character from the text, or give a model that was trained on it";
        let unread = Unread { line, indent: 0, text, hint };
        tokenizer.encode_text(text).map_err(|error| unread.refuse(args, &tokenizer, error))?;
    }
    let dataset = Dataset::unsplit_continuous(text, tokenizer, block_size)
        .map_err(|error| error.in_corpus(&corpus::name(&args.file)))?;
    let mut windows = Vec::with_capacity(dataset.val.len());
    let end = |rest: &str, characters| rest.char_indices().nth(characters).map_or(rest.len(), |(end, _)| end);
    let line_ends = |text: &str| text.bytes().filter(|&byte| byte == b'\n').count();
    let (mut line, mut rest) = (1, text);
    // The first character is not predicted.
    let mut context = 1;
    for i in 0..dataset.val.len() {
        let (before, after) = rest.split_at(end(rest, context));
        line += line_ends(before);
        let (window, after) = after.split_at(end(after, dataset.val.get(i).len() - 1));
        windows.push(Document { line, text: window });
        line += line_ends(window);
        (rest, context) = (after, 0);
    }
    Ok((windows, dataset))
}

/// Returns the documents of the text. One with an unknown character is refused or left out.
fn documents<'a, W: io::Write>(
    text: &'a str,
    tokenizer: &Tokenizer,
    args: &EvalArgs,
    config: DocumentConfig,
    console: &Console<W>,
) -> Result<Vec<Document<'a>>> {
    let (mut documents, mut skipped) = (Vec::new(), 0);
    for (line, whole) in (1..).zip(text.lines()) {
        let text = if config.keep_spaces { whole } else { whole.trim() };
        match tokenizer.encode(text) {
            Err(error) if args.unknown == Unknown::Refuse => {
                let indent = whole.chars().take_while(|c| c.is_whitespace() && !config.keep_spaces).count();
                let hint = "give `--unknown skip` to leave such documents out, or a model that was trained on them";
                return Err(Unread { line, indent, text, hint }.refuse(args, tokenizer, error));
            }
            Err(_) => skipped += 1,
            Ok(_) if !text.is_empty() => documents.push(Document { line, text }),
            Ok(_) => {}
        }
    }
    if documents.is_empty() {
        let message = format!("{} has no document that the model can read", corpus::name(&args.file));
        return Err(Error::usage(message, "give a text with one document on each line, in the model's characters"));
    }
    if skipped > 0 {
        let all = skipped + documents.len();
        console.notice(format_args!(
            "skipped: {skipped} of {all} documents, with characters that the model does not know"
        ));
    }
    Ok(documents)
}

/// Returns the lines about all documents, which are of this kind, or `None` if the loss is not finite.
fn summary(kind: &str, documents: &[Document], evaluations: &[Evaluation]) -> Option<String> {
    let all = total(evaluations);
    let loss = Some(all.loss()).filter(|loss| loss.is_finite())?;
    // The last token of a document that is not cut is its end.
    let characters =
        |(one, Document { text, .. }): (&Evaluation, &Document)| one.tokens.min(text.chars().count() as u64);
    let characters: u64 = evaluations.iter().zip(documents).map(characters).sum();
    let (bits, perplexity) = (Loss(all.nll / LN_2 / characters as f64), Loss(loss.exp()));
    let (documents, tokens) = (documents.len(), all.tokens);
    let counts = format!("{kind}: {documents}\ntokens: {tokens}\ncharacters: {characters}\n");
    Some(format!("{counts}nats per token: {}\nbits per character: {bits}\nperplexity: {perplexity}\n", Loss(loss)))
}

/// Returns a JSON object for each document.
fn records(documents: &[Document], evaluations: &[Evaluation]) -> Result<String> {
    let mut lines = String::new();
    for (&Document { line, text }, &Evaluation { nll, tokens }) in documents.iter().zip(evaluations) {
        let record = Record { line, text, tokens, nll };
        lines +=
            &serde_json::to_string(&record).map_err(|error| Error::failed("write a document as JSON", "", error))?;
        lines.push('\n');
    }
    Ok(lines)
}
