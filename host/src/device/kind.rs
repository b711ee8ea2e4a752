//! The kinds of devices to choose from.

use std::fmt;

/// A kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// The GPU if one can be used, else the CPU.
    #[default]
    Auto,
    /// The kernels on an NVIDIA GPU.
    Cuda,
    /// The kernels on the CPU.
    Cpu,
    /// The scalar reference in double precision, which is slow.
    Reference,
}

impl DeviceKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Cuda, Self::Cpu, Self::Reference];

    /// Returns the name, as `--device` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cuda => "cuda",
            Self::Cpu => "cpu",
            Self::Reference => "reference",
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
