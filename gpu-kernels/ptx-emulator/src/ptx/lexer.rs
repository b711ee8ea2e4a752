//! The tokens of a PTX text (PTX ISA, chapter 4).

use std::fmt;

/// An error in a PTX text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The line, from 1.
    pub line: u32,
    /// The problem, without the line.
    pub message: String,
    /// Whether the text is PTX that the emulator does not support. A kernel with such an error is refused when it is
    /// launched, and all other kernels of the module run.
    pub unsupported: bool,
}

/// A result of parsing.
pub(super) type Parsed<T = ()> = Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for Error {}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token<'a> {
    /// The kind, with the token's value.
    pub kind: Kind<'a>,
    /// The token as written.
    pub text: &'a str,
    /// The line, from 1.
    pub line: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'a> {
    /// An identifier or opcode, with its leading `%`, `_` or `$` if it has one.
    Word(&'a str),
    /// A directive, modifier or component, without its dot.
    Dot(&'a str),
    /// An integer. PTX constants have 64 bits (section 4.5.1).
    Int(u64),
    /// The bits of an `f32`, written as `0f` and eight hexadecimal digits.
    F32(u32),
    /// An `f64`, written as `0d` and sixteen hexadecimal digits, or as a decimal fraction.
    F64(f64),
    Str(&'a str),
    /// Any other character.
    Punct(char),
    /// The end of the text.
    End,
}

/// Splits a text into tokens, of which the last is [`Kind::End`].
pub fn tokens(text: &str) -> Parsed<Vec<Token<'_>>> {
    let mut lexer = Lexer { text, at: 0, line: 1 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let (start, line) = (lexer.at, lexer.line);
        let kind = lexer.next_kind()?;
        tokens.push(Token { kind, text: &text[start..lexer.at], line });
        if kind == Kind::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error { line: self.line, message: message.into(), unsupported: false }
    }

    /// Skips spaces, newlines and comments.
    fn skip_blanks(&mut self) -> Parsed {
        loop {
            let rest = self.rest();
            let skipped = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").ok_or_else(|| self.error("comment without end"))? + 2
            } else {
                rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len())
            };
            if skipped == 0 {
                return Ok(());
            }
            self.line += rest[..skipped].matches('\n').count() as u32;
            self.at += skipped;
        }
    }

    /// Takes the longest run of characters of an identifier from `from` on.
    fn word(&mut self, from: usize) -> &'a str {
        let rest = &self.text[from..];
        let follow = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let end = rest.find(|c: char| !follow(c)).unwrap_or(rest.len());
        self.at = from + end;
        &rest[..end]
    }

    fn next_kind(&mut self) -> Parsed<Kind<'a>> {
        let start = self.at;
        let mut following = self.rest().chars();
        let Some(first) = following.next() else { return Ok(Kind::End) };
        let second = following.next().unwrap_or(' ');
        match first {
            'a'..='z' | 'A'..='Z' | '_' | '$' => Ok(Kind::Word(self.word(start))),
            '%' if second.is_ascii_alphabetic() || second == '_' => {
                self.word(start + 1);
                Ok(Kind::Word(&self.text[start..self.at]))
            }
            '.' if second.is_ascii_alphabetic() || second == '_' => Ok(Kind::Dot(self.word(start + 1))),
            // A modifier may begin with a digit, as in `tex.2d` and `.L2::128B`.
            '.' if second.is_ascii_digit() && self.follows_word() => Ok(Kind::Dot(self.word(start + 1))),
            '0'..='9' if self.text[..start].ends_with("::") => Ok(Kind::Word(self.word(start))),
            '0'..='9' => self.number(),
            '"' => {
                let rest = &self.text[start + 1..];
                let end = rest.find('"').ok_or_else(|| self.error("string without end"))?;
                self.at = start + end + 2;
                Ok(Kind::Str(&rest[..end]))
            }
            c if c.is_ascii_punctuation() => {
                self.at += 1;
                Ok(Kind::Punct(c))
            }
            c => Err(self.error(format!("unexpected character `{}`", c.escape_default()))),
        }
    }

    /// Returns whether the character before the next token is part of a word.
    fn follows_word(&self) -> bool {
        self.text[..self.at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    }

    fn number(&mut self) -> Parsed<Kind<'a>> {
        let start = self.at;
        let word = self.word(start);
        let bad = |lexer: &Self| lexer.error(format!("`{word}` is not a PTX constant"));
        if let Some(digits) = word.strip_prefix("0f").or(word.strip_prefix("0F")) {
            let bits = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 8);
            return bits.map(Kind::F32).ok_or_else(|| bad(self));
        }
        if let Some(digits) = word.strip_prefix("0d").or(word.strip_prefix("0D")) {
            let bits = u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16);
            return bits.map(|bits| Kind::F64(f64::from_bits(bits))).ok_or_else(|| bad(self));
        }
        let rest = self.rest();
        let fraction = rest.strip_prefix('.').is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        if fraction && word.bytes().all(|b| b.is_ascii_digit()) {
            let at = self.at + 1;
            self.word(at);
            return self.text[start..self.at].parse().map(Kind::F64).map_err(|_| bad(self));
        }
        let digits = word.strip_suffix('U').unwrap_or(word);
        let (digits, radix) = match digits.get(..2) {
            Some("0x" | "0X") => (&digits[2..], 16),
            Some("0b" | "0B") => (&digits[2..], 2),
            _ if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
            _ => (digits, 10),
        };
        u64::from_str_radix(digits, radix).map(Kind::Int).map_err(|_| bad(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_kinds_and_lines() {
        use Kind::{Dot, End, F32, F64, Int, Punct, Word};

        let found = tokens("ld.v4 // c\n%tid.x, 0x1F 017 1.5 /* \n */ 0f3F800000 $L_1: %r<5>;").unwrap();
        let kinds: Vec<_> = found.iter().map(|t| t.kind).collect();
        let expected = [
            Word("ld"),
            Dot("v4"),
            Word("%tid"),
            Dot("x"),
            Punct(','),
            Int(31),
            Int(15),
            F64(1.5),
            F32(0x3f80_0000),
            Word("$L_1"),
            Punct(':'),
            Word("%r"),
            Punct('<'),
            Int(5),
            Punct('>'),
            Punct(';'),
            End,
        ];
        assert_eq!(kinds, expected);
        assert_eq!(tokens("tex.2d.L2::128B").unwrap()[1..].iter().map(|t| t.text).collect::<String>(), ".2d.L2::128B");
        assert_eq!((found[2].line, found[8].line), (2, 3));
    }

    #[test]
    fn an_error_names_the_line() {
        assert_eq!(tokens("a\n0f12").unwrap_err().to_string(), "line 2: `0f12` is not a PTX constant");
        assert_eq!(tokens("/* a").unwrap_err().to_string(), "line 1: comment without end");
    }
}
