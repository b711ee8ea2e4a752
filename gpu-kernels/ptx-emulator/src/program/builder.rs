//! Puts a kernel's program together: functions inlined, names resolved, labels patched.

use std::collections::{HashMap, HashSet};

use super::link::Symbols;
use super::{Action, Inst, NEVER, Program, Reg, decode, flow};
use crate::ptx::Error;
use crate::ptx::syntax::{Function, Instruction, Operand, Place, Space, Statement, Type, Variable};

/// Instructions of a kernel after inlining; more means functions that call each other too deeply.
const MAX_INSTRUCTIONS: usize = 4_000_000;

/// What a name means in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A register and its bits.
    Register(Reg, u32),
    /// An address in a state space.
    Address(Space, u64),
}

/// A function that is being inlined.
#[derive(Default)]
pub(super) struct Frame {
    pub(super) names: HashMap<String, Meaning>,
    pub(super) labels: HashMap<String, usize>,
    pub(super) tables: HashMap<String, Vec<String>>,
    /// Where `ret` goes; None in the kernel itself.
    pub(super) end: Option<usize>,
}

pub(super) struct Builder<'a> {
    pub(super) symbols: &'a Symbols,
    functions: &'a HashMap<&'a str, &'a Function>,
    pub(super) program: Program,
    pub(super) frame: Frame,
    pub(super) reads: Vec<Reg>,
    pub(super) writes: Vec<Reg>,
    /// Why the instruction that is being decoded has no exact result, if it has none.
    pub(super) inexact: Option<&'static str>,
    calls: Vec<String>,
    pub(super) labels: Vec<usize>,
    /// The addresses of shared variables.
    pub(super) shared: HashMap<String, u64>,
    pub(super) words: HashMap<u32, usize>,
    pub(super) longs: HashMap<u64, usize>,
    places: HashMap<Place, usize>,
}

/// Builds the kernel.
pub(super) fn build<'a>(
    kernel: &'a Function,
    functions: &'a HashMap<&'a str, &'a Function>,
    symbols: &'a Symbols,
) -> Result<Program, Error> {
    let mut builder = Builder::new(symbols, functions);
    builder.program.name.clone_from(&kernel.name);
    builder.program.max_threads = kernel.max_threads;
    builder.shared_variables(kernel);
    for param in &kernel.params {
        let offset = builder.program.param_size.next_multiple_of(param.align as usize);
        builder.program.params.push((offset, param.size as usize));
        builder.program.param_size = offset + param.size as usize;
        builder.frame.names.insert(param.name.clone(), Meaning::Address(Space::Param, offset as u64));
    }
    builder.function(kernel)?;
    builder.push(Action::Exit, "exit", kernel.line, &Place::default());
    builder.patch();
    let mut program = builder.program;
    flow::find_meets(&mut program.code);
    Ok(program)
}

impl<'a> Builder<'a> {
    /// A builder of an empty kernel.
    pub(super) fn new(symbols: &'a Symbols, functions: &'a HashMap<&'a str, &'a Function>) -> Self {
        Self {
            symbols,
            functions,
            program: Program::default(),
            frame: Frame::default(),
            reads: Vec::new(),
            writes: Vec::new(),
            inexact: None,
            calls: Vec::new(),
            labels: Vec::new(),
            shared: HashMap::new(),
            words: HashMap::new(),
            longs: HashMap::new(),
            places: HashMap::new(),
        }
    }

