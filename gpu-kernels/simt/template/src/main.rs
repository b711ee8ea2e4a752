//! Runs the kernel on the CPU.

use my_kernels::Saxpy;
use simt::{Cpu, Global};

fn main() {
    let (x, mut y) = ([1.0, 2.0, 3.0, 4.0, 5.0], [0.5; 5]);
    let cpu = Cpu::new();
    // SAFETY: both arrays live and have the same length, and nothing else uses them.
    unsafe { cpu.launch(1, &Saxpy { a: 2.0, x: Global::of(&x), y: Global::of_mut(&mut y) }) };
    println!("{}: {y:?}", cpu.isa().name());
}
