//! The sources that the page shows, in reading order, and the places of the ops in these sources.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use proc_macro2::Span;
use serde::Serialize;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, ImplItem, Item, Lit, Meta, Type, Visibility};

/// The ops whose function in the reference has another name.
const COUNTERPARTS: [(&str, &str); 2] = [("model", "forward"), ("train", "train_step")];

/// A source file.
pub struct File {
    /// The path in the repository.
    pub path: String,
    /// The contents.
    pub text: String,
    /// The doc comment at the top of the file.
    doc: String,
    items: Vec<Documented>,
}

/// A struct or a function with a doc comment.
struct Documented {
    doc: Doc,
    public: bool,
    /// The first and the last line, from 1, with the doc comment.
    lines: (usize, usize),
}

/// A doc comment and what it documents.
#[derive(Clone)]
pub struct Doc {
    /// The item's name, for a method with its type, such as `Gpt::forward`.
    pub name: String,
    /// The doc comment, in Markdown.
    pub text: String,
    /// The documented fields of a struct.
    pub fields: Vec<Doc>,
}

/// The place of an op in one of the two implementations.
#[derive(Serialize)]
pub struct Place {
    path: String,
    /// The first and the last line, from 1.
    lines: (usize, usize),
}

/// An op with its place in both implementations.
#[derive(Serialize)]
pub struct Op {
    /// The name of the kernels' file.
    pub name: String,
    reference: Place,
    kernels: Place,
    /// The doc comment of the reference's function.
    #[serde(skip)]
    pub reference_doc: Doc,
    /// The doc comment at the top of the kernels' file.
    #[serde(skip)]
    pub kernels_doc: String,
    /// The doc comments of the kernels' public structs and functions.
    #[serde(skip)]
    pub items: Vec<Doc>,
}

/// Reads a file of the repository.
pub fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read `{path}`"))
}

/// Returns the files of the reference in the order in which its doc comment names them.
pub fn reference(root: &Path) -> Result<Vec<File>> {
    let mut files = folder(root, "host/reference/src")?;
    let crate_doc = crate_doc(&files);
    files.sort_by_key(|file| position(&crate_doc, file.name()));
    Ok(files)
}

/// The ends of the paths of those files that a run in the page does not use, such as those of ranks, of other kernels and of a
/// GPU's registers and memory. The page leaves them out.
const UNUSED: [&str; 47] = [
    "/src/array.rs",
    "/src/array2.rs",
    "/array_memory.rs",
    "/atomics.rs",
    "/bounds.rs",
    "/collective.rs",
    "/conversions.rs",
    "/copies.rs",
    "/element.rs",
    "/gpu/address.rs",
    "/gpu/channels.rs",
    "/gpu/compiler.rs",
    "/gpu/memory.rs",
    "/gpu/mod.rs",
    "/gpu/quads.rs",
    "/gpu/view.rs",
    "/half.rs",
    "/held.rs",
    "/held_attention.rs",
    "/held_batch.rs",
    "/held_gradients.rs",
    "/held_tree.rs",
    "/held_update.rs",
    "/kernel.rs",
    "/kernel_block.rs",
    "/src/lanes.rs",
    "/lane_values.rs",
    "/launch.rs",
    "/masked.rs",
    "/newton.rs",
    "/packed.rs",
    "/part.rs",
    "/processor.rs",
    "/ptx_words.rs",
    "/race.rs",
    "/register_tile.rs",
    "/share.rs",
    "/space.rs",
    "/staged.rs",
    "/staging.rs",
    "/table.rs",
    "/tile.rs",
    "/warp_lanes.rs",
    "/warp_memory.rs",
    "/wide_lanes.rs",
    "/word.rs",
    "/words.rs",
];

/// Returns the files of the kernels and of the crate `simt` in the order in which the kernels' doc comment names their
/// modules. Files of one module follow the order of the reference.
pub fn kernels(root: &Path, reference: &[File]) -> Result<Vec<File>> {
    let mut files = folder(root, "gpu-kernels/src")?;
    let crate_doc = crate_doc(&files);
    files.extend(folder(root, "gpu-kernels/simt/src")?);
    let is_used = |file: &File| UNUSED.iter().all(|end| !file.path.ends_with(end));
    files.retain(is_used);
    files.sort_by_cached_key(|file| {
        let rank = |(depth, name): (usize, &str)| match depth {
            0 => position(&crate_doc, name),
            _ => counterpart(reference, name).map_or(usize::MAX, |(position, ..)| position),
        };
        file.module().enumerate().map(|part| (rank(part), part.1.to_owned())).collect::<Vec<_>>()
    });
    Ok(files)
}

/// Returns the doc comment of the crate with these files.
fn crate_doc(files: &[File]) -> String {
    files.iter().find(|file| file.name() == "lib").map(|file| file.doc.clone()).unwrap_or_default()
}

/// Returns the position at which a crate's doc comment names a module.
fn position(crate_doc: &str, module: &str) -> usize {
    crate_doc.find(&format!("[`{module}`]")).unwrap_or(usize::MAX)
}

/// Returns the reference's first function for the op `name`, with its position among all items, and its file.
fn counterpart<'a>(reference: &'a [File], name: &str) -> Option<(usize, &'a File, &'a Documented)> {
    let wanted = COUNTERPARTS.iter().find(|(op, _)| *op == name).map_or(name, |(_, function)| function);
    let items = reference.iter().flat_map(|file| file.items.iter().map(move |item| (file, item)));
    let mut items = items.enumerate().map(|(position, (file, item))| (position, file, item));
    items.find(|(_, _, item)| item.doc.name.rsplit("::").next() == Some(wanted))
}

