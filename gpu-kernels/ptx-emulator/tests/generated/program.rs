//! Kernels that are drawn from bytes, and their PTX.

#![allow(clippy::format_push_string, reason = "the texts are short")]

use std::fmt::Write as _;

use crate::operations::{Kind, OPERATIONS};

/// The number of threads, in one block of two warps.
pub const THREADS: usize = 64;

/// The numbers of registers of 32 bits, of 64 bits, and of predicates.
pub const WORDS: usize = 8;
pub const DOUBLES: usize = 4;
pub const PREDICATES: usize = 4;

/// The size in bytes of each thread's part of each memory.
pub const PART: usize = 32;

/// The deepest nesting of branches and loops.
const DEPTH: usize = 3;

/// An operand of an operation.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    Register(usize),
    Constant(u64),
}

/// A state space in which each thread has a part.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    Shared,
    Global,
    Local,
}

/// A statement of a kernel. Numbers without a name are indices of registers.
#[derive(Debug)]
pub enum Statement {
    /// An operation on registers, under the predicate of a guard or its negation.
    Operate {
        operation: usize,
        guard: Option<(usize, bool)>,
        result: usize,
        sources: Vec<Source>,
    },
    /// A load into `count` registers, or a store from them. The lowest bits of register `address` choose the place in the
    /// thread's part of a memory. An element has `1 << size` bytes.
    Access {
        memory: Memory,
        stores: bool,
        size: usize,
        count: usize,
        first: usize,
        address: usize,
    },
    If {
        predicate: usize,
        negated: bool,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    /// A loop that a thread runs as often as the lowest two bits of register `times` say.
    Loop {
        times: usize,
        body: Vec<Statement>,
    },
    /// An exchange of words through shared memory. Thread `i` reads what thread `factor * i + offset` wrote.
    Exchange {
        word: usize,
        factor: usize,
        offset: usize,
    },
    /// A shuffle with the lane whose number is the exclusive or of the own one and `lanes`.
    Shuffle {
        result: usize,
        word: usize,
        lanes: usize,
    },
    Ballot {
        result: usize,
        predicate: usize,
    },
    /// A sum over the threads of the block by atomic additions to shared memory.
    Sum {
        result: usize,
        word: usize,
    },
}

/// The bytes from which a kernel is drawn. After the last one come zeros.
pub struct Bytes<'b>(pub &'b [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> usize {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        usize::from(*first)
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() % n
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.next() as u8))
    }

    /// Draws the statements of a kernel. At the top, where no thread has diverged, threads also communicate.
    pub fn kernel(&mut self) -> Vec<Statement> {
        let count = 4 + self.below(21);
        (0..count).map(|_| if self.below(4) == 0 { self.communication() } else { self.statement(0) }).collect()
    }

    fn communication(&mut self) -> Statement {
        let (result, word) = (self.below(WORDS), self.below(WORDS));
        match self.below(4) {
            0 => Statement::Exchange { word, factor: self.below(THREADS), offset: self.below(THREADS) },
            1 => Statement::Shuffle { result, word, lanes: self.below(32) },
            2 => Statement::Ballot { result, predicate: self.below(PREDICATES) },
            _ => Statement::Sum { result, word },
        }
    }

    fn statement(&mut self, depth: usize) -> Statement {
        let body = |bytes: &mut Self| {
            let count = 1 + bytes.below(4);
            (0..count).map(|_| bytes.statement(depth + 1)).collect::<Vec<_>>()
        };
        match self.below(16) {
            0 if depth < DEPTH => {
                let (predicate, negated) = (self.below(PREDICATES), self.below(2) == 1);
                Statement::If { predicate, negated, then: body(self), otherwise: body(self) }
            }
            1 if depth < DEPTH => Statement::Loop { times: self.below(WORDS), body: body(self) },
            2..6 => self.access(),
            _ => self.operate(),
        }
    }

    fn access(&mut self) -> Statement {
        let memory = [Memory::Shared, Memory::Global, Memory::Local][self.below(3)];
        let size = self.below(4);
        // A vector has elements of 32 bits in consecutive registers.
        let count = if size == 2 { [1, 2, 4][self.below(3)] } else { 1 };
        let first = self.below(if size == 3 { DOUBLES } else { WORDS - count + 1 });
        Statement::Access { memory, stores: self.below(2) == 1, size, count, first, address: self.below(WORDS) }
    }

    fn operate(&mut self) -> Statement {
        let operation = self.below(OPERATIONS.len());
        let count = |kind| match kind {
            Kind::Word => WORDS,
            Kind::Double => DOUBLES,
            Kind::Predicate => PREDICATES,
        };
        let chosen = &OPERATIONS[operation];
        let guard = (self.below(4) == 0).then(|| (self.below(PREDICATES), self.below(2) == 1));
        let result = self.below(count(chosen.result));
        // An operation needs a register, because a constant has no width of its own.
        let mut source = |(i, kind): (usize, &Kind)| match self.below(5) {
            0 if i > 0 && *kind == Kind::Word => Source::Constant(self.word().into()),
            1 if i > 0 && *kind == Kind::Word => Source::Constant(self.below(40) as u64),
            _ => Source::Register(self.below(count(*kind))),
        };
        let sources = chosen.operands.iter().enumerate().map(&mut source).collect();
        Statement::Operate { operation, guard, result, sources }
    }
}

