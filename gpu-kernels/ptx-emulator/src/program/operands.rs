//! Operands into register slots (PTX ISA, chapter 6).

use std::cmp::Ordering;

use super::builder::{Builder, Meaning};
use super::lanes::{self, Value};
use super::{Action, Dest, Reg, Special};
use crate::ptx::syntax::{Instruction, Operand, Type};

/// What decoding gives; the message says what is wrong with the instruction.
pub(super) type Decoded<T = Action> = Result<T, String>;

/// The modifiers of an instruction, taken in the order of the grammar.
pub(super) struct Modifiers<'a> {
    rest: &'a [String],
    /// What was asked for when nothing was left: the modifiers that could have followed.
    pub(super) wanted: Vec<String>,
    /// Whether the instruction could do without any of them.
    pub(super) complete: bool,
}

impl<'a> Modifiers<'a> {
    pub(super) fn of(instruction: &'a Instruction) -> Self {
        Self { rest: &instruction.modifiers, wanted: Vec::new(), complete: false }
    }

    fn want(&mut self, name: &str) {
        if self.rest.is_empty() {
            self.wanted.push(name.to_string());
        }
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.rest.first().map(String::as_str)
    }

    /// Takes the next modifier.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let next = self.peek()?;
        self.rest = &self.rest[1..];
        Some(next)
    }

    /// Takes the next modifier if it is this one.
    pub(super) fn eat(&mut self, name: &str) -> bool {
        self.want(name);
        let found = self.peek() == Some(name);
        if found {
            self.next();
        }
        found
    }

    /// Takes the next modifier if it is one of these, and says which.
    pub(super) fn one_of<T: Copy>(&mut self, names: &[(&str, T)]) -> Option<T> {
        for (name, _) in names {
            self.want(name);
        }
        let (_, value) = names.iter().find(|(name, _)| self.peek() == Some(name))?;
        self.next();
        Some(*value)
    }

    /// Takes the type.
    pub(super) fn typ(&mut self) -> Decoded<Type> {
        for name in Type::NAMES {
            self.want(name);
        }
        let name = self.next().ok_or("its type is missing")?;
        Type::named(name).ok_or_else(|| format!("modifier `.{name}` is not of the subset here"))
    }

    /// Nothing may be left.
    pub(super) fn end(&mut self) -> Decoded<()> {
        self.complete = self.rest.is_empty();
        self.peek().map_or(Ok(()), |name| Err(format!("modifier `.{name}` is not of the subset here")))
    }
}

/// The message for a type that an instruction of the subset does not take.
pub(super) fn not_for(typ: Type) -> String {
    format!("type {typ:?} is not of the subset here")
}

/// Exactly `N` operands.
pub(super) fn exactly<const N: usize>(operands: &[Operand]) -> Decoded<&[Operand; N]> {
    operands.try_into().map_err(|_| format!("it takes {N} operands, not {}", operands.len()))
}

