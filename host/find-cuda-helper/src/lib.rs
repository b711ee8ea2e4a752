//! Lets `cust` build without a CUDA installation.
//!
//! The build scripts of `cust` and `cust_raw` call [`include_cuda`]. In the registry's crate the function looks for the
//! driver's library and has the program linked to it. Here it does nothing, because the crate `cuda-driver` defines the
//! driver's functions.

/// Returns the name of the crate that defines the driver's functions. The function of the registry's crate returns `()`,
/// so `cuda-driver` can tell which one a program is built with.
pub fn include_cuda() -> &'static str {
    "cuda-driver"
}
