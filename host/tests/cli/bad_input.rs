//! Wrong values, flags, corpora and checkpoints are refused with a reason and a hint, and no file is lost.

use std::fs;

use super::*;

#[test]
fn values_out_of_range_are_refused() {
    let folder = Folder::new();
    let whole = "--val-docs --top-k --n-embd --n-head --n-layer --block-size".split(' ');
    let mut bad: Vec<(&str, &str)> = whole.map(|flag| (flag, "0")).collect();
    for flag in
        "--steps --val-every --val-docs --samples --top-k --seed --n-embd --n-head --n-layer --block-size".split(' ')
    {
        bad.extend(["-1", "1.5", "1e3", "", "many", "18446744073709551616"].map(|value| (flag, value)));
    }
    for flag in "--temperature --learning-rate --min-lr --beta1 --beta2 --eps --weight-decay --max-grad-norm".split(' ')
    {
        bad.extend(["-0.1", "nan", "inf", "1e39", "1e999", "", "warm"].map(|value| (flag, value)));
    }
    bad.extend([
        ("--beta1", "1"),
        ("--beta2", "1"),
        ("--beta2", "0.99999999"),
        ("--eps", "0"),
        ("--eps", "1e30"),
        ("--max-grad-norm", "0"),
        ("--max-grad-norm", "1e-30"),
    ]);
    for (flag, value) in bad {
        let named = format!("error: `{flag} {value}`: expected a ");
        let mut command = folder.run("--save model");
        command.arg(format!("{flag}={value}"));
        refused(command, 2, &[&named]);
    }
    // A negative number is a value even without `=`.
    refused(folder.run("--steps -5"), 2, &["error: `--steps -5`: expected a whole number"]);
    for value in ["-inf", "-nan", "-NaN", "-.5", "-1e-5", "--steps"] {
        for flag in ["--learning-rate", "--temperature"] {
            let named = format!("error: `{flag} {value}`: expected a number from 0");
            refused(folder.run(&format!("{flag} {value}")), 2, &[&named]);
        }
    }
    refused(folder.run("--eps 1e30"), 2, &["expected a number from 1e-37 to 1.0\nhint: the default is `--eps "]);
    refused(folder.run("--max-grad-norm 1e-30"), 2, &["expected a number from 1e-6 to 1e38\nhint: the default is "]);
    refused(folder.run("--sweep eps=1e-8,1e30"), 2, &["`--sweep eps=1e-8,1e30`: `--eps 1e30`: expected"]);
    assert_eq!(folder.files(), ["names.txt"]);
}

#[test]
fn flags_that_do_not_fit_each_other_are_refused() {
    let folder = Folder::new();
    refused(folder.run("--n-embd 10 --n-head 4"), 2, &["`--n-embd 10`", "`--n-head 4`", "`--n-head 2`"]);
    refused(folder.run("--n-embd 1000000 --n-layer 1000"), 2, &["too large", "n_embd 1000000", "n_layer 1000"]);
    refused(folder.run("--n-embd 1073741824 --n-layer 1073741824"), 2, &["too large"]);
    refused(folder.run("--block-size 1000000000"), 2, &["too large (n_embd 16, n_layer 1, block_size 1000000000)"]);
    refused(folder.run("--steps 0"), 2, &["`--steps 0`", "--init-from"]);
    refused(folder.run("--top-k 19"), 1, &["`--top-k 19`", "18 tokens", "`--top-k 18`"]);
    folder.run("--steps 1 --top-k 18").assert().success();
}

#[test]
#[cfg(not(feature = "mpi"))]
fn a_launcher_of_several_processes_is_refused_without_the_feature_for_it() {
    let folder = Folder::new();
    let launched = |rank: &str, ranks: &str| {
        let mut command = folder.run("--steps 1 --samples 0");
        command.env("OMPI_COMM_WORLD_RANK", rank).env("OMPI_COMM_WORLD_SIZE", ranks);
        command
    };
    let parts = ["error: Open MPI's mpirun has started 4 processes", "without MPI", "--features mpi"];
    refused(launched("0", "4"), 1, &parts);
    // One process speaks for all, and one process alone is no cluster.
    launched("3", "4").assert().success().stdout("").stderr("");
    launched("0", "1").assert().success();
}

#[test]
fn unknown_flags_and_values_are_refused() {
    let folder = Folder::new();
    for (args, part) in [
        ("--bogus", "'--bogus'"),
        ("--seeed 3", "hint: perhaps `--seed`; `--help`"),
        ("--epochs 3", "hint: `--steps N` counts steps"),
        ("--max_iters 3", "hint: `--steps N` is"),
        ("--dropout 0.1", "hint: there is no dropout"),
        ("--zzz", "'--zzz' found\nhint: `--help`"),
        ("names.txt", "'names.txt'"),
        (
            "--device tpu",
            "`--device tpu`: expected one of auto, cuda, cpu, reference\nhint: the default is `--device auto`",
        ),
        ("--format xml", "`--format xml`: expected one of text, jsonl"),
        ("--steps", "'--steps <N>'"),
        ("--steps 1 --steps 2", "'--steps <N>' cannot be used multiple times\nhint: give it once; "),
        ("--init-from x --resume x", "cannot be used with '--resume <FILE>'\nhint: give one of them; "),
        ("--save-every 1", "--save <FILE>"),
        ("--completions tcsh", "`--completions tcsh`: expected one of bash"),
    ] {
        refused(folder.run(args), 2, &[part]);
    }
    for (variable, value, part) in
        [("MICROGPT_DEVICE", "tpu", "expected one of auto"), ("MICROGPT_THREADS", "0", "expected a whole number")]
    {
        let mut command = folder.run("");
        command.env(variable, value);
        refused(command, 2, &[&format!("`{variable}={value}`: {part}"), &format!("hint: unset {variable}")]);
    }
}

