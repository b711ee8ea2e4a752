//! Modules (PTX ISA, sections 11.1 and 11.5 to 11.7).

use std::collections::HashSet;

use super::cursor::Cursor;
use super::functions::{Chains, chains, function};
use super::lexer::{Error, Kind, Parsed};
use super::syntax::{Function, Module, Space};
use super::variables::variable;

/// Parses a module.
pub fn parse(text: &str) -> Parsed<Module> {
    let (mut cursor, chains) = (Cursor::new(text)?, chains(text));
    let mut module = Module::default();
    let mut external = false;
    loop {
        match cursor.next() {
            Kind::End => break,
            // `.extern` applies to the directive that follows.
            Kind::Dot("extern") => external = true,
            Kind::Dot(name) => {
                directive(&mut cursor, &chains, &mut module, name, external)?;
                external = false;
            }
            // A label may stand between debug sections.
            Kind::Word(_) if cursor.eat(':') => {}
            _ => return cursor.error("expected a directive"),
        }
    }
    // A function may be declared before its definition.
    let mut names = HashSet::new();
    for Function { name, line, .. } in module.functions.iter().filter(|function| function.body.is_some()) {
        if !names.insert(name.clone()) {
            return Err(Error { line: *line, message: format!("`{name}` is defined twice"), unsupported: false });
        }
    }
    module.functions.retain(|function| function.body.is_some() || !names.contains(&function.name));
    if module.version == (0, 0) || module.target == 0 {
        return cursor.error("a module begins with `.version` and `.target`");
    }
    Ok(module)
}

/// Parses the rest of a directive of the module's scope.
fn directive(cursor: &mut Cursor, chains: &Chains, module: &mut Module, name: &str, external: bool) -> Parsed {
    let space = match name {
        "version" => {
            let Kind::F64(version) = cursor.peek() else { return cursor.expected("a version such as 7.8") };
            cursor.next();
            module.version = (version as u32, ((version * 10.0).round() as u32) % 10);
            return Ok(());
        }
        "target" => {
            module.target = target(cursor)?;
            return Ok(());
        }
        "address_size" if cursor.int()? != 64 => return cursor.error("only addresses of 64 bits are of the subset"),
        "address_size" | "visible" | "weak" | "common" => return Ok(()),
        "file" => return file(cursor, module),
        "section" => return skip_section(cursor),
        "pragma" | "alias" => return cursor.skip_to(';').map(|_| ()),
        // A texture may be declared without a state space, which is then the global one.
        "texref" | "surfref" | "samplerref" => {
            cursor.go_back(cursor.position() - 1);
            Space::Global
        }
        "entry" | "func" => {
            module.functions.push(function(cursor, chains, name == "entry")?);
            return Ok(());
        }
        "global" => Space::Global,
        "const" => Space::Const,
        "shared" => Space::Shared,
        _ => return cursor.error(format!("directive `.{name}` is not of the subset")),
    };
    let start = cursor.position();
    match variable(cursor, space, external) {
        Err(error) if error.unsupported => {
            cursor.go_back(start);
            let name = cursor.skip_to(';')?.unwrap_or_default();
            module.missing.insert(name.to_string(), error);
            Ok(())
        }
        variable => {
            module.variables.push(variable?);
            cursor.want(';')
        }
    }
}

fn target(cursor: &mut Cursor) -> Parsed<u32> {
    let name = cursor.word()?;
    while cursor.eat(',') {
        cursor.word()?;
    }
    let digits = name.strip_prefix("sm_").map(|digits| digits.trim_end_matches(['a', 'f']));
    let target = digits.and_then(|digits| digits.parse().ok());
    target.map_or_else(|| cursor.error(format!("expected a target `sm_NN`, found `{name}`")), Ok)
}

fn file(cursor: &mut Cursor, module: &mut Module) -> Parsed {
    let number = cursor.small()?;
    let Kind::Str(path) = cursor.peek() else { return cursor.expected("a path between quotes") };
    cursor.next();
    module.files.insert(number, path.to_string());
    // The modification time and the size may follow.
    while cursor.eat(',') {
        cursor.int()?;
    }
    Ok(())
}

/// Skips debug information beyond line numbers, which only debuggers read.
fn skip_section(cursor: &mut Cursor) -> Parsed {
    cursor.next();
    cursor.want('{')?;
    while !cursor.eat('}') {
        if cursor.next() == Kind::End {
            return cursor.error("section without end");
        }
    }
    Ok(())
}
