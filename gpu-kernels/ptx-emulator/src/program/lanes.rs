//! Functions of the values of one lane, as instructions for a whole warp.

use std::marker::PhantomData;

use super::decoder::{Decoded, Decoder, exactly};
use super::instruction::Action;
use super::processor::{self, Work};
use super::registers::{Register, Registers};
use crate::ptx::syntax::Operand;

/// A type that an instruction reads from an operand, in each lane.
pub(super) trait Source: Copy + Send + Sync + 'static {
    /// The registers of the operand.
    type Place: Copy + Send + Sync + 'static;
    /// All lanes of these registers.
    type Lanes<'a>: Copy;
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<Self::Place>;
    fn lanes(registers: &Registers, place: Self::Place) -> Self::Lanes<'_>;
    /// Returns the value in one lane.
    fn at(lanes: &Self::Lanes<'_>, lane: usize) -> Self;
}

/// A type that an instruction writes to its first operand, in each lane.
pub(super) trait Output: Copy + 'static {
    type Place: Copy + Send + Sync + 'static;
    type Lanes;
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<Self::Place>;
    fn collect(value: impl Fn(usize) -> Self) -> Self::Lanes;
    /// Writes the lanes in `mask`.
    fn write(registers: &mut Registers, place: Self::Place, mask: u32, lanes: Self::Lanes);
}

/// Computes all lanes. `std::array::from_fn` takes twice as long, because LLVM does not inline its closure here.
#[inline(always)]
pub(crate) fn per_lane<T: Copy + Default>(value: impl Fn(usize) -> T) -> [T; 32] {
    let mut lanes = [T::default(); 32];
    for (lane, slot) in lanes.iter_mut().enumerate() {
        *slot = value(lane);
    }
    lanes
}

/// Replaces the lanes of `mask`. The selection has no branches, so that it becomes vector instructions.
#[inline(always)]
pub(crate) fn blend<T: Copy>(old: &mut [T; 32], mask: u32, new: [T; 32]) {
    if mask == u32::MAX {
        *old = new;
        return;
    }
    for (lane, (old, new)) in old.iter_mut().zip(new).enumerate() {
        *old = if mask >> lane & 1 == 1 { new } else { *old };
    }
}

macro_rules! scalars {
    ($($T:ty, $file:ident, $slot:ty, $bits:literal, $get:expr, $put:expr;)*) => {$(
        impl Source for $T {
            type Place = usize;
            type Lanes<'a> = &'a [$slot; 32];
            fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<usize> {
                decoder.source(operand, $bits)
            }
            #[inline(always)]
           fn lanes(registers: &Registers, place: usize) -> &[$slot; 32] {
                &registers.$file[place]
            }
            #[inline(always)]
           fn at(lanes: &&[$slot; 32], lane: usize) -> Self {
                let get: fn($slot) -> Self = $get;
                get(lanes[lane])
            }
        }
        impl Output for $T {
            type Place = usize;
            type Lanes = [$slot; 32];
            fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<usize> {
                decoder.dest(operand, $bits)
            }
            #[inline(always)]
           fn collect(value: impl Fn(usize) -> Self) -> [$slot; 32] {
                let put: fn(Self) -> $slot = $put;
                per_lane(|lane| put(value(lane)))
            }
            #[inline(always)]
           fn write(registers: &mut Registers, place: usize, mask: u32, lanes: [$slot; 32]) {
                blend(&mut registers.$file[place], mask, lanes);
            }
        }
    )*};
}
scalars! {
    u16, b32, u32, 16, |s| s as u16, u32::from;
    i16, b32, u32, 16, |s| s as i16, |v| u32::from(v as u16);
    u32, b32, u32, 32, |s| s, |v| v;
    i32, b32, u32, 32, |s| s as i32, |v| v as u32;
    u64, b64, u64, 64, |s| s, |v| v;
    i64, b64, u64, 64, |s| s as i64, |v| v as u64;
    f32, b32, u32, 32, f32::from_bits, f32::to_bits;
    f64, b64, u64, 64, f64::from_bits, f64::to_bits;
}