/// The functions of the kernels' file `model` that go backward, from the first to the last.
const BACKWARD: [&str; 2] = ["Gpt::lm_head_backward", "Gpt::backward_from_scores"];

/// Returns the backward pass as an op of its own. In both sources it is a part of a file with other contents.
fn backward(reference: &[File], kernels: &[File]) -> Option<Op> {
    let function = |files: &[File], name: &str| {
        files.iter().find_map(|file| {
            Some((file.place(name)?, file.items.iter().find(|item| item.doc.name == name)?.doc.clone()))
        })
    };
    let (place, doc) = function(reference, "Value::backward")?;
    let engine = reference.iter().find(|file| file.path == place.path)?;
    let ((first, pass), (last, _)) = (function(kernels, BACKWARD[0])?, function(kernels, BACKWARD[1])?);
    let (_, whole) = function(kernels, "Gpt::backward")?;
    Some(Op {
        name: "backward".to_owned(),
        reference: place,
        kernels: Place { lines: (first.lines.0, last.lines.1), ..first },
        reference_doc: Doc { text: format!("{}\n\n{}", engine.doc, doc.text), ..doc },
        kernels_doc: whole.text,
        items: vec![pass],
    })
}

/// Returns an op for each file of the kernels that is named like a function of the reference, in these functions'
/// order. The backward pass follows the loss.
pub fn ops(reference: &[File], kernels: &[File]) -> Vec<Op> {
    let op = |file: &File| {
        let (position, in_file, function) = counterpart(reference, file.name())?;
        let op = Op {
            name: file.name().to_owned(),
            reference: Place { path: in_file.path.clone(), lines: function.lines },
            kernels: Place { path: file.path.clone(), lines: (1, file.text.lines().count()) },
            reference_doc: function.doc.clone(),
            kernels_doc: file.doc.clone(),
            items: file.items.iter().filter(|item| item.public).map(|item| item.doc.clone()).collect(),
        };
        Some((position, op))
    };
    let mut ops: Vec<(usize, Op)> = kernels.iter().filter_map(op).collect();
    ops.sort_by_key(|(position, _)| *position);
    let mut ops: Vec<Op> = ops.into_iter().map(|(_, op)| op).collect();
    if let Some(model) = ops.iter_mut().find(|op| op.name == "model") {
        // A newcomer has not seen the introduction of the reference, which stands at the top of its last file.
        model.reference_doc.text = format!("{}\n\n{}", crate_doc(reference), model.reference_doc.text);
    }
    let (loss, backward) = (ops.iter().position(|op| op.name == "cross_entropy"), backward(reference, kernels));
    if let (Some(loss), Some(backward)) = (loss, backward) {
        if let Some(model) = ops.iter_mut().find(|op| op.kernels.path == backward.kernels.path) {
            model.kernels.lines.1 = backward.kernels.lines.0 - 1;
        }
        ops.insert(loss + 1, backward);
    }
    ops
}

/// Returns every Rust file of a folder and of the folders in it, by path.
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
    /// Reads and parses a file.
    fn read(root: &Path, path: String) -> Result<Self> {
        let text = read(root, &path)?;
        let syntax = syn::parse_file(&text).with_context(|| format!("cannot parse `{path}`"))?;
        let mut items: Vec<Documented> = syntax.items.iter().flat_map(Documented::of).collect();
        items.retain(|item| !item.doc.text.is_empty());
        Ok(Self { doc: doc(&syntax.attrs), path, text, items })
    }

    /// Returns the place of a function or a struct, whose name has its type if it has one.
    pub fn place(&self, name: &str) -> Option<Place> {
        let item = self.items.iter().find(|item| item.doc.name == name)?;
        Some(Place { path: self.path.clone(), lines: item.lines })
    }

    /// Returns the file's name without `.rs`.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Returns the parts of the module's path, such as `ops` and `attention`. The first part is the crate `simt` in
    /// its files.
    fn module(&self) -> impl Iterator<Item = &str> {
        let path = self.path.trim_start_matches("gpu-kernels/").trim_end_matches(".rs");
        path.split('/').filter(|part| !["src", "lib", "mod"].contains(part))
    }
}

impl Documented {
    /// Returns a struct or a function without fields.
    fn new(name: String, attrs: &[Attribute], public: bool, span: Span) -> Self {
        let doc = Doc { name, text: doc(attrs), fields: Vec::new() };
        Self { doc, public, lines: (span.start().line, span.end().line) }
    }

    /// Returns the structs and functions of an item, documented or not.
    fn of(item: &Item) -> Vec<Self> {
        match item {
            Item::Fn(f) => vec![Self::new(f.sig.ident.to_string(), &f.attrs, is_public(&f.vis), f.span())],
            Item::Struct(s) => {
                let mut item = Self::new(s.ident.to_string(), &s.attrs, is_public(&s.vis), s.span());
                let named = s.fields.iter().filter_map(|field| Some((field.ident.as_ref()?.to_string(), &field.attrs)));
                item.doc.fields = named.map(|(name, attrs)| Doc { name, text: doc(attrs), fields: vec![] }).collect();
                item.doc.fields.retain(|field| !field.text.is_empty());
                vec![item]
            }
            Item::Impl(block) => {
                let Type::Path(of) = &*block.self_ty else { return Vec::new() };
                let of = of.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
                let methods = block.items.iter().filter_map(|item| {
                    let ImplItem::Fn(f) = item else { return None };
                    // A trait's methods have no visibility of their own.
                    let public = block.trait_.is_some() || is_public(&f.vis);
                    Some(Self::new(format!("{of}::{}", f.sig.ident), &f.attrs, public, f.span()))
                });
                methods.collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Returns whether an item is `pub`.
fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Returns the doc comment among an item's attributes.
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
