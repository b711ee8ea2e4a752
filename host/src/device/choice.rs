//! The devices to choose from.

/// The device that a model is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The GPU if there is one that can be used, else the CPU.
    #[default]
    Auto,
    /// The kernels on an NVIDIA GPU.
    Cuda,
    /// The kernels on the CPU.
    Cpu,
    /// The scalar reference in double precision: slow, made to be read.
    Reference,
}
