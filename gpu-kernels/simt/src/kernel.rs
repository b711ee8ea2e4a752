//! The interface between a kernel and its callers: argument struct, entry and launch.

use core::marker::PhantomData;
use core::ops::Range;

use crate::array::Array;
use crate::block::Grid;
#[cfg(not(target_arch = "nvptx64"))]
use crate::cpu as backend;
use crate::element::Element;
#[cfg(target_arch = "nvptx64")]
use crate::gpu as backend;
use crate::kernel_block::KernelBlock;
use crate::space::ConstantMemory;
use crate::target::Target;
use backend::View;

/// The arguments of a kernel, with the kernel as a method. [`entries!`](crate::entries) declares the struct and makes
/// the kernel's entries.
pub trait Kernel: Copy + Send + Sync {
    /// The length in elements of the memory that [`KernelBlock::shared`] gives, at most. A launch on a GPU provides this much
    /// dynamic shared memory, `Arguments::SHARED_BYTES`. The host computes the length, so it depends on
    /// [`GPU_WARPS`](crate::GPU_WARPS) and never on [`WARPS`](crate::WARPS).
    const SHARED: usize = 0;

    /// Runs the kernel in the blocks of `launch`.
    fn run<T: Target>(&self, launch: &Launch<T>);
}

/// A launch of a kernel, which gives views of the arrays in the kernel's arguments.
///
/// Only entries make a launch, and their callers vouch for the arrays. So a kernel contains no `unsafe`.
pub struct Launch<T>(Grid<T>);

impl<T: Target> Launch<T> {
    /// Returns the launch of the blocks of `grid`.
    ///
    /// # Safety
    /// Each array of which the kernel takes a view is valid for reads, and for writes if the kernel stores to it. Only
    /// this launch accesses the arrays meanwhile, and every access of the kernel stays within them and within the shared
    /// memory.
    #[inline(always)]
    pub unsafe fn new(grid: Grid<T>) -> Self {
        Self(grid)
    }

    /// Runs `work` for each block. There is no barrier at the end, because no block reads what another one writes.
    #[inline(always)]
    pub fn each_block(&self, work: impl Fn(&mut KernelBlock<T>)) {
        self.0.each_block(
            #[inline(always)]
            |block| work(&mut KernelBlock::new(block)),
        );
    }

    /// Returns the array, for the time of the launch. Debug builds and the race checker report an access out of bounds with
    /// this name.
    #[inline(always)]
    #[allow(clippy::unused_self)] // Only a launch may access arrays.
    pub fn array<E: Element>(&self, array: Global<E>, name: &'static str) -> Array<'_, E> {
        // SAFETY: by the contract of `new`, the array is valid, and the kernel's accesses stay within it.
        Array::new(unsafe { view(array, name) })
    }

    /// Returns the array as memory that the launch only reads. On a GPU its elements come from a read-only cache.
    #[inline(always)]
    #[allow(clippy::unused_self)] // As in `array`.
    pub fn constant<E: Element>(&self, array: Global<E>, name: &'static str) -> Array<'_, E, ConstantMemory> {
        // SAFETY: as in `array`.
        Array::new(unsafe { view(array, name) })
    }
}

/// Returns a view of the array.
///
/// # Safety
/// The conditions of [`View::of_bytes`] hold.
#[inline(always)]
unsafe fn view<E: Element>(array: Global<E>, name: &'static str) -> View {
    let bytes = array.len() * size_of::<E>();
    // SAFETY: the caller keeps the contract of `View::of_bytes`.
    unsafe { View::of_bytes(whole(array.address) as usize as *mut u8, bytes).named(name) }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
    impl Sealed for i32 {}
    impl<T> Sealed for super::Global<T> {}
}

/// An array in the memory of the device that runs the kernel, as an argument of a launch.
///
/// The layout is the same on every host and device. Nothing ties the array to a lifetime, so the caller of a launch
/// vouches for the array.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Global<T> {
    /// The address, lower half first. Like every number of an argument struct, it is aligned to four bytes, so that the
    /// struct has no padding.
    address: [u32; 2],
    /// The number of elements, lower half first.
    len: [u32; 2],
    elements: PhantomData<T>,
}

/// Returns the halves of a number, the lower one first.
fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// Returns the number with these halves.
#[inline(always)]
fn whole([low, high]: [u32; 2]) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

// SAFETY: the array is only accessed in a launch, whose caller vouches for it.
unsafe impl<T> Send for Global<T> {}
// SAFETY: as for `Send`.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    /// Returns the array of `len` elements at `address` in the device's memory.
    pub fn new(address: u64, len: usize) -> Self {
        Self { address: halves(address), len: halves(len as u64), elements: PhantomData }
    }

