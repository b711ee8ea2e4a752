//! The building of a kernel's program, which decodes the kernel and the functions that it reaches, and resolves labels.

use std::collections::HashMap;

use super::call_graph::CallGraph;
use super::decode::decode;
use super::instruction::{Action, FrameLayout, Inst, NEVER, Program};
use super::names::{Frame, Meaning, Names};
use super::reconvergence::find_reconvergence;
use super::shared::{Key, lay_out};
use super::slots::Slots;
use super::symbols::{Symbols, allocate};
use crate::ptx::Error;
use crate::ptx::syntax::{Body, Function, Instruction, SourceLocation, Space, Statement, Variable};

/// The limit of a kernel's instructions with those of its functions, and of the targets in its branch tables.
const MAX_INSTRUCTIONS: usize = 4_000_000;

/// The largest size in bytes of a kernel's parameters and of a function's, and of a thread's local memory (CUDA C++
/// Programming Guide, "Technical Specifications per Compute Capability").
const MAX_PARAMETERS: usize = 32_764;
const MAX_LOCAL: usize = 512 << 10;

/// A kernel's program that is being built.
pub(super) struct Builder<'a> {
    pub(super) symbols: &'a Symbols<'a>,
    pub(super) graph: CallGraph<'a>,
    pub(super) names: Names,
    pub(super) program: Program,
    /// The labels of the functions that the kernel reaches.
    pub(super) labels: HashMap<&'a str, usize>,
    /// The place in local memory through which calls pass parameters and results.
    pub(super) area: u64,
    /// The index in [`Program::frames`] of the current function, if it is recursive.
    pub(super) frame: Option<usize>,
    /// The slots that the kernel's registers share.
    slots: Option<&'a Slots>,
    /// The addresses of shared variables.
    shared: HashMap<Key<'a>, u64>,
    /// The number of targets in branch tables.
    targets: usize,
    /// The indices into [`Program::source_locations`].
    source_locations: HashMap<SourceLocation, usize>,
}

/// Returns the error that something in this line is not supported.
pub(super) fn unsupported(line: u32, message: String) -> Error {
    Error { line, message, unsupported: true }
}

/// Builds the program of a kernel.
pub(super) fn build<'a>(kernel: &'a Function, symbols: &'a Symbols<'a>) -> Result<Program, Error> {
    let builder = Builder::run(kernel, symbols, None)?;
    let slots = match &kernel.body {
        Some(body) if !builder.graph.has_calls => Slots::share(body, &builder.names, &builder.program.code),
        _ => None,
    };
    let Some(slots) = slots else { return Ok(builder.finish()) };
    // The slots are known only after decoding, so the kernel is decoded again.
    let mut program = Builder::run(kernel, symbols, Some(&slots))?.finish();
    for (inst, separate) in program.code.iter_mut().zip(builder.program.code) {
        (inst.reads, inst.writes) = (separate.reads, separate.writes);
    }
    program.slots = slots.of_registers(&builder.names);
    Ok(program)
}

impl<'a> Builder<'a> {
    /// Decodes a kernel, with these slots for its registers, or with a slot for each.
    fn run(kernel: &'a Function, symbols: &'a Symbols<'a>, slots: Option<&'a Slots>) -> Result<Self, Error> {
        let mut program = Program::with_parameters(kernel);
        for (size, what) in [(program.param_size, "kernel"), (symbols.largest_call, "function")] {
            if size > MAX_PARAMETERS {
                let message = format!("a {what} has at most {MAX_PARAMETERS} bytes of parameters, got {size}");
                return Err(unsupported(kernel.line, message));
            }
        }
        let graph = CallGraph::new(kernel, symbols);
        let shared = lay_out(symbols, &graph, &mut program.shared_size);
        let mut names = slots.map(Slots::new_names).unwrap_or_default();
        names.missing.clone_from(&symbols.missing);
        for (name, (space, address)) in &symbols.addresses {
            names.module.insert((*name).to_string(), Meaning::Address(*space, *address));
        }
        for ((_, name), address) in shared.iter().filter(|((function, _), _)| function.is_empty()) {
            names.module.insert((*name).to_string(), Meaning::Address(Space::Shared, *address));
        }
        let labels = graph.functions[1..].iter().map(|function| (function.name.as_str(), names.new_label())).collect();
        // The area has the strictest alignment of a parameter, 16 bytes, and comes first.
        program.local_size = if graph.has_calls { symbols.largest_call.next_multiple_of(16) } else { 0 };
        let (area, frame, targets, source_locations) = (0, None, 0, HashMap::new());
        let mut builder =
            Self { symbols, graph, names, program, labels, area, frame, slots, shared, targets, source_locations };
        builder.functions(kernel)?;
        let local = builder.program.local_size;
        if local > MAX_LOCAL {
            let message = format!("a thread has at most {MAX_LOCAL} bytes of local memory, got {local}");
            return Err(unsupported(kernel.line, message));
        }
        Ok(builder)
    }

    /// Returns the program with its registers.
    fn finish(self) -> Program {
        let Names { registers, specials, reserved_shared, .. } = self.names;
        Program { registers, specials, reserved_shared, ..self.program }
    }

