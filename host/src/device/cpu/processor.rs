//! The kernels that the processor can run.

use gpu_kernels::entry::{self, CpuKernels};

/// Returns the kernels that this processor can run, the fastest first.
pub fn available() -> Vec<CpuKernels> {
    entry::ALL.into_iter().filter(is_available).collect()
}

#[cfg(target_arch = "x86_64")]
pub(super) fn is_available(kernels: &CpuKernels) -> bool {
    use simt::Isa;

    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match kernels.isa() {
        Isa::Avx512 => {
            avx2 && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
        }
        Isa::Avx2 => avx2,
        Isa::Baseline => true,
        Isa::Neon | Isa::Ptx => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn is_available(_: &CpuKernels) -> bool {
    true
}
