//! The step from a module to each kernel's program, which lays out variables, inlines functions and resolves labels.

use std::collections::{HashMap, HashSet};

use super::decode::decode;
use super::instruction::{Action, Inst, NEVER, Program};
use super::names::{Frame, Meaning, Names};
use super::reconvergence::find_reconvergence;
use crate::ptx::Error;
use crate::ptx::syntax::{Function, Instruction, Module, Operand, SourceLocation, Space, Statement, Variable};

/// The limit of a kernel's instructions after inlining. A larger kernel nests its calls too deeply.
const MAX_INSTRUCTIONS: usize = 4_000_000;

/// The largest size in bytes of a kernel's parameters, and of a thread's local memory (CUDA C++ Programming Guide,
/// "Technical Specifications per Compute Capability").
const MAX_PARAMETERS: usize = 32_764;
const MAX_LOCAL: usize = 512 << 10;

/// A module that is ready to run.
pub struct Linked {
    /// The kernels by name.
    pub kernels: HashMap<String, Program>,
    /// The global and constant variables.
    pub variables: Vec<Global>,
    /// The `.file` paths by number.
    pub files: HashMap<u32, String>,
}

/// A global or constant variable.
pub struct Global {
    pub name: String,
    pub address: u64,
    /// The size in bytes.
    pub size: usize,
    /// The first bytes. All other bytes are zero.
    pub bytes: Vec<u8>,
}

/// Links a module. `allocate` takes a size and returns an address. Shared memory begins at `shared_base`.
pub fn link(module: &Module, shared_base: u64, mut allocate: impl FnMut(u64) -> u64) -> Linked {
    let (shared, others): (Vec<_>, Vec<_>) = module.variables.iter().partition(|v| v.space == Space::Shared);
    let mut addresses = HashMap::new();
    let mut missing: HashMap<_, _> =
        module.missing.iter().map(|(name, error)| (name.clone(), error.message.clone())).collect();
    let (others, external): (Vec<_>, Vec<_>) = others.into_iter().partition(|variable| variable.size > 0);
    missing.extend(external.iter().map(|variable| (variable.name.clone(), "this variable is not defined".into())));
    for variable in &others {
        addresses.insert(variable.name.as_str(), (variable.space, allocate(u64::from(variable.size))));
    }
    let mut variables = Vec::new();
    for variable in others {
        let bytes = initial_bytes(variable, &addresses).unwrap_or_else(|reason| {
            missing.insert(variable.name.clone(), reason);
            variable.init.clone()
        });
        let address = addresses[variable.name.as_str()].1;
        variables.push(Global { name: variable.name.clone(), address, size: variable.size as usize, bytes });
    }
    addresses.retain(|name, _| !missing.contains_key(*name));
    let (entries, functions): (Vec<_>, Vec<_>) = module.functions.iter().partition(|function| function.entry);
    let functions = functions.into_iter().map(|function| (function.name.as_str(), function)).collect();
    let symbols = Symbols { addresses, missing, shared, shared_base, functions };
    let mut kernels = HashMap::new();
    for kernel in entries {
        let program = build(kernel, &symbols)
            .unwrap_or_else(|error| Program { unsupported: Some(error), ..Program::with_parameters(kernel) });
        kernels.insert(kernel.name.clone(), program);
    }
    Linked { kernels, variables, files: module.files.clone() }
}

/// Returns the first bytes of a variable, with the addresses of other variables filled in.
fn initial_bytes(variable: &Variable, addresses: &HashMap<&str, (Space, u64)>) -> Result<Vec<u8>, String> {
    let mut bytes = variable.init.clone();
    for (at, symbol) in &variable.addresses {
        let Some((_, address)) = addresses.get(symbol.as_str()) else {
            return Err(format!("its initial value names `{symbol}`, which is not defined"));
        };
        let place = &mut bytes[*at..at + 8];
        let offset = u64::from_le_bytes((*place).try_into().expect("an address has eight bytes"));
        place.copy_from_slice(&address.wrapping_add(offset).to_le_bytes());
    }
    Ok(bytes)
}

/// The variables and functions of a module.
struct Symbols<'a> {
    /// The addresses of global and constant variables.
    addresses: HashMap<&'a str, (Space, u64)>,
    /// The names of variables that are not supported, each with the reason.
    missing: HashMap<String, String>,
    /// The variables in shared memory, which each kernel lays out for itself.
    shared: Vec<&'a Variable>,
    /// The address at which a block's shared memory begins.
    shared_base: u64,
    /// The functions that are not kernels.
    functions: HashMap<&'a str, &'a Function>,
}

struct Builder<'a> {
    symbols: &'a Symbols<'a>,
    names: Names,
    program: Program,
    /// The names of the functions that are being inlined, outermost first.
    calls: Vec<String>,
    /// The indices into [`Program::source_locations`].
    source_locations: HashMap<SourceLocation, usize>,
}

