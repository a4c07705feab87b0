//! `cargo run -p xtask -- tidy`: checks on the tree itself that no compiler makes.
//!
//! File sizes, `//!` at the top of every file, dependency arrows, where `unsafe` may stand, and words
//! that must not be committed. Each finding is one line with file, line and what to do.

mod arrows;
mod files;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    if task != "tidy" {
        eprintln!("usage: cargo run -p xtask -- tidy");
        return ExitCode::from(2);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let findings = tidy(root);
    for finding in &findings {
        eprintln!("{finding}");
    }
    eprintln!("tidy: {} finding(s)", findings.len());
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Everything that is wrong with the tree, in path order.
fn tidy(root: &Path) -> Vec<String> {
    let mut sources = Vec::new();
    for top in ["proto", "shell", "app", "test", "xtask", "fuzz"] {
        collect(&root.join(top), &mut sources);
    }
    sources.sort();
    let mut findings: Vec<String> =
        sources.iter().flat_map(|path| files::check(root, path)).collect();
    findings.extend(arrows::check(root));
    findings
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && name != "corpus" {
            collect(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let findings = tidy(root);
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }
}
