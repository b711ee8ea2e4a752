//! The entries of a kernel in PTX.

/// Makes the PTX entry of a kernel.
#[doc(hidden)]
#[macro_export]
macro_rules! device_entry {
    ($name:ident $kernel:ident) => {
        $crate::ptx_entries! {
            /// Runs a block of the kernel.
            ///
            /// # Safety
            /// The conditions of `Launch::new` hold, and the launch has the kernel's shared memory.
            pub unsafe fn $name(kernel: $kernel) {
                let (block, blocks) = $crate::launch();
                let grid = $crate::Grid::new(block..block + 1, blocks, $crate::GpuShared);
                // SAFETY: the host keeps the contract of `Launch::new`.
                $crate::Kernel::run(&kernel, &unsafe { $crate::Launch::new(grid) });
            }
        }
    };
}
