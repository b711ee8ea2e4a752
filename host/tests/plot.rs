//! The plots of `--plot`, in the format of the file's extension, with all curves and labels.

use std::fs;

mod common;
use common::{Folder, refused};

#[test]
fn an_svg_has_the_curves_and_their_names() {
    let folder = Folder::new();
    folder.stdout("--steps 60 --val-every 20 --plot losses.svg");
    let svg = fs::read_to_string(folder.path("losses.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for text in ["step", "loss (nats a token)", "training loss", "training loss, moving mean", "validation loss"] {
        assert!(svg.lines().any(|line| line.trim() == text), "{text:?} is missing in:\n{svg}");
    }
    // There is a dot for each validation, and one in the legend.
    assert_eq!(svg.matches("<circle").count(), 3 + 1);
    // The training loss and its moving mean have a point for each step, and the validation loss for each validation.
    let points = |line: &str| {
        line.split("points=\"").nth(1).map_or(0, |points| points.split('"').next().unwrap().matches(',').count())
    };
    let mut lengths: Vec<usize> = svg.lines().filter(|line| line.contains("<polyline")).map(points).collect();
    lengths.sort_unstable();
    assert!(lengths.ends_with(&[60, 60]) && lengths.contains(&3), "{lengths:?}");
}

#[test]
fn a_png_is_an_image_in_which_the_curves_colours_are() {
    let folder = Folder::new();
    folder.stdout("--steps 60 --val-every 20 --plot losses.png");
    let file = fs::File::open(folder.path("losses.png")).unwrap();
    let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height, pixels.len()), (1200, 720, 1200 * 720 * 3));
    let count = |colour: [u8; 3]| pixels.chunks(3).filter(|&pixel| pixel == colour).count();
    let (white, blue, orange) = (count([255; 3]), count([0, 114, 178]), count([213, 94, 0]));
    assert!(white > 600_000 && blue > 500 && orange > 100, "{white} white, {blue} blue, {orange} orange");
}

#[test]
fn few_and_many_steps_are_drawn() {
    let folder = Folder::new();
    for args in ["--steps 1", "--steps 2 --val-every 1", "--steps 30000 --val-every 0 --n-embd 4 --n-head 1"] {
        folder.stdout(&format!("{args} --samples 1 --plot losses.svg"));
        let svg = fs::read_to_string(folder.path("losses.svg")).unwrap();
        assert!(svg.contains("training loss") && svg.len() < 60_000, "{args}: {} bytes", svg.len());
    }
}

#[test]
fn a_step_has_one_label() {
    let folder = Folder::new();
    folder.stdout("--steps 3 --val-every 0 --samples 1 --plot LOSSES.SVG");
    let svg = fs::read_to_string(folder.path("LOSSES.SVG")).unwrap();
    let numbers: Vec<u32> = svg.lines().filter_map(|line| line.trim().parse().ok()).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn a_file_that_cannot_be_drawn_is_refused_before_training() {
    let folder = Folder::new();
    for (file, part) in [
        ("losses.gif", "neither .svg nor .png"),
        ("losses", "neither .svg nor .png"),
        ("none/losses.svg", "No such file"),
    ] {
        refused(folder.run(&format!("--steps 1000000000 --plot {file}")), 1, &[file, part]);
    }
    assert_eq!(folder.files(), ["names.txt"]);
}

// Each line of a sweep has its own colour, and the legend names as many lines as it has room for.
#[test]
fn the_lines_of_a_large_sweep_can_be_told_apart() {
    let folder = Folder::new();
    let values = |n: u32| (1..=n).map(|value| format!("0.{value:03}")).collect::<Vec<_>>().join(",");
    let svg = |n: u32| {
        let sweep = format!("--sweep learning-rate={}", values(n));
        folder.stdout(&format!("--steps 10 --val-every 0 --val-docs 1 --samples 1 --plot losses.svg {sweep}"));
        fs::read_to_string(folder.path("losses.svg")).unwrap()
    };
    let few = svg(20);
    let lines = few.lines().filter(|line| line.contains("<polyline") && line.contains("stroke-width=\"2\""));
    let colours: std::collections::BTreeSet<&str> =
        lines.map(|line| line.split("stroke=\"").nth(1).unwrap().split('"').next().unwrap()).collect();
    assert_eq!(colours.len(), 20, "{colours:?}");
    assert_eq!(few.matches("learning-rate 0.").count(), 20);
    let many = svg(30);
    assert_eq!(many.matches("learning-rate 0.").count(), 24);
    assert!(many.lines().any(|line| line.trim() == "and 6 more"));
}