    /// Returns an array in the host's memory, for a kernel that reads and writes it on the CPU.
    pub fn of_mut(elements: &mut [T]) -> Self {
        Self::new(elements.as_mut_ptr().expose_provenance() as u64, elements.len())
    }

    /// Returns an array in the host's memory, for a kernel that only reads it on the CPU.
    pub fn of(elements: &[T]) -> Self {
        Self::new(elements.as_ptr().expose_provenance() as u64, elements.len())
    }

    /// Returns the number of elements.
    #[inline(always)]
    pub fn len(self) -> usize {
        whole(self.len) as usize
    }
}

/// The type of a field of a kernel's arguments. Its layout is the same on every host and device.
pub trait Argument: Copy + sealed::Sealed {}

impl Argument for f32 {}
impl Argument for u32 {}
impl Argument for i32 {}
impl<T: Element> Argument for Global<T> {}

/// Returns the size of an argument in bytes. The function takes part in the assertion of a struct's layout.
#[doc(hidden)]
pub const fn argument_size<T: Argument>() -> usize {
    size_of::<T>()
}

/// A function that runs the blocks of a range of a launch on the CPU. The last parameter is the number of blocks.
///
/// # Safety
/// The conditions of [`Launch::new`] hold, and the processor has the entry's instruction set.
pub type CpuEntry<K> = unsafe fn(kernel: &K, blocks: Range<usize>, count: usize);

/// Declares the argument structs of kernels, and makes the kernels' entries.
///
/// Each item names the entry, then declares the struct, which implements [`Kernel`]. For a GPU the macro makes a PTX
/// entry of this name, which takes the struct by value. For the CPU it makes a function for each instruction set, from
/// which `Cpu` chooses. The fields are numbers of 32 bits and [`Global`] arrays. The macro asserts that the struct has
/// no padding, so that its bytes are the bytes of the kernel's parameter. A crate of kernels needs the feature
/// `abi_ptx` for the target `nvptx64-nvidia-cuda`.
///
/// ```
/// use simt::{Cpu, Global, Kernel, Launch, Target, WARP, inline};
///
/// simt::entries! {
///     /// Doubles every element. The length is a multiple of 32.
///     double: pub struct Double {
///         /// The elements.
///         pub values: Global<f32>,
///     }
/// }
///
/// impl Kernel for Double {
///     #[inline(always)]
///     fn run<T: Target>(&self, launch: &Launch<T>) {
///         let values = launch.array(self.values, "values");
///         let rows = self.values.len() / WARP;
///         launch.each_block(inline!(|block| {
///             block.each_warp(inline!(move |warp| {
///                 for row in warp.grid_share().items(0, rows) {
///                     let x = values.load_lanes(row * WARP);
///                     values.store_lanes(row * WARP, x + x);
///                 }
///             }));
///         }));
///     }
/// }
///
/// let mut values = [1.5; 64];
/// // SAFETY: the array lives, nothing else uses it, and its length is a multiple of 32.
/// unsafe { Cpu::new().launch(2, &Double { values: Global::of_mut(&mut values) }) };
/// assert_eq!(values, [3.0; 64]);
/// ```
///
/// A field of another type does not compile, because its layout may differ between host and device:
///
/// ```compile_fail,E0277
/// # use simt::{Kernel, Launch, Target};
/// simt::entries! {
///     wide: pub struct Wide {
///         pub len: usize,
///     }
/// }
/// # impl Kernel for Wide {
/// #     fn run<T: Target>(&self, _launch: &Launch<T>) {}
/// # }
/// ```
#[macro_export]
macro_rules! entries {
    ($(
        $(#[$attribute:meta])*
        $name:ident: $visibility:vis struct $kernel:ident {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty,)*
        }
    )*) => {$(
        $(#[$attribute])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        $visibility struct $kernel {
            $($(#[$field_attribute])* $field_visibility $field: $type,)*
        }

        const _: () = assert!(
            size_of::<$kernel>() == 0 $(+ $crate::argument_size::<$type>())*,
            concat!("the arguments of `", stringify!($name), "` have padding"),
        );

        $crate::device_entry! { $name $kernel }
    )*};
}
