//! The mean and the spread of a few values.

/// The mean, the spread and the range of a few values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation (with n - 1), or 0 for one value.
    pub std: f64,
    /// The least value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Summary {
    /// Returns the summary of the finite values, or `None` if no value is finite.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = if n == 1 { 0.0 } else { (squares / (n - 1) as f64).sqrt() };
        let (min, max) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &x| (min.min(x), max.max(x)));
        Some(Self { mean, std, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let of = |values: &[f64]| Summary::of(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some(Summary { mean: 3.0, std: 0.0, min: 3.0, max: 3.0 }));
        assert_eq!(of(&[1.0, 5.0, 3.0]), Some(Summary { mean: 3.0, std: 2.0, min: 1.0, max: 5.0 }));
        assert_eq!(of(&[f64::NAN, 3.0]), of(&[3.0]));
    }
}
