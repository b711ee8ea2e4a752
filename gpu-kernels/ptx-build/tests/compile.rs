//! Tests of a build of the crate in `tests/kernels` by rustc's own back end, as in a build script.
#![allow(missing_docs)]

#[path = "../src/assembler.rs"]
mod assembler;

use assembler::{assemble, disassemble};
use ptx_build::{Error, LaunchBounds, Ptx, PtxBuild};

const KERNELS: PtxBuild = PtxBuild {
    package: "kernels",
    manifest: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernels/Cargo.toml"),
    sources: &[],
    parts: &["first", "second"],
    launch_bounds: |_| LaunchBounds { block_threads: 64, min_blocks: None },
    min_arch: 70,
    default_arch: 75,
    compiler_variable: "TEST_PTX",
    rust_cuda_workspace: None,
};

/// Compiles the kernels in an environment with these variables.
fn compile(build: &PtxBuild, variables: &[(&str, &str)]) -> Result<Option<Ptx>, Error> {
    build.compile_in(env!("CARGO_TARGET_TMPDIR").as_ref(), |name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    })
}

/// Compiles the kernels with rustc's own back end.
fn ptx(build: &PtxBuild) -> Ptx {
    compile(build, &[("TEST_PTX", "rustc")]).unwrap().unwrap()
}

/// Returns the text of the error in an environment with this variable.
fn error(name: &str, value: &str) -> String {
    compile(&KERNELS, &[(name, value)]).unwrap_err().to_string()
}

#[test]
fn each_part_yields_its_kernels_with_the_code_of_their_dependencies() {
    let ptx = ptx(&KERNELS);
    assert_eq!((ptx.arch, ptx.compiler), (75, "rustc's NVPTX backend"));
    let names: Vec<_> = ptx.modules.iter().map(|module| &module.kernel).collect();
    assert_eq!(names, ["double", "share"]);
    for module in &ptx.modules {
        let ptx = &module.ptx;
        assert!(ptx.contains(".target sm_75\n") && ptx.contains("\n.maxntid 64, 1, 1\n"), "{ptx}");
        assert!(ptx.contains("%tid.x") && !ptx.contains("call"), "the dependency is not inlined:\n{ptx}");
        assert!(ptx.contains("device/src/lib.rs\"") && ptx.contains("// inlined at "), "no line numbers:\n{ptx}");
    }
    assert!(ptx.modules[1].ptx.contains(".extern .shared .align 16 .b8 shared_memory[];"));
}

#[test]
fn all_kernels_are_compiled_at_once_without_parts() {
    let ptx = ptx(&PtxBuild { parts: &[], ..KERNELS });
    assert_eq!(ptx.modules.len(), 2);
    let dir = tempfile::tempdir().unwrap();
    let include = ptx.write(dir.path()).unwrap();
    for module in &ptx.modules {
        let path = dir.path().join(format!("{}.ptx", module.kernel));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), module.ptx);
        assert!(include.contains(&format!("({:?}, include_str!({:?})),", module.kernel, path.to_str().unwrap())));
    }
}

#[test]
#[ignore = "needs ptxas and nvdisasm, see `src/assembler.rs`"]
fn the_assembler_accepts_every_module() {
    let dir = tempfile::tempdir().unwrap();
    for module in ptx(&KERNELS).modules {
        let cubin = dir.path().join(&module.kernel).with_extension("cubin");
        let resources = assemble(&module.ptx, &module.kernel, 90, &cubin).unwrap();
        assert_eq!((resources.stack, resources.spill_stores, resources.spill_loads), (0, 0, 0));
        let code = disassemble(&cubin, &module.kernel).unwrap();
        assert_eq!(code.count("LDG"), 1, "{code:?}");
    }
}

#[test]
fn a_failure_of_cargo_is_reported_with_its_log_and_a_hint() {
    let error = compile(&PtxBuild { package: "absent", parts: &[], ..KERNELS }, &[]).unwrap_err().to_string();
    assert!(error.starts_with("rustc's NVPTX backend does not compile the kernels; hint: run `rustup"), "{error}");
    assert!(error.contains("TEST_PTX=none") && error.contains("absent"), "{error}");
}

#[test]
fn cuda_arch_selects_an_architecture_that_the_kernels_support() {
    for value in ["60", "7.5", "1000", ""] {
        let expected = format!("CUDA_ARCH={value}: expected an integer from 70 to 999; hint: ");
        assert!(error("CUDA_ARCH", value).starts_with(&expected), "{}", error("CUDA_ARCH", value));
    }
    assert_eq!(error("CUDA_ARCH", "999"), "CUDA_ARCH=999: rustc's NVPTX backend knows no such architecture");
    let kernels = PtxBuild { parts: &["first"], ..KERNELS };
    let ptx = compile(&kernels, &[("CUDA_ARCH", "90")]).unwrap().unwrap();
    assert!(ptx.arch == 90 && ptx.modules[0].ptx.contains(".target sm_90\n"), "{}", ptx.modules[0].ptx);
}

#[test]
fn the_variable_selects_the_compiler() {
    assert!(compile(&KERNELS, &[("TEST_PTX", "none")]).unwrap().is_none());
    assert_eq!(compile(&KERNELS, &[]).unwrap().unwrap().compiler, "rustc's NVPTX backend");
    assert_eq!(error("TEST_PTX", "gcc"), "TEST_PTX=gcc: expected `rust-cuda`, `rustc` or `none`");
    let expected = "TEST_PTX=rust-cuda: the kernels have no workspace for Rust-CUDA; hint: ";
    assert!(error("TEST_PTX", "rust-cuda").starts_with(expected), "{}", error("TEST_PTX", "rust-cuda"));
}
