//! Configuration files to load, and what is said about them.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use isthmus::config::{self, Config, Environment};
use isthmus::report::Report;

/// The least that is valid.
pub(crate) const LEAST: &str = "\
[ipsec]
psk = \"correct horse battery\"
[[tenant]]
name = \"acme\"
pool = [\"10.64.0.0/20\"]
[tenant.users.alice]
password = \"a\"
";

/// `LEAST` with lines put after the first `[[tenant]]` keys, from line 6 on.
pub(crate) fn tenant_with(lines: &str) -> String {
    LEAST.replace("[tenant.users.alice]", &format!("{lines}\n[tenant.users.alice]"))
}

/// Writes a file that only its owner may read.
pub(crate) fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Loads `isthmus.toml` of a folder.
pub(crate) fn load_in(dir: &Path, environment: &Environment) -> Result<(Config, Report), Report> {
    config::load(&dir.join("isthmus.toml"), environment)
}

/// Loads a file with this text.
pub(crate) fn load(text: &str) -> Result<(Config, Report), Report> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "isthmus.toml", text);
    load_in(dir.path(), &Environment::default())
}

/// The configuration that a valid text makes.
pub(crate) fn valid(text: &str) -> Config {
    match load(text) {
        Ok((config, _)) => config,
        Err(report) => panic!("{report}"),
    }
}

/// Asserts that `text` is refused with exactly one error: at this line, with this message and remedy.
#[track_caller]
pub(crate) fn refused(text: &str, line: usize, message: &str, remedy: &str) {
    let report = load(text).unwrap_err();
    let errors: Vec<_> = report
        .view()
        .into_iter()
        .filter(|p| p.severity == isthmus::report::Severity::Error)
        .collect();
    assert_eq!(errors.len(), 1, "{report}");
    let error = &errors[0];
    assert_eq!(error.line, (line > 0).then_some(line), "{report}");
    assert!(error.message.contains(message), "{report}");
    assert!(error.remedy.contains(remedy), "{report}");
}

/// Asserts that `text` is valid and warned of with this message.
#[track_caller]
pub(crate) fn warned(text: &str, message: &str) {
    let (_, report) = load(text).unwrap_or_else(|report| panic!("{report}"));
    assert!(report.view().iter().any(|p| p.message.contains(message)), "{report}");
}
