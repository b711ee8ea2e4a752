//! The record of a GPU's figures, and the README's table of these figures.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use microgpt::device::cuda::PTX;
use microgpt::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The record in the repository, as `.ci/gpu-check` wrote it.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/gpu-benchmark.json");
const BEGIN: &str =
    "<!-- the table of assets/gpu-benchmark.json: cargo bench -p host --bench gpu -- --readme ../README.md -->\n";
const END: &str = "<!-- end of the table -->\n";

/// The figures of one computer.
#[derive(Debug, Deserialize, Serialize)]
pub struct Record {
    /// The GPU, its driver, its present and highest clocks as `nvidia-smi` prints them, and the compiler of the
    /// kernels.
    device: String,
    /// The year, month and day.
    date: String,
    figures: Vec<Figure>,
}

/// One measurement.
#[derive(Debug, Deserialize, Serialize)]
pub struct Figure {
    /// The measured quantity.
    name: String,
    /// The value in `unit`.
    value: f64,
    /// The unit, such as `µs a step`.
    unit: String,
}

impl Figure {
    /// Returns a measurement, and prints it.
    pub fn new(name: &str, value: f64, unit: &str) -> Self {
        println!("{name}: {value:.4} {unit}");
        Self { name: name.to_owned(), value, unit: unit.to_owned() }
    }
}

impl Record {
    /// Returns a record of the figures with the GPU and the date of this computer.
    ///
    /// # Errors
    /// If `nvidia-smi` or `date` cannot be run.
    pub fn of_this_computer(figures: Vec<Figure>) -> Result<Self> {
        let query = "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm";
        let device = output("nvidia-smi", &[query, "--format=csv,noheader", "--id=0"])?;
        let device = format!("{device}, PTX by {}", PTX.map_or("no compiler", |ptx| ptx.compiler));
        Ok(Self { device, date: output("date", &["-u", "+%F"])?, figures })
    }

    /// Writes the record as JSON.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("a record is plain data");
        fs::write(path, text + "\n").map_err(|error| cannot("write", path, &error))
    }
}

/// Replaces the table in a README by the table of the record in the repository.
///
/// # Errors
/// If a file cannot be read or written, or the README has no place for the table.
pub fn write_table(readme: &Path) -> Result<()> {
    let text = fs::read_to_string(readme).map_err(|error| cannot("read", readme, &error))?;
    let place = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        place.ok_or_else(|| failure(format!("`{}` has no lines `{BEGIN}` and `{END}`", readme.display())))?;
    let table = match fs::read_to_string(KEPT) {
        Ok(record) => table(&record)?,
        Err(error) if error.kind() == ErrorKind::NotFound => "No GPU has been measured yet.\n".to_owned(),
        Err(error) => return Err(cannot("read", Path::new(KEPT), &error)),
    };
    fs::write(readme, format!("{before}{BEGIN}{table}{END}{after}")).map_err(|error| cannot("write", readme, &error))
}

fn table(record: &str) -> Result<String> {
    let record: Record =
        serde_json::from_str(record).map_err(|error| failure(format!("`{KEPT}` is not a record: {error}")))?;
    let row = |figure: &Figure| format!("| {} | {:.3} {} |\n", figure.name, figure.value, figure.unit);
    let rows: String = record.figures.iter().map(row).collect();
    Ok(format!("{}, {}:\n\n| benchmark | |\n|---|---|\n{rows}", record.device, record.date))
}

fn output(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| failure(format!("cannot run `{program}`: {error}")))?;
    if !output.status.success() {
        return Err(failure(format!("`{program}` fails")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Error {
    failure(format!("cannot {what} `{}`: {error}", path.display()))
}

/// Returns the error of this benchmark with this message.
pub fn failure(message: impl Into<String>) -> Error {
    Error::usage(message, "")
}
