//! The operands of an instruction (PTX ISA, sections 6.1 to 6.4), and the scopes of the names in operands.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::lexer::{Kind, Parsed};
use super::syntax::{Operand, Type};

/// The largest number of braces, brackets and parentheses that an operand may nest.
const MAX_DEPTH: u32 = 3;

/// The largest number of scopes that a body may nest.
const MAX_SCOPES: usize = 256;

pub(super) fn operand(cursor: &mut Cursor, scopes: &mut Scopes) -> Parsed<Operand> {
    let first = single(cursor, scopes, 0)?;
    if cursor.eat('|') {
        return Ok(Operand::Pair(Box::new([first, single(cursor, scopes, 0)?])));
    }
    match first {
        Operand::Name(name) if cursor.eat('+') => Ok(Operand::Offset(name, cursor.int()? as i64)),
        first => Ok(first),
    }
}

/// Parses an operand without `|` and offset, inside of `depth` others.
fn single(cursor: &mut Cursor, scopes: &mut Scopes, depth: u32) -> Parsed<Operand> {
    if depth > MAX_DEPTH {
        return cursor.error("this operand is nested too deeply");
    }
    let first = cursor.peek();
    match first {
        Kind::Int(_) => return Ok(Operand::Int(cursor.int()?)),
        Kind::Word(_) | Kind::F32(_) | Kind::F64(_) | Kind::Punct('-' | '!' | '[' | '{' | '(') => {}
        _ => return cursor.expected("an operand"),
    }
    cursor.next();
    Ok(match (first, cursor.peek()) {
        (Kind::Word(name), next) => named(cursor, scopes, name, next),
        (Kind::F32(bits), _) => Operand::F32(bits),
        (Kind::F64(value), _) => Operand::F64(value),
        (Kind::Punct('-'), Kind::F64(value)) => {
            cursor.next();
            Operand::F64(-value)
        }
        (Kind::Punct('-'), _) => Operand::Int(cursor.int()?.wrapping_neg()),
        (Kind::Punct('!'), _) => Operand::Not(scopes.resolve(cursor.word()?)),
        (Kind::Punct('{'), _) => Operand::Vector(cursor.until('}', |cursor| single(cursor, scopes, depth + 1))?),
        (Kind::Punct('('), _) => Operand::List(cursor.until(')', |cursor| single(cursor, scopes, depth + 1))?),
        _ => {
            let base = single(cursor, scopes, depth + 1)?;
            // An offset is written as `a+4`, `a+-4` or `a-4`.
            let offset = if cursor.eat('+') || cursor.peek() == Kind::Punct('-') { cursor.int()? as i64 } else { 0 };
            if cursor.eat(',') {
                // The coordinates of a texture, or a tensor's barrier, follow the base.
                let rest = cursor.until(']', |cursor| single(cursor, scopes, depth + 1))?;
                return Ok(Operand::List(std::iter::once(base).chain(rest).collect()));
            }
            cursor.want(']')?;
            Operand::Address(Box::new(base), offset)
        }
    })
}

/// Returns the operand of a name, which `next` follows. Takes the part of a register or special register, or the element of
/// a vector, if `next` is one.
fn named(cursor: &mut Cursor, scopes: &mut Scopes, name: &str, next: Kind) -> Operand {
    let special = name.starts_with('%');
    if let Kind::Dot(part) = next {
        // An element of a vector is a register of its own.
        let element = scopes.declared(&format!("{name}.{part}")).map(Operand::Name);
        let selected = || scopes.declared(name).map(|unique| Operand::Part(unique, part.into()));
        let found = element.or_else(selected).or_else(|| special.then(|| Operand::Special(format!("{name}.{part}"))));
        if found.is_some() {
            cursor.next();
        }
        return found.unwrap_or_else(|| Operand::Name(name.into()));
    }
    if let Some(elements) = scopes.vector(name) {
        return Operand::Vector(elements.into_iter().map(Operand::Name).collect());
    }
    match scopes.declared(name) {
        Some(unique) => Operand::Name(unique),
        None if special => Operand::Special(name.into()),
        None => Operand::Name(name.into()),
    }
}

/// The names of a vector's elements.
const ELEMENTS: [&str; 4] = ["x", "y", "z", "w"];

