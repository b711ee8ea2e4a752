//! The interface of elements in memory, which both backends declare and implement.

/// Declares the trait `Word` for the types of a backend.
macro_rules! word_trait {
    () => {
        /// An element in memory as bits.
        pub trait Word {
            /// The size in bytes.
            const BYTES: usize;

            /// The bits of the elements of a warp's lanes.
            type Lanes: Copy;

            /// Loads the 32 elements from `i` on.
            ///
            /// # Safety
            /// The elements lie within the array.
            unsafe fn load<S: Space>(view: View, i: usize) -> Self::Lanes;

            /// Loads element `i` for all lanes.
            ///
            /// # Safety
            /// The element lies within the array.
            unsafe fn load_scalar<S: Space>(view: View, i: usize) -> Self::Lanes;

            /// Loads the elements from `i` on in the lanes of the mask.
            ///
            /// # Safety
            /// The elements of these lanes lie within the array.
            unsafe fn load_where<S: Space>(view: View, mask: Mask32, i: usize, otherwise: Self::Lanes) -> Self::Lanes;

            /// Loads the elements at the lanes' indices in the lanes of the mask.
            ///
            /// # Safety
            /// The elements of these lanes lie within the array.
            unsafe fn gather<S: Space>(view: View, mask: Mask32, index: U32x32, otherwise: Self::Lanes) -> Self::Lanes;

            /// Stores the 32 elements from `i` on.
            ///
            /// # Safety
            /// The elements lie within the array.
            unsafe fn store(view: View, i: usize, x: Self::Lanes);

            /// Stores element `i`, which is the same in all lanes.
            ///
            /// # Safety
            /// The element lies within the array.
            unsafe fn store_scalar(view: View, i: usize, x: Self::Lanes);

            /// Stores the elements from `i` on in the lanes of the mask.
            ///
            /// # Safety
            /// The elements of these lanes lie within the array.
            unsafe fn store_where(view: View, mask: Mask32, i: usize, x: Self::Lanes);

            /// Stores the elements at the lanes' indices in the lanes of the mask.
            ///
            /// # Safety
            /// The elements of these lanes lie within the array.
            unsafe fn scatter(view: View, mask: Mask32, index: U32x32, x: Self::Lanes);
        }
    };
}
