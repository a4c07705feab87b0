//! The committed reference of every key is what the code says.

mod common;

use std::path::Path;

#[test]
fn the_configuration_reference_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate/configuration.md");
    common::expect_file(&path, &isthmus::config::reference());
}
