//! Checkpoints on full disks, and the time that saving takes.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Instant;

use assert_cmd::cargo::cargo_bin;

use super::common::Folder;

// A limit on the file size stands in for a full disk. A process can set this limit without privileges.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_file_and_a_clear_error() {
    let folder = Folder::new();
    folder.stdout("--steps 9 --stop-after 3 --samples 1 --save model.safetensors");
    let old = fs::read(folder.path("model.safetensors")).unwrap();
    // The limit, in blocks of 1024 bytes, is at most half of a checkpoint.
    let limit = old.len() / 2 / 1024;
    let script = format!(
        "ulimit -f {limit}; exec '{}' --input names.txt --steps 9 --resume model.safetensors \
         --save model.safetensors --save-every 2",
        cargo_bin!("microgpt").display()
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(&folder.0).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot save to `model.safetensors`") && stderr.contains("hint: "), "{stderr}");
    assert_eq!(fs::read(folder.path("model.safetensors")).unwrap(), old);
    assert_eq!(folder.files(), ["model.safetensors", "names.txt"], "no part of a file is left");
}

/// Returns the arguments of `unshare` for a script that mounts file systems, or `None` where a mount is forbidden.
#[cfg(target_os = "linux")]
fn mounting() -> Option<Vec<&'static str>> {
    let ways = [vec!["--mount"], vec!["--mount", "--map-root-user"]];
    ways.into_iter().find(|way| {
        let probe = ["bash", "-c", "mount -t tmpfs -o size=64k none /mnt"];
        let output = Command::new("unshare").args(way).args(probe).output();
        output.is_ok_and(|output| output.status.success())
    })
}

// The save fills a small file system, which the test mounts where the system permits a mount.
#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_leaves_the_old_file_and_a_clear_error() {
    let Some(unshare) = mounting() else {
        // The test harness captures `eprintln!` of a passing test, so the notice goes to stderr directly.
        let text = "NOT TESTED: a full file system, since none can be mounted here (`unshare --mount`)";
        return drop(Write::write_fmt(&mut std::io::stderr(), format_args!("{text}\n")));
    };
    let folder = Folder::new();
    folder.stdout("--steps 9 --stop-after 3 --samples 1 --save model.safetensors");
    // The disk of 64 KiB has room for one checkpoint.
    let script = format!(
        "mkdir disk && mount -t tmpfs -o size=64k none disk && cp model.safetensors disk/ || exit 2
         '{}' --input names.txt --steps 9 --resume disk/model.safetensors --save disk/model.safetensors
         echo \"exit $?\"; cmp model.safetensors disk/model.safetensors && echo same; ls -A disk",
        cargo_bin!("microgpt").display()
    );
    let output = Command::new("unshare").args(unshare).args(["bash", "-c", &script]).current_dir(&folder.0).output();
    let output = output.unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && stdout.ends_with("exit 1\nsame\nmodel.safetensors\n"), "{stdout}{stderr}");
    assert!(stderr.contains("No space left on device") && stderr.contains("hint: "), "{stderr}");
}

// The time of a save is compared with that of the same bytes on the same disk, since disks differ. The fastest of three
// runs counts, since other programs use the disk too.
#[test]
fn a_save_takes_little_more_time_than_its_bytes_on_the_disk() {
    let folder = Folder::new();
    let least = |run: &dyn Fn()| {
        let seconds = |_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        };
        (0..3).map(seconds).fold(f64::INFINITY, f64::min)
    };
    let training = |args: &str| {
        let args = format!("--steps 200 --val-every 0 --samples 1 --save model.safetensors {args}");
        least(&|| drop(folder.stdout(&args)))
    };
    let saves = training("--save-every 1") - training("");
    let bytes = fs::read(folder.path("model.safetensors")).unwrap();
    let writes = least(&|| {
        for _ in 0..199 {
            let mut file = fs::File::create(folder.path("bytes")).unwrap();
            file.write_all(&bytes).unwrap();
            file.sync_all().unwrap();
            fs::rename(folder.path("bytes"), folder.path("written")).unwrap();
        }
    });
    eprintln!("199 saves take {saves:.3} s, and the writes alone {writes:.3} s");
    assert!(saves < 4.0 * writes + 0.5 || cfg!(debug_assertions), "{saves} s and {writes} s");
}
