//! Compiles the kernels of this package to PTX.
fn main() {
    ptx_build::embed::<{ 32 * simt::GPU_WARPS }>();
}
