//! The functions that a kernel reaches by calls, and which of them may call themselves.

use std::collections::{HashMap, HashSet};

use super::symbols::{Symbols, names};
use crate::ptx::syntax::{Function, Instruction, Operand, Statement};

/// The functions that a kernel reaches.
pub(super) struct CallGraph<'a> {
    /// The kernel, and then the functions that it reaches.
    pub(super) functions: Vec<&'a Function>,
    /// The names of the functions that a call of theirs may reach again.
    pub(super) recursive: HashSet<&'a str>,
    /// Whether a function calls another one.
    pub(super) has_calls: bool,
}

/// Returns the operand of a call that names the callee, and the index of this operand.
pub(super) fn callee(call: &Instruction) -> Option<(usize, &str)> {
    let at = usize::from(matches!(call.operands.first(), Some(Operand::List(_))));
    match call.operands.get(at) {
        Some(Operand::Name(name)) => Some((at, name)),
        _ => None,
    }
}

impl<'a> CallGraph<'a> {
    pub(super) fn new(kernel: &'a Function, symbols: &Symbols<'a>) -> Self {
        let mut graph = Self { functions: vec![kernel], recursive: HashSet::new(), has_calls: false };
        let (mut indices, mut edges) = (HashMap::new(), Vec::new());
        let (mut by_pointer, mut taken) = (Vec::new(), HashSet::new());
        while let Some(function) = graph.functions.get(edges.len()).copied() {
            let mut calls = Vec::new();
            let mut index = |name: &str| {
                let function = *symbols.functions.get(name)?;
                Some(*indices.entry(function.name.as_str()).or_insert_with(|| {
                    graph.functions.push(function);
                    graph.functions.len() - 1
                }))
            };
            for instruction in instructions(function) {
                let direct = if instruction.opcode == "call" { callee(instruction) } else { None };
                graph.has_calls |= instruction.opcode == "call";
                if let Some((_, name)) = direct {
                    match index(name) {
                        Some(callee) => calls.push(callee),
                        None => by_pointer.push(edges.len()),
                    }
                }
                let direct = direct.map(|(at, _)| at);
                let others = instruction.operands.iter().enumerate().filter(|(at, _)| Some(*at) != direct);
                taken.extend(others.flat_map(|(_, operand)| names(operand)).filter_map(&mut index));
            }
            if by_pointer.last() == Some(&edges.len()) {
                taken.extend(symbols.in_initialisers.iter().filter_map(|name| index(name)));
            }
            edges.push(calls);
        }
        for caller in by_pointer {
            edges[caller].extend(&taken);
        }
        let cyclic = on_cycles(&edges);
        graph.recursive =
            graph.functions.iter().zip(cyclic).filter(|(_, cyclic)| *cyclic).map(|(f, _)| f.name.as_str()).collect();
        graph
    }
}

/// Returns the instructions of a function.
pub(super) fn instructions(function: &Function) -> impl Iterator<Item = &Instruction> {
    function.body.iter().flat_map(|body| &body.statements).filter_map(|statement| match statement {
        Statement::Instruction(instruction) => Some(instruction),
        Statement::Label(_) => None,
    })
}

/// Returns for each node whether it is on a cycle, or on a path between two cycles.
///
/// All other nodes are removed one after the other, first those that reach no cycle, then those that no cycle reaches.
fn on_cycles(edges: &[Vec<usize>]) -> Vec<bool> {
    let mut reversed = vec![Vec::new(); edges.len()];
    for (from, to) in edges.iter().enumerate().flat_map(|(from, all)| all.iter().map(move |to| (from, *to))) {
        reversed[to].push(from);
    }
    let mut kept = vec![true; edges.len()];
    for (next, previous) in [(edges, &reversed[..]), (&reversed[..], edges)] {
        let mut degrees: Vec<_> = next.iter().map(Vec::len).collect();
        let mut ends: Vec<_> = (0..edges.len()).filter(|node| degrees[*node] == 0).collect();
        while let Some(node) = ends.pop() {
            kept[node] = false;
            for before in &previous[node] {
                degrees[*before] -= 1;
                if degrees[*before] == 0 {
                    ends.push(*before);
                }
            }
        }
    }
    kept
}
