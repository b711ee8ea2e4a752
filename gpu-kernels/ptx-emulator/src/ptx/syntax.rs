//! The syntax of a PTX text, before its instructions are decoded.

use std::collections::HashMap;
use std::fmt;
use std::slice::from_ref;

use super::lexer::Error;

/// A PTX module.
#[derive(Debug, Default)]
pub struct Module {
    /// The major and minor number of `.version`.
    pub version: (u32, u32),
    /// The number of `.target sm_NN`.
    pub target: u32,
    pub variables: Vec<Variable>,
    /// The names of variables that are not supported, each with the reason.
    pub missing: HashMap<String, Error>,
    /// The kernels and functions, with a body or only declared.
    pub functions: Vec<Function>,
    /// The `.file` paths by number.
    pub files: HashMap<u32, String>,
}

/// A state space (PTX ISA, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Any of the other state spaces. The address determines the space.
    Generic,
    Global,
    Shared,
    Local,
    Const,
    Param,
}

/// A fundamental type with its width in bits (PTX ISA, section 5.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Pred,
    /// Untyped bits.
    B(u32),
    U(u32),
    S(u32),
    F(u32),
    /// The type `.bf16`, which has the exponent of `.f32`.
    Bf16,
    /// The types `.f16x2` and `.bf16x2`, pairs in one register.
    F16x2,
    Bf16x2,
}

impl Type {
    /// Returns the type that a modifier such as `u32` names, or `None` if the subset has no such type.
    pub fn named(name: &str) -> Option<Self> {
        if name == "pred" {
            return Some(Self::Pred);
        }
        match name {
            "bf16" => return Some(Self::Bf16),
            "f16x2" => return Some(Self::F16x2),
            "bf16x2" => return Some(Self::Bf16x2),
            // A variable of one of these types holds a handle.
            "texref" | "surfref" | "samplerref" => return Some(Self::B(64)),
            _ => {}
        }
        let bits: u32 = name.get(1..)?.parse().ok()?;
        match (name.get(..1)?, bits) {
            ("b", 8 | 16 | 32 | 64 | 128) => Some(Self::B(bits)),
            ("u", 8 | 16 | 32 | 64) => Some(Self::U(bits)),
            ("s", 8 | 16 | 32 | 64) => Some(Self::S(bits)),
            ("f", 16 | 32 | 64) => Some(Self::F(bits)),
            _ => None,
        }
    }

    /// Returns the width in bits, 1 for a predicate.
    #[inline]
    pub fn bits(self) -> u32 {
        match self {
            Self::Pred => 1,
            Self::B(bits) | Self::U(bits) | Self::S(bits) | Self::F(bits) => bits,
            Self::Bf16 => 16,
            Self::F16x2 | Self::Bf16x2 => 32,
        }
    }

    pub fn bytes(self) -> u32 {
        self.bits().div_ceil(8)
    }
}

impl fmt::Display for Type {
    /// Writes the type as a modifier without its dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pred => write!(f, "pred"),
            Self::B(bits) => write!(f, "b{bits}"),
            Self::U(bits) => write!(f, "u{bits}"),
            Self::S(bits) => write!(f, "s{bits}"),
            Self::F(bits) => write!(f, "f{bits}"),
            Self::Bf16 => write!(f, "bf16"),
            Self::F16x2 => write!(f, "f16x2"),
            Self::Bf16x2 => write!(f, "bf16x2"),
        }
    }
}

/// A variable of the module or of a function, or a parameter.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The name, unique in its function.
    pub name: String,
    pub space: Space,
    /// The alignment in bytes.
    pub align: u32,
    /// The size in bytes, or 0 for an array whose size the launch gives.
    pub size: u32,
    /// The initial values of the first bytes. All other bytes are zero.
    pub init: Vec<u8>,
    /// The offsets of eight-byte words in `init`, each with the symbol whose address is added to the word.
    pub addresses: Vec<(usize, String)>,
    /// The type, if this is a parameter in a register.
    pub register: Option<Type>,
}

/// A kernel (`.entry`) or a function (`.func`).
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub entry: bool,
    /// The values that the function returns.
    pub returns: Vec<Variable>,
    pub params: Vec<Variable>,
    /// The body, or `None` if the function is only declared.
    pub body: Option<Body>,
    /// The product of `.maxntid` or `.reqntid`.
    pub max_threads: Option<u32>,
    /// The numbers of `.reqnctapercluster`.
    pub cluster: Option<[u32; 3]>,
    /// The first part of the header or the body that is not supported. The rest is skipped.
    pub unsupported: Option<Error>,
    pub line: u32,
}

/// The body of a function. Names of nested scopes are made unique.
#[derive(Debug, Default)]
pub struct Body {
    /// The registers that the body names. For example, `.reg .b32 %r<9>` declares nine.
    pub registers: HashMap<String, Type>,
    pub variables: Vec<Variable>,
    /// The labels and instructions in their order.
    pub statements: Vec<Statement>,
    /// The targets of each `.branchtargets` and `.calltargets` by its label.
    pub tables: HashMap<String, Vec<String>>,
    /// The prototype of each `.callprototype` by its label.
    pub prototypes: HashMap<String, Prototype>,
}

/// The results and parameters of a function that is called by pointer.
#[derive(Clone, Debug)]
pub struct Prototype {
    pub returns: Vec<Variable>,
    pub params: Vec<Variable>,
}

/// A label or an instruction.
#[derive(Debug)]
pub enum Statement {
    Label(String),
    Instruction(Instruction),
}

/// An instruction as written.
#[derive(Clone, Debug, Default)]
pub struct Instruction {
    /// The predicate of `@p` or `@!p`, and whether it is negated.
    pub guard: Option<(String, bool)>,
    pub opcode: String,
    /// The modifiers in their order, without dots.
    pub modifiers: Vec<String>,
    pub operands: Vec<Operand>,
    pub line: u32,
    /// The source location that the last `.loc` gave.
    pub source_location: SourceLocation,
}

impl Instruction {
    /// Returns the opcode and modifiers as written.
    pub fn mnemonic(&self) -> String {
        [from_ref(&self.opcode), &self.modifiers[..]].concat().join(".")
    }
}

/// The file and line of a `.loc`, and those of the calls that it was inlined at, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceLocation(pub Vec<(u32, u32)>);

/// An operand as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register, a symbol or a label.
    Name(String),
    /// A special register such as `%tid.x`.
    Special(String),
    /// A part of a register, such as `%r1.b0`.
    Part(String, String),
    /// A negated predicate `!p`.
    Not(String),
    Int(u64),
    /// The bits of a constant in single precision.
    F32(u32),
    F64(f64),
    /// A sum `symbol + offset`.
    Offset(String, i64),
    /// An address `[base + offset]`.
    Address(Box<Operand>, i64),
    /// A vector `{a, b, ..}`.
    Vector(Vec<Operand>),
    /// A list `(a, b, ..)` of a call.
    List(Vec<Operand>),
    /// Two destinations `a|b`.
    Pair(Box<[Operand; 2]>),
}
