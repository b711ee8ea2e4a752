//! The layout of a kernel's shared memory.

use std::collections::{HashMap, HashSet};

use super::call_graph::{CallGraph, instructions};
use super::symbols::{Symbols, allocate, names};
use crate::ptx::syntax::{Space, Variable};

/// The names of a function and of a shared variable that it declares, or an empty name and that of a variable of the
/// module.
pub(super) type Key<'a> = (&'a str, &'a str);

/// Lays out the shared variables that the functions of a kernel declare or name. Returns the address of each, and adds
/// the sizes to `size`.
pub(super) fn lay_out<'a>(symbols: &Symbols<'a>, graph: &CallGraph<'a>, size: &mut usize) -> HashMap<Key<'a>, u64> {
    let operands = graph.functions.iter().flat_map(|function| instructions(function)).flat_map(|i| &i.operands);
    let named: HashSet<_> = operands.flat_map(names).collect();
    let used = symbols.shared.iter().copied().filter(|variable| named.contains(variable.name.as_str()));
    let (fixed, dynamic): (Vec<_>, Vec<_>) = used.map(|variable| ("", variable)).partition(|(_, v)| v.size > 0);
    let local = graph.functions.iter().filter_map(|function| Some((function, function.body.as_ref()?)));
    let local = local.flat_map(|(function, body)| body.variables.iter().map(|v| (function.name.as_str(), v)));
    let local = local.filter(|(_, variable)| variable.space == Space::Shared);
    let key = |(function, variable): (&'a str, &'a Variable)| (function, variable.name.as_str());
    let base = symbols.shared_base;
    let mut addresses: HashMap<_, _> =
        fixed.into_iter().chain(local).map(|of| (key(of), base + allocate(size, of.1))).collect();
    // All arrays whose size the launch gives begin at one address, after the other variables.
    let align = dynamic.iter().map(|(_, variable)| variable.align as usize).max().unwrap_or(16);
    *size = size.next_multiple_of(align);
    addresses.extend(dynamic.into_iter().map(|of| (key(of), base + *size as u64)));
    addresses
}