impl Source for bool {
    type Place = usize;
    type Lanes<'a> = u32;
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<usize> {
        decoder.predicate(operand)
    }
    #[inline(always)]
    fn lanes(registers: &Registers, place: usize) -> u32 {
        registers.predicates[place]
    }
    #[inline(always)]
    fn at(lanes: &u32, lane: usize) -> Self {
        lanes >> lane & 1 == 1
    }
}

impl Output for bool {
    type Place = usize;
    type Lanes = u32;
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<usize> {
        decoder.dest(operand, 1)
    }
    #[inline(always)]
    fn collect(value: impl Fn(usize) -> Self) -> u32 {
        (0..32).fold(0, |bits, lane| bits | u32::from(value(lane)) << lane)
    }
    #[inline(always)]
    fn write(registers: &mut Registers, place: usize, mask: u32, lanes: u32) {
        registers.set_predicate(place, mask, lanes);
    }
}

/// A predicate that `!` may negate.
#[derive(Clone, Copy)]
pub(super) struct Negatable(pub(super) bool);

impl Source for Negatable {
    type Place = (usize, bool);
    type Lanes<'a> = u32;
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<(usize, bool)> {
        decoder.negatable(operand)
    }
    #[inline(always)]
    fn lanes(registers: &Registers, (slot, negated): (usize, bool)) -> u32 {
        registers.predicates[slot] ^ if negated { u32::MAX } else { 0 }
    }
    #[inline(always)]
    fn at(lanes: &u32, lane: usize) -> Self {
        Self(bool::at(lanes, lane))
    }
}

/// The bits of a register of any width, zero-extended.
#[derive(Clone, Copy)]
pub(super) struct AnyWidth(pub(super) u64);

impl Source for AnyWidth {
    type Place = Register;
    type Lanes<'a> = [u64; 32];
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<Register> {
        decoder.any_source(operand, 64)
    }
    #[inline(always)]
    fn lanes(registers: &Registers, place: Register) -> [u64; 32] {
        match place {
            Register::B64(slot) => registers.b64[slot],
            place => per_lane(|lane| u64::from(registers.b32[place.slot()][lane])),
        }
    }
    #[inline(always)]
    fn at(lanes: &[u64; 32], lane: usize) -> Self {
        Self(lanes[lane])
    }
}

impl Output for AnyWidth {
    type Place = Register;
    type Lanes = [u64; 32];
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<Register> {
        decoder.any_dest(operand, 32)
    }
    #[inline(always)]
    fn collect(value: impl Fn(usize) -> Self) -> [u64; 32] {
        per_lane(|lane| value(lane).0)
    }
    #[inline(always)]
    fn write(registers: &mut Registers, place: Register, mask: u32, lanes: [u64; 32]) {
        let file = &mut registers.b32;
        match place {
            Register::B64(slot) => blend(&mut registers.b64[slot], mask, lanes),
            Register::B16(slot) => blend(&mut file[slot], mask, per_lane(|lane| lanes[lane] as u32 & 0xffff)),
            place => blend(&mut file[place.slot()], mask, per_lane(|lane| lanes[lane] as u32)),
        }
    }
}

/// Decodes the parts of `{a, b, ..}` or `p|q`.
fn parts<T: Copy + Default, const N: usize>(
    operand: &Operand,
    mut place: impl FnMut(&Operand) -> Decoded<T>,
) -> Decoded<[T; N]> {
    let parts = match operand {
        Operand::Vector(parts) => exactly::<N>(parts)?,
        Operand::Pair(parts) => exactly::<N>(&parts[..])?,
        _ => return Err(format!("expected {N} registers")),
    };
    let mut places = [T::default(); N];
    for (slot, part) in places.iter_mut().zip(parts) {
        *slot = place(part)?;
    }
    Ok(places)
}

