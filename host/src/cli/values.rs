//! The values that flags take.

use std::ops::RangeInclusive;

use clap::builder::ValueParser;

/// The largest count. The whole numbers up to it are exact in an `f64`, which the learning rate's schedule needs.
pub(super) const MAX_COUNT: u64 = 1 << 53;
/// The largest dimension of a model. Indices fit 32 bits on every device.
const MAX_SIZE: u64 = 1 << 30;

/// Parses a whole number within `range`.
pub(super) fn whole<T: TryFrom<u64> + Clone + Send + Sync + 'static>(range: RangeInclusive<u64>) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
    })
}

/// Parses a dimension of the model.
pub(super) fn size() -> ValueParser {
    whole::<usize>(1..=MAX_SIZE)
}

/// Parses a number from `min` to `max`, which `expected` describes. NaN is in no range.
///
/// The kernels compute in `f32`. A value that overflows there, or is rounded to zero or one, is out of range.
fn real(min: f64, max: f64, expected: &'static str) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| format!("expected a number {expected}"))
    })
}

pub(super) fn not_negative() -> ValueParser {
    real(0.0, f32::MAX.into(), "from 0 to 3.4e38")
}

pub(super) fn positive() -> ValueParser {
    real(f32::MIN_POSITIVE.into(), f32::MAX.into(), "above 0, from 1.2e-38 to 3.4e38")
}

pub(super) fn below_one() -> ValueParser {
    real(0.0, 1.0f32.next_down().into(), "from 0 to below 1")
}

/// Splits `FLAG=X,Y,..` into the flag without its dashes and the values.
pub(super) fn split_sweep(sweep: &str) -> Option<(&str, &str)> {
    sweep.split_once('=').map(|(flag, values)| (flag.trim().trim_start_matches("--"), values))
}