impl Builder<'_> {
    pub(super) fn register(&self, name: &str) -> Decoded<(Reg, u32)> {
        match self.meaning(name) {
            Some(Meaning::Register(reg, bits)) => Ok((reg, bits)),
            Some(Meaning::Address(..)) => Err(format!("`{name}` is a variable where a register is wanted")),
            None => Err(format!("`{name}` is not declared")),
        }
    }

    /// The slot of a predicate that is read.
    pub(super) fn predicate(&mut self, operand: &Operand) -> Decoded<usize> {
        match operand {
            Operand::Name(name) => match self.register(name)? {
                (Reg::Predicate(slot), _) => {
                    self.reads.push(Reg::Predicate(slot));
                    Ok(slot)
                }
                _ => Err(format!("`{name}` is not a predicate")),
            },
            Operand::Int(value) => Ok(self.constant_predicate(*value != 0)),
            _ => Err("a predicate is wanted".into()),
        }
    }

    /// The slot of a predicate that is read, and whether `!` stands before it.
    pub(super) fn signed_predicate(&mut self, operand: &Operand) -> Decoded<(usize, bool)> {
        match operand {
            Operand::Not(name) => Ok((self.predicate(&Operand::Name(name.clone()))?, true)),
            operand => Ok((self.predicate(operand)?, false)),
        }
    }

    /// The slot of a source of type `T`: a register of its width, a constant, or an address.
    pub(super) fn source<T: Value>(&mut self, operand: &Operand) -> Decoded<usize> {
        let constant = |builder: &mut Self, bits: u64| match T::BITS {
            64 => builder.constant_long(bits),
            32 => builder.constant_word(bits as u32),
            _ => builder.constant_word(bits as u32 & 0xffff),
        };
        match operand {
            Operand::Name(name) => match self.meaning(name) {
                Some(Meaning::Register(reg, bits)) => {
                    if bits != T::BITS {
                        return Err(format!("`{name}` has {bits} bits where {} are wanted", T::BITS));
                    }
                    self.reads.push(reg);
                    Ok(match reg {
                        Reg::Word(slot) | Reg::Long(slot) | Reg::Predicate(slot) => slot,
                    })
                }
                Some(Meaning::Address(_, address)) if T::BITS >= 32 => Ok(constant(self, address)),
                Some(Meaning::Address(..)) => Err(format!("`{name}` is an address; 16 bits cannot hold it")),
                None => Err(format!("`{name}` is not declared")),
            },
            Operand::Offset(name, offset) => match self.meaning(name) {
                Some(Meaning::Address(_, address)) => Ok(constant(self, address.wrapping_add_signed(*offset))),
                _ => Err(format!("`{name}` is no variable")),
            },
            Operand::Special(name) if T::BITS == 32 => self.special_register(name),
            Operand::Special(name) => Err(format!("special register `{name}` has 32 bits")),
            Operand::Int(value) => Ok(constant(self, *value)),
            Operand::F32(bits) if T::BITS == 32 => Ok(constant(self, u64::from(*bits))),
            Operand::F64(value) if T::BITS == 64 => Ok(constant(self, value.to_bits())),
            Operand::F64(value) if T::BITS == 32 => Ok(constant(self, u64::from((*value as f32).to_bits()))),
            _ => Err(format!("a register or constant of {} bits is wanted", T::BITS)),
        }
    }

    /// The register of a source, whatever its width.
    pub(super) fn any_source(&mut self, operand: &Operand) -> Decoded<Reg> {
        if let Operand::Name(name) = operand {
            let (reg, _) = self.register(name)?;
            self.reads.push(reg);
            return Ok(reg);
        }
        self.source::<u64>(operand).map(Reg::Long).or_else(|_| self.source::<u32>(operand).map(Reg::Word))
    }

    fn special_register(&mut self, name: &str) -> Decoded<usize> {
        let axis = |prefix: &str| match name.strip_prefix(prefix)? {
            "x" => Some(0),
            "y" => Some(1),
            "z" => Some(2),
            _ => None,
        };
        let axes = [
            axis("%tid.").map(Special::Tid),
            axis("%ntid.").map(Special::Ntid),
            axis("%ctaid.").map(Special::Ctaid),
            axis("%nctaid.").map(Special::Nctaid),
        ];
        if let Some(special) = axes.into_iter().flatten().next() {
            return Ok(self.special(special));
        }
        let special = match name {
            "%laneid" | "%laneid.x" => Special::Lane,
            "%warpid" => Special::Warp,
            "%nwarpid" => Special::Warps,
            "%lanemask_eq" => Special::LaneMask(Ordering::Equal, false),
            "%lanemask_lt" => Special::LaneMask(Ordering::Less, false),
            "%lanemask_le" => Special::LaneMask(Ordering::Less, true),
            "%lanemask_gt" => Special::LaneMask(Ordering::Greater, false),
            "%lanemask_ge" => Special::LaneMask(Ordering::Greater, true),
            _ => return Err(format!("special register `{name}` is not of the subset")),
        };
        Ok(self.special(special))
    }

    /// The register that an operand names for a result, whatever its width; `_` is a register that nothing reads.
    pub(super) fn any_dest(&mut self, operand: &Operand, bits: u32) -> Decoded<Dest> {
        let Operand::Name(name) = operand else { return Err("a register is wanted for the result".into()) };
        let (reg, bits) = match name.as_str() {
            "_" if bits == 64 => (self.new_long(0), 64),
            "_" if bits == 1 => return Ok(Dest::Predicate(self.constant_predicate(false))),
            "_" => (self.new_word(0), bits),
            name => self.register(name)?,
        };
        self.writes.push(reg);
        Ok(match reg {
            Reg::Word(slot) => Dest::Word(slot, bits),
            Reg::Long(slot) => Dest::Long(slot),
            Reg::Predicate(slot) => Dest::Predicate(slot),
        })
    }

    /// The slot of a result of `bits` bits.
    pub(super) fn dest(&mut self, operand: &Operand, bits: u32) -> Decoded<usize> {
        match self.any_dest(operand, bits)? {
            Dest::Word(slot, found) if found == bits => Ok(slot),
            Dest::Long(slot) if bits == 64 => Ok(slot),
            Dest::Predicate(slot) if bits == 1 => Ok(slot),
            _ => Err(format!("the register of the result has not {bits} bits")),
        }
    }

    /// `d = f(a)`.
    pub(super) fn unary<A: Value, D: Value>(
        &mut self,
        operands: &[Operand],
        f: impl Fn(A) -> D + Send + Sync + 'static,
    ) -> Decoded {
        let [d, a] = exactly(operands)?;
        let a = self.source::<A>(a)?;
        Ok(Action::Compute(lanes::map1(self.dest(d, D::BITS)?, a, f)))
    }

    /// `d = f(a, b)`.
    pub(super) fn binary<A: Value, B: Value, D: Value>(
        &mut self,
        operands: &[Operand],
        f: impl Fn(A, B) -> D + Send + Sync + 'static,
    ) -> Decoded {
        let [d, a, b] = exactly(operands)?;
        let sources = [self.source::<A>(a)?, self.source::<B>(b)?];
        Ok(Action::Compute(lanes::map2(self.dest(d, D::BITS)?, sources, f)))
    }

    /// `d = f(a, b, c)`.
    pub(super) fn ternary<A: Value, B: Value, C: Value, D: Value>(
        &mut self,
        operands: &[Operand],
        f: impl Fn(A, B, C) -> D + Send + Sync + 'static,
    ) -> Decoded {
        let [d, a, b, c] = exactly(operands)?;
        let sources = [self.source::<A>(a)?, self.source::<B>(b)?, self.source::<C>(c)?];
        Ok(Action::Compute(lanes::map3(self.dest(d, D::BITS)?, sources, f)))
    }
}
