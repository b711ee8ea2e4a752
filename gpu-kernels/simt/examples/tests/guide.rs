//! The guide `docs/kernels-of-your-own.md`, whose code is that of the examples.
#![cfg(not(feature = "race-check"))]
#![allow(missing_docs)]

use std::fs;
use std::path::Path;

/// Returns the text without the indentation of its lines.
fn unindented(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_code_of_the_guide_is_that_of_the_examples() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |folder: &str| {
        let files = fs::read_dir(package.join(folder)).expect("the folder is read");
        files.filter_map(|file| fs::read_to_string(file.expect("the folder is read").path()).ok())
    };
    let sources: Vec<String> = read("src").chain(read("src/bin")).map(|text| unindented(&text)).collect();
    let guide = fs::read_to_string(package.join("../../../docs/kernels-of-your-own.md")).expect("the guide is read");
    let blocks: Vec<_> = guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 7);
    for block in blocks {
        let code = unindented(block);
        assert!(sources.iter().any(|source| source.contains(code.trim_end())), "no example has this code:\n{block}");
    }
}

/// Returns the kernel of a source, from its declaration to the end of its implementation.
fn kernel(source: &str) -> &str {
    let (_, kernel) = source.split_once("simt::entries! {").expect("the source declares a kernel");
    let implementation = kernel.find("\nimpl Kernel for").expect("the source implements the kernel");
    let end = kernel[implementation..].find("\n}\n").expect("the implementation ends");
    &kernel[..implementation + end]
}

#[test]
fn the_kernel_of_the_template_is_that_of_the_example() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(package.join(file)).expect("the source is read");
    assert_eq!(kernel(&read("../template/src/lib.rs")), kernel(&read("src/saxpy.rs")));
}
