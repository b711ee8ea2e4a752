//! The error codes of the driver (`CUresult`, section "Data types used by CUDA driver").

/// The value of a `CUresult` that reports an error.
pub type Code = i32;

macro_rules! codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        $(#[allow(dead_code, reason = "settings can ask for codes that the emulator itself never returns")]
        pub const $name: Code = $code;)*

        /// The value, the name and the description of each code, with the terminating nulls of C.
        const TABLE: &[(Code, &str, &str)] = &[
            (0, "CUDA_SUCCESS\0", "no error\0"),
            $(($code, concat!("CUDA_ERROR_", stringify!($name), "\0"), concat!($text, "\0"))),*
        ];
    };
}
codes! {
    INVALID_VALUE = 1, "invalid argument";
    OUT_OF_MEMORY = 2, "out of memory";
    NOT_INITIALIZED = 3, "initialization error";
    DEINITIALIZED = 4, "driver shutting down";
    STUB_LIBRARY = 34, "CUDA driver is a stub library";
    DEVICE_UNAVAILABLE = 46, "CUDA-capable device(s) is/are busy or unavailable";
    NO_DEVICE = 100, "no CUDA-capable device is detected";
    INVALID_DEVICE = 101, "invalid device ordinal";
    INVALID_IMAGE = 200, "device kernel image is invalid";
    INVALID_CONTEXT = 201, "invalid device context";
    NO_BINARY_FOR_GPU = 209, "no kernel image is available for execution on the device";
    ECC_UNCORRECTABLE = 214, "uncorrectable ECC error encountered";
    INVALID_PTX = 218, "a PTX JIT compilation failed";
    JIT_COMPILER_NOT_FOUND = 221, "PTX JIT compiler library not found";
    UNSUPPORTED_PTX_VERSION = 222, "the provided PTX was compiled with an unsupported toolchain.";
    INVALID_HANDLE = 400, "invalid resource handle";
    NOT_FOUND = 500, "named symbol not found";
    NOT_READY = 600, "device not ready";
    ILLEGAL_ADDRESS = 700, "an illegal memory access was encountered";
    LAUNCH_OUT_OF_RESOURCES = 701, "too many resources requested for launch";
    LAUNCH_TIMEOUT = 702, "the launch timed out and was terminated";
    ASSERT = 710, "device-side assert triggered";
    MISALIGNED_ADDRESS = 716, "misaligned address";
    LAUNCH_FAILED = 719, "unspecified launch failure";
    COOPERATIVE_LAUNCH_TOO_LARGE = 720, "too many blocks in cooperative launch";
    NOT_SUPPORTED = 801, "operation not supported";
    SYSTEM_DRIVER_MISMATCH = 803, "system has unsupported display driver / cuda driver combination";
    UNKNOWN = 999, "unknown error";
}

/// Returns the name and the description of a code, each with its terminating null.
pub fn text(code: Code) -> Option<(&'static str, &'static str)> {
    TABLE.iter().find(|(known, _, _)| *known == code).map(|(_, name, text)| (*name, *text))
}

/// Parses a code from its value, or from its name with or without `CUDA_ERROR_`.
pub fn parse(text: &str) -> Option<Code> {
    let named = |known: &str| {
        let known = known.trim_end_matches('\0');
        known == text || known.strip_prefix("CUDA_ERROR_") == Some(text)
    };
    text.parse().ok().or_else(|| TABLE.iter().find(|(_, name, _)| named(name)).map(|(code, _, _)| *code))
}
