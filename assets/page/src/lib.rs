//! The generator of the page `assets/microgpt.html`. The page shows the reference and the kernels side by side, op by
//! op, and trains a model with the kernels, which it carries as a WebAssembly module.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use page_wasm::session::Session;

use self::highlight::Highlighter;
use self::source::{Doc, File, Op};
use self::terms::Terms;

mod bundle;
mod highlight;
mod markdown;
mod module;
mod source;
pub mod speed;
mod terms;
mod tour;

/// The page's path in the repository.
pub const PATH: &str = "assets/microgpt.html";

/// The number of lines that are laid out together. They fill a third of a window, so scrolling is many short tasks.
const CHUNK: usize = 16;

/// The page's initial settings, which are the defaults of the command line.
const DEFAULT_RUN: &str = r#"{"do":"open","corpus":null,"steps":500,"learning_rate":0.01,"seed":42,"n_embd":16,"n_head":4,"n_layer":1,"block_size":8}"#;

/// Returns the path of the repository, in which this package is the folder `assets/page`.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/")).to_owned()
}

/// Returns the page that the sources give.
///
/// # Errors
/// If a source cannot be read or parsed, or a module cannot be built.
pub fn page() -> Result<String> {
    let root = root();
    let reference = source::reference(&root)?;
    let kernels = source::kernels(&root, &reference)?;
    let ops = source::ops(&reference, &kernels);
    ensure!(
        ops.len() > 8,
        "only {} files of the kernels have a counterpart in the reference, expected more than 8",
        ops.len()
    );
    let highlighter = Highlighter::new();
    let scripts = root.join("assets/page/src");
    let terms = Terms::new(&source::read(&root, terms::GLOSSARY)?);
    fill(
        &terms.link(include_str!("page.html"))?,
        &[
            ("css", include_str!("page.css").to_owned()),
            ("teach-css", include_str!("teach.css").to_owned()),
            ("timeline", include_str!("timeline.html").to_owned()),
            ("after", terms.link(include_str!("after.html"))?),
            ("step", terms.link(include_str!("step.html"))?),
            ("letter", terms.link(include_str!("letter.html"))?),
            ("tour", terms.link(include_str!("tour.html"))?),
            ("glossary", terms.html()),
            ("tour-places", serde_json::to_string(&tour::places(&reference, &kernels)?)?),
            ("reference", reference.iter().map(|file| article(&highlighter, file)).collect()),
            ("kernels", kernels.iter().map(|file| article(&highlighter, file)).collect()),
            ("op-links", ops.iter().map(op_link).collect()),
            ("op-docs", ops.iter().map(op_doc).collect()),
            ("ops", serde_json::to_string(&ops)?),
            ("native", native()?),
            ("speed", speed::text()?),
            ("corpus", escape(microgpt::corpus::EMBEDDED.lines().next().unwrap_or_default())),
            ("module", module::build(&root)?),
            ("worker", bundle::bundle(&scripts, "worker.js")?),
            ("script", bundle::bundle(&scripts, "page.js")?),
        ],
    )
}

/// Replaces each `{{name}}` of a template by the part of that name. A part may contain `{{` too.
fn fill(template: &str, parts: &[(&str, String)]) -> Result<String> {
    let mut html = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").context("page.html has a `{{` without `}}`")?;
        let (_, part) =
            parts.iter().find(|(key, _)| *key == name).with_context(|| format!("page.html asks for `{name}`"))?;
        html += before;
        html += part;
        rest = after;
    }
    Ok(html + rest)
}

/// Returns a source file as HTML. The browser lays out only chunks in view, and knows the sizes of all.
fn article(highlighter: &Highlighter, file: &File) -> String {
    let (path, lines) = (&file.path, file.text.lines().count());
    let chunks = highlighter.chunks(&file.text, CHUNK);
    let chunk = |(i, html): (usize, &String)| {
        let (first, lines) = (i * CHUNK, CHUNK.min(lines - i * CHUNK));
        format!("<span class=chunk data-first={first} data-lines={lines} style=--lines:{lines}>{html}</span>")
    };
    format!(
        "<article class=file id=\"{path}\" aria-label=\"{path}\" style=--lines:{lines}>\
         <h2>{path}</h2><pre><code>{}</code></pre></article>\n",
        chunks.iter().enumerate().map(chunk).collect::<String>()
    )
}

/// Returns the link that picks an op.
fn op_link(op: &Op) -> String {
    format!("<a href=\"#side-by-side/{0}\" data-to=\"/{0}\" data-op=\"{0}\">{0}</a>", op.name)
}

/// Returns the text between the two sources, which is the math and the shapes of an op from the doc comments of both
/// sources.
fn op_doc(op: &Op) -> String {
    format!(
        "<article data-op=\"{0}\" hidden><h2>{0}</h2><h3>Reference</h3>{1}<h3>Kernels</h3>{2}{3}</article>\n",
        op.name,
        item_doc(&op.reference_doc),
        markdown::html(&op.kernels_doc, 3),
        op.items.iter().map(item_doc).collect::<String>(),
    )
}

/// Returns the name, the doc comment and the fields of an item as HTML.
fn item_doc(doc: &Doc) -> String {
    let field = |field: &Doc| {
        format!("<div><dt><code>{}</code></dt><dd>{}</dd></div>", field.name, markdown::html(&field.text, 4))
    };
    let fields: String = doc.fields.iter().map(field).collect();
    let fields = if fields.is_empty() { fields } else { format!("<dl>{fields}</dl>") };
    format!("<h4><code>{}</code></h4>{}{fields}", doc.name, markdown::html(&doc.text, 4))
}

/// Returns the results of the default run with the native kernels in JSON. The page compares its own results with
/// these.
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

/// Escapes a text for HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
