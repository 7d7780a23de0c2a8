//! The stack: what must hold in every variant of its template, and what the usual one looks like.

mod rules;
mod variables;
mod variants;
mod yaml;

use std::{fs, path::PathBuf};

use variants::{Variant, all, usual};

#[test]
fn the_usual_template_is_the_one_that_was_reviewed() {
    let yaml = usual().template().to_yaml();
    let at = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/stack/usual.yaml");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&at, &yaml).unwrap();
    }
    let reviewed = fs::read_to_string(&at).unwrap_or_default();
    assert!(
        yaml == reviewed,
        "the template has changed: look at it with `UPDATE_DOCS=1 cargo test -p aws` and git diff"
    );
}

#[test]
fn the_same_settings_yield_the_same_template() {
    assert_eq!(usual().template().to_yaml(), usual().template().to_yaml());
    assert_eq!(usual().template().to_json(), usual().template().to_json());
}

/// For the linters, which are not run here: `./test stack` names a folder.
#[test]
fn every_variant_can_be_written() {
    let names: std::collections::BTreeSet<String> = all().iter().map(Variant::name).collect();
    assert_eq!(names.len(), 3 * 3 * 2 * 2 * 2);
    let Some(folder) = std::env::var_os("TEMPLATES_TO").map(PathBuf::from) else { return };
    fs::create_dir_all(&folder).unwrap();
    for variant in all() {
        fs::write(folder.join(format!("{}.yaml", variant.name())), variant.template().to_yaml()).unwrap();
    }
}
