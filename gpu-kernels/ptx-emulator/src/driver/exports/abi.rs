//! The interface to C, with the macros that turn tables of functions into exports.

use crate::driver::call::{Needs, call};
use crate::driver::codes::{self, Code};
use crate::driver::report::report;

/// The name of an exported function, and its address.
pub type Export = (&'static str, *const ());

/// Returns the value of an attribute. Each row of `attributes` has a name, a number and a value.
pub fn value_of<T: Copy>(attributes: &[(&str, i32, T)], attribute: i32) -> Result<T, Code> {
    let found = attributes.iter().find(|(_, number, _)| *number == attribute);
    found.map(|(_, _, value)| *value).ok_or(codes::INVALID_VALUE)
}

/// Returns an error unless `valid`.
pub fn check(valid: bool) -> Result<(), Code> {
    if valid { Ok(()) } else { Err(codes::INVALID_VALUE) }
}

/// Exports the functions of a table. A row has
///
/// - the state that the call requires ([`Needs`](crate::driver::call::Needs)),
/// - the names of one or more functions. A suffix after `+` exports the function a second time, for callers whose stream
///   0 is the thread's own. Brackets hold the parameters that a function takes after those of the row,
/// - the parameters of the row. A `let` after them is computed before the state is locked, because it calls the program,
/// - the result of the call, as an expression of the parameters and the
///   [`DriverState`](crate::driver::state::DriverState).
///
/// Each export logs its call, fails if the settings say so, and checks the required state first. The constant `FUNCTIONS`
/// lists the exports.
macro_rules! exports {
    ($($needs:ident: $($name:ident $(+ $suffix:literal)? $([$($more:tt)*])?),+
        => $parameters:tt |$state:ident| $body:expr;)*) => {
        /// The functions of this file.
        pub const FUNCTIONS: &[&[$crate::driver::exports::abi::Export]] =
            &[$($(exports! { @entry $name [$($suffix)?] $parameters [$($($more)*)?] }),+),*];
        $($(exports! { @export $needs $name $parameters [$($($more)*)?] $state $body })+)*
    };
    (@export $needs:ident $name:ident
     ($($argument:ident: $type:ty),* $(,)? $(; let $early:ident = $value:expr)?) [$($more:ident: $more_type:ty),*]
     $state:ident $body:expr) => {
        /// Implements the function of this name.
        // SAFETY: no other library defines the symbol, because this library replaces the real one.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments, reason = "the API defines the parameters")]
        pub extern "C" fn $name($($argument: $type,)* $($more: $more_type),*) -> $crate::driver::codes::Code {
            $(let $early = $value;)?
            $crate::driver::call::call(
                stringify!($name),
                $crate::driver::call::Needs::$needs,
                &[
                    $((stringify!($argument), &$argument),)*
                    $((stringify!($more), &$more)),*
                ],
                &mut |$state: &mut $crate::driver::state::DriverState| $body,
            )
        }
    };
    (@entry $name:ident [] $parameters:tt $more:tt) => { &[(stringify!($name), $name as *const ())] };
    (@entry $name:ident [$suffix:literal] $parameters:tt $more:tt) => {
        &[
            (stringify!($name), $name as *const ()),
            (concat!(stringify!($name), $suffix), exports! { @thread $name $suffix $parameters $more }),
        ]
    };
    (@thread $name:ident $suffix:literal ($($argument:ident: $type:ty),* $(,)?) [$($more:ident: $more_type:ty),*]) => {{
        // SAFETY: no other library defines the symbol, because this library replaces libcuda.
        #[unsafe(export_name = concat!(stringify!($name), $suffix))]
        #[allow(clippy::too_many_arguments, reason = "the API defines the parameters")]
        extern "C" fn with_suffix($($argument: $type,)* $($more: $more_type),*) -> $crate::driver::codes::Code {
            $crate::driver::state::with_thread_stream(|| $name($($argument,)* $($more),*))
        }
        with_suffix as *const ()
    }};
}

/// Exports functions that only report that they are not supported. They ignore their parameters, which the C calling
/// conventions of all targets allow.
macro_rules! unsupported {
    ($($name:ident)*) => {
        /// The functions of this file.
        pub const FUNCTIONS: &[&[$crate::driver::exports::abi::Export]] =
            &[&[$((stringify!($name), $name as *const ())),*]];
        $(
            /// Reports that the function of this name of the CUDA Driver API is not supported.
            // SAFETY: no other library defines the symbol, because this library replaces libcuda.
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() -> $crate::driver::codes::Code {
                $crate::driver::exports::abi::not_supported(stringify!($name))
            }
        )*
    };
}

/// Reports a call that is not supported.
pub fn not_supported(name: &'static str) -> Code {
    call(name, Needs::Nothing, &[], &mut |_| {
        report(format_args!("{name} is not supported"));
        Err(codes::NOT_SUPPORTED)
    })
}

pub(super) use {exports, unsupported};
