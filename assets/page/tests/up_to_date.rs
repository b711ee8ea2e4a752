//! The test that the sources give the committed page.

use std::fs;

#[test]
fn the_committed_page_is_up_to_date() {
    let committed = fs::read_to_string(page::root().join(page::PATH)).unwrap_or_default();
    let fresh = page::page().unwrap();
    let differs = committed.lines().zip(fresh.lines()).position(|(committed, fresh)| committed != fresh);
    assert!(
        committed == fresh,
        "{} differs from the page that the sources give, first in line {}\nhint: run `cargo run --release -p page`",
        page::PATH,
        differs.unwrap_or_else(|| committed.lines().count().min(fresh.lines().count())) + 1,
    );
}
