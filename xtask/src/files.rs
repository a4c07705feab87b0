//! Rules for single source files.

use std::path::Path;

/// Most lines of production code in a file; beyond that it is two things.
const LINES_MAX: usize = 800;
/// Folders whose sources may contain `unsafe`.
const UNSAFE_ALLOWED: [&str; 5] =
    ["shell/net", "shell/tun", "shell/dataplane", "shell/crypto-aws", "shell/crypto-mb"];

/// Checks one file.
pub(crate) fn check(root: &Path, path: &Path) -> Vec<String> {
    let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => check_text(&name, &text),
        Err(error) => vec![format!("{name}: cannot be read: {error}")],
    }
}

fn check_text(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(format!("{name}:1: begin the file with `//!` and say what it is for"));
    }
    let production = production_lines(text);
    let is_test = name.contains("/tests") || name.starts_with("test/");
    if production > LINES_MAX && !is_test {
        findings
            .push(format!("{name}: {production} production lines; split it (at most {LINES_MAX})"));
    }
    for (number, line) in text.lines().enumerate() {
        findings.extend(check_line(name, number + 1, line));
    }
    findings
}

fn check_line(name: &str, number: usize, line: &str) -> Option<String> {
    // Written in two halves so that this file does not find itself.
    let banned = [
        (concat!("FIX", "ME"), "finish it or write TODO(reason)"),
        (concat!("XX", "X:"), "finish it or write TODO(reason)"),
        (concat!("#[ig", "nore"), "a test that does not run proves nothing"),
        (concat!("todo", "!("), "finish it"),
        (concat!("unimplemented", "!("), "finish it"),
    ];
    for (word, cure) in banned {
        if line.contains(word) {
            return Some(format!("{name}:{number}: `{word}`: {cure}"));
        }
    }
    let code = line.split("//").next().unwrap_or_default();
    let has_unsafe =
        code.contains(concat!("unsafe", " {")) || code.contains(concat!("unsafe", " fn"));
    if has_unsafe && !UNSAFE_ALLOWED.iter().any(|dir| name.starts_with(dir)) {
        let allowed = UNSAFE_ALLOWED.join(", ");
        return Some(format!("{name}:{number}: unsafe code belongs in {allowed}"));
    }
    None
}

/// Lines before the inline test module.
fn production_lines(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_purpose_is_found() {
        assert_eq!(check_text("proto/x/src/lib.rs", "fn main() {}\n").len(), 1);
        assert!(check_text("proto/x/src/lib.rs", "//! Purpose.\n").is_empty());
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let long = format!("//! P.\n{}", "fn f() {}\n".repeat(LINES_MAX));
        assert_eq!(check_text("proto/x/src/a.rs", &long).len(), 1);
        let tested = format!("//! P.\n#[cfg(test)]\n{}", "fn f() {}\n".repeat(LINES_MAX));
        assert!(check_text("proto/x/src/a.rs", &tested).is_empty());
    }

    #[test]
    fn unsafe_code_is_found_outside_its_rooms() {
        let text = concat!("//! P.\nunsafe", " { x() }\n");
        assert_eq!(check_text("proto/x/src/a.rs", text).len(), 1);
        assert!(check_text("shell/tun/src/a.rs", text).is_empty());
    }

    #[test]
    fn unfinished_work_is_found() {
        assert_eq!(check_text("app/x.rs", concat!("//! P.\ntodo", "!()\n")).len(), 1);
        assert_eq!(check_text("app/x.rs", concat!("//! P.\n#[ig", "nore]\n")).len(), 1);
    }
}