impl<T: Source<Place: Default>, const N: usize> Source for [T; N] {
    type Place = [T::Place; N];
    type Lanes<'a> = [T::Lanes<'a>; N];
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<[T::Place; N]> {
        parts(operand, |part| T::place(decoder, part))
    }
    #[inline(always)]
    fn lanes(registers: &Registers, place: [T::Place; N]) -> [T::Lanes<'_>; N] {
        place.map(|part| T::lanes(registers, part))
    }
    #[inline(always)]
    fn at(lanes: &[T::Lanes<'_>; N], lane: usize) -> Self {
        std::array::from_fn(|part| T::at(&lanes[part], lane))
    }
}

impl<T: Output<Place: Default>, const N: usize> Output for [T; N] {
    type Place = [T::Place; N];
    type Lanes = [T::Lanes; N];
    fn place(decoder: &mut Decoder, operand: &Operand) -> Decoded<[T::Place; N]> {
        parts(operand, |part| T::place(decoder, part))
    }
    #[inline(always)]
    fn collect(value: impl Fn(usize) -> Self) -> [T::Lanes; N] {
        std::array::from_fn(|part| T::collect(|lane| value(lane)[part]))
    }
    #[inline(always)]
    fn write(registers: &mut Registers, place: [T::Place; N], mask: u32, lanes: [T::Lanes; N]) {
        for (place, lanes) in place.into_iter().zip(lanes) {
            T::write(registers, place, mask, lanes);
        }
    }
}

/// An instruction that computes a function in each lane.
struct Lanes<Function, Sources, D, Types> {
    function: Function,
    /// The places of the sources and of the result.
    sources: Sources,
    d: D,
    /// The types of the sources and of the result.
    types: PhantomData<fn(Types)>,
}

/// A function from the sources in one lane, whose types `Sources` lists, to the result in that lane. The function is
/// called for inactive lanes too, so it must not panic.
pub(super) trait LaneFunction<Sources, D> {
    /// Decodes the operands, the destination first.
    fn decode(self, decoder: &mut Decoder) -> Decoded;
}

macro_rules! lane_functions {
    ($($($A:ident)*;)*) => {$(
        #[allow(non_snake_case, reason = "one name for a source's type and its value")]
        impl<Function, D: Output, $($A: Source),*> LaneFunction<($($A,)*), D> for Function
        where
            Function: Fn($($A),*) -> D + Send + Sync + 'static,
        {
            fn decode(self, decoder: &mut Decoder) -> Decoded {
                let [d, $($A),*] = exactly(decoder.operands)?;
                let sources = ($(<$A>::place(decoder, $A)?,)*);
                let d = D::place(decoder, d)?;
                Ok(Action::Compute(processor::compile(Lanes { function: self, sources, d, types: PhantomData })))
            }
        }

        #[allow(non_snake_case, reason = "one name for a source's type and its value")]
        impl<Function, D: Output, $($A: Source),*> Work for Lanes<Function, ($($A::Place,)*), D::Place, ($($A,)* D,)>
        where
            Function: Fn($($A),*) -> D + Send + Sync + 'static,
        {
            #[inline(always)]
            fn run(&self, registers: &mut Registers, mask: u32) {
                let ($($A,)*) = self.sources;
                $(let $A = <$A>::lanes(registers, $A);)*
                let lanes = D::collect(|lane| (self.function)($(<$A>::at(&$A, lane)),*));
                D::write(registers, self.d, mask, lanes);
            }
        }
    )*};
}
lane_functions! { A; A B; A B C; A B C E; }

impl Decoder<'_> {
    /// Decodes an instruction that computes `f` in each lane.
    pub(super) fn compute<Sources, D>(&mut self, f: impl LaneFunction<Sources, D>) -> Decoded {
        f.decode(self)
    }
}
