//! One instruction that is being decoded, with its modifiers, and its operands as register slots (PTX ISA, chapter 6).

use super::instruction::{Action, Special};
use super::names::{Meaning, Names};
use super::registers::Register;
use crate::ptx::syntax::{Instruction, Operand, Type};

/// A result of decoding. The error is a message without line and mnemonic.
pub(super) type Decoded<T = Action> = Result<T, String>;

/// The special registers of 32 bits.
const SPECIALS: [Special; 47] = [
    ("%tid.x", |thread| thread.tid[0]),
    ("%tid.y", |thread| thread.tid[1]),
    ("%tid.z", |thread| thread.tid[2]),
    ("%ntid.x", |thread| thread.ntid[0]),
    ("%ntid.y", |thread| thread.ntid[1]),
    ("%ntid.z", |thread| thread.ntid[2]),
    ("%ctaid.x", |thread| thread.ctaid[0]),
    ("%ctaid.y", |thread| thread.ctaid[1]),
    ("%ctaid.z", |thread| thread.ctaid[2]),
    ("%nctaid.x", |thread| thread.nctaid[0]),
    ("%nctaid.y", |thread| thread.nctaid[1]),
    ("%nctaid.z", |thread| thread.nctaid[2]),
    ("%smid", |thread| thread.smid),
    ("%nsmid", |thread| thread.nsmid),
    ("%dynamic_smem_size", |thread| thread.dynamic_shared),
    ("%cluster_ctaid.x", |thread| thread.cluster_ctaid[0]),
    ("%cluster_ctaid.y", |thread| thread.cluster_ctaid[1]),
    ("%cluster_ctaid.z", |thread| thread.cluster_ctaid[2]),
    ("%clusterid.x", |thread| thread.clusterid[0]),
    ("%clusterid.y", |thread| thread.clusterid[1]),
    ("%clusterid.z", |thread| thread.clusterid[2]),
    ("%cluster_nctaid.x", |thread| thread.cluster_nctaid[0]),
    ("%cluster_nctaid.y", |thread| thread.cluster_nctaid[1]),
    ("%cluster_nctaid.z", |thread| thread.cluster_nctaid[2]),
    ("%nclusterid.x", |thread| thread.nclusterid[0]),
    ("%nclusterid.y", |thread| thread.nclusterid[1]),
    ("%nclusterid.z", |thread| thread.nclusterid[2]),
    ("%cluster_ctarank", |thread| thread.cluster_rank),
    ("%cluster_nctarank", |thread| thread.cluster_nctaid.iter().product()),
    ("%gridid", |_| 0),
    ("%total_smem_size", |thread| thread.total_shared),
    ("%aggr_smem_size", |thread| thread.total_shared),
    ("%reserved_smem_offset_begin", |_| 0),
    ("%reserved_smem_offset_end", |thread| thread.reserved_shared),
    ("%reserved_smem_offset_cap", |thread| thread.reserved_shared),
    ("%reserved_smem_offset_0", |_| 0),
    ("%reserved_smem_offset_1", |_| 0),
    ("%current_graph_exec", |_| 0),
    ("%laneid", |thread| thread.laneid),
    ("%laneid.x", |thread| thread.laneid),
    ("%warpid", |thread| thread.warpid),
    ("%nwarpid", |thread| thread.nwarpid),
    ("%lanemask_eq", |thread| 1 << thread.laneid),
    ("%lanemask_lt", |thread| !(u32::MAX << thread.laneid)),
    ("%lanemask_le", |thread| !(!1 << thread.laneid)),
    ("%lanemask_gt", |thread| !1 << thread.laneid),
    ("%lanemask_ge", |thread| u32::MAX << thread.laneid),
];

/// An instruction that is being decoded. The families of instructions call it `i`.
pub(super) struct Decoder<'a> {
    /// The names that operands refer to.
    pub(super) names: &'a mut Names,
    pub(super) opcode: &'a str,
    modifiers: &'a [String],
    pub(super) operands: &'a [Operand],
    /// The registers that the operands decoded so far read.
    pub(super) reads: Vec<Register>,
    /// The registers that the operands decoded so far write.
    pub(super) writes: Vec<Register>,
    /// The reason why the result differs between GPUs, if it does.
    pub(super) inexact: Option<&'static str>,
}

/// Returns the `N` operands of an instruction, or of a vector.
pub(super) fn exactly<const N: usize>(operands: &[Operand]) -> Decoded<&[Operand; N]> {
    operands.try_into().map_err(|_| format!("expected {N} operands, found {}", operands.len()))
}

impl<'a> Decoder<'a> {
    pub(super) fn new(names: &'a mut Names, instruction: &'a Instruction) -> Self {
        let Instruction { opcode, modifiers, operands, .. } = instruction;
        Self { names, opcode, modifiers, operands, reads: Vec::new(), writes: Vec::new(), inexact: None }
    }

    /// Returns whether the instruction has this modifier.
    pub(super) fn has(&self, modifier: &str) -> bool {
        self.modifiers.iter().any(|found| found == modifier)
    }

    /// Returns the value of the first modifier that the table lists.
    pub(super) fn one_of<T: Copy>(&self, table: &[(&str, T)]) -> Option<T> {
        self.modifiers.iter().find_map(|found| table.iter().find(|(name, _)| name == found).map(|(_, value)| *value))
    }

    /// Returns all modifiers in their order.
    pub(super) fn modifiers(&self) -> impl Iterator<Item = &str> {
        self.modifiers.iter().map(String::as_str)
    }

    /// Returns the values of all modifiers that the table lists.
    pub(super) fn all_of<T: Copy>(&self, table: &[(&str, T)]) -> Vec<T> {
        let value = |found: &str| table.iter().find(|(name, _)| *name == found).map(|(_, value)| *value);
        self.modifiers().filter_map(value).collect()
    }

