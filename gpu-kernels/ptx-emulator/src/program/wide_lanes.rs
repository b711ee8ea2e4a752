//! Registers of 128 bits as sources and results.

use super::decoder::{Decoded, Decoder};
use super::lanes::{Output, Source, blend, per_lane};
use super::registers::Registers;
use crate::ptx::syntax::Operand;

/// A register of 128 bits.
impl Source for u128 {
    type Place = usize;
    type Lanes<'a> = [&'a [u64; 32]; 2];
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<usize> {
        match operand {
            Operand::Name(_) => decoder.source(operand, 128),
            _ => Err("expected a register of 128 bits".into()),
        }
    }
    #[inline(always)]
    fn lanes(registers: &Registers, place: usize) -> [&[u64; 32]; 2] {
        [&registers.b64[place], &registers.b64[place + 1]]
    }
    #[inline(always)]
    fn at(lanes: &[&[u64; 32]; 2], lane: usize) -> Self {
        Self::from(lanes[0][lane]) | Self::from(lanes[1][lane]) << 64
    }
}

impl Output for u128 {
    type Place = usize;
    type Lanes = [[u64; 32]; 2];
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<usize> {
        decoder.dest(operand, 128)
    }
    #[inline(always)]
    fn collect(value: impl Fn(usize) -> Self) -> [[u64; 32]; 2] {
        [per_lane(|lane| value(lane) as u64), per_lane(|lane| (value(lane) >> 64) as u64)]
    }
    #[inline(always)]
    fn write(registers: &mut Registers, place: usize, mask: u32, [low, high]: [[u64; 32]; 2]) {
        blend(&mut registers.b64[place], mask, low);
        blend(&mut registers.b64[place + 1], mask, high);
    }
}