/// Returns the PTX of the kernel `k(registers, parts)`. Thread `i` reads its first registers from `registers` and writes
/// its last ones there. Its part of global memory is in `parts`.
pub fn ptx(statements: &[Statement]) -> String {
    let bytes = THREADS * PART;
    let mut text = format!(
        ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 registers, .param .u64 parts)\n{{\n\
         .reg .b32 %r<{WORDS}>;\n.reg .b64 %d<{DOUBLES}>;\n.reg .pred %p<{PREDICATES}>;\n.reg .b32 %c<{DEPTH}>;\n\
         .reg .b64 %at, %shared, %global, %local, %x, %y;\n.reg .b32 %t, %u, %v;\n.reg .pred %q;\n\
         .shared .align 16 .b8 shared[{bytes}];\n.shared .align 4 .b8 words[{words}];\n.shared .align 4 .b32 sum;\n\
         .local .align 16 .b8 local[{PART}];\n\
         mov.u32 %t, %tid.x;\nld.param.u64 %at, [registers];\nmul.wide.u32 %x, %t, {size};\nadd.u64 %at, %at, %x;\n\
         ld.param.u64 %global, [parts];\nmul.wide.u32 %x, %t, {PART};\nadd.u64 %global, %global, %x;\n\
         mov.u64 %shared, shared;\nadd.u64 %shared, %shared, %x;\nmov.u64 %local, local;\n",
        words = 4 * THREADS,
        size = REGISTERS
    );
    for i in 0..PART / 8 {
        text += &format!(
            "ld.global.b64 %x, [%global+{0}];\nst.shared.b64 [%shared+{0}], %x;\nst.local.b64 [%local+{0}], %x;\n",
            8 * i
        );
    }
    for (name, count, size, offset) in FILES {
        for i in 0..count {
            text += &format!("ld.global.b{} %{name}{i}, [%at+{}];\n", 8 * size, offset + size * i);
        }
    }
    for i in 0..PREDICATES {
        text += &format!(
            "ld.global.b32 %u, [%at+{}];\nand.b32 %u, %u, 1;\nsetp.ne.b32 %p{i}, %u, 0;\n",
            AT_PREDICATES + 4 * i
        );
    }
    let mut labels = 0;
    write_all(statements, 0, &mut text, &mut labels);
    for (name, count, size, offset) in FILES {
        for i in 0..count {
            text += &format!("st.global.b{} [%at+{}], %{name}{i};\n", 8 * size, offset + size * i);
        }
    }
    for i in 0..PREDICATES {
        text += &format!("selp.b32 %u, 1, 0, %p{i};\nst.global.b32 [%at+{}], %u;\n", AT_PREDICATES + 4 * i);
    }
    // The local and shared parts follow each other in the registers' memory.
    for (i, (name, offset)) in (0..PART / 8).flat_map(|i| [(i, ("shared", AT_PARTS)), (i, ("local", AT_PARTS + PART))])
    {
        text += &format!("ld.{name}.b64 %x, [%{name}+{}];\nst.global.b64 [%at+{}], %x;\n", 8 * i, offset + 8 * i);
    }
    text + "ret;\n}\n"
}

/// The size in bytes of the registers of a thread in memory, with its parts of shared and local memory, and the offsets of
/// the predicates and of the parts.
pub const REGISTERS: usize = AT_PARTS + 2 * PART;
pub const AT_DOUBLES: usize = 4 * WORDS;
pub const AT_PREDICATES: usize = AT_DOUBLES + 8 * DOUBLES;
pub const AT_PARTS: usize = AT_PREDICATES + 4 * PREDICATES;

/// The names, counts, sizes and offsets of the registers in memory.
const FILES: [(&str, usize, usize, usize); 2] = [("r", WORDS, 4, 0), ("d", DOUBLES, 8, AT_DOUBLES)];

fn write_all(statements: &[Statement], depth: usize, text: &mut String, labels: &mut usize) {
    for statement in statements {
        write(statement, depth, text, labels);
    }
}

/// Returns the name of a register.
fn name(kind: Kind, i: usize) -> String {
    match kind {
        Kind::Word => format!("%r{i}"),
        Kind::Double => format!("%d{i}"),
        Kind::Predicate => format!("%p{i}"),
    }
}

fn write(statement: &Statement, depth: usize, text: &mut String, labels: &mut usize) {
    *labels += 1;
    let label = *labels;
    let result = match statement {
        Statement::Operate { operation, guard, result, sources } => {
            let operation = &OPERATIONS[*operation];
            let source = |(source, kind): (&Source, &Kind)| match source {
                Source::Register(i) => name(*kind, *i),
                Source::Constant(value) => value.to_string(),
            };
            let guard =
                guard.map_or_else(String::new, |(p, negated)| format!("@{}%p{p} ", if negated { "!" } else { "" }));
            let sources: Vec<_> = sources.iter().zip(operation.operands).map(source).collect();
            let result = name(operation.result, *result);
            writeln!(text, "{guard}{} {result}, {};", operation.mnemonic, sources.join(", "))
        }
        Statement::Access { memory, stores, size, count, first, address } => {
            let space = format!("{memory:?}").to_lowercase();
            let bytes = (count << size) as u32;
            let kind = if *size == 3 { Kind::Double } else { Kind::Word };
            let list: Vec<_> = (*first..first + count).map(|i| name(kind, i)).collect();
            let (vector, list) = match count {
                1 => (String::new(), list.join("")),
                count => (format!(".v{count}"), format!("{{{}}}", list.join(", "))),
            };
            let mnemonic = format!("{space}{vector}.b{}", 8 << size);
            let operands =
                if *stores { format!("st.{mnemonic} [%y], {list}") } else { format!("ld.{mnemonic} {list}, [%y]") };
            writeln!(
                text,
                "and.b32 %u, %r{address}, {};\ncvt.u64.u32 %y, %u;\nadd.u64 %y, %y, %{space};\n{operands};",
                (PART as u32 - 1) & !(bytes - 1)
            )
        }
        Statement::If { predicate, negated, then, otherwise } => {
            let not = if *negated { "" } else { "!" };
            *text += &format!("@{not}%p{predicate} bra else{label};\n");
            write_all(then, depth + 1, text, labels);
            *text += &format!("bra end{label};\nelse{label}:\n");
            write_all(otherwise, depth + 1, text, labels);
            writeln!(text, "end{label}:")
        }
        Statement::Loop { times, body } => {
            *text += &format!(
                "and.b32 %c{depth}, %r{times}, 3;\nloop{label}:\nsetp.eq.u32 %q, %c{depth}, 0;\n@%q bra end{label};\n"
            );
            write_all(body, depth + 1, text, labels);
            writeln!(text, "sub.u32 %c{depth}, %c{depth}, 1;\nbra loop{label};\nend{label}:")
        }
        Statement::Exchange { word, factor, offset } => writeln!(
            text,
            "shl.b32 %u, %t, 2;\nmov.u32 %v, words;\nadd.u32 %u, %u, %v;\nst.shared.b32 [%u], %r{word};\nbar.sync 0;\n\
             mad.lo.u32 %u, %t, {factor}, {offset};\nand.b32 %u, %u, {};\nshl.b32 %u, %u, 2;\nadd.u32 %u, %u, %v;\n\
             ld.shared.b32 %r{word}, [%u];\nbar.sync 0;",
            THREADS - 1
        ),
        Statement::Shuffle { result, word, lanes } => {
            writeln!(text, "shfl.sync.bfly.b32 %r{result}, %r{word}, {lanes}, 31, -1;")
        }
        Statement::Ballot { result, predicate } => {
            writeln!(text, "vote.sync.ballot.b32 %r{result}, %p{predicate}, -1;")
        }
        Statement::Sum { result, word } => writeln!(
            text,
            "setp.eq.u32 %q, %t, 0;\n@%q st.shared.b32 [sum], 0;\nbar.sync 0;\nred.shared.add.u32 [sum], %r{word};\n\
             bar.sync 0;\nld.shared.b32 %r{result}, [sum];\nbar.sync 0;"
        ),
    };
    result.expect("a string takes any text");
}
