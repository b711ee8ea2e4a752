//! The directives of a module's scope, and variables (PTX ISA, sections 5.4, 11.1 and 11.5 to 11.7).

use super::Error;
use super::lexer::Kind;
use super::parser::Parser;
use super::syntax::{Module, Space, Variable};

impl Parser<'_> {
    pub(super) fn module(&mut self) -> Result<Module, Error> {
        let mut module = Module::default();
        let mut external = false;
        loop {
            let Kind::Dot(directive) = self.peek() else {
                if self.peek() == Kind::End {
                    break;
                }
                if let (Kind::Word(_), true) = (self.next(), self.eat(':')) {
                    continue; // A label between debug sections.
                }
                return self.expected("a directive");
            };
            self.next();
            match directive {
                "version" => module.version = self.version()?,
                "target" => module.target = self.target()?,
                "address_size" => {
                    if self.int()? != 64 {
                        return self.error("only addresses of 64 bits are of the subset");
                    }
                }
                "visible" | "weak" | "common" => {}
                "extern" => {
                    external = true;
                    continue;
                }
                "file" => self.file(&mut module)?,
                "section" => self.skip_section()?,
                "pragma" => {
                    self.next();
                    self.want(';')?;
                }
                "entry" | "func" => {
                    let function = self.function(directive == "entry")?;
                    module.functions.retain(|f| f.name != function.name || f.body.is_some());
                    module.functions.push(function);
                }
                "global" | "const" | "shared" => {
                    let space = match directive {
                        "global" => Space::Global,
                        "const" => Space::Const,
                        _ => Space::Shared,
                    };
                    let variable = self.variable(space, external)?;
                    module.variables.push(variable);
                    self.want(';')?;
                }
                _ => return self.error(format!("directive `.{directive}` is not of the subset")),
            }
            external = false;
        }
        if module.version == (0, 0) || module.target == 0 {
            return self.error("a module begins with `.version` and `.target`");
        }
        Ok(module)
    }

    fn version(&mut self) -> Result<(u32, u32), Error> {
        let Kind::F64(version) = self.peek() else { return self.expected("a version such as 7.8") };
        self.next();
        Ok((version as u32, ((version * 10.0).round() as u32) % 10))
    }

    fn target(&mut self) -> Result<u32, Error> {
        let name = self.word()?;
        while self.eat(',') {
            self.word()?;
        }
        let digits = name.strip_prefix("sm_").map(|digits| digits.trim_end_matches(['a', 'f']));
        let Some(target) = digits.and_then(|digits| digits.parse().ok()) else {
            return self.error(format!("target `{name}` is not of the form sm_NN"));
        };
        Ok(target)
    }

    fn file(&mut self, module: &mut Module) -> Result<(), Error> {
        let number = self.small()?;
        let Kind::Str(path) = self.next() else { return self.expected("a path between quotes") };
        module.files.insert(number, path.to_string());
        while self.eat(',') {
            self.int()?; // Time of change and size.
        }
        Ok(())
    }

    /// Debug information beyond line numbers is for debuggers.
    fn skip_section(&mut self) -> Result<(), Error> {
        self.next();
        self.want('{')?;
        while !self.eat('}') {
            if self.next() == Kind::End {
                return self.error("section without end");
            }
        }
        Ok(())
    }

    /// A variable or parameter, from what follows its state space on.
    pub(super) fn variable(&mut self, space: Space, external: bool) -> Result<Variable, Error> {
        let line = self.line();
        let mut align = if self.eat_dot("align") { self.small()? } else { 0 };
        let typ = self.typ()?;
        if self.eat_dot("ptr") {
            // What a parameter points to: space and alignment.
            while let Kind::Dot(attribute) = self.peek() {
                self.next();
                if attribute == "align" {
                    self.int()?;
                }
            }
        }
        align = align.max(typ.bytes());
        if !align.is_power_of_two() {
            return self.error(format!("alignment {align} is no power of two"));
        }
        let name = self.word()?.to_string();
        let mut elements = 1u32;
        while self.eat('[') {
            elements = if self.peek() == Kind::Punct(']') { 0 } else { elements.saturating_mul(self.small()?) };
            self.want(']')?;
        }
        if elements == 0 && !external {
            return self.error(format!("only an `.extern` array has no size: `{name}`"));
        }
        let size = elements.saturating_mul(typ.bytes());
        let mut variable = Variable { name, space, align, size, init: Vec::new(), addresses: Vec::new(), line };
        if self.eat('=') {
            self.initialiser(&mut variable, typ.bytes() as usize)?;
        }
        Ok(variable)
    }

    fn initialiser(&mut self, variable: &mut Variable, width: usize) -> Result<(), Error> {
        let mut depth = 0;
        loop {
            match self.peek() {
                Kind::Punct('{') => depth += 1,
                Kind::Punct('}') => depth -= 1,
                Kind::Punct(',') => {}
                Kind::F32(bits) if width == 4 => variable.init.extend(bits.to_le_bytes()),
                Kind::F64(value) if width == 8 => variable.init.extend(value.to_le_bytes()),
                Kind::Int(_) | Kind::Punct('-') => {
                    let bytes = self.int()?.to_le_bytes();
                    variable.init.extend(&bytes[..width]);
                    if depth == 0 {
                        return Ok(());
                    }
                    continue;
                }
                Kind::Word(_) if width == 8 => {
                    self.symbol_address(variable)?;
                    if depth == 0 {
                        return Ok(());
                    }
                    continue;
                }
                _ => return self.expected("an initialiser of the subset"),
            }
            self.next();
            if depth == 0 {
                break;
            }
        }
        if variable.init.len() > variable.size as usize {
            return self.error(format!("the initialiser of `{}` is too long", variable.name));
        }
        Ok(())
    }

    /// `symbol`, `generic(symbol)`, and either `+ offset`.
    fn symbol_address(&mut self, variable: &mut Variable) -> Result<(), Error> {
        let mut name = self.word()?;
        if name == "generic" {
            self.want('(')?;
            name = self.word()?;
            self.want(')')?;
        }
        let offset = if self.eat('+') { self.int()? } else { 0 };
        variable.addresses.push((variable.init.len(), name.to_string()));
        variable.init.extend(offset.to_le_bytes());
        Ok(())
    }
}
