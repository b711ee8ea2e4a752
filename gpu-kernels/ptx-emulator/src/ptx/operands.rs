//! The operands of an instruction (PTX ISA, sections 6.1 to 6.4), and the scopes of the names in operands.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::lexer::{Kind, Parsed};
use super::syntax::Operand;

pub(super) fn operand(cursor: &mut Cursor, scopes: &Scopes) -> Parsed<Operand> {
    let first = single(cursor, scopes)?;
    if cursor.eat('|') {
        return Ok(Operand::Pair(Box::new([first, single(cursor, scopes)?])));
    }
    match first {
        Operand::Name(name) if cursor.eat('+') => Ok(Operand::Offset(name, cursor.int()? as i64)),
        first => Ok(first),
    }
}

/// Parses an operand without `|` and offset.
fn single(cursor: &mut Cursor, scopes: &Scopes) -> Parsed<Operand> {
    let first = cursor.peek();
    match first {
        Kind::Int(_) => return Ok(Operand::Int(cursor.int()?)),
        Kind::Word(_) | Kind::F32(_) | Kind::F64(_) | Kind::Punct('-' | '!' | '[' | '{' | '(') => {}
        _ => return cursor.expected("an operand"),
    }
    cursor.next();
    Ok(match (first, cursor.peek()) {
        (Kind::Word(name), Kind::Dot(part)) if name.starts_with('%') => {
            cursor.next();
            Operand::Special(format!("{name}.{part}"))
        }
        (Kind::Word(name), _) => match scopes.declared(name) {
            Some(unique) => Operand::Name(unique),
            None if name.starts_with('%') => Operand::Special(name.into()),
            None => Operand::Name(name.into()),
        },
        (Kind::F32(bits), _) => Operand::F32(bits),
        (Kind::F64(value), _) => Operand::F64(value),
        (Kind::Punct('-'), Kind::F64(value)) => {
            cursor.next();
            Operand::F64(-value)
        }
        (Kind::Punct('-'), _) => Operand::Int(cursor.int()?.wrapping_neg()),
        (Kind::Punct('!'), _) => Operand::Not(scopes.resolve(cursor.word()?)),
        (Kind::Punct('{'), _) => Operand::Vector(cursor.until('}', |cursor| single(cursor, scopes))?),
        (Kind::Punct('('), _) => Operand::List(cursor.until(')', |cursor| single(cursor, scopes))?),
        _ => {
            let base = single(cursor, scopes)?;
            // An offset is written as `a+4`, `a+-4` or `a-4`.
            let offset = if cursor.eat('+') || cursor.peek() == Kind::Punct('-') { cursor.int()? as i64 } else { 0 };
            cursor.want(']')?;
            Operand::Address(Box::new(base), offset)
        }
    })
}

/// The open scopes of a function body, the innermost last, with the unique name of each declared name.
#[derive(Default)]
pub(super) struct Scopes {
    open: Vec<HashMap<String, String>>,
    renamed: usize,
}

impl Scopes {
    pub(super) fn push(&mut self) {
        self.open.push(HashMap::new());
    }

    /// Closes the innermost scope, and returns whether another one is still open.
    pub(super) fn pop(&mut self) -> bool {
        self.open.pop();
        !self.open.is_empty()
    }

    /// Declares a name in the innermost scope, and returns its unique name.
    pub(super) fn declare(&mut self, name: &str) -> String {
        let mut unique = name.to_string();
        if self.open.len() > 1 {
            self.renamed += 1;
            unique = format!("{name}'{}", self.renamed);
        }
        let scope = self.open.last_mut().expect("a body is open");
        scope.insert(name.to_string(), unique.clone());
        unique
    }

    /// Returns the unique name of a name that is declared in an open scope.
    pub(super) fn declared(&self, name: &str) -> Option<String> {
        self.open.iter().rev().find_map(|scope| scope.get(name).cloned())
    }

    /// Returns the unique name of a name that may also be declared outside of the function.
    pub(super) fn resolve(&self, name: &str) -> String {
        self.declared(name).unwrap_or_else(|| name.to_string())
    }
}
