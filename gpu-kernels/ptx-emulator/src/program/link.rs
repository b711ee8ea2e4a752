//! Links a module: addresses for its variables, programs for its kernels.

use std::collections::HashMap;

use super::builder::{Symbols, build};
use super::instruction::Program;
use crate::ptx::Error;
use crate::ptx::syntax::{Module, Space, Variable};

/// A module that is ready to run.
pub struct Linked {
    /// The kernels by name.
    pub kernels: HashMap<String, Program>,
    /// The name, address and initial bytes of global and constant variables.
    pub variables: Vec<(String, u64, Vec<u8>)>,
    /// The `.file` paths by number.
    pub files: HashMap<u32, String>,
}

/// Links a module. `allocate` returns the address of new memory of a size; shared memory begins at `shared_base`.
///
/// # Errors
/// If an instruction is not of the subset, or a name is not declared.
pub fn link(module: &Module, shared_base: u64, mut allocate: impl FnMut(u64) -> u64) -> Result<Linked, Error> {
    let (shared, others): (Vec<_>, Vec<_>) = module.variables.iter().partition(|v| v.space == Space::Shared);
    let mut addresses = HashMap::new();
    for variable in &others {
        if variable.size == 0 {
            let message = format!("unresolved extern variable `{}`", variable.name);
            return Err(Error { line: variable.line, message });
        }
        addresses.insert(variable.name.as_str(), (variable.space, allocate(u64::from(variable.size))));
    }
    let mut variables = Vec::new();
    for variable in others {
        let bytes = initial_bytes(variable, &addresses)?;
        variables.push((variable.name.clone(), addresses[variable.name.as_str()].1, bytes));
    }
    let (entries, functions): (Vec<_>, Vec<_>) = module.functions.iter().partition(|function| function.entry);
    let functions = functions.into_iter().map(|function| (function.name.as_str(), function)).collect();
    let symbols = Symbols { addresses, shared, shared_base, functions };
    let mut kernels = HashMap::new();
    for kernel in entries {
        kernels.insert(kernel.name.clone(), build(kernel, &symbols)?);
    }
    Ok(Linked { kernels, variables, files: module.files.clone() })
}

/// Returns the bytes of a variable, with the addresses of other variables filled in.
fn initial_bytes(variable: &Variable, addresses: &HashMap<&str, (Space, u64)>) -> Result<Vec<u8>, Error> {
    let mut bytes = variable.init.clone();
    for (at, symbol) in &variable.addresses {
        let Some((_, address)) = addresses.get(symbol.as_str()) else {
            return Err(Error { line: variable.line, message: format!("unresolved symbol `{symbol}`") });
        };
        let place = &mut bytes[*at..at + 8];
        let offset = u64::from_le_bytes((*place).try_into().expect("an address has eight bytes"));
        place.copy_from_slice(&address.wrapping_add(offset).to_le_bytes());
    }
    bytes.resize(variable.size as usize, 0);
    Ok(bytes)
}
