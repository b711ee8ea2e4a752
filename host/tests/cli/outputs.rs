//! Files that a run cannot write, or must not replace, are refused before it trains.

use std::fs;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::*;

#[test]
fn a_file_of_another_kind_is_not_replaced_by_a_checkpoint() {
    let folder = Folder::new();
    let tensor = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    let other_model = safetensors::serialize([("linear.weight", tensor)], None).unwrap();
    folder.write("notes.txt", "remember the milk");
    folder.write("other.st", &other_model);
    folder.write("step-20.st", "20 steps");
    for (args, name) in [
        ("--save notes.txt", "notes.txt"),
        ("--save-best notes.txt", "notes.txt"),
        ("--save other.st", "other.st"),
        ("--save step-{step}.st --save-every 20", "step-20.st"),
    ] {
        // The run would take hours, so the refusal must come before the training.
        let command = folder.run(&format!("--steps 1000000000 {args}"));
        let named =
            format!("cannot save to `{name}`: the file exists and is no checkpoint\nhint: give the name of a new");
        refused(command, 1, &[&named]);
    }
    assert_eq!(fs::read_to_string(folder.path("notes.txt")).unwrap(), "remember the milk");
    assert_eq!(folder.files(), ["names.txt", "notes.txt", "other.st", "step-20.st"]);
    // An earlier checkpoint and an empty file are replaced.
    folder.write("model.st", "");
    for seed in [1, 2] {
        folder.stdout(&format!("--steps 2 --seed {seed} --samples 0 --save model.st"));
    }
}

#[test]
fn a_file_of_another_kind_is_refused_for_the_steps_of_the_run_alone() {
    let folder = Folder::new();
    folder.stdout("--steps 25 --stop-after 5 --samples 0 --save five.st");
    folder.stdout("--steps 7 --samples 0 --save seven.st");
    for step in [5, 7, 20] {
        folder.write(&format!("step-{step}.st"), "notes");
    }
    // An interrupt ends a run after any of its steps.
    for (args, step) in [
        ("--steps 6 --save step-{step}.st", 5),
        ("--steps 25 --save step-{step}.st --save-every 10", 5),
        ("--steps 25 --save-best step-{step}.st --val-every 10", 5),
        ("--resume five.st --save step-{step}.st", 7),
        ("--resume seven.st --save step-{step}.st", 7),
    ] {
        refused(folder.run(&format!("{args} --samples 0")), 1, &[&format!("to `step-{step}.st`: the file exists")]);
    }
    for args in ["--steps 4 --save step-{step}.st", "--resume five.st --save step-{step}.st --stop-after 6"] {
        folder.stdout(&format!("{args} --samples 0"));
    }
    for step in [5, 7, 20] {
        assert_eq!(fs::read_to_string(folder.path(&format!("step-{step}.st"))).unwrap(), "notes");
    }
}

#[test]
fn a_file_of_another_kind_is_not_replaced_by_a_plot_or_a_page() {
    let folder = Folder::new();
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>";
    let png = {
        let mut bytes = Vec::new();
        let mut writer = png::Encoder::new(&mut bytes, 1, 1).write_header().unwrap();
        writer.write_image_data(&[0]).unwrap();
        writer.finish().unwrap();
        bytes
    };
    for (name, flag, kind, bytes) in [
        ("p.svg", "--plot", "plot", svg.as_bytes()),
        ("p.png", "--plot", "plot", &png),
        ("p.html", "--page", "page", b"<!doctype html><title>notes</title>"),
    ] {
        folder.write(name, bytes);
        let named =
            format!("to `{name}`: the file exists and is no {kind} of microgpt\nhint: give the name of a new file");
        refused(folder.run(&format!("--steps 1000000000 {flag} {name}")), 1, &[&named]);
        assert_eq!(fs::read(folder.path(name)).unwrap(), bytes);
        // An empty file is replaced, and so is an earlier result.
        folder.write(name, "");
        for steps in [2, 3] {
            folder.stdout(&format!("--steps {steps} --samples 0 {flag} {name}"));
        }
        assert_ne!(fs::read(folder.path(name)).unwrap(), bytes);
    }
    // A plot of several models has other labels.
    for seeds in [2, 3] {
        folder.stdout(&format!("--steps 3 --seeds {seeds} --sweep eps=1e-8,1e-7 --samples 0 --plot p.svg"));
    }
}

