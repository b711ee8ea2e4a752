//! Quotients by Newton's method against those of IEEE 754, for random pairs of numbers over the whole range. The tests of
//! `simt` prove the rounding of the significands.

use std::num::NonZero;

use simt::{Cpu, Global};
use simt_examples::checks::division::Division;

use super::bits;
use crate::devices::{run, run_cpu};

/// The exponents of numerators and divisors that `Warp::divide` takes.
const EXPONENTS: [(i32, i32); 2] = [(-100, 127), (-100, 125)];

/// A generator of random numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// Returns a random significand. Every eighth one is next to a power of two.
    fn significand(&mut self) -> u32 {
        let (x, near) = (self.next() >> 9, [0, 1, 2, 0x7f_ffff, 0x7f_fffe, 0x40_0000, 0x3f_ffff, 0x40_0001]);
        if self.next().is_multiple_of(8) { near[x as usize % near.len()] } else { x }
    }

    /// Returns an exponent, every fourth time one of the ends.
    fn exponent(&mut self, (first, last): (i32, i32)) -> i32 {
        match self.next() % 8 {
            0 => first,
            1 => last,
            _ => first + (self.next() % (last - first + 1) as u32) as i32,
        }
    }

    /// Returns a numerator, a divisor and an estimate of the divisor's inverse, one of the two next floats or one that is off by
    /// the distance of neighbours.
    fn division(&mut self) -> [f32; 3] {
        loop {
            let float = |exponent: i32, significand| f32::from_bits(((exponent + 127) as u32) << 23 | significand);
            let [e, f] = EXPONENTS.map(|range| self.exponent(range));
            let (a, b) = (float(e, self.significand()), float(f, self.significand()));
            let (exact, nearest) = (1.0 / f64::from(b), 1.0 / b);
            let step = self.next() % 3;
            let estimate = f32::from_bits(nearest.to_bits() + step - 1);
            let distance = f64::from(f32::from_bits((exact as f32).to_bits() & 0x7f80_0000)) / 8_388_608.0;
            let is_exception = a.to_bits() << 9 == 0 && !b.to_bits() << 9 == 0 && estimate.to_bits() << 9 == 0;
            let is_in_range = (f64::from(f32::MIN_POSITIVE)..2f64.powi(127)).contains(&(f64::from(a) / f64::from(b)));
            if is_in_range && !is_exception && (f64::from(estimate) - exact).abs() <= distance {
                return [if self.next().is_multiple_of(2) { a } else { -a }, b, estimate];
            }
        }
    }

    /// Returns the arrays of a launch of `n` divisions.
    fn arrays(&mut self, n: usize) -> Vec<Vec<u32>> {
        let divisions: Vec<_> = (0..n).map(|_| self.division()).collect();
        let column = |i: usize| bits(&divisions.iter().map(|division| division[i]).collect::<Vec<_>>());
        vec![column(0), column(1), column(2), vec![0; n], vec![0; n]]
    }
}

/// Returns the kernel for arrays of `n` elements.
fn kernel(n: usize) -> impl Fn(&[u64]) -> Division {
    move |at| Division {
        a: Global::new(at[0], n),
        b: Global::new(at[1], n),
        estimates: Global::new(at[2], n),
        from_estimates: Global::new(at[3], n),
        quotients: Global::new(at[4], n),
    }
}

/// Asserts that the quotients of a launch are those of IEEE 754.
#[track_caller]
fn check(arrays: &[Vec<u32>]) {
    let [a, b, estimates, from_estimates, quotients] = arrays else { panic!("five arrays") };
    for i in 0..a.len() {
        let [a, b, estimate] = [a[i], b[i], estimates[i]].map(f32::from_bits);
        let expected = (a / b).to_bits();
        assert_eq!(from_estimates[i], expected, "{a:e} / {b:e} from the estimate {estimate:e}");
        assert_eq!(quotients[i], expected, "{a:e} / {b:e}");
    }
}

#[test]
fn quotients_by_newtons_method_are_those_of_ieee_754() {
    let n = 1 << 16;
    check(&run(2, &Random(1).arrays(n), kernel(n)));
}

#[test]
#[ignore = "takes minutes for each instruction set"]
fn a_billion_quotients_by_newtons_method_are_those_of_ieee_754() {
    let (n, mut random) = (1 << 22, Random(2));
    check(&run(2, &random.arrays(n), kernel(n)));
    for round in 0..1 << 8 {
        let arrays = random.arrays(n);
        for cpu in Cpu::all() {
            check(&run_cpu(cpu.threads(NonZero::<usize>::MIN), 1, &arrays, &kernel(n)));
            if round == 0 {
                println!("{}", cpu.isa().name());
            }
        }
    }
}
