//! The terms of `docs/glossary.md` in the page.

use anyhow::{Result, ensure};

use super::markdown;

/// The glossary's path in the repository.
pub const GLOSSARY: &str = "docs/glossary.md";

/// The terms with their meanings.
pub struct Terms(Vec<(String, String)>);

impl Terms {
    /// Reads the rows of the glossary's table, whose cells are in Markdown.
    pub fn new(glossary: &str) -> Self {
        let cells = |line: &str| {
            let (term, meaning) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
            Some((term.to_owned(), meaning.to_owned()))
        };
        // The first row is the head.
        Self(glossary.lines().filter_map(cells).skip(1).collect())
    }

    /// Returns all terms as the items of a list.
    pub fn html(&self) -> String {
        let inline = |text: &str| markdown::html(text, 1).trim().replace("<p>", "").replace("</p>", "");
        let item = |(term, meaning): &(String, String)| {
            format!("<div><dt>{}</dt><dd>{}</dd></div>\n", inline(term), inline(meaning))
        };
        self.0.iter().map(item).collect()
    }

    /// Makes a button of each `<dfn>term</dfn>` of a part of the page, which shows the term's meaning. A word of another
    /// form names its term, as in `<dfn title="query">queries</dfn>`.
    ///
    /// # Errors
    /// If the glossary lacks a term.
    pub fn link(&self, html: &str) -> Result<String> {
        let mut linked = String::new();
        let mut rest = html;
        while let Some((before, after)) = rest.split_once("<dfn") {
            let (tag, after) = after.split_once('>').unwrap_or_default();
            let (word, after) = after.split_once("</dfn>").unwrap_or_default();
            let term = tag.trim().strip_prefix("title=\"").and_then(|tag| tag.strip_suffix('"')).unwrap_or(word);
            ensure!(
                self.0.iter().any(|(known, _)| known.replace('`', "") == term),
                "the page explains `{term}`, which {GLOSSARY} lacks"
            );
            let attributes = "type=\"button\" class=\"term\" popovertarget=\"term\"";
            for part in [before, "<button ", attributes, " data-term=\"", term, "\">", word, "</button>"] {
                linked += part;
            }
            rest = after;
        }
        Ok(linked + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLOSSARY: &str =
        "# Glossary\n\n| term | meaning |\n|---|---|\n| T | The block size. |\n| `wte` | A matrix. |\n";

    #[test]
    fn the_rows_of_the_glossary_become_a_list() {
        let expected = "<div><dt>T</dt><dd>The block size.</dd></div>\n\
                        <div><dt><code>wte</code></dt><dd>A matrix.</dd></div>\n";
        assert_eq!(Terms::new(GLOSSARY).html(), expected);
    }

    #[test]
    fn a_term_becomes_a_button_and_an_unknown_one_an_error() {
        let terms = Terms::new(GLOSSARY);
        let linked = terms.link("<p>Up to <dfn title=\"T\">tokens</dfn> of <dfn>wte</dfn>.</p>").unwrap();
        assert!(linked.contains("data-term=\"T\">tokens</button> of <button"), "{linked}");
        assert!(linked.ends_with("data-term=\"wte\">wte</button>.</p>"), "{linked}");
        assert!(terms.link("<dfn>query</dfn>").unwrap_err().to_string().contains("`query`"));
    }
}
