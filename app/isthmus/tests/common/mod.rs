//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod config;

use std::path::Path;

/// Compares with a committed file; with `BLESS=1` in the environment writes it instead.
pub(crate) fn expect_file(path: &Path, actual: &str) {
    if std::env::var_os("BLESS").is_some() {
        assert!(std::fs::write(path, actual).is_ok(), "cannot write {}", path.display());
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let differs = committed.lines().zip(actual.lines()).position(|(a, b)| a != b);
    assert!(
        committed == actual,
        "{} is not fresh (first difference in line {:?}); run the test with BLESS=1 and read the diff",
        path.display(),
        differs.map(|line| line + 1)
    );
}
