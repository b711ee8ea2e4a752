//! The committed page is what the sources give.

use std::fs;

#[test]
fn the_committed_page_is_what_the_sources_give() {
    let committed = fs::read_to_string(page::root().join(page::PATH)).unwrap_or_default();
    let fresh = page::page().unwrap();
    let differs = committed.lines().zip(fresh.lines()).position(|(committed, fresh)| committed != fresh);
    assert!(
        committed == fresh,
        "{} is not what the sources give (line {}): write it anew with `cargo run --release -p page`",
        page::PATH,
        differs.unwrap_or_else(|| committed.lines().count().min(fresh.lines().count())) + 1,
    );
}
