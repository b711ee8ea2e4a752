//! The page's JavaScript modules as one script.
//!
//! A page from disk cannot import files, so the modules have to become one script. A bundler of npm would make npm a
//! requirement of the page and of the test that the page is up to date. The modules import each other by names alone,
//! and for such modules linking is a substitution, which keeps the lines as they were written, without comments and
//! indentation.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Returns one script that runs the module `entry` after all modules that it imports.
///
/// Each module is a function that returns its exports, so a module's other names are its own.
///
/// # Errors
/// If a module cannot be read, imports itself in a circle, or has an `import` or `export` of another form than
/// `import { name, name as name } from "./file.js"`, `import "./file.js"`, `export const name`, `export function name`,
/// `export async function name` and `export class name`, or a string of several lines.
pub fn bundle(folder: &Path, entry: &str) -> Result<String> {
    let mut bundle = Bundle { folder, modules: Vec::new(), open: Vec::new() };
    bundle.add(entry)?;
    let script: String = bundle.modules.into_iter().map(|(_, code)| code).collect();
    ensure!(!script.contains("</script"), "a module of `{entry}` has `</script`, which would end the script early");
    Ok(format!("\"use strict\";\n{script}"))
}

/// The modules of a script.
struct Bundle<'a> {
    folder: &'a Path,
    /// The linked modules with their code, a module after all that it imports.
    modules: Vec<(String, String)>,
    /// The modules that import the one that is being linked.
    open: Vec<String>,
}

impl Bundle<'_> {
    /// Links a module after all that it imports.
    fn add(&mut self, name: &str) -> Result<()> {
        if self.modules.iter().any(|(linked, _)| linked == name) {
            return Ok(());
        }
        ensure!(!self.open.iter().any(|open| open == name), "`{name}` imports itself in a circle");
        let path = self.folder.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        self.open.push(name.to_owned());
        let code = self.link(&text).with_context(|| format!("cannot link `{name}`"))?;
        self.open.pop();
        self.modules.push((name.to_owned(), code));
        Ok(())
    }

    /// Returns a module's text as a function that returns the exports.
    fn link(&mut self, text: &str) -> Result<String> {
        let (mut code, mut exports) = (Vec::new(), Vec::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if is_comment(line, &mut lines) {
                continue;
            }
            // Indentation would be a part of a string that goes on in the next line.
            ensure!(line.matches('`').count() % 2 == 0, "`{line}` begins or ends a string of several lines");
            let line = line.trim_start();
            if line.starts_with("import ") {
                // A long list of names continues on the next lines.
                let mut statement = line.to_owned();
                while !statement.ends_with(';') {
                    statement += lines.next().context("an `import` without `;`")?;
                }
                let (names, from) = import(&statement).with_context(|| format!("cannot read `{statement}`"))?;
                self.add(from)?;
                if let Some(names) = names {
                    code.push(format!("const {{{}}} = {};", names.replace(" as ", ": "), identifier(from)));
                }
            } else if let Some(item) = line.strip_prefix("export ") {
                exports.push(exported(item).with_context(|| format!("cannot read `{line}`"))?);
                code.push(item.to_owned());
            } else {
                code.push(line.to_owned());
            }
        }
        let name = self.open.last().map(|name| identifier(name)).unwrap_or_default();
        Ok(format!("const {name} = (() => {{\n{}\nreturn {{ {} }};\n}})();\n", code.join("\n"), exports.join(", ")))
    }
}

/// Returns whether a line is a comment. The other lines of a block comment are taken from `rest`. Comments are a quarter of
/// the scripts.
fn is_comment<'a>(line: &str, rest: &mut impl Iterator<Item = &'a str>) -> bool {
    let line = line.trim();
    if line.starts_with("/**") && !line.contains("*/") {
        return rest.any(|line| line.trim_end().ends_with("*/"));
    }
    line.starts_with("//") || line.starts_with("/**") && line.ends_with("*/")
}

/// Returns the names, as in `a, b as c`, and the file of an `import`. An `import` of a file alone has no names.
fn import(statement: &str) -> Option<(Option<&str>, &str)> {
    let statement = statement.strip_suffix("\";")?;
    if let Some(from) = statement.strip_prefix("import \"./") {
        return Some((None, from));
    }
    let (names, from) = statement.strip_prefix("import {")?.split_once("} from \"./")?;
    Some((Some(names), from))
}

/// Returns the name that `item`, the text after `export`, declares.
///
/// # Errors
/// If the item is of another form. A `let` is refused too, because importers would not see its later values.
fn exported(item: &str) -> Result<&str> {
    let forms = ["const ", "function ", "async function ", "class "];
    let Some(rest) = forms.iter().find_map(|form| item.strip_prefix(form)) else {
        bail!("expected `export` before `const`, `function`, `async function` or `class`");
    };
    let name = rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).next().unwrap_or_default();
    ensure!(!name.is_empty(), "expected a name after `export`");
    Ok(name)
}

/// Returns the variable that holds a module's exports.
fn identifier(file: &str) -> String {
    file.replace(['/', '-', '.'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes modules to a folder of the test's own, and bundles `main.js`.
    fn bundled(test: &str, modules: &[(&str, &str)]) -> Result<String> {
        let folder = std::env::temp_dir().join(format!("microgpt-bundle-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in modules {
            fs::write(folder.join(name), text).unwrap();
        }
        let script = bundle(&folder, "main.js");
        fs::remove_dir_all(&folder).unwrap();
        script
    }

    #[test]
    fn a_module_stands_once_and_before_its_importers() {
        let script = bundled(
            "order",
            &[
                (
                    "main.js",
                    "import { two } from \"./b.js\";\nimport {\n  one as uno,\n} from \"./a-x.js\";\nuno + two;\n",
                ),
                ("b.js", "import \"./a-x.js\";\nimport { one } from \"./a-x.js\";\nexport const two = one + 1;\n"),
                (
                    "a-x.js",
                    "// A.\n/**\n * B.\n */\nconst hidden = 1;\n  /** C. */\nexport const one = hidden;\nexport function f() {}\n",
                ),
            ],
        );
        let expected = "\"use strict\";\n\
            const a_x_js = (() => {\nconst hidden = 1;\nconst one = hidden;\nfunction f() {}\nreturn { one, f };\n})();\n\
            const b_js = (() => {\nconst { one } = a_x_js;\nconst two = one + 1;\nreturn { two };\n})();\n\
            const main_js = (() => {\nconst { two } = b_js;\nconst {  one: uno,} = a_x_js;\nuno + two;\nreturn {  };\n})();\n";
        assert_eq!(script.unwrap(), expected);
    }

    #[test]
    fn a_circle_and_other_forms_are_refused() {
        let circle = [("main.js", "import { b } from \"./b.js\";\n"), ("b.js", "import { a } from \"./main.js\";\n")];
        let error = |modules| format!("{:#}", bundled("refused", modules).unwrap_err());
        assert!(error(&circle).contains("`main.js` imports itself in a circle"));
        assert!(error(&[("main.js", "export let a = 1;\n")]).contains("export let a"));
        assert!(error(&[("main.js", "import b from \"./b.js\";\n")]).contains("import b from"));
        assert!(error(&[("main.js", "import { b } from \"./none.js\";\n")]).contains("none.js"));
        assert!(error(&[("main.js", "const two = `a\n  b`;\n")]).contains("a string of several lines"));
        assert!(error(&[("main.js", "const end = '</script>';\n")]).contains("would end the script"));
    }
}
