//! Ranks that mpirun starts have the bits and the output of one process, and end together.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs, iter};

use assert_cmd::cargo::cargo_bin;

mod common;
#[cfg(cuda)]
mod emulated;
use common::{Folder, untimed};

/// The longest time from a failure of a rank to the end of all.
const END: Duration = Duration::from_secs(5);

/// Returns mpirun for more ranks than there are cores. Open MPI wants to be told so, and other libraries know no such flags.
fn mpirun(folder: &Folder) -> Command {
    let version = Command::new("mpirun").arg("--version").output().expect("mpirun is installed");
    let mut command = Command::new("mpirun");
    if String::from_utf8_lossy(&version.stdout).contains("Open MPI") {
        command.args(["--allow-run-as-root", "--oversubscribe"]);
    }
    command.current_dir(&folder.0);
    command
}

/// Returns a command that runs the program on names by so many ranks, with these arguments.
fn on_ranks(folder: &Folder, ranks: usize, args: &str) -> Command {
    let mut command = mpirun(folder);
    command.args(["-n", &ranks.to_string()]).arg(cargo_bin!("microgpt"));
    command.args(["--input", "names.txt", "--threads", "1"]).args(args.split_whitespace());
    command
}

/// Runs the program by so many ranks. Returns its stdout without the times.
#[track_caller]
fn stdout(folder: &Folder, ranks: usize, args: &str) -> String {
    let Output { status, stdout, stderr } = on_ranks(folder, ranks, args).output().unwrap();
    assert!(status.success(), "{ranks} ranks: {}", String::from_utf8_lossy(&stderr));
    untimed(&String::from_utf8(stdout).unwrap())
}

/// Runs a command that fails. Returns its exit code and its stderr.
#[track_caller]
fn failure(mut command: Command) -> (Option<i32>, String) {
    let begin = Instant::now();
    let Output { status, stderr, .. } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    // The program itself starts within seconds, also on a slow machine.
    assert!(!status.success() && begin.elapsed() < END + END, "{:?}: {stderr}", begin.elapsed());
    (status.code(), stderr)
}

/// Returns the lines of stderr that begin with `error:`.
fn errors(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.starts_with("error: ")).collect()
}

