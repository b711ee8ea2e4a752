//! The operands of an instruction (PTX ISA, sections 6.1 to 6.4).

use super::cursor::Cursor;
use super::error::Error;
use super::lexer::Kind;
use super::scopes::Scopes;
use super::syntax::Operand;

/// Parses an operand.
///
/// # Errors
/// If the tokens are not an operand of the subset.
pub(super) fn operand(cursor: &mut Cursor, scopes: &Scopes) -> Result<Operand, Error> {
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
fn single(cursor: &mut Cursor, scopes: &Scopes) -> Result<Operand, Error> {
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