    /// Returns the modifiers that are types.
    pub(super) fn types(&self) -> Vec<Type> {
        self.modifiers.iter().filter_map(|found| Type::named(found)).collect()
    }

    pub(super) fn typ(&self) -> Type {
        *self.types().last().expect("the form has a type")
    }

    pub(super) fn register(&self, name: &str) -> Decoded<Register> {
        match self.names.meaning(name) {
            Some(Meaning::Register(register)) => Ok(register),
            Some(Meaning::Address(..)) => Err(format!("expected a register, found the variable `{name}`")),
            None => Err(match self.names.missing.get(name) {
                Some(reason) => format!("`{name}`: {reason}"),
                None => format!("`{name}` is not declared"),
            }),
        }
    }

    /// Returns the slot of a predicate that is read.
    pub(super) fn predicate(&mut self, operand: &Operand) -> Decoded<usize> {
        match operand {
            Operand::Name(name) => match self.register(name)? {
                Register::Predicate(slot) => {
                    self.reads.push(Register::Predicate(slot));
                    Ok(slot)
                }
                register => Err(format!("expected a predicate, found `{name}` of {} bits", register.bits())),
            },
            Operand::Int(value) => Ok(self.names.constant(1, u64::from(*value != 0))),
            _ => Err("expected a predicate".into()),
        }
    }

    /// Returns the slot of a predicate that is read, and whether `!` stands before it.
    pub(super) fn negatable(&mut self, operand: &Operand) -> Decoded<(usize, bool)> {
        match operand {
            Operand::Not(name) => Ok((self.predicate(&Operand::Name(name.clone()))?, true)),
            operand => Ok((self.predicate(operand)?, false)),
        }
    }

    /// Returns the slot of a source of `bits` bits, which is a register of this width, a constant, or an address.
    pub(super) fn source(&mut self, operand: &Operand, bits: u32) -> Decoded<usize> {
        let constant = match operand {
            Operand::Name(name) if name == "WARP_SZ" => 32,
            Operand::Name(name) => match self.names.meaning(name) {
                Some(Meaning::Address(_, address)) if bits >= 32 => address,
                Some(Meaning::Address(..)) => return Err(format!("the address of `{name}` exceeds {bits} bits")),
                _ => {
                    let register = self.register(name)?;
                    if register.bits() != bits {
                        return Err(format!("`{name}` has {} bits, expected {bits}", register.bits()));
                    }
                    self.reads.push(register);
                    return Ok(register.slot());
                }
            },
            Operand::Offset(name, offset) => match self.names.meaning(name) {
                Some(Meaning::Address(_, address)) => address.wrapping_add_signed(*offset),
                _ => return Err(format!("`{name}` is not a variable")),
            },
            Operand::Special(name) if bits == 32 => return self.special(name),
            Operand::Special(name) => return Err(format!("special register `{name}` has 32 bits, expected {bits}")),
            Operand::Int(value) => *value,
            Operand::F32(value) if bits == 32 => u64::from(*value),
            Operand::F64(value) if bits == 64 => value.to_bits(),
            Operand::F64(value) if bits == 32 => u64::from((*value as f32).to_bits()),
            _ => return Err(format!("expected a register or constant of {bits} bits")),
        };
        Ok(self.names.constant(bits, constant))
    }

    /// Returns the register of a source of any width. A constant gets a register of `bits` bits, 32 or 64.
    pub(super) fn any_source(&mut self, operand: &Operand, bits: u32) -> Decoded<Register> {
        match operand {
            Operand::Name(name) if name != "WARP_SZ" => {
                let register = self.register(name)?;
                self.reads.push(register);
                Ok(register)
            }
            Operand::Special(_) => self.source(operand, 32).map(Register::B32),
            _ if bits == 64 => self.source(operand, 64).map(Register::B64),
            _ => self.source(operand, 32).map(Register::B32),
        }
    }

    pub(super) fn special(&mut self, name: &str) -> Decoded<usize> {
        self.names.reserved_shared |= name.starts_with("%reserved_smem");
        // The driver of a graphics program or a profiler sets these registers (PTX ISA, sections 10.24 and 10.29). Here they
        // are zero.
        let numbered = |prefix: &str, count: u32| {
            let number = name.strip_prefix(prefix).map(|rest| rest.trim_end_matches("_64"));
            number.is_some_and(|number| number.parse().is_ok_and(|number: u32| number < count))
        };
        if numbered("%envreg", 32) || numbered("%pm", 8) {
            return Ok(self.names.constant(32, 0));
        }
        let special = SPECIALS.iter().find(|(known, _)| *known == name);
        let special = special.ok_or_else(|| format!("special register `{name}` is not of the subset"))?;
        Ok(self.names.special(*special))
    }

    /// Returns the register of a result of any width. `_` becomes a new register of `bits` bits.
    pub(super) fn any_dest(&mut self, operand: &Operand, bits: u32) -> Decoded<Register> {
        let Operand::Name(name) = operand else { return Err("expected a register for the result".into()) };
        let register = if name == "_" { self.names.new_register(bits, 0) } else { self.register(name)? };
        self.writes.push(register);
        Ok(register)
    }

    /// Returns the slot of a result of `bits` bits.
    pub(super) fn dest(&mut self, operand: &Operand, bits: u32) -> Decoded<usize> {
        let register = self.any_dest(operand, bits)?;
        if register.bits() == bits {
            Ok(register.slot())
        } else {
            Err(format!("the register of the result has {} bits, expected {bits}", register.bits()))
        }
    }
}