    /// Builds the kernel and then the functions that it reaches, and resolves their labels.
    fn functions(&mut self, kernel: &'a Function) -> Result<(), Error> {
        for (param, (offset, _)) in kernel.params.iter().zip(&self.program.params) {
            self.names.frame.names.insert(param.name.clone(), Meaning::Address(Space::Param, *offset as u64));
        }
        self.body(kernel, 0)?;
        self.instruction(&Instruction { opcode: "exit".into(), line: kernel.line, ..Instruction::default() })?;
        let mut starts = vec![0];
        for i in 1..self.graph.functions.len() {
            let function = self.graph.functions[i];
            if function.body.is_some() {
                starts.push(self.program.code.len());
                self.function(function)?;
            }
        }
        resolve_labels(&mut self.program.code, &self.names.labels);
        starts.push(self.program.code.len());
        for range in starts.windows(2) {
            find_reconvergence(&mut self.program.code[range[0]..range[1]], range[0]);
        }
        for (name, label) in &self.labels {
            if let Some((_, address)) = self.symbols.addresses.get(name) {
                self.program.functions.insert(*address, self.names.labels[*label]);
            }
        }
        Ok(())
    }

    /// Builds a function that is not a kernel.
    fn function(&mut self, function: &'a Function) -> Result<(), Error> {
        self.names.labels[self.labels[function.name.as_str()]] = self.program.code.len();
        let end = self.names.new_label();
        self.names.frame = Frame { end: Some(end), ..Frame::default() };
        let start = self.program.local_size;
        self.receive(function);
        self.body(function, start)?;
        self.frame = None;
        self.names.labels[end] = self.program.code.len();
        self.give_back(function);
        Ok(())
    }

    /// Builds a function's body in the current frame. `start` is the size of local memory before the frame.
    fn body(&mut self, function: &'a Function, start: usize) -> Result<(), Error> {
        if let Some(error) = &function.unsupported {
            return Err(error.clone());
        }
        let Some(body) = &function.body else {
            return Err(unsupported(function.line, format!("`{}` has no body", function.name)));
        };
        self.declare(function, body)?;
        if self.graph.recursive.contains(function.name.as_str()) {
            let registers = self.names.frame.names.values().filter_map(|meaning| match meaning {
                Meaning::Register(register) => Some(register.words()),
                Meaning::Address(..) => None,
            });
            let layout =
                FrameLayout { registers: registers.flatten().collect(), local: start..self.program.local_size };
            self.frame = Some(self.program.frames.len());
            self.program.frames.push(layout);
        }
        for statement in &body.statements {
            match statement {
                Statement::Label(name) => {
                    let label = self.names.label(name);
                    if self.names.labels[label] != NEVER {
                        let message = format!("label `{name}` is defined twice in `{}`", function.name);
                        return Err(unsupported(function.line, message));
                    }
                    self.names.labels[label] = self.program.code.len();
                }
                Statement::Instruction(instruction) => self.instruction(instruction)?,
            }
        }
        match self.names.frame.labels.iter().find(|(_, label)| self.names.labels[**label] == NEVER) {
            Some((name, _)) => Err(unsupported(function.line, format!("label `{name}` is not in `{}`", function.name))),
            None => Ok(()),
        }
    }

    /// Declares the registers, variables, tables and prototypes of a body.
    fn declare(&mut self, function: &'a Function, body: &Body) -> Result<(), Error> {
        for (name, typ) in &body.registers {
            if !self.names.frame.names.contains_key(name) {
                let slot = self.slots.and_then(|slots| slots.names.get(name).copied());
                let register = slot.unwrap_or_else(|| self.names.new_register(typ.bits(), 0));
                self.names.frame.names.insert(name.clone(), Meaning::Register(register));
            }
        }
        for variable in &body.variables {
            let meaning = match self.shared.get(&(function.name.as_str(), variable.name.as_str())) {
                Some(address) => Meaning::Address(Space::Shared, *address),
                None => Meaning::Address(Space::Local, self.local(variable)),
            };
            if variable.space == Space::Local && self.graph.recursive.contains(function.name.as_str()) {
                let message =
                    format!("`{}` calls itself and has the local variable `{}`", function.name, variable.name);
                return Err(unsupported(function.line, message + "; this is not of the subset"));
            }
            self.names.frame.names.insert(variable.name.clone(), meaning);
        }
        self.names.frame.tables.clone_from(&body.tables);
        self.names.frame.prototypes.clone_from(&body.prototypes);
        Ok(())
    }

    /// Adds a variable to local memory, and returns its offset.
    pub(super) fn local(&mut self, variable: &Variable) -> u64 {
        allocate(&mut self.program.local_size, variable)
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<(), Error> {
        let error = |message: String| unsupported(instruction.line, format!("`{}`: {message}", instruction.mnemonic()));
        if self.program.code.len() + self.targets > MAX_INSTRUCTIONS {
            return Err(error(format!(
                "the kernel has more than {MAX_INSTRUCTIONS} instructions and targets with those of its functions"
            )));
        }
        if instruction.opcode == "call" {
            return self.call(instruction).map_err(error);
        }
        let (inst, inexact) = decode(&mut self.names, instruction).map_err(error)?;
        if let Some(reason) = inexact {
            self.program.inexact.get_or_insert_with(|| error(reason.into()));
        }
        if let Action::Table { targets, .. } = &inst.action {
            self.targets += targets.len();
        }
        self.push(inst, &instruction.source_location);
        Ok(())
    }

    /// Appends an instruction.
    pub(super) fn push(&mut self, mut inst: Inst, location: &SourceLocation) {
        let locations = &mut self.program.source_locations;
        inst.source_location = if let Some(index) = self.source_locations.get(location) {
            *index
        } else {
            locations.push(location.clone());
            self.source_locations.insert(location.clone(), locations.len() - 1);
            locations.len() - 1
        };
        self.program.code.push(inst);
    }
}

/// Replaces labels by indices of instructions.
fn resolve_labels(code: &mut [Inst], labels: &[usize]) {
    for inst in code {
        match &mut inst.action {
            Action::Branch { target, .. } | Action::Call { target, .. } => *target = labels[*target],
            Action::Table { targets, .. } => targets.iter_mut().for_each(|target| *target = labels[*target]),
            _ => {}
        }
    }
}
