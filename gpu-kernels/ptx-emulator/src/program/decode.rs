//! Which family an instruction belongs to.

use super::builder::Builder;
use super::operands::{Decoded, Modifiers};
use super::{bits, compare, control, convert, float, memory};
use crate::ptx::syntax::{Instruction, Operand};

/// What decodes a family of instructions, from the opcode on.
type Family = fn(&mut Builder, &str, &mut Modifiers, &[Operand]) -> Decoded;

/// The instructions that compute registers from registers: those that `variants` lists.
pub(super) const ARITHMETIC: [(&str, Family); 42] = [
    ("add", float::decode),
    ("sub", float::decode),
    ("mul", float::decode),
    ("mad", float::decode),
    ("fma", float::decode),
    ("div", float::decode),
    ("rem", float::decode),
    ("min", float::decode),
    ("max", float::decode),
    ("neg", float::decode),
    ("abs", float::decode),
    ("copysign", float::decode),
    ("sqrt", float::decode),
    ("rcp", float::decode),
    ("rsqrt", float::decode),
    ("sin", float::decode),
    ("cos", float::decode),
    ("lg2", float::decode),
    ("ex2", float::decode),
    ("tanh", float::decode),
    ("and", bits::decode),
    ("or", bits::decode),
    ("xor", bits::decode),
    ("not", bits::decode),
    ("cnot", bits::decode),
    ("shl", bits::decode),
    ("shr", bits::decode),
    ("shf", bits::decode),
    ("bfe", bits::decode),
    ("bfi", bits::decode),
    ("brev", bits::decode),
    ("popc", bits::decode),
    ("clz", bits::decode),
    ("bfind", bits::decode),
    ("prmt", bits::decode),
    ("lop3", bits::decode),
    ("setp", compare::decode),
    ("set", compare::decode),
    ("selp", compare::decode),
    ("slct", compare::decode),
    ("mov", convert::decode),
    ("cvt", convert::decode),
];

/// Decodes one instruction.
pub(super) fn decode(builder: &mut Builder, instruction: &Instruction) -> Decoded {
    let (m, o) = (&mut Modifiers::of(instruction), &instruction.operands[..]);
    let opcode = instruction.opcode.as_str();
    if let Some((_, family)) = ARITHMETIC.iter().find(|(name, _)| *name == opcode) {
        return family(builder, opcode, m, o);
    }
    match opcode {
        "cvta" => convert::cvta(builder, m, o),
        "ld" | "ldu" => memory::load(builder, m, o),
        "st" => memory::store(builder, m, o),
        "atom" | "red" => memory::atomic(builder, opcode, m, o),
        "fence" | "membar" => memory::fence(builder, opcode, m),
        opcode => control::decode(builder, opcode, m, o),
    }
}

/// Runs `$body` with `$T` as the Rust type of an integer type of 16, 32 or 64 bits; `B` types are unsigned.
macro_rules! integer {
    ($typ:expr, $T:ident => $body:expr) => {{
        use $crate::ptx::syntax::Type;
        match $typ {
            Type::U(16) | Type::B(16) => {
                type $T = u16;
                $body
            }
            Type::S(16) => {
                type $T = i16;
                $body
            }
            Type::U(32) | Type::B(32) => {
                type $T = u32;
                $body
            }
            Type::S(32) => {
                type $T = i32;
                $body
            }
            Type::U(64) | Type::B(64) => {
                type $T = u64;
                $body
            }
            Type::S(64) => {
                type $T = i64;
                $body
            }
            other => Err($crate::program::operands::not_for(other)),
        }
    }};
}
pub(super) use integer;
