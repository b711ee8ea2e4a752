//! `--config`, and the settings that checkpoints and metrics state for it.

use std::fs;

mod common;
use common::{Folder, refused};

const FLAGS: &str = "--steps 40 --batch 2 --learning-rate 0.02 --n-embd 8 --no-shuffle --seed 18446744073709551615";

fn bytes(folder: &Folder, file: &str) -> Vec<u8> {
    fs::read(folder.path(file)).unwrap()
}

#[test]
fn keys_are_flags_and_flags_win() {
    let folder = Folder::new();
    folder.write(
        "run.toml",
        "# a run\nsteps = 40\nbatch = 2\nlearning-rate = 2e-2\nn-embd = 99\nno-shuffle = true\n\
         seed = \"18446744073709551615\"\nval-docs = \"all\"\nunique = false\n",
    );
    folder.stdout(&format!("{FLAGS} --val-docs all --save flags.st"));
    folder.stdout("--config run.toml --n-embd 8 --save config.st");
    assert!(bytes(&folder, "flags.st") == bytes(&folder, "config.st"));
    // The file overrides the environment.
    folder.write("device.toml", "device = \"reference\"\nsteps = 1\n");
    let mut command = folder.run("--config device.toml");
    let output = command.env("MICROGPT_DEVICE", "cpu").assert().success();
    assert!(String::from_utf8_lossy(&output.get_output().stderr).contains("device: reference"));
    folder.write("sweep.toml", "steps = 5\nsweep = [\"n-embd=4,8\", \"beta1=0.5,0.9\"]\n");
    let table = folder.stdout("--config sweep.toml");
    assert_eq!(table, folder.stdout("--steps 5 --sweep n-embd=4,8 --sweep beta1=0.5,0.9"));
    assert_ne!(table, folder.stdout("--config sweep.toml --sweep eps=1e-8"));
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line() {
    let folder = Folder::new();
    for (text, parts) in [
        (
            "steps = 5\nlearning_rate = 1\n",
            &["`run.toml`, line 2: `learning_rate` is not a flag", "`learning-rate`"][..],
        ),
        ("\n\nn-embb = 8\n", &["line 3: `n-embb` is not a flag", "perhaps `n-embd`"]),
        ("max_iters = 8\n", &["line 1: `max_iters` is not a flag", "`--steps N`"]),
        ("steps = 3\nsave = \"\"\n", &["line 2: `save` is of type string, expected a text that is not empty"]),
        ("seed = 18446744073709551616\n", &["`run.toml`, line 1: ", "quotes around numbers from 2^63 on"]),
        ("replicas = 2\n", &["line 1: `replicas` is not a flag", "`seeds` is the number of models"]),
        ("zzz = 8\n", &["line 1: `zzz` is not a flag", "keys are flags without their dashes"]),
        ("config = \"x\"\n", &["line 1: `config` is not a flag"]),
        ("steps = 5\nbatch = \"two\"\n", &["line 2: `--batch two`: expected a whole number", "`--batch 1`"]),
        ("steps = 1.5\n", &["line 1: `--steps 1.5`: expected a whole number"]),
        ("device = \"tpu\"\n", &["line 1: `--device tpu`: expected one of auto"]),
        ("steps = true\n", &["line 1: `steps` is of type boolean, expected a text or a number"]),
        ("no-shuffle = 1\n", &["line 1: `no-shuffle` is of type integer, expected true or false"]),
        ("\nsteps = \n", &["`run.toml`, line 2: "]),
        ("steps = 5\nsteps = 6\n", &["`run.toml`, line 2: ", "duplicate"]),
        ("[training]\nsteps = 5\n", &["line 1: `training` is not a flag"]),
    ] {
        folder.write("run.toml", text);
        refused(folder.run("--config run.toml"), 2, parts);
    }
    refused(folder.run("--config none.toml"), 2, &["cannot read the configuration `none.toml`", "hint: "]);
    if cfg!(unix) {
        refused(folder.run("--config /dev/zero"), 2, &["`/dev/zero`", "it is a device"]);
    }
    folder.write("run.toml", "steps = 3\n");
    refused(folder.run("--config run.toml --save ./run.toml"), 1, &["cannot save to `./run.toml`", "`--config` reads"]);
    folder.write("run.toml", "save-every = 3\n");
    refused(folder.run("--config run.toml"), 2, &["--save <FILE>"]);
}

#[test]
fn checkpoints_and_metrics_state_the_settings_of_their_run() {
    let folder = Folder::new();
    let flags = format!("{FLAGS} --samples 3 --top-k 2 --log-every 7 --threads 1");
    folder.stdout(&format!("{flags} --save model.st --metrics steps.jsonl"));
    folder.stdout(&format!("{flags} --metrics steps.csv"));
    let config = |file: &str| {
        let output = folder.program(&format!("info {file} --as-config")).assert().success().get_output().clone();
        String::from_utf8(output.stdout).unwrap()
    };
    let stated = config("model.st");
    for line in ["steps = 40", "learning-rate = 0.02", "eps = 0.00000001", "no-shuffle = true", "input = \"names.txt\""]
    {
        assert!(stated.lines().any(|other| other == line), "{line} in:\n{stated}");
    }
    assert!(!stated.contains("save") && !stated.contains("threads") && !stated.contains("top-k"), "{stated}");
    assert_eq!(config("steps.jsonl"), stated);
    assert_eq!(config("steps.csv"), stated);
    folder.write("run.toml", &stated);
    // The corpus is a setting, too.
    folder.program("--config run.toml --save again.st").assert().success();
    assert!(bytes(&folder, "again.st") == bytes(&folder, "model.st"));
    // A run of several models states all of them.
    folder.stdout("--steps 3 --seeds 2 --sweep n-embd=4,8 --save best.st");
    let stated = config("best.st");
    assert!(stated.contains("seeds = 2\n") && stated.contains("sweep = [\"n-embd=4,8\"]\n"), "{stated}");
    refused(folder.program("info names.txt --as-config"), 1, &["`names.txt`"]);
}

#[test]
fn a_resumed_run_takes_the_settings_of_its_file() {
    let folder = Folder::new();
    folder.stdout("--steps 30 --save first.st");
    let flags = "--steps 60 --val-every 7 --val-docs 2 --samples 0 --init-from first.st";
    folder.stdout(&format!("{flags} --save whole.st"));
    folder.stdout(&format!("{flags} --stop-after 20 --save part.st"));
    // The corpus is that of the file, too, and so are the validations.
    folder.program("--resume part.st --save part.st --samples 0").assert().success();
    assert!(bytes(&folder, "part.st") == bytes(&folder, "whole.st"));
}
