//! A position in the tokens of a PTX text.

use super::lexer::{Error, Kind, Parsed, Token, tokens};
use super::syntax::Type;

pub(super) struct Cursor<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Creates a cursor at the start of a text.
    pub(super) fn new(text: &'a str) -> Parsed<Self> {
        Ok(Self { tokens: tokens(text)?, at: 0 })
    }

    pub(super) fn peek(&self) -> Kind<'a> {
        self.tokens[self.at].kind
    }

    pub(super) fn line(&self) -> u32 {
        self.tokens[self.at].line
    }

    /// Takes the next token.
    pub(super) fn next(&mut self) -> Kind<'a> {
        let kind = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        kind
    }

    /// Returns an error at the next token.
    pub(super) fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(Error { line: self.line(), message: message.into(), unsupported: false })
    }

    /// Returns an error at the next token, which is valid PTX that the emulator does not support.
    pub(super) fn unsupported<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(Error { line: self.line(), message: message.into(), unsupported: true })
    }

    /// Skips tokens up to and including `end`, which is outside of all braces, brackets and parentheses that open in
    /// between. Returns the first name that is skipped.
    pub(super) fn skip_to(&mut self, end: char) -> Parsed<Option<&'a str>> {
        let (mut depth, mut name) = (0u32, None);
        loop {
            match self.next() {
                Kind::End => return self.expected(&format!("`{end}`")),
                Kind::Punct(c) if c == end && depth == 0 => return Ok(name),
                Kind::Punct('{' | '[' | '(') => depth += 1,
                Kind::Punct('}' | ']' | ')') => depth = depth.saturating_sub(1),
                Kind::Word(word) => name = name.or(Some(word)),
                _ => {}
            }
        }
    }

    /// Returns the position, for [`Cursor::go_back`].
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Returns to an earlier position.
    pub(super) fn go_back(&mut self, position: usize) {
        self.at = position;
    }

    /// Returns an error that names the next token and the expected one.
    pub(super) fn expected<T>(&self, expected: &str) -> Parsed<T> {
        let found = match self.tokens[self.at] {
            Token { kind: Kind::End, .. } => "the end of the text".into(),
            Token { text, .. } => format!("`{text}`"),
        };
        self.error(format!("expected {expected}, found {found}"))
    }

    fn eat_kind(&mut self, kind: Kind) -> bool {
        let found = self.peek() == kind;
        if found {
            self.next();
        }
        found
    }

    /// Takes the next token if it is this character.
    pub(super) fn eat(&mut self, c: char) -> bool {
        self.eat_kind(Kind::Punct(c))
    }

    /// Takes the next token if it is this directive or modifier.
    pub(super) fn eat_dot(&mut self, name: &str) -> bool {
        self.eat_kind(Kind::Dot(name))
    }

    pub(super) fn want(&mut self, c: char) -> Parsed {
        if self.eat(c) { Ok(()) } else { self.expected(&format!("`{c}`")) }
    }

    pub(super) fn word(&mut self) -> Parsed<&'a str> {
        let Kind::Word(word) = self.peek() else { return self.expected("a name") };
        self.next();
        Ok(word)
    }

    /// Takes an integer, which a `-` may precede.
    pub(super) fn int(&mut self) -> Parsed<u64> {
        let negative = self.eat('-');
        let Kind::Int(value) = self.peek() else { return self.expected("an integer") };
        self.next();
        Ok(if negative { value.wrapping_neg() } else { value })
    }

    /// Takes an integer of 32 bits.
    pub(super) fn small(&mut self) -> Parsed<u32> {
        let value = self.int()?;
        u32::try_from(value).or_else(|_| self.error(format!("expected an integer below 2^32, found {value}")))
    }

    /// Takes a type modifier such as `.u32`.
    pub(super) fn typ(&mut self) -> Parsed<Type> {
        let Kind::Dot(name) = self.peek() else { return self.expected("a type") };
        let Some(typ) = Type::named(name) else {
            return self.unsupported(format!("type `.{name}` is not of the subset"));
        };
        self.next();
        Ok(typ)
    }

    /// Takes items between commas, and the character that ends them.
    pub(super) fn until<T>(&mut self, end: char, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.eat(end) {
            items.push(item(self)?);
            if self.peek() != Kind::Punct(end) {
                self.want(',')?;
            }
        }
        Ok(items)
    }
}
