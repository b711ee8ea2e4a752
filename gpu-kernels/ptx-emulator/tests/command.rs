//! The command `ptx-emulator`.
#![allow(missing_docs)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Two kernels, the second of which is not supported. The first stores the index of each thread, plus `first`.
const MODULE: &str = ".version 7.0\n.target sm_75\n.address_size 64\n.file 1 \"kernels/index.cu\"\n\
    .visible .entry index(.param .u64 to, .param .u32 first)\n{\n.reg .b32 %r<5>; .reg .b64 %rd<3>;\n.loc 1 7 1\n\
    ld.param.u64 %rd1, [to]; ld.param.u32 %r1, [first]; mov.u32 %r2, %tid.x; mov.u32 %r3, %ctaid.x;\n\
    mov.u32 %r4, %ntid.x; mad.lo.u32 %r2, %r3, %r4, %r2; mul.wide.u32 %rd2, %r2, 4; add.u64 %rd1, %rd1, %rd2;\n.loc 1 8 1\n\
    add.u32 %r2, %r2, %r1; st.global.u32 [%rd1], %r2;\nret;\n}\n\
    .visible .entry other()\n{\nfrobnicate.u32;\nret;\n}\n";

fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, MODULE).unwrap();
    path
}

fn command(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ptx-emulator")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_check_lists_the_kernels_that_do_not_run() {
    let output = command(&["check", file("check.ptx").to_str().unwrap()]);
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    for part in
        ["kernel `index`, line 5: 2 parameters of 12 bytes", "kernel `other`", "frobnicate", "2 kernels, 1 of them"]
    {
        assert!(report.contains(part), "`{part}` is not in:\n{report}");
    }
}

#[test]
fn a_run_prints_the_arrays_that_the_kernel_has_changed() {
    let file = file("run.ptx");
    let file = file.to_str().unwrap();
    let launch = ["--kernel", "index", "--grid", "2", "--block", "4", "--arg", "u32[8]=unset", "--arg", "u32=10"];
    let output = command(&[&["run", file], &launch[..]].concat());
    assert_eq!(text(&output.stdout), "argument 0: 10 11 12 13 14 15 16 17\n", "{}", text(&output.stderr));
    let profile = text(&command(&[&["profile", file], &launch[..]].concat()).stdout);
    let line =
        profile.lines().find(|line| line.starts_with("kernels/index.cu:8")).unwrap_or_else(|| panic!("{profile}"));
    // Two warps of four lanes execute three instructions each, and store 32 bytes in all.
    assert_eq!(line.split_whitespace().collect::<Vec<_>>()[1..4], ["6", "4.0", "32"]);
}

#[test]
fn a_fault_names_the_thread_the_source_line_and_the_allocation() {
    let file = file("fault.ptx");
    let args = ["--kernel", "index", "--grid", "3", "--block", "4", "--arg", "u32[8]=unset", "--arg", "u32=10"];
    let output = command(&[&["run", file.to_str().unwrap()], &args[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let report = text(&output.stderr);
    for part in
        ["32 bytes into the allocation of 32 bytes at 0x", "thread (0,0,0) in block (2,0,0)", "from kernels/index.cu:8"]
    {
        assert!(report.contains(part), "`{part}` is not in:\n{report}");
    }
}

#[test]
fn an_error_names_what_is_missing() {
    let file = file("missing.ptx");
    let file = file.to_str().unwrap();
    for (args, part) in [
        (vec!["run", file, "--kernel", "index"], "takes 2 arguments, got 0"),
        (vec!["run", file], "name one of the kernels by --kernel: index, other"),
        (vec!["run", file, "--kernel", "none"], "its kernels are index, other"),
        (vec!["run"], "there is no PTX file"),
        (vec!["run", file, "--set", "sms=none"], "invalid setting `sms=none`"),
        (
            vec!["run", file, "--kernel", "index", "--arg", "u64[1000000000000]=1", "--arg", "u32=1"],
            "argument 0: an array of 8000000000000 bytes exceeds the free memory of 17179869184 bytes",
        ),
        (vec!["check", "no/such/file"], "cannot read `no/such/file`"),
    ] {
        let output = command(&args);
        assert!(!output.status.success() && text(&output.stderr).contains(part), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
#[cfg(unix)]
fn a_reader_that_closes_its_end_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ptx-emulator"));
    let mut child = command.arg("coverage").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(text(&child.wait_with_output().unwrap().stderr), "");
}

#[test]
#[cfg(unix)]
fn a_program_finds_no_library_in_a_folder_of_another_user() {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // The shell keeps its process when it becomes the command, so it knows the number of the process.
    let script = "mkdir \"$TMPDIR/ptx-emulator-$$\" && echo $$ && exec \"$0\" run -- true";
    let shell =
        Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_ptx-emulator")]).env("TMPDIR", &place).output();
    let output = shell.unwrap();
    let folder = place.join(format!("ptx-emulator-{}", text(&output.stdout).trim()));
    assert!(output.status.success(), "{}", text(&output.stderr));
    std::fs::remove_dir(folder).expect("the folder was not used");
}

#[test]
fn a_program_finds_the_emulator_with_the_settings() {
    let this = std::env::current_exe().unwrap();
    let args = [
        "run",
        "--set",
        "capability=8.6",
        "--",
        this.to_str().unwrap(),
        "--ignored",
        "--exact",
        "--nocapture",
        "driver",
    ];
    let output = command(&args);
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && all.contains("1 passed") && all.contains("Emulated GPU 8.6"), "{all}");
    assert_eq!(command(&["run", "--", "no-such-program"]).status.code(), Some(1));
}

#[test]
#[ignore = "runs on the emulated driver in `a_program_finds_the_emulator_with_the_settings`"]
fn driver() {
    let mut name = [0u8; 64];
    // SAFETY: the initialisers have no preconditions, and the functions have these signatures.
    unsafe {
        let library = libloading::Library::new(if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" }).unwrap();
        let init: libloading::Symbol<extern "C" fn(u32) -> i32> = library.get("cuInit").unwrap();
        let get_name: libloading::Symbol<extern "C" fn(*mut u8, i32, i32) -> i32> =
            library.get("cuDeviceGetName").unwrap();
        assert_eq!((init(0), get_name(name.as_mut_ptr(), 64, 0)), (0, 0));
    }
    println!("{}", text(&name));
}
