//! The import graph of a crate, from its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use syn::visit::{self, Visit};
use syn::{ItemMod, UseTree};

/// A crate's files and their imports.
pub struct Crate {
    files: Vec<File>,
}

struct File {
    /// The path below the source folder, such as `device/cpu.rs`.
    path: String,
    /// The module, such as `["device", "cpu"]`. It is empty for the crate's root.
    module: Vec<String>,
    text: String,
    /// The paths that the file names. Paths inside the crate begin with `crate`.
    paths: Vec<Vec<String>>,
    /// The names that the file gives to imports and to inline modules.
    aliases: Vec<String>,
}

impl Crate {
    /// Reads every Rust file below `folder`, a crate's source folder.
    ///
    /// # Panics
    /// If a file cannot be read or parsed.
    pub fn read(folder: &Path) -> Self {
        let pattern = folder.join("**/*.rs");
        let paths = glob::glob(pattern.to_str().expect("a path in UTF-8")).expect("a pattern");
        let mut files: Vec<File> = paths.map(|path| File::read(folder, &path.expect("a readable folder"))).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(!files.is_empty(), "{}: no Rust file", folder.display());
        Self { files }
    }

    /// Returns each import between two files as `(from, to)`.
    pub fn edges(&self) -> BTreeSet<(String, String)> {
        let modules: BTreeMap<&[String], &str> =
            self.files.iter().map(|file| (&file.module[..], &*file.path)).collect();
        let target = |path: &[String]| (0..=path.len()).rev().find_map(|len| modules.get(&path[..len]).copied());
        let edges = self.files.iter().flat_map(|file| {
            let inside = file.paths.iter().filter(|path| path[0] == "crate");
            inside.filter_map(move |path| Some((file.path.clone(), target(&path[1..])?.to_owned())))
        });
        edges.filter(|(from, to)| from != to).collect()
    }

    /// Returns each set of files that import each other in a circle, by path.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let edges = self.edges();
        let graph: DiGraphMap<&str, ()> = edges.iter().map(|(from, to)| (&**from, &**to)).collect();
        let circles = tarjan_scc(&graph).into_iter().filter(|files| files.len() > 1);
        circles
            .map(|files| files.into_iter().map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect())
            .collect()
    }

    /// Returns the names of the crates that the files import.
    pub fn crates(&self) -> BTreeSet<String> {
        let roots = self.files.iter().flat_map(|file| &file.paths).map(|path| path[0].clone());
        let own =
            |name: &str| self.files.iter().any(|file| file.module.iter().chain(&file.aliases).any(|own| own == name));
        // An enum's or a struct's path begins with a capital.
        let is_crate = |name: &String| name != "crate" && !own(name) && name.starts_with(char::is_lowercase);
        roots.filter(is_crate).collect()
    }

    /// Returns each file's path and text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|file| (&*file.path, &*file.text))
    }
}

impl File {
    fn read(folder: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = path.strip_prefix(folder).expect("a file of the folder").to_str().expect("UTF-8").replace('\\', "/");
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        let mut imports = Imports { module: module.clone(), paths: Vec::new(), aliases: Vec::new() };
        imports.visit_file(&syntax);
        Self { path, module, text, paths: imports.paths, aliases: imports.aliases }
    }
}

/// The visitor that collects the paths of a file.
struct Imports {
    /// The module that is visited, inline modules included.
    module: Vec<String>,
    paths: Vec<Vec<String>>,
    aliases: Vec<String>,
}

impl Imports {
    /// Adds a path with `self` and `super` resolved.
    fn add(&mut self, path: &[String]) {
        let mut absolute: Vec<String> = vec!["crate".to_owned()];
        let ups = path.iter().take_while(|name| *name == "super").count();
        match path[0].as_str() {
            "crate" => absolute.extend_from_slice(&path[1..]),
            "self" | "super" => {
                absolute.extend_from_slice(&self.module[..self.module.len().saturating_sub(ups)]);
                absolute.extend_from_slice(&path[ups.max(1)..]);
            }
            _ => absolute = path.to_vec(),
        }
        self.paths.push(absolute);
    }

    fn add_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(rename) => {
                self.aliases.push(rename.rename.to_string());
                self.add(&with(&rename.ident));
            }
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if matches!(names[0].as_str(), "crate" | "self" | "super") && names.len() > 1 {
            self.add(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        // Unit tests may import what they test and what they test with.
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("cfg") && is_test(attribute)) {
            return;
        }
        self.aliases.push(item.ident.to_string());
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }
}

/// Returns whether an attribute is `#[cfg(test)]`.
fn is_test(attribute: &syn::Attribute) -> bool {
    attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
}
