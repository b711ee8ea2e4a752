//! Runs that are killed while they save.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use microgpt::{Model, checkpoint};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::common::Folder;

/// Returns the number of runs that are killed, which `MICROGPT_KILLS` sets.
fn kills() -> u64 {
    env::var("MICROGPT_KILLS").map_or(25, |kills| kills.parse().expect("MICROGPT_KILLS is a number"))
}

/// Returns the seed of the run that saved a checkpoint.
fn saved_by(path: &Path) -> u64 {
    checkpoint::describe(path).unwrap()["seed"].as_u64().unwrap()
}

// Each run saves after every step, so that most of its time goes into saving.
#[test]
fn a_run_that_is_killed_while_it_saves_leaves_a_whole_checkpoint() {
    let folder = Folder::new();
    let path = folder.path("model.safetensors");
    folder.stdout("--device cpu --n-embd 64 --steps 1 --samples 0 --seed 0 --save model.safetensors");
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(17);
    let (kills, mut by_killed, mut left) = (kills(), 0, 0);
    let mut last = 0;
    for seed in 1..=kills {
        let args = format!("--device cpu --n-embd 64 --steps 1000000 --val-every 0 --seed {seed} --save-every 1");
        let mut child = Command::new(cargo_bin!("microgpt"))
            .current_dir(&folder.0)
            .args(["--input", "names.txt", "--save", "model.safetensors"])
            .args(args.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // On a busy computer a run starts late. So every second run is killed only after its first save.
        while seed % 2 == 0 && saved_by(&path) != seed {
            assert!(child.try_wait().unwrap().is_none(), "run {seed} saves");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_micros(rng.random_range(0..100_000)));
        assert!(child.try_wait().unwrap().is_none(), "run {seed} is killed");
        child.kill().unwrap();
        child.wait().unwrap();
        // The load checks the checksum.
        let model = Model::load(&path).unwrap_or_else(|error| panic!("kill {seed}: {}", error.report()));
        let by = saved_by(&path);
        assert!(by == seed || by == last, "kill {seed}: the checkpoint is of run {by}, expected {seed} or {last}");
        assert!(model.state.step > 0);
        by_killed += u64::from(by == seed);
        left += u64::from(folder.path(".model.safetensors.microgpt-tmp").exists());
        last = by;
    }
    println!("{kills} kills: {by_killed} left a checkpoint of their run, and {left} a temporary file");
    assert!(by_killed > kills / 5 && left > kills / 20, "{by_killed} and {left} of {kills}");
    let start = Instant::now();
    folder.stdout("--device cpu --n-embd 64 --steps 1 --samples 0 --save model.safetensors");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(folder.files(), ["model.safetensors", "names.txt"], "the next run removes the temporary file");
}
