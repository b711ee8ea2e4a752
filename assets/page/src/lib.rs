//! The page `assets/microgpt.html`, made from the sources: the reference and the kernels side by side, stage by stage,
//! and the kernels as a WebAssembly module that trains in the page.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use page_wasm::session::Session;

use self::highlight::Highlighter;
use self::source::{File, Stage};

mod highlight;
mod markdown;
mod module;
mod source;
pub mod speed;

/// Where the page lies in the repository.
pub const PATH: &str = "assets/microgpt.html";

/// The lines of a source that are laid out together: a third of a window, so that scrolling is many short tasks.
const CHUNK: usize = 16;

/// The repository: the package lies in its folder `assets/page`.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/")).to_owned()
}

/// The page, from the sources as they are.
///
/// # Errors
/// A source that cannot be read or parsed, or a module that cannot be built.
pub fn page() -> Result<String> {
    let root = root();
    let (reference, kernels) = (source::reference(&root)?, source::kernels(&root)?);
    let stages = source::stages(&reference, &kernels);
    ensure!(stages.len() > 8, "the stages are not where they were: only {} pairs found", stages.len());
    let highlighter = Highlighter::new();
    let parts = [
        ("{{css}}", include_str!("page.css").to_owned()),
        ("{{reference}}", files(&highlighter, &reference)),
        ("{{kernels}}", files(&highlighter, &kernels)),
        ("{{stage-links}}", stages.iter().map(stage_link).collect()),
        ("{{stage-docs}}", stages.iter().map(stage_doc).collect()),
        ("{{stages}}", serde_json::to_string(&stages)?),
        ("{{native}}", native()?),
        ("{{speed}}", speed::text()?),
        ("{{corpus}}", escape(microgpt::corpus::EMBEDDED.lines().next().unwrap_or_default())),
        ("{{module}}", module::build(&root, module::Fma::Exact)?),
        ("{{worker}}", include_str!("worker.js").to_owned()),
        ("{{curve}}", include_str!("curve.js").to_owned()),
        ("{{live}}", include_str!("live.js").to_owned()),
        ("{{code}}", include_str!("code.js").to_owned()),
    ];
    let mut html = String::new();
    let mut rest = include_str!("page.html");
    // The parts in the template's order, so that what they contain is never taken for a place to fill.
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").context("an open `{{` in page.html")?;
        let part = parts.iter().find(|(key, _)| key[2..key.len() - 2] == *name);
        html.push_str(before);
        html.push_str(&part.with_context(|| format!("page.html asks for `{name}`"))?.1);
        rest = after;
    }
    Ok(html + rest)
}

fn files(highlighter: &Highlighter, files: &[File]) -> String {
    files.iter().map(|file| article(highlighter, file)).collect()
}

/// A file. The browser lays out a chunk only where it comes into view, and knows its size before.
fn article(highlighter: &Highlighter, file: &File) -> String {
    let (path, lines) = (&file.path, file.text.lines().count());
    let columns = file.text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    let chunks = highlighter.chunks(&file.text, CHUNK);
    let chunk = |(i, html): (usize, &String)| {
        let (first, lines) = (i * CHUNK, CHUNK.min(lines - i * CHUNK));
        format!("<span class=chunk data-first={first} data-lines={lines} style=--lines:{lines}>{html}</span>")
    };
    format!(
        "<article class=file id=\"{path}\" aria-label=\"{path}\" style=\"--lines:{lines};--columns:{columns}\">\
         <h2><a href=\"../{path}\">{path}</a></h2><div class=body><div class=gutter aria-hidden=true></div>\
         <pre><code>{}</code></pre></div></article>\n",
        chunks.iter().enumerate().map(chunk).collect::<String>()
    )
}

fn stage_link(stage: &Stage) -> String {
    format!("<a href=\"#side-by-side/{0}\" data-stage=\"{0}\">{0}</a>", stage.name)
}

/// What stands between the two sources: the stage's math and shapes, from the doc comments of both.
fn stage_doc(stage: &Stage) -> String {
    let doc = |doc: &source::Doc| {
        let title = format!("<h4><code>{}</code></h4>", escape(&doc.name));
        format!("{title}{}", markdown::html(&doc.text))
    };
    format!(
        "<article data-stage=\"{0}\" hidden><h2>{0}</h2><h3>Reference</h3>{1}<h3>Kernels</h3>{2}{3}</article>\n",
        stage.name,
        doc(&stage.reference.doc),
        markdown::html(&stage.kernels.doc.text),
        stage.functions.iter().map(doc).collect::<String>(),
    )
}

/// The default run, natively: what the page compares its own with.
fn native() -> Result<String> {
    let mut session = Session::default();
    let mut ask = |request: &str| -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&session.answer(request.as_bytes()))?)
    };
    ask(DEFAULT_RUN)?;
    ask(r#"{"do":"train","steps":500}"#)?;
    let (hash, loss) = (ask(r#"{"do":"hash"}"#)?, ask(r#"{"do":"validate","documents":20}"#)?);
    Ok(serde_json::json!({ "hash": hash["hash"], "val_loss": loss["val_loss"] }).to_string())
}

/// The settings of the command line's defaults.
const DEFAULT_RUN: &str = r#"{"do":"open","corpus":null,"steps":500,"learning_rate":0.01,"seed":42,"n_embd":16,"n_head":4,"n_layer":1,"block_size":8}"#;

/// Text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
