//! The step from a module to the programs of its kernels and to its variables.

use std::collections::HashMap;

use super::build::build;
use super::instruction::Program;
use super::symbols::{Symbols, allocate};
use crate::ptx::syntax::{Function, Module, Space, Variable};

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
    let mut symbols = Symbols::new(module, shared_base);
    symbols.missing.extend(module.missing.iter().map(|(name, error)| (name.clone(), error.message.clone())));
    let others = module.variables.iter().filter(|variable| variable.space != Space::Shared);
    let (others, external): (Vec<_>, Vec<_>) = others.partition(|variable| variable.size > 0);
    let undefined = |variable: &Variable| (variable.name.clone(), "this variable is not defined".to_string());
    symbols.missing.extend(external.into_iter().map(undefined));
    for variable in &others {
        symbols.addresses.insert(&variable.name, (variable.space, allocate(u64::from(variable.size))));
    }
    let mut variables = Vec::new();
    for variable in others {
        let bytes = initial_bytes(variable, &symbols.addresses).unwrap_or_else(|reason| {
            symbols.missing.insert(variable.name.clone(), reason);
            variable.init.clone()
        });
        let address = symbols.addresses[variable.name.as_str()].1;
        variables.push(Global { name: variable.name.clone(), address, size: variable.size as usize, bytes });
    }
    symbols.addresses.retain(|name, _| !symbols.missing.contains_key(*name));
    let mut kernels = HashMap::new();
    for kernel in module.functions.iter().filter(|function| function.entry) {
        let program = build(kernel, &symbols)
            .unwrap_or_else(|error| Program { unsupported: Some(error), ..Program::with_parameters(kernel) });
        kernels.insert(kernel.name.clone(), program);
    }
    Linked { kernels, variables, files: module.files.clone() }
}

/// Returns the first bytes of a variable, with the addresses of other variables and of functions filled in.
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

impl Program {
    /// Returns the program of a kernel without its instructions.
    pub(super) fn with_parameters(kernel: &Function) -> Self {
        let Function { name, line, max_threads, cluster, .. } = kernel;
        let mut program =
            Self { name: name.clone(), line: *line, max_threads: *max_threads, cluster: *cluster, ..Self::default() };
        for param in &kernel.params {
            let offset = allocate(&mut program.param_size, param);
            program.params.push((offset as usize, param.size as usize));
        }
        program
    }
}
