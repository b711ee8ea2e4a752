//! The macro that turns a table of functions into exports.

/// Exports the functions of a table. A row has
///
/// - the state that the call requires ([`Needs`](crate::driver::state::Needs)),
/// - the names of one or more functions; brackets hold the parameters that a function takes after those of the row,
/// - the parameters of the row,
/// - the result of the call, as an expression of the parameters and the [`State`](crate::driver::state::State).
///
/// Each export logs its call, fails if the settings say so, and checks the required state first.
macro_rules! exports {
    ($($needs:ident: $($name:ident $([$($more:tt)*])?),+ => $parameters:tt |$state:ident| $body:expr;)*) => {
        $($(exports! { @export $needs $name $parameters [$($($more)*)?] $state $body })+)*
    };
    (@export $needs:ident $name:ident ($($argument:ident: $type:ty),* $(,)?) [$($more:ident: $more_type:ty),*]
     $state:ident $body:expr) => {
        /// Implements the function of this name of the CUDA Driver API.
        // SAFETY: the symbol is one of libcuda's, for which this library stands in, so no other library of the process
        // defines it.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments, reason = "the API defines the parameters")]
        pub extern "C" fn $name($($argument: $type,)* $($more: $more_type),*) -> $crate::driver::codes::Code {
            let arguments = || {
                let all: &[String] = &[
                    $(format!("{}={:?}", stringify!($argument), $argument),)*
                    $(format!("{}={:?}", stringify!($more), $more)),*
                ];
                all.join(", ")
            };
            $crate::driver::state::call(
                stringify!($name),
                $crate::driver::state::Needs::$needs,
                &arguments,
                |$state: &mut $crate::driver::state::State| $body,
            )
        }
    };
}

pub(super) use exports;
