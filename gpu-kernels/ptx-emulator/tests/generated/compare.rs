//! The comparison of the emulator with the interpreter.

use ptx_emulator::{Checks, DeviceProperties, Dims, Gpu};

use crate::interpreter;
use crate::program::{Bytes, PART, REGISTERS, THREADS, ptx};

/// A generator of bytes (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub struct Random(pub u64);

impl Random {
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut word = || {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_le_bytes()
        };
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| word()).collect();
        bytes.truncate(len);
        bytes
    }
}

/// Draws a kernel from bytes, and runs it with each level of checks, with two orders of the warps, with timing and without.
/// Panics if the registers or the memory differ from the interpreter's.
pub fn compare(bytes: &[u8]) {
    let statements = Bytes(bytes).kernel();
    let text = ptx(&statements);
    let mut random = Random(bytes.len() as u64);
    let inputs = [random.bytes(THREADS * REGISTERS), random.bytes(THREADS * PART)];
    let expected = interpreter::run(&statements, &inputs[0], &inputs[1]);
    let mut gpu = Gpu::new(DeviceProperties::default());
    let module = gpu.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let addresses = inputs.each_ref().map(|input| gpu.allocate(input.len()).expect("the memory suffices"));
    let params: Vec<u8> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
    for (checks, order, timed) in [(Checks::Memory, 0, false), (Checks::Cuda, 1, true), (Checks::Strict, 0, false)] {
        (gpu.checks, gpu.order, gpu.timed) = (checks, order, timed);
        for (address, input) in addresses.iter().zip(&inputs) {
            assert!(gpu.write(*address, input));
        }
        if let Err(fault) = gpu.launch(&module, "k", Dims::new(1, THREADS as u32), &params) {
            panic!("{fault}\n{text}");
        }
        for ((address, expected), size) in addresses.iter().zip(&expected).zip([REGISTERS, PART]) {
            let found = gpu.read(*address, expected.len()).expect("the memory is allocated");
            if let Some(at) = found.iter().zip(expected).position(|(found, expected)| found != expected) {
                let (thread, at) = (at / size, at % size);
                panic!("{checks:?}: thread {thread} differs in byte {at} of its {size}\n{statements:#?}\n{text}");
            }
        }
    }
}