#[test]
fn a_path_that_cannot_be_written_is_refused_before_training() {
    let folder = Folder::new();
    folder.write("input.txt", NAMES);
    for (target, part) in [
        ("none/model", system("No such file")),
        (".", "directory"),
        ("names.txt/model", system("Not a directory")),
        ("names.txt", "it is the corpus"),
        ("./../", "directory"),
        ("new/", "directory"),
    ] {
        // The run would take hours, so the refusal must come before the training.
        let command = folder.run(&format!("--steps 1000000000 --val-every 0 --save {target}"));
        refused(command, 1, &["cannot save to", &format!("`{target}`"), part]);
    }
    refused(folder.program("--save input.txt"), 1, &["`input.txt`", "it is the corpus"]);
    for flag in ["--save", "--save-best", "--metrics", "--plot"] {
        refused(folder.run(&format!("{flag} -")), 1, &["to `-`: it stands for standard input", "`./-`"]);
    }
    assert_eq!(folder.files(), ["input.txt", "names.txt"]);
    assert_eq!(fs::read_to_string(folder.path("names.txt")).unwrap(), NAMES);
}

// The same file can be named by another spelling, a link, a link to a missing file or a hard link.
#[cfg(unix)]
#[test]
fn a_file_that_two_flags_name_is_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.path("sub")).unwrap();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path(name)).unwrap();
    link("names.txt", "names.link");
    link("new.svg", "new.link");
    fs::hard_link(folder.path("names.txt"), folder.path("hard.link")).unwrap();
    for (args, parts) in [
        ("--save names.link", &["`names.link`", "it is the corpus"][..]),
        ("--save sub/../names.txt", &["`sub/../names.txt`", "it is the corpus"]),
        ("--metrics hard.link", &["`hard.link`", "it is the corpus"]),
        ("--save new.svg --plot ./new.svg", &["`./new.svg`", "what `--save` writes"]),
        ("--save new.link --plot new.svg", &["`new.svg`", "what `--save` writes"]),
        ("--save new.link --metrics sub/../new.svg", &["`sub/../new.svg`", "what `--save` writes"]),
    ] {
        refused(folder.run(&format!("--steps 1000000000 {args}")), 1, parts);
    }
    assert_eq!(fs::read_to_string(folder.path("names.txt")).unwrap(), NAMES);
    assert_eq!(folder.files(), ["hard.link", "names.link", "names.txt", "new.link", "sub"]);
}

#[cfg(unix)]
#[test]
fn a_file_that_takes_the_output_is_refused() {
    let folder = Folder::new();
    for (args, role) in [
        ("--metrics /dev/stdout", "the file that stdout goes to"),
        ("--save out.txt", "the file that stdout goes to"),
        ("--save out-{step}.txt", "the file that stdout goes to"),
        ("--plot errors.txt", "the file that stderr goes to"),
    ] {
        let out = if args.contains("{step}") { "out-7.txt" } else { "out.txt" };
        let [out, errors] = [out, "errors.txt"].map(|name| fs::File::create(folder.path(name)).unwrap());
        let mut command = Command::new(cargo_bin!("microgpt"));
        command.current_dir(folder.0.path()).args(["--input", "names.txt", "--steps", "1000000000"]);
        let status = command.args(args.split_whitespace()).stdout(out).stderr(errors).status().unwrap();
        assert_eq!(status.code(), Some(1), "{args}");
        let errors = fs::read_to_string(folder.path("errors.txt")).unwrap();
        assert!(errors.contains(role), "{args}: {errors}");
    }
}
