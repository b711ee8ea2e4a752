//! The order of modifiers, which assemblers accept in more than one.

use std::borrow::Cow;

use super::memory::{ORDERS, SCOPES, SPACES};
use crate::ptx::syntax::{Instruction, Type};

/// Returns an instruction that accesses memory with its modifiers in the order of the forms, and any other instruction
/// as it is. Assemblers accept the modifiers in any order, and compilers write several. Hints to the caches are removed.
pub(super) fn canonical(instruction: &Instruction) -> Cow<'_, Instruction> {
    if instruction.opcode == "vote" && instruction.modifiers.last().is_some_and(|last| last != "sync") {
        // Compilers also write `vote.ballot.sync.b32`.
        let mut sorted = instruction.clone();
        sorted.modifiers.sort_by_key(|modifier| modifier != "sync");
        return Cow::Owned(sorted);
    }
    if !matches!(instruction.opcode.as_str(), "atom" | "red" | "ld" | "ldu" | "st" | "cp") {
        return Cow::Borrowed(instruction);
    }
    let mut sorted = instruction.clone();
    // The hint is the last operand.
    if sorted.modifiers.iter().any(|modifier| modifier == "L2::cache_hint") {
        sorted.operands.pop();
    }
    let hint = |modifier: &str| modifier.starts_with("L1::") || modifier.starts_with("L2::") || modifier == "mmio";
    sorted.modifiers.retain(|modifier| !hint(modifier));
    if sorted.opcode == "cp" {
        return Cow::Owned(sorted);
    }
    let named = |table: &[&str], modifier: &str| table.contains(&modifier);
    sorted.modifiers.sort_by_key(|modifier| match modifier.as_str() {
        modifier if ORDERS.iter().any(|(name, _)| *name == modifier) => 0,
        modifier if SCOPES.iter().any(|(name, _)| *name == modifier) => 1,
        modifier if SPACES.iter().any(|(name, _)| *name == modifier) => 2,
        modifier if named(&["ca", "cg", "cs", "lu", "cv", "wb", "wt"], modifier) => 3,
        "nc" => 4,
        "unified" => 5,
        "v2" | "v4" => 6,
        "noftz" => 8,
        modifier if Type::named(modifier).is_some() => 9,
        _ => 7,
    });
    Cow::Owned(sorted)
}
