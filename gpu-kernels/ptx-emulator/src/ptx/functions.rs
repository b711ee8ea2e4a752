//! Functions and their instructions (PTX ISA, sections 4.3 and 5.4, chapter 11).

use super::cursor::Cursor;
use super::error::Error;
use super::lexer::Kind;
use super::operands::operand;
use super::scopes::Scopes;
use super::source_locations::{Chains, SourceLocations};
use super::syntax::{Body, Function, Instruction, Space, Statement, Variable};
use super::variables::variable;

/// Parses `.entry` or `.func` from the word after it on.
///
/// # Errors
/// If the tokens are not a function of the subset.
pub(super) fn function(cursor: &mut Cursor, chains: &Chains, entry: bool) -> Result<Function, Error> {
    let line = cursor.line();
    let returns = if entry { Vec::new() } else { parameters(cursor)? };
    let name = cursor.word()?.to_string();
    let params = parameters(cursor)?;
    let mut function = Function { name, entry, returns, params, body: None, max_threads: None, line };
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
            "minnctapersm" | "maxnreg" => {
                cursor.int()?;
            }
            "noreturn" => {}
            _ => return cursor.error(format!("directive `.{directive}` is not of the subset")),
        }
    }
    if !cursor.eat(';') {
        cursor.want('{')?;
        let (scopes, locations, body) = (Scopes::default(), SourceLocations::default(), Body::default());
        let mut parser = BodyParser { cursor, chains, scopes, locations, body };
        parser.body()?;
        function.body = Some(parser.body);
    }
    Ok(function)
}

/// Parses parameters in parentheses, if there are any.
fn parameters(cursor: &mut Cursor) -> Result<Vec<Variable>, Error> {
    if !cursor.eat('(') {
        return Ok(Vec::new());
    }
    cursor.until(')', |cursor| {
        if cursor.eat_dot("param") { variable(cursor, Space::Param, false) } else { cursor.expected("`.param`") }
    })
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
    /// Parses all that follows the first brace.
    fn body(&mut self) -> Result<(), Error> {
        self.scopes.push();
        loop {
            match self.cursor.peek() {
                Kind::Punct('{') => self.scopes.push(),
                Kind::Punct('}') => {
                    if !self.scopes.pop() {
                        self.cursor.next();
                        return Ok(());
                    }
                }
                Kind::Punct(';') => {}
                Kind::Dot(directive) => {
                    self.cursor.next();
                    self.directive(directive)?;
                    continue;
                }
                _ => {
                    self.statement()?;
                    continue;
                }
            }
            self.cursor.next();
        }
    }

    fn directive(&mut self, directive: &str) -> Result<(), Error> {
        let space = match directive {
            "loc" => return self.locations.directive(self.cursor, self.chains),
            "reg" => return self.registers(),
            "pragma" => {
                self.cursor.next();
                return self.cursor.want(';');
            }
            "local" => Space::Local,
            "shared" => Space::Shared,
            "param" => Space::Param,
            _ => return self.cursor.error(format!("directive `.{directive}` is not of the subset")),
        };
        let mut variable = variable(self.cursor, space, false)?;
        variable.name = self.scopes.declare(&variable.name);
        self.body.variables.push(variable);
        self.cursor.want(';')
    }

    fn registers(&mut self) -> Result<(), Error> {
        let typ = self.cursor.typ()?;
        let names = self.cursor.until(';', |cursor| {
            let name = cursor.word()?;
            if !cursor.eat('<') {
                return Ok(vec![name.to_string()]);
            }
            let count = cursor.small()?;
            cursor.want('>')?;
            Ok((0..count).map(|i| format!("{name}{i}")).collect())
        })?;
        for name in names.into_iter().flatten() {
            self.body.registers.insert(self.scopes.declare(&name), typ);
        }
        Ok(())
    }

    /// Parses a label, a table of branch targets, or an instruction.
    fn statement(&mut self) -> Result<(), Error> {
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
                modifier = format!("{modifier}::{}", self.cursor.word()?);
            }
            modifiers.push(modifier);
        }
        let operands = self.cursor.until(';', |cursor| operand(cursor, &self.scopes))?;
        let source_location = self.locations.now.clone();
        let instruction = Instruction { guard, opcode, modifiers, operands, line, source_location };
        self.body.statements.push(Statement::Instruction(instruction));
        Ok(())
    }

    /// Parses what follows the colon of a label.
    fn label(&mut self, label: String) -> Result<(), Error> {
        if self.cursor.eat_dot("branchtargets") {
            let targets = self.cursor.until(';', |cursor| Ok(cursor.word()?.to_string()))?;
            self.body.tables.insert(label, targets);
        } else if self.cursor.peek() == Kind::Dot("callprototype") {
            return self.cursor.error("calls by pointer (`.callprototype`) are not of the subset");
        } else {
            self.body.statements.push(Statement::Label(label));
        }
        Ok(())
    }
}
