//! The values of flags, with the errors of wrong ones.

use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::builder::ValueParser;

use crate::config::from_to;

/// The largest count. The whole numbers up to it are exact in an `f64`, which the learning rate's schedule needs.
pub(super) const MAX_COUNT: u64 = 1 << 53;

/// Parses a whole number within `range`.
pub(super) fn whole<T: TryFrom<u64> + Clone + Send + Sync + 'static>(range: RangeInclusive<u64>) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number =
            text.parse().ok().filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
    })
}

/// Parses a count from `min`.
pub(super) fn count(min: u64) -> ValueParser {
    whole::<u64>(min..=MAX_COUNT)
}

/// Parses a number of documents, of which `all` is the largest.
pub(super) fn documents() -> ValueParser {
    ValueParser::new(|text: &str| {
        let number = if text == "all" { Some(usize::MAX) } else { text.parse().ok().filter(|&number| number > 0) };
        number.ok_or("expected a whole number from 1, or all")
    })
}

/// Parses a dimension of the model. Indices fit 32 bits on every device.
pub(super) fn size() -> ValueParser {
    whole::<usize>(1..=1 << 30)
}

/// Parses a value of this range, which `expected` describes. NaN is in no range.
///
/// The kernels compute in `f32`. A value that overflows there, or is rounded to one, is out of range.
fn real(range: RangeInclusive<f64>, expected: String) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("expected a number {expected}"))
    })
}

pub(super) fn not_negative() -> ValueParser {
    real(0.0..=f32::MAX.into(), "from 0 to 3.4e38".to_owned())
}

pub(super) fn within(range: RangeInclusive<f64>) -> ValueParser {
    let expected = from_to(&range);
    real(range, expected)
}

pub(super) fn below_one() -> ValueParser {
    real(0.0..=1.0f32.next_down().into(), "from 0 to below 1".to_owned())
}

pub(super) fn probability() -> ValueParser {
    real(0.0..=1.0, "from 0 to 1".to_owned())
}

/// The flags that can be swept, without their dashes.
pub(super) const SWEPT: [&str; 13] = [
    "learning-rate",
    "warmup",
    "min-lr",
    "beta1",
    "beta2",
    "eps",
    "weight-decay",
    "max-grad-norm",
    "batch",
    "n-embd",
    "n-head",
    "n-layer",
    "block-size",
];

/// The values of a flag that is swept, as `--sweep` takes them.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    pub(super) text: String,
    /// One of [`SWEPT`].
    pub(super) flag: String,
    pub(super) values: Vec<String>,
}

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let flags = SWEPT.join(", ");
        let (flag, values) =
            text.split_once('=').ok_or("expected a flag and its values, as in learning-rate=0.003,0.01")?;
        let flag = flag.trim().trim_start_matches("--").to_owned();
        if !SWEPT.contains(&&*flag) {
            return Err(format!("`{flag}` cannot be swept, expected one of {flags}"));
        }
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        Ok(Self { text: text.to_owned(), flag, values })
    }
}
