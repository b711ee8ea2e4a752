//! `--plot`: pictures that are what their names say, with all that they should show.

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
    // A dot for each validation, and one in the legend.
    assert_eq!(svg.matches("<circle").count(), 3 + 1);
    // The curves: all steps, their moving mean, all validations.
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
fn what_cannot_be_drawn_is_refused_before_training() {
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
