//! A module's variables get their addresses, its kernels their programs.

use std::collections::HashMap;

use super::Program;
use super::builder::build;
use crate::ptx::Error;
use crate::ptx::syntax::{Module, Space, Variable};

/// What names of the module's scope mean.
#[derive(Default)]
pub(super) struct Symbols {
    /// Global and constant variables.
    pub(super) addresses: HashMap<String, (Space, u64)>,
    pub(super) shared: Vec<Variable>,
    /// Where a block's shared memory begins.
    pub(super) shared_base: u64,
}

/// A module ready to run.
pub struct Linked {
    /// Kernels by name.
    pub kernels: HashMap<String, Program>,
    /// Global and constant variables: address, size and first bytes.
    pub variables: Vec<(String, u64, Vec<u8>)>,
    /// `.file` paths.
    pub files: HashMap<u32, String>,
}

/// Links a module; `allocate` gives memory of a size for a variable, `shared_base` is where shared memory begins.
///
/// # Errors
/// If an instruction is not of the subset, or a name is not known.
pub fn link(module: &Module, shared_base: u64, mut allocate: impl FnMut(u64) -> u64) -> Result<Linked, Error> {
    let (shared, others): (Vec<_>, Vec<_>) = module.variables.iter().cloned().partition(|v| v.space == Space::Shared);
    let mut addresses = HashMap::new();
    for variable in &others {
        if variable.size == 0 {
            let message = format!("unresolved extern variable `{}`", variable.name);
            return Err(Error { line: variable.line, message });
        }
        addresses.insert(variable.name.clone(), (variable.space, allocate(u64::from(variable.size))));
    }
    let mut variables = Vec::new();
    for variable in others {
        let mut bytes = variable.init;
        for (at, symbol) in variable.addresses {
            let Some((_, address)) = addresses.get(&symbol) else {
                let message = format!("unresolved symbol `{symbol}`");
                return Err(Error { line: variable.line, message });
            };
            let offset = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
            bytes[at..at + 8].copy_from_slice(&address.wrapping_add(offset).to_le_bytes());
        }
        bytes.resize(variable.size as usize, 0);
        variables.push((variable.name.clone(), addresses[&variable.name].1, bytes));
    }
    let symbols = Symbols { addresses, shared, shared_base };
    let functions: HashMap<_, _> = module.functions.iter().filter(|f| !f.entry).map(|f| (f.name.as_str(), f)).collect();
    let mut kernels = HashMap::new();
    for kernel in module.functions.iter().filter(|function| function.entry) {
        kernels.insert(kernel.name.clone(), build(kernel, &functions, &symbols)?);
    }
    Ok(Linked { kernels, variables, files: module.files.clone() })
}
