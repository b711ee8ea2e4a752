//! Where the sides of a branch meet again: its immediate post-dominator.
//!
//! Post-dominators as in Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm", 2001, on the reversed graph of
//! instructions. A trap has no successor, so that a path that ends in one does not keep the others from meeting.

use super::{Action, Inst, NEVER};

/// Sets [`Inst::meet`] of every branch.
pub(super) fn find_meets(code: &mut [Inst]) {
    let end = code.len();
    let successors: Vec<Vec<usize>> = code.iter().enumerate().map(|(at, inst)| successors(at, inst, end)).collect();
    let mut predecessors = vec![Vec::new(); end + 1];
    for (at, next) in successors.iter().enumerate() {
        for next in next {
            predecessors[*next].push(at);
        }
    }
    // Numbers in postorder of the reversed graph, from the end.
    let mut number = vec![NEVER; end + 1];
    let mut order = Vec::new();
    let mut stack = vec![(end, 0)];
    let mut seen = vec![false; end + 1];
    seen[end] = true;
    while let Some((node, next)) = stack.pop() {
        if let Some(before) = predecessors[node].get(next) {
            stack.push((node, next + 1));
            if !std::mem::replace(&mut seen[*before], true) {
                stack.push((*before, 0));
            }
        } else {
            number[node] = order.len();
            order.push(node);
        }
    }
    let mut dominator = vec![NEVER; end + 1];
    dominator[end] = end;
    let mut changed = true;
    while changed {
        changed = false;
        for node in order.iter().rev().copied().filter(|node| *node != end) {
            let mut meet = NEVER;
            for next in successors[node].iter().copied().filter(|next| dominator[*next] != NEVER) {
                meet = if meet == NEVER { next } else { common(&dominator, &number, meet, next) };
            }
            changed |= std::mem::replace(&mut dominator[node], meet) != meet;
        }
    }
    for (at, inst) in code.iter_mut().enumerate() {
        inst.meet = if dominator[at] == end { NEVER } else { dominator[at] };
    }
}

/// The nearest node that post-dominates both.
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

fn successors(at: usize, inst: &Inst, end: usize) -> Vec<usize> {
    let mut next = match &inst.action {
        Action::Branch { target, .. } => vec![*target],
        Action::Table { targets, .. } => targets.clone(),
        Action::Exit => vec![end],
        Action::Trap => Vec::new(),
        _ => return vec![at + 1],
    };
    if inst.guard.is_some() {
        next.push(at + 1);
    }
    next
}
