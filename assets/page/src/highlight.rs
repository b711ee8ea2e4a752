//! Rust sources as HTML, in which each kind of token has a class.

use syntect::easy::ScopeRegionIterator;
use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxSet};
use syntect::util::LinesWithEndings;

use crate::escape;

/// The most frequent class. Without a name in the page it saves 57 KB.
const KEYWORD: char = 'k';

/// The next frequent classes. Elements of their own in place of a name save 51 KB.
const FUNCTION: char = 'f';
const TYPE: char = 't';

/// The classes, which page.css colours, with their scopes of syntect. A token has the class of the first scope that is
/// a prefix of the token's scope.
const CLASSES: [(char, &str); 12] = [
    ('d', "comment.line.documentation comment.block.documentation"),
    ('c', "comment"),
    ('a', "meta.annotation"),
    ('s', "string constant.character.escape"),
    ('l', "storage.modifier.lifetime"),
    ('n', "constant"),
    (KEYWORD, "storage.type.function storage.type.struct storage.type.enum storage.type.trait storage.type.impl"),
    (KEYWORD, "storage.type.type storage.type.module storage.modifier keyword"),
    ('m', "support.macro"),
    (FUNCTION, "entity.name.function support.function"),
    (TYPE, "storage.type.rust support.type entity.name.type"),
    (TYPE, "entity.name.struct entity.name.enum entity.name.trait entity.name.impl"),
];

/// Returns the element of a class.
fn element(class: char) -> char {
    match class {
        FUNCTION => 'u',
        TYPE => 'b',
        _ => 'i',
    }
}

/// The syntax of Rust.
pub struct Highlighter {
    syntaxes: SyntaxSet,
    scopes: Vec<(Scope, char)>,
}

impl Highlighter {
    /// Loads the syntax.
    pub fn new() -> Self {
        let scope = |name| Scope::new(name).expect("the scopes are well-formed");
        let scopes =
            CLASSES.into_iter().flat_map(|(class, names)| names.split(' ').map(move |name| (scope(name), class)));
        Self { syntaxes: SyntaxSet::load_defaults_newlines(), scopes: scopes.collect() }
    }

    /// Returns `text` in chunks of `lines` lines, with tokens such as `<i>fn</i>` and `<i class=n>1</i>`.
    pub fn chunks(&self, text: &str, lines: usize) -> Vec<String> {
        let syntax = self.syntaxes.find_syntax_by_extension("rs").expect("Rust is among the default syntaxes");
        let (mut state, mut stack) = (ParseState::new(syntax), ScopeStack::new());
        let all: Vec<&str> = LinesWithEndings::from(text).collect();
        all.chunks(lines).map(|lines| self.chunk(lines, &mut state, &mut stack)).collect()
    }

    /// Returns the next lines as HTML. Neighbours of one class share an element.
    fn chunk(&self, lines: &[&str], state: &mut ParseState, stack: &mut ScopeStack) -> String {
        let (mut html, mut open) = (String::new(), None);
        for line in lines {
            let ops = state.parse_line(line, &self.syntaxes).expect("the default syntaxes are sound");
            for (token, op) in ScopeRegionIterator::new(&ops, line) {
                stack.apply(op).expect("the parser closes what it opened");
                // White space has no colour and stays in the open element.
                if !token.trim().is_empty() {
                    let class = self.class(stack);
                    if class != open {
                        html.extend(open.map(|open| format!("</{}>", element(open))));
                        html.extend(class.map(|class| match class {
                            KEYWORD | FUNCTION | TYPE => format!("<{}>", element(class)),
                            class => format!("<i class={class}>"),
                        }));
                        open = class;
                    }
                }
                html.push_str(&escape(token));
            }
        }
        html.extend(open.map(|open| format!("</{}>", element(open))));
        html
    }

    /// Returns the class of the innermost scope that has one.
    fn class(&self, stack: &ScopeStack) -> Option<char> {
        let class = |&scope| self.scopes.iter().find(|(prefix, _)| prefix.is_prefix_of(scope)).map(|&(_, class)| class);
        stack.as_slice().iter().rev().find_map(class)
    }
}
