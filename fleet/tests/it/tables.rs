//! The transition tables are a reviewed snapshot: a change of one cell is a change of `docs/state-tables.md`.

#[test]
#[allow(clippy::disallowed_methods, reason = "a test compares a file of the repository; the core itself reads none")]
fn the_tables_in_docs_are_those_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/state-tables.md");
    let made = fleet::table::render();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/state-tables.md is not what the code does: review the change, then run `cargo xtask docs`"
    );
}
