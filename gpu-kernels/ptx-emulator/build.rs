//! Keeps the emulated driver loaded until the program ends, as the real one is.

/// Marks the shared library as one that is never unloaded. The destructors of the standard library's thread-local values lie in
/// it, and a thread that has called the driver runs them when it ends.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
