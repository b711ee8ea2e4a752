//! What a PTX text says, before its instructions are understood.

use std::collections::HashMap;

/// A PTX module.
#[derive(Debug, Default)]
pub struct Module {
    /// `.version`, major and minor.
    pub version: (u32, u32),
    /// `.target sm_NN`: the number.
    pub target: u32,
    /// Variables of the module's scope.
    pub variables: Vec<Variable>,
    /// Kernels and functions, with a body or only declared.
    pub functions: Vec<Function>,
    /// `.file`: the paths by number.
    pub files: HashMap<u32, String>,
}

/// A state space (PTX ISA, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Any of the others, told apart by the address.
    Generic,
    Global,
    Shared,
    Local,
    Const,
    Param,
}

/// A fundamental type (section 5.2.1). `B` types say only a width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Pred,
    B(u32),
    U(u32),
    S(u32),
    F(u32),
}

impl Type {
    /// The types of the subset, as modifiers name them.
    pub const NAMES: [&str; 15] =
        ["pred", "b8", "b16", "b32", "b64", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64"];

    /// The type that a modifier such as `u32` names, if it names one of the subset.
    pub fn named(name: &str) -> Option<Self> {
        if name == "pred" {
            return Some(Self::Pred);
        }
        let bits: u32 = name.get(1..)?.parse().ok()?;
        match (name.get(..1)?, bits) {
            ("b", 8 | 16 | 32 | 64) => Some(Self::B(bits)),
            ("u", 8 | 16 | 32 | 64) => Some(Self::U(bits)),
            ("s", 8 | 16 | 32 | 64) => Some(Self::S(bits)),
            ("f", 32 | 64) => Some(Self::F(bits)),
            _ => None,
        }
    }

    /// The width in bits; of a predicate 1.
    pub fn bits(self) -> u32 {
        match self {
            Self::Pred => 1,
            Self::B(bits) | Self::U(bits) | Self::S(bits) | Self::F(bits) => bits,
        }
    }

    /// The width in bytes.
    pub fn bytes(self) -> u32 {
        self.bits().div_ceil(8)
    }
}

/// A variable: of the module, of a function, or a parameter.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub space: Space,
    pub align: u32,
    /// Bytes; 0 for an array whose size the launch gives.
    pub size: u32,
    /// The first bytes; the rest is zero. Empty if there is no initialiser.
    pub init: Vec<u8>,
    /// Eight bytes of `init` at an offset are the address of a symbol, generic or in its own space, plus what stands there.
    pub addresses: Vec<(usize, String)>,
    pub line: u32,
}

/// A kernel (`.entry`) or a function (`.func`).
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub entry: bool,
    pub returns: Vec<Variable>,
    pub params: Vec<Variable>,
    /// None if it is only declared.
    pub body: Option<Body>,
    /// `.maxntid` or `.reqntid`, multiplied out.
    pub max_threads: Option<u32>,
    pub line: u32,
}

/// What stands between a function's braces. Names of nested scopes are made unique.
#[derive(Debug, Default)]
pub struct Body {
    /// Registers by name; those of `.reg .b32 %r<9>` one by one.
    pub registers: HashMap<String, Type>,
    pub variables: Vec<Variable>,
    pub statements: Vec<Statement>,
    /// `.branchtargets` by their label.
    pub tables: HashMap<String, Vec<String>>,
}

/// A label or an instruction.
#[derive(Debug)]
pub enum Statement {
    Label(String),
    Instruction(Instruction),
}

/// An instruction as it is written.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// `@p` or `@!p`: the predicate, and whether it is negated.
    pub guard: Option<(String, bool)>,
    pub opcode: String,
    /// The modifiers in their order, without dots.
    pub modifiers: Vec<String>,
    pub operands: Vec<Operand>,
    pub line: u32,
    /// Where in the source language it comes from.
    pub place: Place,
}

impl Instruction {
    /// Opcode and modifiers as they are written.
    pub fn mnemonic(&self) -> String {
        let modifiers: String = self.modifiers.iter().map(|m| format!(".{m}")).collect();
        format!("{}{modifiers}", self.opcode)
    }
}

/// The file and line of a `.loc`, and those that it was inlined at, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place(pub Vec<(u32, u32)>);

/// An operand as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register, a symbol or a label.
    Name(String),
    /// A special register such as `%tid.x`.
    Special(String),
    /// `!p`.
    Not(String),
    Int(u64),
    F32(u32),
    F64(f64),
    /// `symbol + offset`.
    Offset(String, i64),
    /// `[base + offset]`.
    Address(Box<Operand>, i64),
    /// `{a, b, ..}`.
    Vector(Vec<Operand>),
    /// `(a, b, ..)` of a call.
    List(Vec<Operand>),
    /// `a|b`: two destinations.
    Pair(Box<Operand>, Box<Operand>),
}
