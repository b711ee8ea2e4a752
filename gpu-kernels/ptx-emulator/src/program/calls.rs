//! Calls (PTX ISA, section 9.7.12.5, and chapter 7).
//!
//! A call copies its arguments to an area of local memory, and the callee copies them from there to its parameters.
//! Results come back the same way. So a call by pointer works like any other call.

use super::access::{Access, Order, Scope};
use super::build::Builder;
use super::call_graph::callee;
use super::decoder::Decoder;
use super::instruction::{Action, Inst, NEVER, System};
use super::names::Meaning;
use super::registers::Register;
use super::symbols::layout;
use crate::ptx::syntax::{Function, Instruction, Operand, Prototype, Space, Variable};

/// The functions that the device's runtime library provides.
const SYSTEM: [(&str, System); 4] = [
    ("vprintf", System::Print),
    ("__assertfail", System::Assert),
    ("malloc", System::Allocate),
    ("free", System::Free),
];

impl<'a> Builder<'a> {
    /// Copies the parameters of a function from the area for calls to registers and local memory.
    pub(super) fn receive(&mut self, function: &'a Function) {
        let (offsets, _) = layout(&function.params);
        for variable in &function.returns {
            self.formal(variable);
        }
        for (variable, offset) in function.params.iter().zip(offsets) {
            let from = self.area + offset;
            let action = match self.formal(variable) {
                Meaning::Register(register) => load(register, variable, from),
                Meaning::Address(_, to) => Action::Copy { from, to, len: variable.size as usize },
            };
            self.add(action, &Instruction { line: function.line, ..named("call") });
        }
    }

    /// Copies the results of a function to the area for calls, and returns to the caller.
    pub(super) fn give_back(&mut self, function: &'a Function) {
        let (offsets, _) = layout(&function.returns);
        for (variable, offset) in function.returns.iter().zip(offsets) {
            let to = self.area + offset;
            let action = match self.names.frame.names[&variable.name] {
                Meaning::Register(register) => store(register, variable, to),
                Meaning::Address(_, from) => Action::Copy { from, to, len: variable.size as usize },
            };
            self.add(action, &Instruction { line: function.line, ..named("ret") });
        }
        self.add(Action::Return, &Instruction { line: function.line, ..named("ret") });
    }

    /// Makes a place for a parameter or a result of the current function.
    fn formal(&mut self, variable: &Variable) -> Meaning {
        let meaning = match variable.register {
            Some(typ) => Meaning::Register(self.names.new_register(typ.bits(), 0)),
            None => Meaning::Address(Space::Local, self.local(variable)),
        };
        self.names.frame.names.insert(variable.name.clone(), meaning);
        meaning
    }

