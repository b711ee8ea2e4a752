//! The operands of an instruction (PTX ISA, sections 6.1 to 6.4).

use super::Error;
use super::lexer::Kind;
use super::parser::Parser;
use super::syntax::Operand;

impl Parser<'_> {
    pub(super) fn operand(&mut self) -> Result<Operand, Error> {
        let first = self.single()?;
        if self.eat('|') {
            return Ok(Operand::Pair(Box::new(first), Box::new(self.single()?)));
        }
        if let (Operand::Name(name), true) = (&first, self.eat('+')) {
            return Ok(Operand::Offset(name.clone(), self.int()? as i64));
        }
        Ok(first)
    }

    fn single(&mut self) -> Result<Operand, Error> {
        match self.peek() {
            Kind::Word(name) => {
                self.next();
                if let (true, Kind::Dot(part)) = (name.starts_with('%'), self.peek()) {
                    self.next();
                    return Ok(Operand::Special(format!("{name}.{part}")));
                }
                let resolved = self.resolve(name);
                let known = self.scopes.iter().any(|scope| scope.contains_key(name));
                Ok(if name.starts_with('%') && !known {
                    Operand::Special(name.into())
                } else {
                    Operand::Name(resolved)
                })
            }
            Kind::Int(_) => Ok(Operand::Int(self.int()?)),
            Kind::F32(bits) => {
                self.next();
                Ok(Operand::F32(bits))
            }
            Kind::F64(value) => {
                self.next();
                Ok(Operand::F64(value))
            }
            Kind::Punct('-') => match (self.next(), self.peek()) {
                (_, Kind::F64(value)) => {
                    self.next();
                    Ok(Operand::F64(-value))
                }
                _ => Ok(Operand::Int(self.int()?.wrapping_neg())),
            },
            Kind::Punct('!') => {
                self.next();
                let name = self.word()?;
                Ok(Operand::Not(self.resolve(name)))
            }
            Kind::Punct('[') => self.address(),
            Kind::Punct('{') => Ok(Operand::Vector(self.operands('{', '}')?)),
            Kind::Punct('(') => Ok(Operand::List(self.operands('(', ')')?)),
            _ => self.expected("an operand"),
        }
    }

    fn operands(&mut self, open: char, close: char) -> Result<Vec<Operand>, Error> {
        self.want(open)?;
        let mut operands = Vec::new();
        while !self.eat(close) {
            operands.push(self.single()?);
            if self.peek() != Kind::Punct(close) {
                self.want(',')?;
            }
        }
        Ok(operands)
    }

    fn address(&mut self) -> Result<Operand, Error> {
        self.want('[')?;
        let base = self.single()?;
        let mut offset = 0i64;
        // `a+4`, `a+-4` and `a-4`.
        if self.eat('+') || self.peek() == Kind::Punct('-') {
            offset = self.int()? as i64;
        }
        self.want(']')?;
        Ok(Operand::Address(Box::new(base), offset))
    }
}
