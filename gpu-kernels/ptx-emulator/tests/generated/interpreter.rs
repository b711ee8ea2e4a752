//! A naive interpreter of generated kernels, which runs one thread after the other.

use crate::operations::{Kind, OPERATIONS};
use crate::program::{
    AT_DOUBLES, AT_PREDICATES, DOUBLES, PART, PREDICATES, REGISTERS, Source, Statement, THREADS, WORDS,
};

/// The state of a thread.
#[derive(Clone)]
struct Thread {
    words: [u32; WORDS],
    doubles: [u64; DOUBLES],
    predicates: [bool; PREDICATES],
    /// The thread's parts of shared, global and local memory.
    memories: [[u8; PART]; 3],
}

impl Thread {
    /// Returns a thread with these registers and this part of each memory.
    fn new(registers: &[u8], part: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes(registers[at..at + 4].try_into().expect("a word has four bytes"));
        let double = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        Self {
            words: std::array::from_fn(|i| word(4 * i)),
            doubles: std::array::from_fn(|i| double(AT_DOUBLES + 8 * i)),
            predicates: std::array::from_fn(|i| word(AT_PREDICATES + 4 * i) & 1 == 1),
            memories: [part.try_into().expect("a part has this size"); 3],
        }
    }

    /// Returns the registers, then the parts of shared and local memory, as the kernel writes them.
    fn bytes(&self) -> Vec<u8> {
        let [shared, _, local] = &self.memories;
        let words = self.words.iter().flat_map(|word| word.to_le_bytes());
        let doubles = self.doubles.iter().flat_map(|double| double.to_le_bytes());
        let predicates = self.predicates.iter().flat_map(|p| u32::from(*p).to_le_bytes());
        words.chain(doubles).chain(predicates).chain(*shared).chain(*local).collect()
    }

    fn get(&self, kind: Kind, i: usize) -> u64 {
        match kind {
            Kind::Word => self.words[i].into(),
            Kind::Double => self.doubles[i],
            Kind::Predicate => self.predicates[i].into(),
        }
    }

    fn set(&mut self, kind: Kind, i: usize, value: u64) {
        match kind {
            Kind::Word => self.words[i] = value as u32,
            Kind::Double => self.doubles[i] = value,
            Kind::Predicate => self.predicates[i] = value & 1 == 1,
        }
    }

    fn run(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Operate { operation, guard, result, sources } => {
                    let operation = &OPERATIONS[*operation];
                    if guard.is_some_and(|(p, negated)| self.predicates[p] == negated) {
                        continue;
                    }
                    let source = |(source, kind): (&Source, &Kind)| match source {
                        Source::Register(i) => self.get(*kind, *i),
                        Source::Constant(value) => *value,
                    };
                    let sources: Vec<u64> = sources.iter().zip(operation.operands).map(source).collect();
                    self.set(operation.result, *result, (operation.function)(&sources));
                }
                Statement::Access { memory, stores, size, count, first, address } => {
                    let (kind, len) = (if *size == 3 { Kind::Double } else { Kind::Word }, 1 << size);
                    let start = self.words[*address] as usize % PART / (len * count) * (len * count);
                    for i in 0..*count {
                        let mut bytes = self.get(kind, first + i).to_le_bytes();
                        let place = &mut self.memories[*memory as usize][start + len * i..][..len];
                        if *stores {
                            place.copy_from_slice(&bytes[..len]);
                        } else {
                            bytes = [0; 8];
                            bytes[..len].copy_from_slice(place);
                            self.set(kind, first + i, u64::from_le_bytes(bytes));
                        }
                    }
                }
                Statement::If { predicate, negated, then, otherwise } => {
                    self.run(if self.predicates[*predicate] == *negated { otherwise } else { then });
                }
                Statement::Loop { times, body } => (0..self.words[*times] & 3).for_each(|_| self.run(body)),
                _ => unreachable!("threads communicate at the top alone"),
            }
        }
    }
}

/// Runs a kernel. Returns the bytes of all registers and of all parts of global memory.
pub fn run(statements: &[Statement], registers: &[u8], parts: &[u8]) -> [Vec<u8>; 2] {
    let mut threads: Vec<Thread> = registers
        .chunks(REGISTERS)
        .zip(parts.chunks(PART))
        .map(|(registers, part)| Thread::new(registers, part))
        .collect();
    for statement in statements {
        let before = threads.clone();
        for (i, thread) in threads.iter_mut().enumerate() {
            match statement {
                Statement::Exchange { word, factor, offset } => {
                    thread.words[*word] = before[(factor * i + offset) % THREADS].words[*word];
                }
                Statement::Shuffle { result, word, lanes } => thread.words[*result] = before[i ^ lanes].words[*word],
                Statement::Ballot { result, predicate } => {
                    let warp = &before[i / 32 * 32..][..32];
                    let votes =
                        warp.iter().enumerate().map(|(lane, other)| u32::from(other.predicates[*predicate]) << lane);
                    thread.words[*result] = votes.sum();
                }
                Statement::Sum { result, word } => {
                    thread.words[*result] = before.iter().fold(0, |sum, other| sum.wrapping_add(other.words[*word]));
                }
                statement => thread.run(std::slice::from_ref(statement)),
            }
        }
    }
    [threads.iter().flat_map(Thread::bytes).collect(), threads.iter().flat_map(|thread| thread.memories[1]).collect()]
}