/// Returns the ranks that mpirun has started, in their order. MPICH's mpirun starts them by a process of its own.
fn ranks_of(mpirun: &Child) -> Vec<u32> {
    let parent = |process: &u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let is_rank = |process: &u32| {
        let program = fs::read_link(format!("/proc/{process}/exe"));
        program.is_ok_and(|program| program == cargo_bin!("microgpt"))
            && iter::successors(Some(*process), parent).any(|process| process == mpirun.id())
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut ranks: Vec<u32> = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    ranks.retain(is_rank);
    ranks.sort_unstable();
    ranks
}

fn signal(process: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// Starts a long run on three ranks that saves `run.st`, and waits until it has saved.
fn long_run(folder: &Folder) -> Child {
    let args = "--batch 6 --steps 1000000 --val-every 0 --log-every 0 --samples 0 --save run.st --save-every 20";
    let child = on_ranks(folder, 3, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !folder.path("run.st").exists() {
        assert!(begin.elapsed() < Duration::from_mins(1), "nothing is saved");
        sleep(Duration::from_millis(20));
    }
    child
}

/// Waits for the end of all processes of a run, and returns its stderr.
#[track_caller]
fn ended(child: Child, ranks: &[u32]) -> String {
    let begin = Instant::now();
    let output = child.wait_with_output().unwrap();
    let lives = |rank: &&u32| Path::new(&format!("/proc/{rank}")).exists();
    while ranks.iter().find(lives).is_some() {
        assert!(begin.elapsed() < END, "a rank goes on");
        sleep(Duration::from_millis(20));
    }
    assert!(begin.elapsed() < END);
    String::from_utf8(output.stderr).unwrap()
}

/// Asserts that the checkpoint `run.st` is whole, and that two ranks go on from it with the bits of one process.
fn assert_goes_on(folder: &Folder) {
    let step = folder.program("info run.st").output().unwrap().stdout;
    let step = String::from_utf8(step).unwrap();
    let step = step.lines().find_map(|line| line.strip_prefix("step ")).expect("a checkpoint has a step");
    let last = step.trim().parse::<u64>().unwrap() + 5;
    stdout(folder, 2, &format!("--resume run.st --stop-after {last} --save ranks.st --save-every 0"));
    folder.stdout(&format!("--resume run.st --stop-after {last} --save one.st --save-every 0"));
    assert!(fs::read(folder.path("ranks.st")).unwrap() == fs::read(folder.path("one.st")).unwrap());
}

#[test]
fn any_number_of_ranks_has_the_bits_and_the_output_of_one_process() {
    let folder = Folder::new();
    folder.write("text.txt", include_str!("../../LICENSE-APACHE"));
    // The sums of this model are exchanged in slices, and those of the default one whole.
    let odd = "--n-embd 12 --n-head 3 --n-layer 3 --block-size 5";
    let tiled = "--device cpu --input text.txt --corpus text --n-embd 66 --n-head 3 --block-size 37 --batch 37";
    for (args, ranks) in [
        ("--device cpu --batch 5", &[2, 3, 4, 5][..]),
        (&*format!("--device cpu --batch 131 {odd}"), &[2, 5]),
        // A step has 1369 rows, which make five shards.
        (tiled, &[2, 3, 5]),
    ] {
        // The last value of a flag counts, so that a corpus can take the place of the names.
        let args = args.replace("--input text.txt ", "");
        let corpus = if args.contains("text") { "text.txt" } else { "names.txt" };
        fs::copy(folder.path(corpus), folder.path("corpus.txt")).unwrap();
        let args = format!("{args} --steps 6 --val-every 3 --val-docs 7 --samples 2 --save");
        let run = |output: Output| {
            assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
            untimed(&String::from_utf8(output.stdout).unwrap())
        };
        let one = run(folder.program(&format!("--input corpus.txt --threads 1 {args} one.st")).output().unwrap());
        for ranks in ranks {
            let mut command = mpirun(&folder);
            command.args(["-n", &ranks.to_string()]).arg(cargo_bin!("microgpt"));
            command.args(["--input", "corpus.txt", "--threads", "1"]);
            command.args(format!("{args} ranks.st").split_whitespace());
            assert_eq!(run(command.output().unwrap()), one, "{ranks} ranks: {args}");
            let [one, all] = ["one.st", "ranks.st"].map(|name| fs::read(folder.path(name)).unwrap());
            assert!(one == all, "{ranks} ranks: {args}");
        }
    }
}

#[cfg(cuda)]
#[test]
fn any_rank_can_be_on_a_gpu_with_any_mpi_library() {
    let (folder, emulator) = (Folder::new(), emulated::Emulator::new());
    let present = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let libraries = env::join_paths([emulator.path("")].into_iter().chain(env::split_paths(&present))).unwrap();
    let gpu = format!("LD_LIBRARY_PATH={}", libraries.display());
    let examples = env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples");
    let cuda_aware = examples.join("libcuda_aware_mpi.so");
    assert!(cuda_aware.is_file(), "`.ci/mpi` builds the example `cuda-aware-mpi`");
    let fused = "--batch 5 --n-embd 12 --n-head 3 --block-size 5 --samples 1 --steps 2 --input names.txt";
    // The sums of this model are exchanged in slices.
    let slices = "--batch 2 --n-embd 32 --n-head 4 --block-size 3 --samples 0 --steps 2 --input names.txt";
    // A step has 522 rows, which make two shards. The emulated GPU has the short one.
    folder.write("two.txt", format!("emma\n{}\nmae\n", "some".repeat(130)));
    let two = "--batch 2 --n-embd 64 --n-head 4 --block-size 520 --samples 0 --steps 2 --input two.txt --no-shuffle";
    // A step has three shards, and the second rank two subtrees of them.
    folder.write("three.txt", format!("{}\nemma\nmae\nava\n", "some".repeat(192)));
    let three =
        "--batch 3 --n-embd 64 --n-head 4 --block-size 768 --samples 0 --steps 1 --input three.txt --no-shuffle";
    for (args, on_gpu, is_aware, device) in [
        (fused, &[true, true][..], false, "(sm_90, PTX for sm_75), sums go through the host's memory"),
        (fused, &[false, true, true], true, "(no GPU: "),
        (slices, &[true, true], true, "(sm_90, PTX for sm_75), sums go from GPU to GPU"),
        // The last rank has no document to validate on.
        (two, &[true, false], false, "(sm_90, PTX for sm_75), tiled, sums go through the host's memory"),
        (three, &[false, true], true, "(no GPU: "),
    ] {
        let args = format!("--threads 1 {args} --val-every 2 --val-docs 3 --save");
        let one = folder.program(&format!("--device cpu {args} one.st")).output().unwrap();
        assert!(one.status.success());
        let mut command = mpirun(&folder);
        for (i, on_gpu) in on_gpu.iter().enumerate() {
            command.args(&[":", "-n", "1"][usize::from(i == 0)..]);
            command.args(["env", "PTX_EMULATOR=checks=strict,approximate=allow"]).args(on_gpu.then_some(&gpu));
            command.args(is_aware.then(|| format!("LD_PRELOAD={}", cuda_aware.display())));
            command.arg(cargo_bin!("microgpt")).args(format!("{args} ranks.st").split_whitespace());
        }
        let Output { status, stdout, stderr } = command.output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{on_gpu:?}, {args}: {stderr}");
        assert!(stderr.contains(device), "{on_gpu:?}, {args}: `{device}` in {stderr}");
        let gpus = on_gpu.iter().filter(|on_gpu| **on_gpu).count();
        let sending = stderr.matches("CUDA-aware MPI: a message is in the memory of the GPU").count();
        assert_eq!(sending, if is_aware { gpus } else { 0 }, "{on_gpu:?}, {args}: {stderr}");
        let [one, all] = [one.stdout, stdout].map(|stdout| untimed(&String::from_utf8(stdout).unwrap()));
        assert_eq!(all, one, "{on_gpu:?}, {args}");
        let [one, all] = ["one.st", "ranks.st"].map(|name| fs::read(folder.path(name)).unwrap());
        assert!(one == all, "{on_gpu:?}, {args}");
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let folder = Folder::new();
    let args = "--batch 6 --steps 12 --val-every 3 --samples 0";
    folder.stdout(&format!("{args} --save whole.st"));
    stdout(&folder, 3, &format!("{args} --stop-after 4 --save part.st"));
    stdout(&folder, 2, &format!("{args} --stop-after 8 --resume part.st --save part.st"));
    folder.stdout(&format!("{args} --resume part.st --save part.st"));
    assert!(fs::read(folder.path("whole.st")).unwrap() == fs::read(folder.path("part.st")).unwrap());
}

#[test]
fn members_of_a_sweep_have_the_output_of_one_process_on_any_ranks() {
    let folder = Folder::new();
    for args in [
        "--seeds 5 --steps 40 --val-every 10 --save-best best.st",
        // A member diverges, and the shapes differ in their work.
        "--sweep n-embd=4,8,16 --sweep learning-rate=0.01,1e30 --steps 30 --val-every 7 --samples 3",
    ] {
        let one = folder.stdout(&format!("{args} --threads 1 --save one.st"));
        let best = fs::read(folder.path("best.st")).unwrap_or_default();
        for ranks in [2, 3, 4] {
            let args = format!("{args} --save ranks.st");
            let Output { status, stdout, stderr } = on_ranks(&folder, ranks, &args).output().unwrap();
            let stderr = String::from_utf8(stderr).unwrap();
            assert!(status.success(), "{stderr}");
            assert_eq!(untimed(&String::from_utf8(stdout).unwrap()), one, "{ranks} ranks: {args}");
            let [one, all] = ["one.st", "ranks.st"].map(|name| fs::read(folder.path(name)).unwrap());
            assert!(one == all && best == fs::read(folder.path("best.st")).unwrap_or_default(), "{ranks} ranks");
            assert_eq!(stderr.contains("diverged: seed 42, n-embd 4, learning-rate 1e30"), args.contains("1e30"));
        }
    }
}

#[test]
fn an_error_on_a_rank_ends_all_with_one_message_that_names_it() {
    let folder = Folder::new();
    let (code, stderr) = failure(on_ranks(&folder, 3, "--batch 0"));
    assert!(code == Some(2) && errors(&stderr).len() == 1, "{stderr}");
    for (args, expected) in [
        ("--batch 6 --save missing/run.st", "cannot save to"),
        ("--batch 2", "3 ranks share the steps of one model, but a step has 2 shards at most"),
        ("--steps 3", "a step has 1 shards at most"),
        ("--batch 6 --device reference", "the reference"),
    ] {
        let (code, stderr) = failure(on_ranks(&folder, 3, args));
        let errors = errors(&stderr);
        assert!(code == Some(1) && errors.len() == 1 && stderr.contains("\nhint: "), "{stderr}");
        assert!(errors[0].starts_with("error: rank 0 on ") && errors[0].contains(expected), "{stderr}");
    }
    // The other rank has less memory than the model needs.
    let mut command = on_ranks(&folder, 1, "--batch 6 --n-embd 256 --n-layer 4 --block-size 64 --samples 0");
    let program = cargo_bin!("microgpt").display().to_string();
    command.args([":", "-n", "1", "sh", "-c", &format!("ulimit -v 400000; exec '{program}'")]);
    let (code, stderr) = failure(command);
    assert!(code == Some(1) && errors(&stderr).len() == 1 && errors(&stderr)[0].contains("rank 1 on "), "{stderr}");
}

#[test]
fn a_killed_rank_ends_all_and_leaves_a_whole_checkpoint() {
    let folder = Folder::new();
    for killed in [0, 2] {
        let child = long_run(&folder);
        let ranks = ranks_of(&child);
        assert_eq!(ranks.len(), 3);
        signal(ranks[killed], "-KILL");
        ended(child, &ranks);
        assert_goes_on(&folder);
        fs::remove_file(folder.path("run.st")).unwrap();
    }
}

#[test]
fn a_signal_to_mpirun_saves_one_checkpoint() {
    let folder = Folder::new();
    for name in ["-TERM", "-INT"] {
        let child = long_run(&folder);
        let ranks = ranks_of(&child);
        signal(child.id(), name);
        let stderr = ended(child, &ranks);
        assert_eq!(stderr.matches("saved: `run.st`").count(), 1, "{stderr}");
        assert_goes_on(&folder);
        fs::remove_file(folder.path("run.st")).unwrap();
    }
}

#[test]
fn ranks_of_another_program_are_refused() {
    let folder = Folder::new();
    let mut program = fs::read(cargo_bin!("microgpt")).unwrap();
    // A loader reads nothing behind the program's sections.
    program.push(0);
    folder.write("other", program);
    fs::set_permissions(folder.path("other"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = on_ranks(&folder, 2, "--batch 6");
    command.args([":", "-n", "1", "./other"]);
    let (code, stderr) = failure(command);
    assert!(code == Some(1) && errors(&stderr).len() == 1, "{stderr}");
    assert!(errors(&stderr)[0].contains("runs another program than rank 0"), "{stderr}");
}