#[test]
fn a_file_without_documents_is_refused() {
    let folder = Folder::new();
    for (name, bytes, part) in [
        ("empty", &b""[..], "is empty"),
        ("blank", b" \n\t\n\r\n", "has only white space"),
        ("latin1", b"zoe\nzo\xeb\n", "is not UTF-8: the byte 0xeb at offset 6, line 2, column 3\nhint: convert"),
        (
            "single",
            b"emma\n\n",
            "has only one document\nhint: put every document on a line of its own, or give `--corpus text`",
        ),
        (
            "wide",
            b"e\0m\0m\0a\0\n\0a\0v\0a\0\n\0",
            "is encoded as UTF-16LE, not UTF-8\nhint: convert the text to UTF-8",
        ),
        ("marked", b"\xfe\xff\0e\0m\0\n\0a", "is encoded as UTF-16BE, not UTF-8\nhint: convert the text to UTF-8"),
        ("names.gz", b"\x1f\x8b\x08\0\0", "is a gzip archive, not a text\nhint: give the text that is in it"),
    ] {
        folder.write(name, bytes);
        refused(folder.program(&format!("--input {name} --save model")), 1, &[&format!("error: `{name}` {part}")]);
        let mut piped = folder.program("--input - --save model");
        piped.write_stdin(bytes);
        refused(piped, 1, &[&format!("error: standard input {part}")]);
    }
    refused(folder.program("--input missing"), 1, &["`missing`", system("No such file")]);
    refused(folder.program("--input ."), 1, &["`.`"]);
    assert!(!folder.path("model").exists());
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let folder = Folder::new();
    folder.run("--steps 1 --save good").assert().success();
    let good = fs::read(folder.path("good")).unwrap();
    folder.write("cut", &good[..good.len() / 2]);
    folder.write("other.txt", NAMES.replace('v', "w"));
    let init = |from: &str| format!("--init-from {from} --save kept");
    folder.write("kept", &good);
    refused(folder.run(&init("missing")), 1, &["`missing`", system("No such file")]);
    refused(folder.run(&init(".")), 1, &["`.`", "not a regular file"]);
    refused(folder.run(&init("cut")), 1, &["`cut` is truncated"]);
    refused(folder.run(&init("names.txt")), 1, &["`names.txt` is not a safetensors file"]);
    refused(folder.run(&(init("good") + " --n-embd 32")), 1, &["`good`", "`--n-embd 16`", "`--n-embd 32`"]);
    refused(
        folder.program(&format!("--input other.txt {}", init("good"))),
        1,
        &["`good` has another vocabulary than the corpus: it lacks the character 'w'\nhint: use a corpus with the "],
    );
    assert_eq!(fs::read(folder.path("good")).unwrap(), good);
    assert_eq!(fs::read(folder.path("kept")).unwrap(), good);
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_that_does_not_fit_the_memory_is_an_error() {
    let folder = Folder::new();
    for args in ["--n-embd 9000 --n-head 1", "--n-layer 300000", "--device reference --n-embd 1024"] {
        let script = format!(
            "ulimit -v 3000000; exec '{}' --input names.txt --threads 1 --steps 1 --save model {args}",
            cargo_bin!("microgpt").display()
        );
        let output = Command::new("bash").args(["-c", &script]).current_dir(&folder.0).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}: {stderr}");
        let said = r"^error: [0-9.]+ GB of memory needed \(.* activations\), but `ulimit -v` leaves [0-9.]+ GB\nhint: lower `--n-embd`, .*\n$";
        assert!(predicate::str::is_match(said).unwrap().eval(&stderr), "{args}: {stderr}");
        assert_eq!(folder.files(), ["names.txt"]);
    }
}

#[test]
fn a_model_that_diverges_is_not_saved() {
    let folder = Folder::new();
    folder.run("--steps 1 --save model").assert().success();
    let before = fs::read(folder.path("model")).unwrap();
    let fails = |args: &str, error: &str| {
        let said = predicate::str::is_match(format!("error: {error}.*\nhint: ")).unwrap();
        let samples = predicate::str::contains("inference");
        folder.run(args).assert().code(1).stderr(said).stdout(samples.not());
    };
    let diverged = r"training diverged at step [0-9]+: .* is (NaN|inf|-inf|[0-9.]+e[0-9]+)";
    for args in [
        "--learning-rate 1e30",
        "--learning-rate 1e10 --save-every 1",
        "--learning-rate 1e30 --save-every 1 --batch 2",
        "--weight-decay 1e30 --save-every 1",
        "--learning-rate 1e30 --steps 1",
        "--learning-rate 1e30 --device reference --save-every 1",
    ] {
        fails(&format!("{args} --save model"), diverged);
    }
    fails("--learning-rate 1e30 --steps 1 --seeds 2 --save-every 1 --save model", "every model diverged");
    let kept = "what was saved before is still there";
    folder.run("--learning-rate 1e10 --save model").assert().code(1).stderr(predicate::str::contains(kept));
    // A run that diverges without `--save` prints no samples. Its hint names no saved model.
    fails("--learning-rate 1e30 --steps 1", diverged);
    folder.run("--learning-rate 1e10").assert().code(1).stderr(predicate::str::contains(kept).not());
    assert_eq!(fs::read(folder.path("model")).unwrap(), before);
    assert_eq!(folder.files(), ["model", "names.txt"]);
}
