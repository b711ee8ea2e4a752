//! Rust sources as HTML with a class for each kind of token.

use syntect::easy::ScopeRegionIterator;
use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxSet};
use syntect::util::LinesWithEndings;

use crate::escape;

/// The kinds of tokens, the most specific first, and the classes that page.css colours.
const KINDS: [(&str, char); 20] = [
    ("comment.line.documentation", 'd'),
    ("comment.block.documentation", 'd'),
    ("comment", 'c'),
    ("meta.annotation", 'a'),
    ("string", 's'),
    ("constant.character.escape", 's'),
    ("storage.modifier.lifetime", 'l'),
    ("constant", 'n'),
    ("storage.type.function", 'k'),
    ("storage.type.struct", 'k'),
    ("storage.type.enum", 'k'),
    ("storage.type.trait", 'k'),
    ("storage.type.impl", 'k'),
    ("storage.type.type", 'k'),
    ("storage.type.module", 'k'),
    ("storage.modifier", 'k'),
    ("keyword", 'k'),
    ("support.macro", 'm'),
    ("entity.name.function", 'f'),
    ("support.function", 'f'),
];

/// The kinds that are types.
const TYPES: [&str; 7] = [
    "storage.type.rust",
    "support.type",
    "entity.name.type",
    "entity.name.struct",
    "entity.name.enum",
    "entity.name.trait",
    "entity.name.impl",
];

/// Knows the syntax of Rust.
pub struct Highlighter {
    syntaxes: SyntaxSet,
    kinds: Vec<(Scope, char)>,
}

impl Highlighter {
    pub fn new() -> Self {
        let kinds = KINDS.into_iter().chain(TYPES.map(|scope| (scope, 't')));
        let kinds = kinds.map(|(scope, class)| (Scope::new(scope).expect("a scope's name"), class)).collect();
        Self { syntaxes: SyntaxSet::load_defaults_newlines(), kinds }
    }

    /// `text` in chunks of so many lines, the tokens of each in `<i class=k>..</i>`.
    pub fn chunks(&self, text: &str, lines: usize) -> Vec<String> {
        let syntax = self.syntaxes.find_syntax_by_extension("rs").expect("Rust is among the default syntaxes");
        let (mut state, mut stack) = (ParseState::new(syntax), ScopeStack::new());
        let all: Vec<&str> = LinesWithEndings::from(text).collect();
        all.chunks(lines).map(|lines| self.chunk(lines, &mut state, &mut stack)).collect()
    }

    fn chunk(&self, lines: &[&str], state: &mut ParseState, stack: &mut ScopeStack) -> String {
        let (mut html, mut open) = (String::new(), None);
        for line in lines {
            let ops = state.parse_line(line, &self.syntaxes).expect("the default syntaxes are sound");
            for (token, op) in ScopeRegionIterator::new(&ops, line) {
                stack.apply(op).expect("the parser closes what it opened");
                // White space has no colour: it stays in the element that is open.
                if !token.trim().is_empty() {
                    let class = self.class(stack);
                    if class != open {
                        html.push_str(if open.is_some() { "</i>" } else { "" });
                        html.extend(class.map(|class| format!("<i class={class}>")));
                        open = class;
                    }
                }
                html.push_str(&escape(token));
            }
        }
        html.push_str(if open.is_some() { "</i>" } else { "" });
        html
    }

    fn class(&self, stack: &ScopeStack) -> Option<char> {
        stack
            .as_slice()
            .iter()
            .rev()
            .find_map(|&scope| self.kinds.iter().find(|(kind, _)| kind.is_prefix_of(scope)).map(|&(_, class)| class))
    }
}
