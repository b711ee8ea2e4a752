//! The memory that models need, and its comparison with the memory that there is.

use std::fmt;
use std::iter::Sum;

#[cfg(all(feature = "program", target_os = "linux"))]
use super::limits::Limit;
use crate::error::{Error, Result};

/// The bytes that models need on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The bytes of the parameters and their copies.
    pub parameters: u64,
    /// The bytes of gradients and moments and their copies.
    pub optimizer: u64,
    /// The bytes of the workspaces of training, evaluation and sampling.
    pub activations: u64,
}

/// The least demand that is compared with the memory there is. Almost every computer has as much, and the system's files
/// about its memory take longer to read than a small model takes to start.
#[cfg(all(feature = "program", target_os = "linux"))]
const LEAST: u64 = 64 << 20;

impl Demand {
    /// Returns the demand of this many values of `f32`, saturated at 64 bits.
    pub(super) fn of_floats(parameters: u128, optimizer: u128, activations: u128) -> Self {
        let bytes = |floats: u128| u64::try_from(floats.saturating_mul(4)).unwrap_or(u64::MAX);
        Self { parameters: bytes(parameters), optimizer: bytes(optimizer), activations: bytes(activations) }
    }

    /// Returns the sum, saturated at 64 bits.
    pub fn total(&self) -> u64 {
        self.parameters.saturating_add(self.optimizer).saturating_add(self.activations)
    }

    /// Rejects a demand for more memory than this process can have. Only Linux promises memory that it lacks, so elsewhere
    /// the allocation itself fails.
    ///
    /// # Errors
    /// [`Error::Memory`] with the demand, the limit and the memory that is left.
    pub fn validate(&self) -> Result<()> {
        #[cfg(all(feature = "program", target_os = "linux"))]
        if self.total() >= LEAST {
            return Limit::of_this_process().map_or(Ok(()), |limit| self.compare(limit));
        }
        if self.total() > isize::MAX as u64 { Err(self.refused("an address", isize::MAX as u64)) } else { Ok(()) }
    }

    /// Rejects the demand if it exceeds a limit.
    #[cfg(all(feature = "program", target_os = "linux"))]
    fn compare(&self, limit: Limit) -> Result<()> {
        if self.total() > limit.left { Err(self.refused(limit.name, limit.left)) } else { Ok(()) }
    }

    fn refused(&self, limit: &'static str, left: u64) -> Error {
        Error::Memory {
            needed: Bytes(self.total()).to_string(),
            parts: self.to_string(),
            limit,
            left: Bytes(left).to_string(),
        }
    }
}

impl Sum for Demand {
    fn sum<I: Iterator<Item = Self>>(demands: I) -> Self {
        demands.fold(Self::default(), |sum, one| Self {
            parameters: sum.parameters.saturating_add(one.parameters),
            optimizer: sum.optimizer.saturating_add(one.optimizer),
            activations: sum.activations.saturating_add(one.activations),
        })
    }
}

/// The parts as a notice names them, such as `1.2 MB parameters, 3.6 MB optimiser, 0.4 MB activations`.
impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [parameters, optimizer, activations] = [self.parameters, self.optimizer, self.activations].map(Bytes);
        write!(f, "{parameters} parameters, {optimizer} optimiser, {activations} activations")
    }
}

/// A number of bytes in a unit of a person's size.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, units) = (self.0 as f64, [("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)]);
        let (unit, size) = units.into_iter().rev().find(|&(_, size)| bytes >= size).unwrap_or(units[0]);
        write!(f, "{:.1} {unit}", bytes / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_names_its_parts() {
        let demand = Demand { parameters: 47_000, optimizer: 3_460_000, activations: 2_000_000_000_000 };
        assert_eq!(demand.to_string(), "47.0 KB parameters, 3.5 MB optimiser, 2.0 TB activations");
        let sum: Demand = [demand, Demand::of_floats(1, 2, 3)].into_iter().sum();
        assert_eq!(sum, Demand { parameters: 47_004, optimizer: 3_460_008, activations: 2_000_000_000_012 });
        assert_eq!(sum.total(), 2_000_003_507_024);
        assert_eq!(Demand::of_floats(u128::MAX, 1, 1).total(), u64::MAX);
    }

    #[test]
    fn a_demand_beyond_all_memory_is_refused_with_its_sum_and_the_flags() {
        let demand = Demand { parameters: 1 << 62, optimizer: 1 << 62, activations: 1 << 62 };
        let report = demand.validate().unwrap_err().report();
        assert!(report.contains("13835058.1 TB") && report.contains("4611686.0 TB optimiser"), "{report}");
        assert!(report.contains("hint: lower `--n-embd`"), "{report}");
        assert!(Demand::default().validate().is_ok());
    }
}
