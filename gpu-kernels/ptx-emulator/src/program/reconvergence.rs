//! The points of reconvergence of branches, which are their immediate post-dominators.
//!
//! Post-dominators are dominators of the reversed graph of instructions, found as in Cooper, Harvey and Kennedy, "A
//! simple, fast dominance algorithm", 2001. A trap has no successor. So a path that ends in a trap does not delay the
//! reconvergence of the other paths.

use super::instruction::{Action, Inst, NEVER};

/// Sets [`Inst::reconvergence`] of every instruction of the kernel, or of one function. `code` begins at instruction
/// `start` of the program, which is 0 for the kernel.
pub(super) fn find_reconvergence(code: &mut [Inst], start: usize) {
    let end = code.len();
    let successors: Vec<Vec<usize>> =
        code.iter().enumerate().map(|(at, inst)| successors(at, inst, start, end)).collect();
    let mut predecessors = vec![Vec::new(); end + 1];
    for (at, next) in successors.iter().enumerate() {
        for next in next {
            predecessors[*next].push(at);
        }
    }
    let order = postorder(&predecessors, end);
    let mut number = vec![NEVER; end + 1];
    order.iter().enumerate().for_each(|(at, node)| number[*node] = at);
    let mut dominator = vec![NEVER; end + 1];
    dominator[end] = end;
    let mut changed = true;
    while changed {
        changed = false;
        for node in order.iter().rev().copied().filter(|node| *node != end) {
            let known = successors[node].iter().copied().filter(|next| dominator[*next] != NEVER);
            let nearest = known.reduce(|a, b| common(&dominator, &number, a, b)).unwrap_or(NEVER);
            changed |= std::mem::replace(&mut dominator[node], nearest) != nearest;
        }
    }
    for (at, inst) in code.iter_mut().enumerate() {
        inst.reconvergence = if dominator[at] >= end { NEVER } else { start + dominator[at] };
    }
}

/// Returns the nodes that reach `end`, in postorder of the reversed graph.
fn postorder(predecessors: &[Vec<usize>], end: usize) -> Vec<usize> {
    let mut order = Vec::new();
    let mut stack = vec![(end, 0)];
    let mut seen = vec![false; predecessors.len()];
    seen[end] = true;
    while let Some((node, next)) = stack.pop() {
        let Some(before) = predecessors[node].get(next) else {
            order.push(node);
            continue;
        };
        stack.push((node, next + 1));
        if !std::mem::replace(&mut seen[*before], true) {
            stack.push((*before, 0));
        }
    }
    order
}

/// Returns the nearest node that post-dominates both `a` and `b`.
fn common(dominator: &[usize], number: &[usize], mut a: usize, mut b: usize) -> usize {
    while a != b {
        while number[a] < number[b] {
            a = dominator[a];
        }
        while number[b] < number[a] {
            b = dominator[b];
        }
    }
    a
}

/// Returns the instructions that may follow an instruction. An exit from a function is no way to the function's end,
/// where the other lanes reconverge before they return.
pub(super) fn successors(at: usize, inst: &Inst, start: usize, end: usize) -> Vec<usize> {
    let mut next = match &inst.action {
        Action::Branch { target, .. } => vec![*target - start],
        Action::Table { targets, .. } => targets.iter().map(|target| *target - start).collect(),
        Action::Return => vec![end],
        Action::Exit if start == 0 => vec![end],
        Action::Exit | Action::Trap => Vec::new(),
        _ => return vec![at + 1],
    };
    if inst.guard.is_some() {
        next.push(at + 1);
    }
    next
}