fn build(kernel: &Function, symbols: &Symbols) -> Result<Program, Error> {
    let program = Program::with_parameters(kernel);
    if program.param_size > MAX_PARAMETERS {
        let message = format!("a kernel has at most {MAX_PARAMETERS} bytes of parameters, got {}", program.param_size);
        return Err(Error { line: kernel.line, message, unsupported: true });
    }
    let (names, calls, source_locations) = (Names::default(), Vec::new(), HashMap::new());
    let mut builder = Builder { symbols, names, program, calls, source_locations };
    for (name, (space, address)) in &symbols.addresses {
        builder.names.module.insert((*name).to_string(), Meaning::Address(*space, *address));
    }
    builder.shared_variables(kernel);
    builder.names.missing.clone_from(&symbols.missing);
    for (param, (offset, _)) in kernel.params.iter().zip(&builder.program.params) {
        builder.names.frame.names.insert(param.name.clone(), Meaning::Address(Space::Param, *offset as u64));
    }
    builder.function(kernel)?;
    builder.instruction(&Instruction { opcode: "exit".into(), line: kernel.line, ..Instruction::default() })?;
    let Builder { mut program, names, .. } = builder;
    resolve_labels(&mut program.code, &names.labels);
    find_reconvergence(&mut program.code);
    if program.local_size > MAX_LOCAL {
        let message = format!("a thread has at most {MAX_LOCAL} bytes of local memory, got {}", program.local_size);
        return Err(Error { line: kernel.line, message, unsupported: true });
    }
    (program.registers, program.specials) = (names.registers, names.specials);
    Ok(program)
}

impl Program {
    /// Returns the program of a kernel without its instructions.
    fn with_parameters(kernel: &Function) -> Self {
        let Function { name, line, max_threads, .. } = kernel;
        let mut program = Self { name: name.clone(), line: *line, max_threads: *max_threads, ..Self::default() };
        for param in &kernel.params {
            let offset = allocate(&mut program.param_size, param);
            program.params.push((offset as usize, param.size as usize));
        }
        program
    }
}

impl<'a> Builder<'a> {
    /// Lays out the shared variables that the kernel and the functions it calls declare or name.
    fn shared_variables(&mut self, kernel: &'a Function) {
        let mut named = HashSet::new();
        let mut reached = vec![kernel];
        let mut local = Vec::new();
        while let Some(function) = reached.pop() {
            let Some(body) = &function.body else { continue };
            local.extend(body.variables.iter().filter(|variable| variable.space == Space::Shared));
            for statement in &body.statements {
                let Statement::Instruction(instruction) = statement else { continue };
                for name in instruction.operands.iter().flat_map(names).filter(|name| named.insert(*name)) {
                    reached.extend(self.symbols.functions.get(name));
                }
            }
        }
        let used = self.symbols.shared.iter().copied().filter(|variable| named.contains(variable.name.as_str()));
        let (fixed, dynamic): (Vec<_>, Vec<_>) = used.partition(|variable| variable.size > 0);
        let base = self.symbols.shared_base;
        let size = &mut self.program.shared_size;
        let mut addresses: Vec<_> =
            fixed.into_iter().chain(local).map(|variable| (variable, base + allocate(size, variable))).collect();
        // All arrays whose size the launch gives begin at one address, after the other variables.
        let align = dynamic.iter().map(|variable| variable.align as usize).max().unwrap_or(16);
        *size = size.next_multiple_of(align);
        addresses.extend(dynamic.into_iter().map(|variable| (variable, base + *size as u64)));
        for (variable, address) in addresses {
            self.names.module.insert(variable.name.clone(), Meaning::Address(Space::Shared, address));
        }
    }

