//! Comparisons of `f16`, `bf16` and pairs of them (PTX ISA, section 9.7.7), against LLVM's software arithmetic.

use std::cmp::Ordering;

use rustc_apfloat::ieee::{BFloat, Half};

use crate::case::Case;
use crate::compare::{COMBINATIONS, operators};
use crate::oracle::{Format, flush_to_zero};
use crate::values::Rows;

/// Returns the cases of a format. Only `f16` has `.ftz`.
fn of<F: Format + 'static>(ftz: bool, one: u64) -> Vec<Case> {
    let (mut cases, modifier, typ) = (Vec::new(), if ftz { ".ftz" } else { "" }, F::TYPE);
    for (name, satisfied) in operators("f32") {
        let holds = move |x: &[u64], at: u32| {
            let value =
                |bits: u64| F::of(if ftz { flush_to_zero::<F>(bits >> at & 0xffff) } else { bits >> at & 0xffff });
            satisfied[match value(x[0]).partial_cmp(&value(x[1])) {
                Some(Ordering::Less) => 0,
                Some(Ordering::Equal) => 1,
                Some(Ordering::Greater) => 2,
                None => 3,
            }]
        };
        for (d, r, yes) in
            [(typ, 16, one), ("u16", 16, 0xffff), ("s16", 16, 0xffff), ("u32", 32, u64::MAX), ("s32", 32, u64::MAX)]
        {
            let form = format!("set.{name}{modifier}.{d}.{typ} b{r},b16,b16");
            cases.push(Case::new(form, Rows::Halves, move |x| if holds(x, 0) { yes } else { 0 }).sparse());
        }
        for (d, yes) in [(format!("{typ}x2"), one), ("u32".into(), 0xffff), ("s32".into(), 0xffff)] {
            let form = format!("set.{name}{modifier}.{d}.{typ}x2 b32,b32,b32");
            cases.push(Case::new(form, Rows::Halves, move |x| {
                let half = |at: u32| if holds(x, at) { yes << at } else { 0 };
                half(0) | half(16)
            }));
        }
        for (d, two) in [("pred", false), ("pred|pred", true)] {
            let results = move |p: bool, q: bool| u64::from(p) | if two { u64::from(q) << 1 } else { 0 };
            let form = format!("setp.{name}{modifier}.{typ} {d},b16,b16");
            cases.push(Case::new(form, Rows::Halves, move |x| results(holds(x, 0), !holds(x, 0))));
            for (combination, combine) in COMBINATIONS {
                for c in ["pred", "!pred"] {
                    let form = format!("setp.{name}.{combination}{modifier}.{typ} {d},b16,b16,{c}");
                    cases.push(
                        Case::new(form, Rows::Halves, move |x| {
                            results(combine(holds(x, 0), x[2] == 1), combine(!holds(x, 0), x[2] == 1))
                        })
                        .sparse(),
                    );
                }
            }
        }
        // The predicates of a pair are those of its halves.
        let pair = |p: bool, q: bool| u64::from(p) | u64::from(q) << 1;
        let form = format!("setp.{name}{modifier}.{typ}x2 pred|pred,b32,b32");
        cases.push(Case::new(form, Rows::Halves, move |x| pair(holds(x, 0), holds(x, 16))));
        for (combination, combine) in COMBINATIONS {
            for c in ["pred", "!pred"] {
                let form = format!("setp.{name}.{combination}{modifier}.{typ}x2 pred|pred,b32,b32,{c}");
                cases.push(
                    Case::new(form, Rows::Halves, move |x| {
                        pair(combine(holds(x, 0), x[2] == 1), combine(holds(x, 16), x[2] == 1))
                    })
                    .sparse(),
                );
            }
        }
    }
    cases
}

/// Returns all cases of this file.
pub fn cases() -> Vec<Case> {
    [of::<Half>(false, 0x3c00), of::<Half>(true, 0x3c00), of::<BFloat>(false, 0x3f80)].into_iter().flatten().collect()
}
