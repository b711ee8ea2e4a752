//! The settings of the run that wrote a file of metrics.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use super::file::{CSV, SEED};

/// Returns the settings of the last run that wrote metrics to a file, or `None` if the file holds something else.
///
/// # Errors
/// If the file cannot be read, or is damaged.
pub fn settings(path: &Path) -> io::Result<Option<Map<String, Value>>> {
    let mut file = BufReader::new(File::open(path)?);
    let start = file.fill_buf()?;
    if start.starts_with(SEED.as_bytes()) {
        json_settings(file).map(Some)
    } else if start.starts_with(CSV.as_bytes()) {
        csv_settings(file).map(Some)
    } else {
        Ok(None)
    }
}

/// Returns the settings in JSON lines, of which the last may be incomplete.
fn json_settings(file: impl BufRead) -> io::Result<Map<String, Value>> {
    let mut settings = Map::new();
    for line in file.lines() {
        let line = line?;
        if line.contains(r#","settings":{"#) && line.ends_with('}') {
            let mut row: Value = serde_json::from_str(&line)?;
            settings = serde_json::from_value(row["settings"].take())?;
        }
    }
    Ok(settings)
}

/// Returns the settings in the last column of CSV.
fn csv_settings(file: impl BufRead) -> io::Result<Map<String, Value>> {
    let mut settings = Map::new();
    for record in csv::ReaderBuilder::new().flexible(true).from_reader(file).records() {
        let record = record?;
        if let Some(text) = record.iter().next_back().filter(|text| text.starts_with('{') && text.ends_with('}')) {
            settings = serde_json::from_str(text)?;
        }
    }
    Ok(settings)
}
