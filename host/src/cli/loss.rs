//! A loss as the program prints it.

use std::fmt::{self, Display};

/// A loss to four decimals. The loss of a model that diverges, a million or more, is in exponent form.
pub(super) struct Loss(pub(super) f64);

impl Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < 1e6 { write!(f, "{:.4}", self.0) } else { write!(f, "{:.4e}", self.0) }
    }
}
