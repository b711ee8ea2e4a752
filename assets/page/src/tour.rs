//! The places of the tour's stations in the sources.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::source::{File, Place};

/// The attributes that name a station's item in each source.
const SIDES: [&str; 2] = ["reference", "kernels"];

/// Returns the place of each item that the tour names, by the side and the item. An item is the name of a function, with
/// its type if it has one, and after an `@` the path of its file if several files have such a function.
///
/// # Errors
/// If the tour names an item that the sources do not have.
pub fn places<'a>(reference: &'a [File], kernels: &'a [File]) -> Result<BTreeMap<String, Place>> {
    let mut places = BTreeMap::new();
    for (side, files) in SIDES.into_iter().zip([reference, kernels]) {
        for item in values(include_str!("tour.html"), &format!("data-{side}")) {
            let (name, path) = item.split_once('@').unwrap_or((item, ""));
            let place = files.iter().filter(|file| file.path.contains(path)).find_map(|file| file.place(name));
            let place = place.with_context(|| format!("the tour names `{item}`, which the {side} lacks"))?;
            places.insert(format!("{side} {item}"), place);
        }
    }
    Ok(places)
}

/// Returns the values of an attribute.
fn values<'a>(html: &'a str, attribute: &str) -> impl Iterator<Item = &'a str> {
    html.split(&format!("{attribute}=\""))
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect::<Vec<_>>()
        .into_iter()
}
