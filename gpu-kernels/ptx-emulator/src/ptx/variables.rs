//! Variables and parameters (PTX ISA, section 5.4).

use super::cursor::Cursor;
use super::lexer::{Kind, Parsed};
use super::syntax::{Space, Variable};

/// Parses a variable or parameter from the token after its state space on.
pub(super) fn variable(cursor: &mut Cursor, space: Space, external: bool) -> Parsed<Variable> {
    if cursor.eat_dot("attribute") {
        cursor.want('(')?;
        cursor.skip_to(')')?;
    }
    let mut align = if cursor.eat_dot("align") { cursor.small()? } else { 0 };
    // The elements of a vector are stored one after the other.
    let vector = if cursor.eat_dot("v2") { 2 } else { 1 };
    let vector = if cursor.eat_dot("v4") { 4 } else { vector };
    let opaque = matches!(cursor.peek(), Kind::Dot("texref" | "surfref" | "samplerref"));
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
    align = align.max(typ.bytes() * vector);
    if !align.is_power_of_two() {
        return cursor.error(format!("expected an alignment that is a power of two, found {align}"));
    }
    let name = cursor.word()?.to_string();
    let mut elements = vector;
    while cursor.eat('[') {
        elements = if cursor.peek() == Kind::Punct(']') { 0 } else { elements.saturating_mul(cursor.small()?) };
        cursor.want(']')?;
    }
    let initialised = cursor.peek() == Kind::Punct('=');
    if elements == 0 && !external && !initialised {
        return cursor.error(format!("the array `{name}` has no size and is not `.extern`"));
    }
    let size = elements.saturating_mul(typ.bytes());
    let mut variable = Variable { name, space, align, size, init: Vec::new(), addresses: Vec::new(), register: None };
    if opaque && initialised {
        return cursor.unsupported("initialisers of textures and samplers are not of the subset");
    }
    if cursor.eat('=') {
        initialiser(cursor, &mut variable, typ.bytes() as usize)?;
        if elements == 0 {
            variable.size = variable.init.len() as u32;
        }
    }
    Ok(variable)
}

/// Parses a parameter in a register, from the token after `.reg` on.
pub(super) fn register(cursor: &mut Cursor) -> Parsed<Variable> {
    let typ = cursor.typ()?;
    let name = cursor.word()?.to_string();
    let (init, addresses, register) = (Vec::new(), Vec::new(), Some(typ));
    Ok(Variable { name, space: Space::Param, align: typ.bytes(), size: typ.bytes(), init, addresses, register })
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
                    Kind::Word(_) => return cursor.unsupported("addresses in this initialiser are not of the subset"),
                    _ => return cursor.expected("an initialiser"),
                }
                cursor.next();
            }
        }
        if depth == 0 {
            break;
        }
    }
    if variable.init.len() > variable.size as usize && variable.size > 0 {
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