    /// Builds `call{.uni} {(returned),} function, {(arguments)} {, prototype or targets};`.
    pub(super) fn call(&mut self, call: &Instruction) -> Result<(), String> {
        let (at, name) = callee(call).ok_or("expected a function or a register with its address")?;
        let list = |operand: Option<&'_ Operand>| match operand {
            Some(Operand::List(list)) => list.clone(),
            _ => Vec::new(),
        };
        let (returned, arguments) = (list(call.operands.first().filter(|_| at > 0)), list(call.operands.get(at + 1)));
        let function = self.symbols.functions.get(name).copied();
        let prototype = match function {
            Some(function) => Prototype { returns: function.returns.clone(), params: function.params.clone() },
            None => self.prototype(name, call.operands.last())?,
        };
        let counts = (prototype.returns.len(), prototype.params.len());
        if (returned.len(), arguments.len()) != counts {
            return Err(format!("`{name}` returns {} and takes {} values", counts.0, counts.1));
        }
        if let Some(error) = function.and_then(|function| function.unsupported.as_ref()) {
            return Err(format!("`{name}`, line {}: {}", error.line, error.message));
        }
        let (offsets, _) = layout(&prototype.params);
        for ((formal, actual), offset) in prototype.params.iter().zip(&arguments).zip(&offsets) {
            let action = self.pass(formal, actual, self.area + offset)?;
            self.add_guarded(action, call)?;
        }
        let action = match function {
            Some(function) if function.body.is_some() => {
                Action::Call { target: self.labels[function.name.as_str()], frame: self.frame }
            }
            Some(_) => {
                let system = SYSTEM.iter().find(|(known, _)| *known == name);
                let (_, system) = system.ok_or_else(|| format!("the function `{name}` has no body"))?;
                Action::System { system: *system, arguments: offsets.iter().map(|at| self.area + at).collect() }
            }
            None => {
                let mut decoder = Decoder::new(&mut self.names, call);
                Action::CallPointer { register: decoder.source(&call.operands[at], 64)?, frame: self.frame }
            }
        };
        self.add_guarded(action, call)?;
        let (offsets, _) = layout(&prototype.returns);
        for ((formal, actual), offset) in prototype.returns.iter().zip(&returned).zip(offsets) {
            if let Some(action) = self.take(formal, actual, self.area + offset)? {
                self.add_guarded(action, call)?;
            }
        }
        Ok(())
    }

    /// Returns the prototype of a call by pointer, from the label of a `.callprototype` or of `.calltargets`.
    fn prototype(&self, callee: &str, last: Option<&Operand>) -> Result<Prototype, String> {
        if !matches!(self.names.meaning(callee), Some(Meaning::Register(_))) {
            return Err(format!("there is no function `{callee}`"));
        }
        let Some(Operand::Name(label)) = last else { return Err("expected the label of a prototype".into()) };
        if let Some(prototype) = self.names.frame.prototypes.get(label) {
            return Ok(prototype.clone());
        }
        let targets = self.names.frame.tables.get(label);
        let first = targets.and_then(|targets| self.symbols.functions.get(targets.first()?.as_str()));
        let function = first.ok_or_else(|| format!("there is no function or prototype `{label}`"))?;
        Ok(Prototype { returns: function.returns.clone(), params: function.params.clone() })
    }

    /// Returns the action that copies an argument to the area for calls.
    fn pass(&mut self, formal: &Variable, actual: &Operand, to: u64) -> Result<Action, String> {
        let len = formal.size as usize;
        if let Operand::Name(name) = actual
            && let Some(Meaning::Address(Space::Local, from)) = self.names.meaning(name)
        {
            return Ok(Action::Copy { from, to, len });
        }
        let call = named("call");
        let register = Decoder::new(&mut self.names, &call).any_source(actual, if len == 8 { 64 } else { 32 })?;
        check_width(register, formal)?;
        Ok(store(register, formal, to))
    }

    /// Returns the action that copies a result from the area for calls, or `None` if the result is not used.
    fn take(&mut self, formal: &Variable, actual: &Operand, from: u64) -> Result<Option<Action>, String> {
        let Operand::Name(name) = actual else { return Err(format!("expected a place for `{}`", formal.name)) };
        Ok(match self.names.meaning(name) {
            _ if name == "_" => None,
            Some(Meaning::Address(Space::Local, to)) => Some(Action::Copy { from, to, len: formal.size as usize }),
            Some(Meaning::Register(register)) => {
                check_width(register, formal)?;
                Some(load(register, formal, from))
            }
            _ => return Err(format!("expected a register or a `.param` variable, found `{name}`")),
        })
    }

    /// Appends an action of a call, under the call's predicate.
    fn add_guarded(&mut self, action: Action, call: &Instruction) -> Result<(), String> {
        self.add(action, call);
        if let Some((name, negated)) = &call.guard {
            let predicate = Decoder::new(&mut self.names, call).predicate(&Operand::Name(name.clone()))?;
            self.program.code.last_mut().expect("an action was added").guard = Some((predicate, *negated));
        }
        Ok(())
    }

    /// Appends an action of this instruction.
    fn add(&mut self, action: Action, instruction: &Instruction) {
        let (mnemonic, line) = (instruction.mnemonic(), instruction.line);
        let (guard, source_location, reads, writes) = (None, 0, Vec::new(), Vec::new());
        let inst = Inst { guard, action, mnemonic, line, source_location, reads, writes, reconvergence: NEVER };
        self.push(inst, &instruction.source_location);
    }
}

/// Returns an instruction without operands.
fn named(opcode: &str) -> Instruction {
    Instruction { opcode: opcode.into(), ..Instruction::default() }
}

/// Checks that a register can hold a parameter.
fn check_width(register: Register, formal: &Variable) -> Result<(), String> {
    match (register.bits(), 8 * formal.size) {
        (bits, size) if bits > 1 && bits >= size => Ok(()),
        (bits, size) => Err(format!("`{}` has {size} bits, expected {bits}", formal.name)),
    }
}

/// Returns the access of a register to a parameter in local memory.
fn access(register: Register, variable: &Variable, offset: u64) -> Access {
    Access {
        space: Space::Local,
        order: Order::Weak,
        scope: Scope::Block,
        width: variable.size as usize,
        signed: false,
        elements: vec![register],
        base: None,
        offset: offset as i64,
    }
}

fn load(register: Register, variable: &Variable, from: u64) -> Action {
    Action::Load(Box::new(access(register, variable, from)))
}

fn store(register: Register, variable: &Variable, to: u64) -> Action {
    Action::Store(Box::new(access(register, variable, to)))
}