    /// Lays out the shared variables of the kernel, of the functions that it calls, and those of the module that they name.
    fn shared_variables(&mut self, kernel: &'a Function) {
        let mut named = HashSet::new();
        let mut reached = vec![kernel];
        let mut within = Vec::new();
        while let Some(function) = reached.pop() {
            let variables = function.body.iter().flat_map(|body| &body.variables);
            within.extend(variables.filter(|variable| variable.space == Space::Shared));
            let statements = function.body.iter().flat_map(|body| &body.statements);
            for statement in statements {
                let Statement::Instruction(instruction) = statement else { continue };
                for name in instruction.operands.iter().flat_map(names) {
                    if named.insert(name)
                        && let Some(function) = self.functions.get(name)
                    {
                        reached.push(function);
                    }
                }
            }
        }
        let used = |variable: &&&Variable| named.contains(variable.name.as_str());
        let (fixed, dynamic): (Vec<_>, Vec<_>) =
            self.symbols.shared.iter().collect::<Vec<_>>().iter().filter(used).copied().partition(|v| v.size > 0);
        for variable in fixed {
            let offset = self.allocate_shared(variable);
            self.shared.insert(variable.name.clone(), offset);
        }
        for variable in within {
            let offset = self.allocate_shared(variable);
            self.shared.insert(variable.name.clone(), offset);
        }
        // The array whose size the launch gives begins after the others.
        let align = dynamic.iter().map(|v| v.align as usize).max().unwrap_or(16);
        self.program.shared_size = self.program.shared_size.next_multiple_of(align);
        let end = self.symbols.shared_base + self.program.shared_size as u64;
        self.shared.extend(dynamic.into_iter().map(|variable| (variable.name.clone(), end)));
    }

    fn allocate_shared(&mut self, variable: &Variable) -> u64 {
        let offset = self.program.shared_size.next_multiple_of(variable.align as usize);
        self.program.shared_size = offset + variable.size as usize;
        self.symbols.shared_base + offset as u64
    }

    fn allocate_local(&mut self, variable: &Variable) -> u64 {
        let offset = self.program.local_size.next_multiple_of(variable.align as usize);
        self.program.local_size = offset + variable.size as usize;
        offset as u64
    }

