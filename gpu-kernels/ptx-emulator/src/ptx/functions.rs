//! Functions and their instructions, with the source locations of `.loc` (PTX ISA, sections 4.3 and 5.4, chapter 11).

use std::collections::HashMap;

use super::cursor::Cursor;
use super::lexer::{Error, Kind, Parsed};
use super::operands::{Scopes, operand};
use super::syntax::{Body, Function, Instruction, Prototype, SourceLocation, Space, Statement, Variable};
use super::variables::{register, variable};

/// Parses the rest of an `.entry` or `.func` directive.
pub(super) fn function(cursor: &mut Cursor, chains: &Chains, entry: bool) -> Parsed<Function> {
    let line = cursor.line();
    let mut unsupported = None;
    let returns = if entry { Vec::new() } else { parameters(cursor, &mut unsupported)? };
    let name = cursor.word()?.to_string();
    let params = parameters(cursor, &mut unsupported)?;
    let mut function =
        Function { name, entry, returns, params, body: None, max_threads: None, cluster: None, unsupported, line };
    directives(cursor, &mut function)?;
    if !cursor.eat(';') {
        cursor.want('{')?;
        let start = cursor.position();
        let (scopes, locations, body) = (Scopes::default(), SourceLocations::default(), Body::default());
        let mut parser = BodyParser { cursor, chains, scopes, locations, body };
        let parsed = parser.body(function.returns.iter().chain(&function.params));
        function.body = Some(parser.body);
        match parsed {
            Err(error) if error.unsupported => {
                function.unsupported = function.unsupported.or(Some(error));
                cursor.go_back(start);
                cursor.skip_to('}')?;
            }
            parsed => parsed?,
        }
    }
    Ok(function)
}

/// Parses the directives between the parameters and the body of a function.
fn directives(cursor: &mut Cursor, function: &mut Function) -> Parsed {
    while let Kind::Dot(directive) = cursor.peek() {
        cursor.next();
        match directive {
            "maxntid" | "reqntid" => {
                let mut threads = cursor.small()?;
                while cursor.eat(',') {
                    threads = threads.saturating_mul(cursor.small()?);
                }
                function.max_threads = Some(threads);
            }
            "minnctapersm" | "maxnreg" | "maxclusterrank" => {
                cursor.int()?;
            }
            "reqnctapercluster" => {
                let mut cluster = [cursor.small()?, 1, 1];
                for size in &mut cluster[1..] {
                    if !cursor.eat(',') {
                        break;
                    }
                    *size = cursor.small()?;
                }
                function.cluster = Some(cluster);
            }
            "pragma" => {
                cursor.skip_to(';')?;
            }
            "noreturn" | "blocksareclusters" | "explicitcluster" => {}
            _ => return cursor.error(format!("directive `.{directive}` is not of the subset")),
        }
    }
    Ok(())
}

/// Parses parameters in parentheses, if there are any. If one of them is not supported, skips all and sets
/// `unsupported`.
fn parameters(cursor: &mut Cursor, unsupported: &mut Option<Error>) -> Parsed<Vec<Variable>> {
    if !cursor.eat('(') {
        return Ok(Vec::new());
    }
    let start = cursor.position();
    let parsed = cursor.until(')', |cursor| {
        if cursor.eat_dot("reg") {
            return register(cursor);
        }
        if cursor.eat_dot("param") { variable(cursor, Space::Param, false) } else { cursor.expected("`.param`") }
    });
    match parsed {
        Err(error) if error.unsupported => {
            *unsupported = Some(error);
            cursor.go_back(start);
            cursor.skip_to(')')?;
            Ok(Vec::new())
        }
        parsed => parsed,
    }
}

/// A parser of a function's body.
struct BodyParser<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    chains: &'c Chains,
    scopes: Scopes,
    locations: SourceLocations,
    body: Body,
}

