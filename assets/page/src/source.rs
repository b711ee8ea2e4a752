//! The sources: which files the page shows, in which order, and where the stages are in them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, ImplItem, Item, Lit, Meta};

/// The stages in the order in which a token meets them; others follow by name.
const ORDER: [&str; 13] = [
    "model",
    "embed",
    "rmsnorm",
    "linear",
    "attention",
    "mlp",
    "cross_entropy",
    "clip",
    "adamw",
    "sample",
    "train",
    "evaluate",
    "generate",
];

/// Stages whose function in the reference has another name.
const COUNTERPARTS: [(&str, &str); 2] = [("model", "forward"), ("train", "train_step")];

/// A source file.
pub struct File {
    /// The path in the repository.
    pub path: String,
    /// The contents.
    pub text: String,
    /// The doc comment at its top.
    doc: String,
    functions: Vec<Function>,
}

struct Function {
    name: String,
    doc: String,
    public: bool,
    /// The first and the last line, from 1, the doc comment included.
    lines: (usize, usize),
}

/// A doc comment and what it documents.
#[derive(Serialize)]
pub struct Doc {
    pub name: String,
    #[serde(skip)]
    pub text: String,
}

/// Where a stage is in one of the two implementations.
#[derive(Serialize)]
pub struct Place {
    pub path: String,
    /// The first and the last line, from 1.
    pub lines: (usize, usize),
    #[serde(flatten)]
    pub doc: Doc,
}

/// A stage of the model with its place in both.
#[derive(Serialize)]
pub struct Stage {
    pub name: String,
    pub reference: Place,
    pub kernels: Place,
    /// The documented functions of the kernels' file.
    #[serde(skip)]
    pub functions: Vec<Doc>,
}

/// Reads a file of the repository.
pub fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read `{path}`"))
}

/// The reference in the order in which its doc comment says to read it.
pub fn reference(root: &Path) -> Result<Vec<File>> {
    let mut files = folder(root, "host/reference/src")?;
    let map = files.iter().find(|file| file.name() == "lib").map(|file| file.doc.clone()).unwrap_or_default();
    files.sort_by_key(|file| map.find(&format!("[`{}`]", file.name())).unwrap_or(usize::MAX));
    Ok(files)
}

/// The kernels in the order in which the crate's doc comment says to read them.
pub fn kernels(root: &Path) -> Result<Vec<File>> {
    const SRC: &str = "gpu-kernels/src";
    let mut files = folder(root, SRC)?;
    let map = files.iter().find(|file| file.name() == "lib").map(|file| file.doc.clone()).unwrap_or_default();
    files.sort_by_cached_key(|file| {
        let inside = &file.path[SRC.len() + 1..];
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        let place = if module == "lib" { 0 } else { map.find(&format!("[`{module}`]")).unwrap_or(usize::MAX) };
        (place, file.name() != "mod", order(&file.name()), inside.to_owned())
    });
    Ok(files)
}

/// The pairs: a file of `stages/`, or one with a kernel of its own name, and the reference's function of that name.
pub fn stages(reference: &[File], kernels: &[File]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = kernels.iter().filter_map(|file| stage(reference, file)).collect();
    stages.sort_by_key(|stage| (order(&stage.name), stage.name.clone()));
    stages
}

fn order(stage: &str) -> usize {
    ORDER.iter().position(|name| *name == stage).unwrap_or(ORDER.len())
}

fn stage(reference: &[File], file: &File) -> Option<Stage> {
    let name = file.name();
    let other = COUNTERPARTS.iter().find(|(stage, _)| *stage == name).map(|(_, other)| *other);
    let is_stage = file.path.contains("/stages/") || file.functions.iter().any(|function| function.name == name);
    if !is_stage && other.is_none() {
        return None;
    }
    let wanted = other.unwrap_or(&name);
    let (in_file, function) = reference.iter().find_map(|file| {
        let documented = file.functions.iter().filter(|function| !function.doc.is_empty());
        documented.into_iter().find(|function| function.name == wanted).map(|function| (file, function))
    })?;
    let doc = Doc { name: function.name.clone(), text: function.doc.clone() };
    let functions = file.functions.iter().filter(|function| function.public && !function.doc.is_empty());
    Some(Stage {
        reference: Place { path: in_file.path.clone(), lines: function.lines, doc },
        kernels: Place {
            path: file.path.clone(),
            lines: (1, file.text.lines().count()),
            doc: Doc { name: name.clone(), text: file.doc.clone() },
        },
        functions: functions.map(|f| Doc { name: f.name.clone(), text: f.doc.clone() }).collect(),
        name,
    })
}

/// Every Rust file of a folder and of the folders in it, by path.
fn folder(root: &Path, path: &str) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(path)).with_context(|| format!("cannot read `{path}`"))? {
        let entry = entry?;
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files.extend(folder(root, &path)?);
        } else if Path::new(&path).extension().is_some_and(|extension| extension == "rs") {
            files.push(File::read(root, path)?);
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

impl File {
    fn read(root: &Path, path: String) -> Result<Self> {
        let text = read(root, &path)?;
        let syntax = syn::parse_file(&text).with_context(|| format!("cannot parse `{path}`"))?;
        let mut functions = Vec::new();
        for item in &syntax.items {
            collect(item, &mut functions);
        }
        Ok(Self { doc: doc(&syntax.attrs), path, text, functions })
    }

    /// The file's name without `.rs`.
    fn name(&self) -> String {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.trim_end_matches(".rs").to_owned()
    }
}

/// The functions of an item, those of a test left out.
fn collect(item: &Item, functions: &mut Vec<Function>) {
    let mut add = |name: &syn::Ident, attrs: &[Attribute], vis: &syn::Visibility, span: proc_macro2::Span| {
        functions.push(Function {
            name: name.to_string(),
            doc: doc(attrs),
            public: matches!(vis, syn::Visibility::Public(_)),
            lines: (span.start().line, span.end().line),
        });
    };
    match item {
        Item::Fn(f) => add(&f.sig.ident, &f.attrs, &f.vis, f.span()),
        Item::Impl(block) => {
            for item in &block.items {
                if let ImplItem::Fn(f) = item {
                    add(&f.sig.ident, &f.attrs, &f.vis, f.span());
                }
            }
        }
        _ => {}
    }
}

/// The doc comment among an item's attributes.
fn doc(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<String> = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect();
    lines.join("\n")
}