    /// Inlines a function's body into the current frame.
    fn function(&mut self, function: &'a Function) -> Result<(), Error> {
        let error = |message: String| Error { line: function.line, message, unsupported: true };
        if let Some(error) = &function.unsupported {
            return Err(error.clone());
        }
        let Some(body) = &function.body else {
            return Err(error(format!("unresolved extern function `{}`", function.name)));
        };
        for (name, typ) in &body.registers {
            let register = self.names.new_register(typ.bits(), 0);
            self.names.frame.names.insert(name.clone(), Meaning::Register(register));
        }
        for variable in body.variables.iter().filter(|variable| variable.space != Space::Shared) {
            let address = allocate(&mut self.program.local_size, variable);
            self.names.frame.names.insert(variable.name.clone(), Meaning::Address(Space::Local, address));
        }
        self.names.frame.tables.clone_from(&body.tables);
        for statement in &body.statements {
            match statement {
                Statement::Label(name) => {
                    let label = self.names.label(name);
                    if self.names.labels[label] != NEVER {
                        return Err(error(format!("label `{name}` is defined twice in `{}`", function.name)));
                    }
                    self.names.labels[label] = self.program.code.len();
                }
                Statement::Instruction(instruction) => self.instruction(instruction)?,
            }
        }
        match self.names.frame.labels.iter().find(|(_, label)| self.names.labels[**label] == NEVER) {
            Some((name, _)) => Err(error(format!("label `{name}` is not in `{}`", function.name))),
            None => Ok(()),
        }
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<(), Error> {
        let error = |message: String| Error {
            line: instruction.line,
            message: format!("`{}`: {message}", instruction.mnemonic()),
            unsupported: true,
        };
        if instruction.opcode == "call" {
            let (function, names) = self.callee(instruction).map_err(error)?;
            return self.call(function, names);
        }
        if self.program.code.len() > MAX_INSTRUCTIONS {
            return Err(error(format!(
                "the kernel has more than {MAX_INSTRUCTIONS} instructions with those of its functions"
            )));
        }
        let (inst, inexact) = decode(&mut self.names, instruction).map_err(error)?;
        if let Some(reason) = inexact {
            self.program.inexact.get_or_insert_with(|| error(reason.into()));
        }
        self.push(inst, &instruction.source_location);
        Ok(())
    }

    fn push(&mut self, mut inst: Inst, location: &SourceLocation) {
        let locations = &mut self.program.source_locations;
        inst.source_location = *self.source_locations.entry(location.clone()).or_insert_with(|| {
            locations.push(location.clone());
            locations.len() - 1
        });
        self.program.code.push(inst);
    }

    /// Returns the function of `call{.uni} (returned), function, (arguments);`, and its arguments by parameter.
    fn callee(&self, instruction: &Instruction) -> Result<(&'a Function, HashMap<String, Meaning>), String> {
        let (returned, rest) = match &instruction.operands[..] {
            [Operand::List(returned), rest @ ..] => (&returned[..], rest),
            rest => (&[][..], rest),
        };
        let (name, arguments) = match rest {
            [Operand::Name(name)] => (name, &[][..]),
            [Operand::Name(name), Operand::List(arguments)] => (name, &arguments[..]),
            _ => return Err("calls by pointer are not of the subset".into()),
        };
        let Some(function) = self.symbols.functions.get(name.as_str()).copied() else {
            return Err(format!("there is no function `{name}`; calls by pointer are not of the subset"));
        };
        if instruction.guard.is_some() {
            return Err("a call under a predicate is not of the subset".into());
        }
        if self.calls.contains(name) {
            return Err(format!("`{name}` calls itself; recursion is not of the subset"));
        }
        let counts = (function.returns.len(), function.params.len());
        if (returned.len(), arguments.len()) != counts {
            return Err(format!("`{name}` returns {} and takes {} values", counts.0, counts.1));
        }
        let mut names = HashMap::new();
        let formal = function.returns.iter().chain(&function.params);
        for (formal, actual) in formal.zip(returned.iter().chain(arguments)) {
            let variable = if let Operand::Name(actual) = actual { self.names.meaning(actual) } else { None };
            let Some(variable @ Meaning::Address(Space::Local, _)) = variable else {
                return Err(format!("expected a `.param` variable for `{}`", formal.name));
            };
            names.insert(formal.name.clone(), variable);
        }
        Ok((function, names))
    }

    /// Inlines a call, with the parameters' names in `names`.
    fn call(&mut self, function: &'a Function, names: HashMap<String, Meaning>) -> Result<(), Error> {
        let end = self.names.new_label();
        let inner = Frame { names, end: Some(end), ..Frame::default() };
        let outer = std::mem::replace(&mut self.names.frame, inner);
        self.calls.push(function.name.clone());
        self.function(function)?;
        self.calls.pop();
        self.names.labels[end] = self.program.code.len();
        self.names.frame = outer;
        Ok(())
    }
}

/// Adds a variable to a memory of `size` bytes, and returns its offset.
fn allocate(size: &mut usize, variable: &Variable) -> u64 {
    let offset = size.next_multiple_of(variable.align as usize);
    *size = offset + variable.size as usize;
    offset as u64
}

/// Replaces labels by indices of instructions.
fn resolve_labels(code: &mut [Inst], labels: &[usize]) {
    for inst in code {
        match &mut inst.action {
            Action::Branch { target, .. } => *target = labels[*target],
            Action::Table { targets, .. } => targets.iter_mut().for_each(|target| *target = labels[*target]),
            _ => {}
        }
    }
}

/// Returns the names in an operand.
fn names(operand: &Operand) -> Vec<&str> {
    match operand {
        Operand::Name(name) | Operand::Offset(name, _) => vec![name],
        Operand::Address(base, _) => names(base),
        Operand::Vector(list) | Operand::List(list) => list.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}