impl BodyParser<'_, '_> {
    /// Parses all tokens after the first brace. Some of the function's parameters may be registers.
    fn body<'v>(&mut self, params: impl Iterator<Item = &'v Variable>) -> Parsed {
        self.scopes.push();
        for param in params {
            if let Some(typ) = param.register {
                self.scopes.declare_register(&param.name, typ);
            }
        }
        loop {
            match self.cursor.peek() {
                Kind::Punct(c @ ('{' | '}' | ';')) => {
                    self.cursor.next();
                    match c {
                        '{' if !self.scopes.push() => return self.cursor.error("the scopes are nested too deeply"),
                        '}' if !self.scopes.pop() => {
                            self.body.registers = std::mem::take(&mut self.scopes.registers);
                            return Ok(());
                        }
                        _ => {}
                    }
                }
                Kind::Dot(directive) => {
                    self.cursor.next();
                    self.directive(directive)?;
                }
                _ => self.statement()?,
            }
        }
    }

    fn directive(&mut self, directive: &str) -> Parsed {
        let space = match directive {
            "loc" => return self.locations.directive(self.cursor, self.chains),
            "reg" => return self.registers(),
            "pragma" => return self.cursor.skip_to(';').map(|_| ()),
            "local" => Space::Local,
            "shared" => Space::Shared,
            "param" => Space::Param,
            _ => return self.cursor.unsupported(format!("directive `.{directive}` is not of the subset")),
        };
        let mut variable = variable(self.cursor, space, false)?;
        variable.name = self.scopes.declare(&variable.name);
        self.body.variables.push(variable);
        self.cursor.want(';')
    }

    fn registers(&mut self) -> Parsed {
        let vector = if self.cursor.eat_dot("v2") { 2 } else { 1 };
        let vector = if self.cursor.eat_dot("v4") { 4 } else { vector };
        let typ = self.cursor.typ()?;
        let scopes = &mut self.scopes;
        self.cursor.until(';', |cursor| {
            let name = cursor.word()?;
            if vector > 1 {
                scopes.declare_vector(name, vector, typ);
                return Ok(());
            }
            if !cursor.eat('<') {
                scopes.declare_register(name, typ);
                return Ok(());
            }
            let count = cursor.small()?;
            scopes.declare_registers(name, count, typ);
            cursor.want('>')
        })?;
        Ok(())
    }

    /// Parses a label, a table of branch targets, or an instruction.
    fn statement(&mut self) -> Parsed {
        let line = self.cursor.line();
        let mut guard = None;
        if self.cursor.eat('@') {
            let negated = self.cursor.eat('!');
            guard = Some((self.scopes.resolve(self.cursor.word()?), negated));
        }
        let opcode = self.cursor.word()?.to_string();
        if guard.is_none() && self.cursor.eat(':') {
            return self.label(opcode);
        }
        let mut modifiers = Vec::new();
        while let Kind::Dot(modifier) = self.cursor.peek() {
            self.cursor.next();
            // `::` belongs to the modifier, as in `.shared::cta`.
            let mut modifier = modifier.to_string();
            while self.cursor.eat(':') {
                self.cursor.want(':')?;
                modifier.push_str("::");
                modifier.push_str(self.cursor.word()?);
            }
            modifiers.push(modifier);
        }
        let operands = self.cursor.until(';', |cursor| operand(cursor, &mut self.scopes))?;
        let source_location = self.locations.now.clone();
        let instruction = Instruction { guard, opcode, modifiers, operands, line, source_location };
        self.body.statements.push(Statement::Instruction(instruction));
        Ok(())
    }

    /// Parses the statement after the colon of a label.
    fn label(&mut self, label: String) -> Parsed {
        if self.cursor.eat_dot("branchtargets") || self.cursor.eat_dot("calltargets") {
            let targets = self.cursor.until(';', |cursor| Ok(cursor.word()?.to_string()))?;
            self.body.tables.insert(label, targets);
        } else if self.cursor.eat_dot("callprototype") {
            let mut unsupported = None;
            let returns = parameters(self.cursor, &mut unsupported)?;
            self.cursor.word()?;
            let params = parameters(self.cursor, &mut unsupported)?;
            unsupported.map_or(Ok(()), Err)?;
            self.cursor.eat_dot("noreturn");
            self.cursor.want(';')?;
            self.body.prototypes.insert(label, Prototype { returns, params });
        } else {
            self.body.statements.push(Statement::Label(label));
        }
        Ok(())
    }
}

/// The file and line of the calls that each line's `.loc` was inlined at, innermost first.
pub(super) type Chains = HashMap<u32, Vec<(u32, u32)>>;

/// Returns the chains that comments give. For example, `.loc 3 199 17 // inlined at 14:12 33:80` names the file and
/// line of each call. A build step writes such comments for a compiler that emits no `inlined_at`, an attribute since
/// PTX 7.2.
pub(super) fn chains(text: &str) -> Chains {
    let frame = |frame: &str| {
        let (file, line) = frame.split_once(':')?;
        Some((file.parse().ok()?, line.parse().ok()?))
    };
    let chain = |(line, number): (&str, u32)| {
        let (directive, chain) = line.split_once("// inlined at ")?;
        let frames: Option<Vec<_>> = chain.split_whitespace().map(frame).collect();
        frames.filter(|_| directive.trim_start().starts_with(".loc")).map(|frames| (number, frames))
    };
    text.lines().zip(1..).filter_map(chain).collect()
}

/// The largest number of frames of a source location. A location may name itself as the place of a call, so that its
/// chain would grow with each `.loc`.
const MAX_FRAMES: usize = 64;

/// The source locations in a function.
#[derive(Default)]
struct SourceLocations {
    /// The location of the instructions that follow.
    now: SourceLocation,
    /// The locations so far by file, line and column, which `inlined_at` refers to.
    known: HashMap<(u32, u32, u32), SourceLocation>,
}

impl SourceLocations {
    /// Parses the rest of a `.loc` directive.
    fn directive(&mut self, cursor: &mut Cursor, chains: &Chains) -> Parsed {
        let line = cursor.line();
        let at = (cursor.small()?, cursor.small()?, cursor.small()?);
        let mut frames = vec![(at.0, at.1)];
        if cursor.eat(',') {
            attribute(cursor, "function_name")?;
            cursor.word()?;
            if cursor.eat('+') {
                cursor.int()?;
            }
            cursor.want(',')?;
            attribute(cursor, "inlined_at")?;
            let call = (cursor.small()?, cursor.small()?, cursor.small()?);
            match self.known.get(&call) {
                Some(outer) => frames.extend(&outer.0),
                None => frames.push((call.0, call.1)),
            }
        }
        match chains.get(&line) {
            Some(chain) => frames.extend(chain),
            // Line 0 marks code without a source line. The file of such code is that of the preceding instruction.
            None if at.1 == 0 && frames.len() == 1 => frames.clear(),
            None => {}
        }
        frames.truncate(MAX_FRAMES);
        self.now = SourceLocation(frames);
        self.known.insert(at, self.now.clone());
        Ok(())
    }
}

fn attribute(cursor: &mut Cursor, name: &str) -> Parsed {
    if cursor.word()? == name { Ok(()) } else { cursor.error(format!("expected `{name}`")) }
}