/// The open scopes of a function body, the innermost last, with what each declared name stands for.
#[derive(Default)]
pub(super) struct Scopes {
    open: Vec<Scope>,
    renamed: usize,
    has_vectors: bool,
    /// The registers that the body names, by their unique names. Registers without a use are not stored, because one
    /// declaration can declare millions.
    pub(super) registers: HashMap<String, Type>,
}

/// The names that a scope declares.
#[derive(Default)]
struct Scope {
    /// The unique name, and the type of a register.
    names: HashMap<String, (String, Option<Type>)>,
    /// The registers that `%r<9>` declares, by the part of their names before the number.
    ranges: HashMap<String, Range>,
}

/// The registers of one declaration, such as `.reg .b32 %r<9>`.
struct Range {
    count: u32,
    typ: Type,
    /// The end of the unique names.
    suffix: String,
}

impl Scope {
    /// Returns the unique name of a declared name, and the type of a register.
    fn find(&self, name: &str) -> Option<(String, Option<Type>)> {
        if let Some(found) = self.names.get(name) {
            return Some(found.clone());
        }
        let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
        (1..=digits.min(10)).find_map(|digits| {
            let (prefix, number) = name.split_at(name.len() - digits);
            let range = self.ranges.get(prefix)?;
            let index = number.parse().ok().filter(|index| *index < range.count);
            let plain = digits == 1 || !number.starts_with('0');
            index.filter(|_: &u32| plain).map(|_| (format!("{name}{}", range.suffix), Some(range.typ)))
        })
    }
}

impl Scopes {
    /// Opens a scope, and returns whether it is not nested too deeply.
    pub(super) fn push(&mut self) -> bool {
        self.open.push(Scope::default());
        self.open.len() <= MAX_SCOPES
    }

    /// Closes the innermost scope, and returns whether another one is still open.
    pub(super) fn pop(&mut self) -> bool {
        self.open.pop();
        !self.open.is_empty()
    }

    /// Returns the end of the unique names of the next declaration, and the innermost scope.
    fn next(&mut self) -> (String, &mut Scope) {
        let mut suffix = String::new();
        if self.open.len() > 1 {
            self.renamed += 1;
            suffix = format!("'{}", self.renamed);
        }
        (suffix, self.open.last_mut().expect("a body is open"))
    }

    /// Declares a variable in the innermost scope, and returns its unique name.
    pub(super) fn declare(&mut self, name: &str) -> String {
        let (suffix, scope) = self.next();
        let unique = format!("{name}{suffix}");
        scope.names.insert(name.to_string(), (unique.clone(), None));
        unique
    }

    /// Declares a vector of registers, whose elements are `name.x`, `name.y` and so on.
    pub(super) fn declare_vector(&mut self, name: &str, count: usize, typ: Type) {
        self.has_vectors = true;
        for element in &ELEMENTS[..count] {
            self.declare_register(&format!("{name}.{element}"), typ);
        }
    }

    /// Returns the unique names of the elements of a vector, or `None` if there is no vector of this name.
    fn vector(&mut self, name: &str) -> Option<Vec<String>> {
        if !self.has_vectors {
            return None;
        }
        let elements: Vec<_> =
            ELEMENTS.iter().map_while(|element| self.declared(&format!("{name}.{element}"))).collect();
        (!elements.is_empty()).then_some(elements)
    }

    /// Declares a register in the innermost scope.
    pub(super) fn declare_register(&mut self, name: &str, typ: Type) {
        let (suffix, scope) = self.next();
        scope.names.insert(name.to_string(), (format!("{name}{suffix}"), Some(typ)));
    }

    /// Declares the registers `prefix0`, `prefix1` and so on in the innermost scope.
    pub(super) fn declare_registers(&mut self, prefix: &str, count: u32, typ: Type) {
        let (suffix, scope) = self.next();
        scope.ranges.insert(prefix.to_string(), Range { count, typ, suffix });
    }

    /// Returns the unique name of a name that is declared in an open scope.
    pub(super) fn declared(&mut self, name: &str) -> Option<String> {
        let (unique, typ) = self.open.iter().rev().find_map(|scope| scope.find(name))?;
        if let Some(typ) = typ {
            self.registers.insert(unique.clone(), typ);
        }
        Some(unique)
    }

    /// Returns the unique name of a name that may also be declared outside of the function.
    pub(super) fn resolve(&mut self, name: &str) -> String {
        self.declared(name).unwrap_or_else(|| name.to_string())
    }
}
