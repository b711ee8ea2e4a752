//! Which family an instruction belongs to.

use super::builder::Builder;
use super::operands::{Decoded, Modifiers};
use super::{arithmetic, bits, compare, control, convert, float, memory};
use crate::ptx::syntax::{Instruction, Type};

/// Decodes one instruction.
pub(super) fn decode(builder: &mut Builder, instruction: &Instruction) -> Decoded {
    let mut modifiers = Modifiers::of(instruction);
    let (m, o) = (&mut modifiers, &instruction.operands[..]);
    let is_float = instruction.modifiers.iter().any(|name| matches!(Type::named(name), Some(Type::F(_))));
    match instruction.opcode.as_str() {
        "add" | "sub" | "mul" | "div" | "min" | "max" | "neg" | "abs" if is_float => {
            float::decode(builder, instruction)
        }
        "fma" | "mad" if is_float => float::decode(builder, instruction),
        "sqrt" | "rcp" | "rsqrt" | "sin" | "cos" | "lg2" | "ex2" | "tanh" | "copysign" => {
            float::decode(builder, instruction)
        }
        "add" | "sub" | "mul" | "mad" | "div" | "rem" | "abs" | "neg" | "min" | "max" => {
            arithmetic::decode(builder, &instruction.opcode, m, o)
        }
        "and" | "or" | "xor" | "not" | "cnot" | "shl" | "shr" | "shf" | "bfe" | "bfi" | "brev" | "popc" | "clz"
        | "bfind" | "prmt" | "lop3" => bits::decode(builder, &instruction.opcode, m, o),
        "setp" => compare::setp(builder, m, o),
        "set" => compare::set(builder, m, o),
        "selp" => compare::selp(builder, m, o),
        "slct" => compare::slct(builder, m, o),
        "mov" => convert::mov(builder, m, o),
        "cvt" => convert::cvt(builder, m, o),
        "cvta" => convert::cvta(builder, m, o),
        "ld" | "ldu" => memory::load(builder, m, o),
        "st" => memory::store(builder, m, o),
        "atom" | "red" => memory::atomic(builder, &instruction.opcode, m, o),
        "fence" | "membar" => memory::fence(builder, &instruction.opcode, m),
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
