//! Variables and parameters (PTX ISA, section 5.4).

use super::cursor::Cursor;
use super::lexer::{Kind, Parsed};
use super::syntax::{Space, Variable};

/// Parses a variable or parameter from the token after its state space on.
pub(super) fn variable(cursor: &mut Cursor, space: Space, external: bool) -> Parsed<Variable> {
    let line = cursor.line();
    let mut align = if cursor.eat_dot("align") { cursor.small()? } else { 0 };
    let typ = cursor.typ()?;
    if cursor.eat_dot("ptr") {
        // The attributes give the state space and alignment of the pointer's target.
        while let Kind::Dot(attribute) = cursor.peek() {
            cursor.next();
            if attribute == "align" {
                cursor.int()?;
            }
        }
    }
    align = align.max(typ.bytes());
    if !align.is_power_of_two() {
        return cursor.error(format!("expected an alignment that is a power of two, found {align}"));
    }
    let name = cursor.word()?.to_string();
    let mut elements = 1u32;
    while cursor.eat('[') {
        elements = if cursor.peek() == Kind::Punct(']') { 0 } else { elements.saturating_mul(cursor.small()?) };
        cursor.want(']')?;
    }
    if elements == 0 && !external {
        return cursor.error(format!("the array `{name}` has no size and is not `.extern`"));
    }
    let size = elements.saturating_mul(typ.bytes());
    let mut variable = Variable { name, space, align, size, init: Vec::new(), addresses: Vec::new(), line };
    if cursor.eat('=') {
        initialiser(cursor, &mut variable, typ.bytes() as usize)?;
    }
    Ok(variable)
}

/// Parses an initialiser of elements of `width` bytes.
fn initialiser(cursor: &mut Cursor, variable: &mut Variable, width: usize) -> Parsed {
    let mut depth = 0;
    loop {
        match cursor.peek() {
            Kind::Int(_) | Kind::Punct('-') => variable.init.extend(&cursor.int()?.to_le_bytes()[..width]),
            Kind::Word(_) if width == 8 => symbol_address(cursor, variable)?,
            kind => {
                match kind {
                    Kind::Punct('{') => depth += 1,
                    Kind::Punct('}') => depth -= 1,
                    Kind::Punct(',') => {}
                    Kind::F32(bits) if width == 4 => variable.init.extend(bits.to_le_bytes()),
                    Kind::F64(value) if width == 8 => variable.init.extend(value.to_le_bytes()),
                    _ => return cursor.expected("an initialiser of the subset"),
                }
                cursor.next();
            }
        }
        if depth == 0 {
            break;
        }
    }
    if variable.init.len() > variable.size as usize {
        let (name, found, size) = (&variable.name, variable.init.len(), variable.size);
        return cursor.error(format!("the initialiser of `{name}` has {found} bytes, the variable {size}"));
    }
    Ok(())
}

/// Parses `symbol` or `generic(symbol)`, which `+ offset` may follow.
fn symbol_address(cursor: &mut Cursor, variable: &mut Variable) -> Parsed {
    let mut name = cursor.word()?;
    if name == "generic" {
        cursor.want('(')?;
        name = cursor.word()?;
        cursor.want(')')?;
    }
    let offset = if cursor.eat('+') { cursor.int()? } else { 0 };
    variable.addresses.push((variable.init.len(), name.to_string()));
    variable.init.extend(offset.to_le_bytes());
    Ok(())
}
