//! Tokens into functions and instructions (PTX ISA, sections 4.3 and 5.4, chapter 11).

use std::collections::HashMap;

use super::Error;
use super::lexer::{Kind, Token, tokens};
use super::places::{Places, chains};
use super::syntax::{Body, Function, Instruction, Module, Place, Space, Statement, Type, Variable};

/// Parses a module.
///
/// # Errors
/// If the text is not PTX of the subset; the error names line and construct.
pub fn parse(text: &str) -> Result<Module, Error> {
    let mut parser = Parser { tokens: tokens(text)?, chains: chains(text), at: 0, scopes: Vec::new(), renamed: 0 };
    parser.module()
}

pub(super) struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    /// What comments say of `.loc` directives, by line.
    pub(super) chains: HashMap<u32, Vec<(u32, u32)>>,
    at: usize,
    /// What each name declared in an open nested scope is called in the function.
    pub(super) scopes: Vec<HashMap<String, String>>,
    renamed: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn peek(&self) -> Kind<'a> {
        self.tokens[self.at].kind
    }

    pub(super) fn line(&self) -> u32 {
        self.tokens[self.at].line
    }

    pub(super) fn next(&mut self) -> Kind<'a> {
        let kind = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        kind
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Result<T, Error> {
        Err(Error { line: self.line(), message: message.into() })
    }

    pub(super) fn expected<T>(&self, what: &str) -> Result<T, Error> {
        let found = match self.peek() {
            Kind::Word(word) | Kind::Str(word) => format!("`{word}`"),
            Kind::Dot(word) => format!("`.{word}`"),
            Kind::Int(value) => format!("{value}"),
            Kind::F32(_) | Kind::F64(_) => "a floating-point number".into(),
            Kind::Punct(c) => format!("`{c}`"),
            Kind::End => "the end of the text".into(),
        };
        self.error(format!("expected {what}, found {found}"))
    }

    /// Takes the next token if it is this character.
    pub(super) fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Kind::Punct(c);
        if found {
            self.next();
        }
        found
    }

    /// Takes the next token if it is this directive or modifier.
    pub(super) fn eat_dot(&mut self, name: &str) -> bool {
        let found = self.peek() == Kind::Dot(name);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn want(&mut self, c: char) -> Result<(), Error> {
        if self.eat(c) { Ok(()) } else { self.expected(&format!("`{c}`")) }
    }

    pub(super) fn word(&mut self) -> Result<&'a str, Error> {
        let Kind::Word(word) = self.peek() else { return self.expected("a name") };
        self.next();
        Ok(word)
    }

    pub(super) fn int(&mut self) -> Result<u64, Error> {
        let negative = self.eat('-');
        let Kind::Int(value) = self.peek() else { return self.expected("a whole number") };
        self.next();
        Ok(if negative { value.wrapping_neg() } else { value })
    }

    pub(super) fn small(&mut self) -> Result<u32, Error> {
        let Ok(value) = u32::try_from(self.int()?) else { return self.error("the number is too large") };
        Ok(value)
    }

    /// A type modifier such as `.u32`.
    pub(super) fn typ(&mut self) -> Result<Type, Error> {
        let Kind::Dot(name) = self.peek() else { return self.expected("a type") };
        let Some(typ) = Type::named(name) else { return self.error(format!("type `.{name}` is not of the subset")) };
        self.next();
        Ok(typ)
    }

    /// `.entry` or `.func`, from the word after it on.
    pub(super) fn function(&mut self, entry: bool) -> Result<Function, Error> {
        let line = self.line();
        let returns = if !entry && self.peek() == Kind::Punct('(') { self.parameters()? } else { Vec::new() };
        let name = self.word()?.to_string();
        let params = if self.peek() == Kind::Punct('(') { self.parameters()? } else { Vec::new() };
        let mut function = Function { name, entry, returns, params, body: None, max_threads: None, line };
        loop {
            match self.peek() {
                Kind::Dot("maxntid" | "reqntid") => {
                    self.next();
                    let mut threads = self.small()?;
                    while self.eat(',') {
                        threads = threads.saturating_mul(self.small()?);
                    }
                    function.max_threads = Some(threads);
                }
                Kind::Dot("minnctapersm" | "maxnreg") => {
                    self.next();
                    self.int()?;
                }
                Kind::Dot("noreturn") => {
                    self.next();
                }
                _ => break,
            }
        }
        if !self.eat(';') {
            function.body = Some(self.body()?);
        }
        Ok(function)
    }

    fn parameters(&mut self) -> Result<Vec<Variable>, Error> {
        self.want('(')?;
        let mut parameters = Vec::new();
        while !self.eat(')') {
            if !self.eat_dot("param") {
                return self.expected("`.param`");
            }
            parameters.push(self.variable(Space::Param, false)?);
            if self.peek() != Kind::Punct(')') {
                self.want(',')?;
            }
        }
        Ok(parameters)
    }

    fn body(&mut self) -> Result<Body, Error> {
        let mut body = Body::default();
        let mut places = Places::default();
        self.scopes.clear();
        self.want('{')?;
        self.scopes.push(HashMap::new());
        while !self.scopes.is_empty() {
            match self.peek() {
                Kind::Punct('{') => {
                    self.next();
                    self.scopes.push(HashMap::new());
                }
                Kind::Punct('}') => {
                    self.next();
                    self.scopes.pop();
                }
                Kind::Punct(';') => {
                    self.next();
                }
                Kind::Dot(directive) => {
                    self.next();
                    self.body_directive(directive, &mut body, &mut places)?;
                }
                _ => self.statement(&mut body, &places.now)?,
            }
        }
        Ok(body)
    }

    fn body_directive(&mut self, directive: &str, body: &mut Body, places: &mut Places) -> Result<(), Error> {
        match directive {
            "loc" => return self.loc(places),
            "pragma" => {
                self.next();
            }
            "reg" => return self.registers(body),
            "local" | "shared" | "param" => {
                let space = match directive {
                    "local" => Space::Local,
                    "shared" => Space::Shared,
                    _ => Space::Param,
                };
                let mut variable = self.variable(space, false)?;
                variable.name = self.declare(&variable.name);
                body.variables.push(variable);
            }
            _ => return self.error(format!("directive `.{directive}` is not of the subset")),
        }
        self.want(';')
    }

    /// The unique name of what is declared as `name` in the innermost scope.
    fn declare(&mut self, name: &str) -> String {
        let unique = if self.scopes.len() == 1 {
            name.to_string()
        } else {
            self.renamed += 1;
            format!("{name}'{}", self.renamed)
        };
        let scope = self.scopes.last_mut().expect("a body is open");
        scope.insert(name.to_string(), unique.clone());
        unique
    }

    fn registers(&mut self, body: &mut Body) -> Result<(), Error> {
        let typ = self.typ()?;
        loop {
            let name = self.word()?;
            if self.eat('<') {
                let count = self.small()?;
                self.want('>')?;
                for i in 0..count {
                    let unique = self.declare(&format!("{name}{i}"));
                    body.registers.insert(unique, typ);
                }
            } else {
                let unique = self.declare(name);
                body.registers.insert(unique, typ);
            }
            if !self.eat(',') {
                return self.want(';');
            }
        }
    }

    pub(super) fn resolve(&self, name: &str) -> String {
        let declared = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        declared.map_or_else(|| name.to_string(), Clone::clone)
    }

    /// A label, a table of branch targets, or an instruction.
    fn statement(&mut self, body: &mut Body, place: &Place) -> Result<(), Error> {
        let line = self.line();
        let mut guard = None;
        if self.eat('@') {
            let negated = self.eat('!');
            let name = self.word()?;
            guard = Some((self.resolve(name), negated));
        }
        let opcode = self.word()?.to_string();
        if guard.is_none() && self.eat(':') {
            if self.eat_dot("branchtargets") {
                let mut targets = vec![self.word()?.to_string()];
                while self.eat(',') {
                    targets.push(self.word()?.to_string());
                }
                body.tables.insert(opcode, targets);
                return self.want(';');
            }
            if self.peek() == Kind::Dot("callprototype") {
                return self.error("calls by pointer (`.callprototype`) are not of the subset");
            }
            body.statements.push(Statement::Label(opcode));
            return Ok(());
        }
        let mut modifiers = Vec::new();
        while let Kind::Dot(modifier) = self.peek() {
            self.next();
            // `::` belongs to the modifier, as in `.shared::cta`.
            let mut modifier = modifier.to_string();
            while self.eat(':') {
                self.want(':')?;
                modifier = format!("{modifier}::{}", self.word()?);
            }
            modifiers.push(modifier);
        }
        let mut operands = Vec::new();
        while !self.eat(';') {
            operands.push(self.operand()?);
            if self.peek() != Kind::Punct(';') {
                self.want(',')?;
            }
        }
        let instruction = Instruction { guard, opcode, modifiers, operands, line, place: place.clone() };
        body.statements.push(Statement::Instruction(instruction));
        Ok(())
    }
}
