//! Registers, 32 lanes wide, and functions of lanes lifted to warps.

/// The registers of a warp. A register of 16 bits occupies a word whose upper half is zero.
#[derive(Clone, Default)]
pub struct Registers {
    pub words: Vec<[u32; 32]>,
    pub longs: Vec<[u64; 32]>,
    /// A bit a lane.
    pub predicates: Vec<u32>,
}

/// What an instruction without effect outside of the registers does, for the lanes of the mask.
pub type Compute = Box<dyn Fn(&mut Registers, u32) + Send + Sync>;

/// What a register holds in a lane: `u32` or `u64`.
pub trait Slot: Copy + Send + Sync + 'static {
    fn file(registers: &Registers) -> &[[Self; 32]];
    fn file_mut(registers: &mut Registers) -> &mut [[Self; 32]];
    fn truncate(bits: u64) -> Self;
}

impl Slot for u32 {
    fn file(registers: &Registers) -> &[[Self; 32]] {
        &registers.words
    }
    fn file_mut(registers: &mut Registers) -> &mut [[Self; 32]] {
        &mut registers.words
    }
    fn truncate(bits: u64) -> Self {
        bits as Self
    }
}

impl Slot for u64 {
    fn file(registers: &Registers) -> &[[Self; 32]] {
        &registers.longs
    }
    fn file_mut(registers: &mut Registers) -> &mut [[Self; 32]] {
        &mut registers.longs
    }
    fn truncate(bits: u64) -> Self {
        bits
    }
}

/// A number as an instruction sees it, and the register that holds it.
pub trait Value: Copy + Send + Sync + 'static {
    type Slot: Slot;
    const BITS: u32;
    fn get(slot: Self::Slot) -> Self;
    fn put(self) -> Self::Slot;
}

macro_rules! values {
    ($($value:ty, $slot:ty, $bits:literal, $get:expr, $put:expr;)*) => {$(
        impl Value for $value {
            type Slot = $slot;
            const BITS: u32 = $bits;
            #[inline(always)]
            fn get(slot: $slot) -> Self {
                let get: fn($slot) -> Self = $get;
                get(slot)
            }
            #[inline(always)]
            fn put(self) -> $slot {
                let put: fn(Self) -> $slot = $put;
                put(self)
            }
        }
    )*};
}
values! {
    u16, u32, 16, |s| s as u16, u32::from;
    i16, u32, 16, |s| s as i16, |v| u32::from(v as u16);
    u32, u32, 32, |s| s, |v| v;
    i32, u32, 32, |s| s as i32, |v| v as u32;
    u64, u64, 64, |s| s, |v| v;
    i64, u64, 64, |s| s as i64, |v| v as u64;
    f32, u32, 32, f32::from_bits, f32::to_bits;
    f64, u64, 64, f64::from_bits, f64::to_bits;
}

#[inline(always)]
fn write<S: Slot>(registers: &mut Registers, d: usize, mask: u32, values: [S; 32]) {
    let file = &mut S::file_mut(registers)[d];
    if mask == u32::MAX {
        *file = values;
        return;
    }
    for lane in 0..32 {
        if mask >> lane & 1 == 1 {
            file[lane] = values[lane];
        }
    }
}

#[inline(always)]
fn read<V: Value>(registers: &Registers, slot: usize) -> &[V::Slot; 32] {
    &V::Slot::file(registers)[slot]
}

/// `d = f(a)`. The function is called for inactive lanes too, so it must be total.
pub fn map1<A: Value, D: Value>(d: usize, a: usize, f: impl Fn(A) -> D + Send + Sync + 'static) -> Compute {
    Box::new(move |registers, mask| {
        let a = read::<A>(registers, a);
        let values = std::array::from_fn(|lane| f(A::get(a[lane])).put());
        write(registers, d, mask, values);
    })
}

/// `d = f(a, b)`.
pub fn map2<A: Value, B: Value, D: Value>(
    d: usize,
    [a, b]: [usize; 2],
    f: impl Fn(A, B) -> D + Send + Sync + 'static,
) -> Compute {
    Box::new(move |registers, mask| {
        let (a, b) = (read::<A>(registers, a), read::<B>(registers, b));
        let values = std::array::from_fn(|lane| f(A::get(a[lane]), B::get(b[lane])).put());
        write(registers, d, mask, values);
    })
}

/// `d = f(a, b, c)`.
pub fn map3<A: Value, B: Value, C: Value, D: Value>(
    d: usize,
    [a, b, c]: [usize; 3],
    f: impl Fn(A, B, C) -> D + Send + Sync + 'static,
) -> Compute {
    Box::new(move |registers, mask| {
        let (a, b, c) = (read::<A>(registers, a), read::<B>(registers, b), read::<C>(registers, c));
        let values = std::array::from_fn(|lane| f(A::get(a[lane]), B::get(b[lane]), C::get(c[lane])).put());
        write(registers, d, mask, values);
    })
}

/// `d = f(a, b, c, e)`.
pub fn map4<T: Value, U: Value>(
    d: usize,
    [a, b]: [usize; 2],
    [c, e]: [usize; 2],
    f: impl Fn(T, T, U, U) -> T + Send + Sync + 'static,
) -> Compute {
    Box::new(move |registers, mask| {
        let (a, b) = (read::<T>(registers, a), read::<T>(registers, b));
        let (c, e) = (read::<U>(registers, c), read::<U>(registers, e));
        let at = |lane: usize| f(T::get(a[lane]), T::get(b[lane]), U::get(c[lane]), U::get(e[lane])).put();
        let values = std::array::from_fn(at);
        write(registers, d, mask, values);
    })
}

/// The lanes where `f(a, b)` holds.
pub fn holds<T: Value>(registers: &Registers, [a, b]: [usize; 2], f: impl Fn(T, T) -> bool) -> u32 {
    let (a, b) = (read::<T>(registers, a), read::<T>(registers, b));
    (0..32).fold(0, |bits, lane| bits | u32::from(f(T::get(a[lane]), T::get(b[lane]))) << lane)
}

/// `d = p ? a : b`.
pub fn select<T: Value>(d: usize, [a, b]: [usize; 2], p: usize) -> Compute {
    Box::new(move |registers, mask| {
        let p = registers.predicates[p];
        let (a, b) = (read::<T>(registers, a), read::<T>(registers, b));
        let values = std::array::from_fn(|lane| if p >> lane & 1 == 1 { a[lane] } else { b[lane] });
        write(registers, d, mask, values);
    })
}

/// Sets the lanes of `mask` in predicate `p` to those of `bits`.
#[inline(always)]
pub fn set_predicate(registers: &mut Registers, p: usize, bits: u32, mask: u32) {
    let file = &mut registers.predicates[p];
    *file = *file & !mask | bits & mask;
}
