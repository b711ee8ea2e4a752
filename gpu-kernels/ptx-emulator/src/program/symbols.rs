//! The variables and functions of a module, as its kernels refer to them.

use std::collections::HashMap;

use super::instruction::FUNCTIONS;
use crate::ptx::syntax::{Function, Module, Operand, Space, Variable};

/// The variables and functions of a module.
pub(super) struct Symbols<'a> {
    /// The addresses of global and constant variables, and of functions.
    pub(super) addresses: HashMap<&'a str, (Space, u64)>,
    /// The names of variables that are not supported, each with the reason.
    pub(super) missing: HashMap<String, String>,
    /// The variables in shared memory, which each kernel lays out for itself.
    pub(super) shared: Vec<&'a Variable>,
    /// The address at which a block's shared memory begins.
    pub(super) shared_base: u64,
    /// The functions that are not kernels.
    pub(super) functions: HashMap<&'a str, &'a Function>,
    /// The names in the initial values of variables.
    pub(super) in_initialisers: Vec<&'a str>,
    /// The size in bytes of the largest list of parameters or results of any function.
    pub(super) largest_call: usize,
}

impl<'a> Symbols<'a> {
    /// Returns the functions of a module, with an address for each, and the names in initial values.
    pub(super) fn new(module: &'a Module, shared_base: u64) -> Self {
        let functions: Vec<_> = module.functions.iter().filter(|function| !function.entry).collect();
        let address = |(i, function): (usize, &&'a Function)| {
            (function.name.as_str(), (Space::Global, FUNCTIONS + 16 * i as u64))
        };
        let prototypes = module.functions.iter().filter_map(|function| function.body.as_ref());
        let prototypes = prototypes.flat_map(|body| body.prototypes.values());
        let lists = functions.iter().map(|function| [&function.returns, &function.params]);
        let lists = lists.chain(prototypes.map(|prototype| [&prototype.returns, &prototype.params])).flatten();
        Self {
            addresses: functions.iter().enumerate().map(address).collect(),
            missing: HashMap::new(),
            shared: module.variables.iter().filter(|variable| variable.space == Space::Shared).collect(),
            shared_base,
            in_initialisers: module
                .variables
                .iter()
                .flat_map(|v| &v.addresses)
                .map(|(_, name)| name.as_str())
                .collect(),
            largest_call: lists.map(|list| layout(list).1).max().unwrap_or(0),
            functions: functions.into_iter().map(|function| (function.name.as_str(), function)).collect(),
        }
    }
}

/// Adds a variable to a memory of `size` bytes, and returns its offset.
pub(super) fn allocate(size: &mut usize, variable: &Variable) -> u64 {
    let offset = size.next_multiple_of(variable.align.max(1) as usize);
    *size = offset + variable.size as usize;
    offset as u64
}

/// Returns the offset of each variable of a list, and the size of all of them.
pub(super) fn layout(list: &[Variable]) -> (Vec<u64>, usize) {
    let mut size = 0;
    let offsets = list.iter().map(|variable| allocate(&mut size, variable)).collect();
    (offsets, size)
}

/// Returns the names in an operand.
pub(super) fn names(operand: &Operand) -> Vec<&str> {
    match operand {
        Operand::Name(name) | Operand::Offset(name, _) => vec![name],
        Operand::Address(base, _) => names(base),
        Operand::Vector(list) | Operand::List(list) => list.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}
