//! The record of a GPU's figures, and the README's table of these figures.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use cust::device::{Device, DeviceAttribute};
use microgpt::device::cuda::PTX;
use microgpt::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The record in the repository, as `.ci/gpu-check` wrote it.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/gpu-benchmark.json");
const BEGIN: &str =
    "<!-- the table of assets/gpu-benchmark.json: cargo bench -p host --bench gpu -- --readme ../README.md -->\n";
const END: &str = "<!-- end of the table -->\n";

/// The first GPU, as its driver describes it.
pub struct Computer {
    /// The GPU, its driver, its highest clock, and the compiler of the kernels.
    description: String,
    /// The highest clock of the multiprocessors, in cycles a second.
    pub hertz: f64,
}

impl Computer {
    /// Returns the description of this computer's first GPU.
    ///
    /// # Errors
    /// If there is no GPU.
    pub fn this() -> Result<Self> {
        let failed = |error| failure(format!("cannot describe the GPU: {error}"));
        cust::init(cust::CudaFlags::empty()).map_err(failed)?;
        let device = Device::get_device(0).map_err(failed)?;
        let attribute = |attribute| device.get_attribute(attribute).map_err(failed);
        let hertz = f64::from(attribute(DeviceAttribute::ClockRate)?) * 1e3;
        let version = cust::CudaApiVersion::get().map_err(failed)?;
        let description = format!(
            "{}, {} multiprocessors of at most {:.3} GHz, driver for CUDA {}.{}, PTX by {}",
            device.name().map_err(failed)?,
            attribute(DeviceAttribute::MultiprocessorCount)?,
            hertz / 1e9,
            version.major(),
            version.minor(),
            PTX.map_or("no compiler", |ptx| ptx.compiler)
        );
        Ok(Self { description, hertz })
    }
}

/// The figures of one computer.
#[derive(Debug, Deserialize, Serialize)]
pub struct Record {
    /// The description of [`Computer`].
    device: String,
    /// The year, month and day.
    date: String,
    figures: Vec<Figure>,
    /// The ops of a step of the tiled executor.
    launches: Vec<OpTime>,
    /// The bounds of the emulator's profile beside measured cycles.
    predicted: Vec<Prediction>,
}

/// The launches of an op in a step.
#[derive(Debug, Deserialize, Serialize)]
pub struct OpTime {
    /// The op's name.
    pub op: String,
    /// The kernel that computes the op.
    pub kernel: String,
    /// The launches, one for each layer that has the op.
    pub launches: usize,
    /// The time of all launches, in microseconds.
    pub microseconds: f64,
}

/// A bound and a measurement, in cycles of a multiprocessor.
#[derive(Debug, Deserialize, Serialize)]
pub struct Prediction {
    /// The measurement's name in `assets/gpu-counts.json`.
    pub case: String,
    /// The bound of the slowest block by the emulator's latencies.
    pub bound_cycles: u64,
    /// The time by the GPU's highest clock. A launch's own time is in neither.
    pub measured_cycles: f64,
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
    /// Returns a record with the date of today.
    ///
    /// # Errors
    /// If `date` cannot be run.
    pub fn new(
        computer: Computer,
        figures: Vec<Figure>,
        launches: Vec<OpTime>,
        predicted: Vec<Prediction>,
    ) -> Result<Self> {
        Ok(Self { device: computer.description, date: today()?, figures, launches, predicted })
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

fn today() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%F"]).output();
    let output = output.map_err(|error| failure(format!("cannot run `date`: {error}")))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Error {
    failure(format!("cannot {what} `{}`: {error}", path.display()))
}

/// Returns the error of this benchmark with this message.
pub fn failure(message: impl Into<String>) -> Error {
    Error::usage(message, "")
}