    /// Inlines a function's body into the current frame.
    fn function(&mut self, function: &'a Function) -> Result<(), Error> {
        let Some(body) = &function.body else {
            return Err(Error {
                line: function.line,
                message: format!("unresolved extern function `{}`", function.name),
            });
        };
        for (name, typ) in &body.registers {
            let meaning = match typ {
                Type::Pred => Meaning::Register(self.new_predicate(), 1),
                typ if typ.bits() == 64 => Meaning::Register(self.new_long(0), 64),
                typ => Meaning::Register(self.new_word(0), typ.bits()),
            };
            self.program.declared_registers += typ.bits().div_ceil(32) * u32::from(*typ != Type::Pred);
            self.frame.names.insert(name.clone(), meaning);
        }
        for variable in &body.variables {
            if variable.space != Space::Shared {
                let meaning = Meaning::Address(Space::Local, self.allocate_local(variable));
                self.frame.names.insert(variable.name.clone(), meaning);
            }
        }
        self.frame.tables.clone_from(&body.tables);
        for statement in &body.statements {
            match statement {
                Statement::Label(name) => {
                    let label = self.label(name);
                    if self.labels[label] != NEVER {
                        let message = format!("label `{name}` stands twice in `{}`", function.name);
                        return Err(Error { line: function.line, message });
                    }
                    self.labels[label] = self.program.code.len();
                }
                Statement::Instruction(instruction) => self.instruction(instruction)?,
            }
        }
        let missing = self.frame.labels.iter().find(|(_, label)| self.labels[**label] == NEVER);
        if let Some((name, _)) = missing {
            return Err(Error {
                line: function.line,
                message: format!("label `{name}` is not in `{}`", function.name),
            });
        }
        Ok(())
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<(), Error> {
        let wrong = |message: String| Error {
            line: instruction.line,
            message: format!("`{}`: {message}", instruction.mnemonic()),
        };
        if instruction.opcode == "call" {
            return self.call(instruction);
        }
        if self.program.code.len() > MAX_INSTRUCTIONS {
            return Err(wrong("the kernel is too large after inlining its functions".into()));
        }
        self.reads.clear();
        self.writes.clear();
        let action = decode::decode(self, instruction).map_err(wrong)?;
        if let Some(reason) = self.inexact.take() {
            self.program.inexact.get_or_insert_with(|| wrong(reason.into()));
        }
        let mut guard = None;
        if let Some((name, negated)) = &instruction.guard {
            guard = Some((self.predicate(&Operand::Name(name.clone())).map_err(wrong)?, *negated));
        }
        self.push(action, &instruction.mnemonic(), instruction.line, &instruction.place);
        self.program.code.last_mut().expect("one was pushed").guard = guard;
        Ok(())
    }

    fn push(&mut self, action: Action, mnemonic: &str, line: u32, place: &Place) {
        let next = self.program.places.len();
        let place = *self.places.entry(place.clone()).or_insert_with_key(|place| {
            self.program.places.push(place.clone());
            next
        });
        self.program.code.push(Inst {
            guard: None,
            action,
            mnemonic: mnemonic.to_string(),
            line,
            place,
            reads: std::mem::take(&mut self.reads),
            writes: std::mem::take(&mut self.writes),
            meet: NEVER,
        });
    }

    /// `call{.uni} (returned), function, (arguments);`: the function's body in place of the call. Its parameters are the
    /// caller's variables.
    fn call(&mut self, instruction: &Instruction) -> Result<(), Error> {
        let wrong = |message: String| Error {
            line: instruction.line,
            message: format!("`{}`: {message}", instruction.mnemonic()),
        };
        let list = |operand: &Operand| match operand {
            Operand::List(list) => Some(list.clone()),
            _ => None,
        };
        let (returned, rest) = match instruction.operands.split_first() {
            Some((Operand::List(returned), rest)) => (returned.clone(), rest),
            _ => (Vec::new(), &instruction.operands[..]),
        };
        let (name, arguments) = match rest {
            [Operand::Name(name)] => (name, Vec::new()),
            [Operand::Name(name), arguments] => (name, list(arguments).unwrap_or_default()),
            _ => return Err(wrong("calls by pointer are not of the subset".into())),
        };
        let Some(function) = self.functions.get(name.as_str()).copied() else {
            return Err(wrong(format!("there is no function `{name}`; calls by pointer are not of the subset")));
        };
        if instruction.guard.is_some() {
            return Err(wrong("a call under a predicate is not of the subset".into()));
        }
        if self.calls.contains(name) {
            return Err(wrong(format!("`{name}` calls itself: recursion is not of the subset")));
        }
        let formal: Vec<_> = function.returns.iter().chain(&function.params).collect();
        if returned.len() != function.returns.len() || arguments.len() != function.params.len() {
            return Err(wrong(format!("`{name}` takes and returns another number of values")));
        }
        let mut names = HashMap::new();
        for (formal, actual) in formal.into_iter().zip(returned.iter().chain(&arguments)) {
            let Operand::Name(actual) = actual else {
                return Err(wrong("arguments are `.param` variables in the subset".into()));
            };
            let meaning = self.meaning(actual).filter(|m| matches!(m, Meaning::Address(Space::Local, _)));
            let Some(meaning) = meaning else {
                return Err(wrong(format!("`{actual}` is no `.param` variable")));
            };
            names.insert(formal.name.clone(), meaning);
        }
        let end = self.new_label();
        let inner = Frame { names, end: Some(end), ..Frame::default() };
        let outer = std::mem::replace(&mut self.frame, inner);
        self.calls.push(name.clone());
        self.function(function)?;
        self.calls.pop();
        self.labels[end] = self.program.code.len();
        self.frame = outer;
        Ok(())
    }

    /// Replaces labels by places in the code.
    fn patch(&mut self) {
        for inst in &mut self.program.code {
            match &mut inst.action {
                Action::Branch { target, .. } => *target = self.labels[*target],
                Action::Table { targets, .. } => targets.iter_mut().for_each(|t| *t = self.labels[*t]),
                _ => {}
            }
        }
    }
}

/// The names in an operand.
fn names(operand: &Operand) -> Vec<&str> {
    match operand {
        Operand::Name(name) | Operand::Offset(name, _) => vec![name],
        Operand::Address(base, _) => names(base),
        Operand::Vector(list) | Operand::List(list) => list.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}
