//! `isthmus show` where it has nothing to show.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::process::Output;

use assert_cmd::Command;

fn show(dir: &tempfile::TempDir, words: &[&str]) -> (i32, String) {
    let config = dir.path().join("etc/isthmus.toml").display().to_string();
    let socket = dir.path().join("control.sock").display().to_string();
    let mut command = Command::cargo_bin("isthmus").unwrap();
    command.args([&["show"], words, &["--config", &config, "--socket", &socket]].concat());
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(stdout.is_empty());
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

fn configured() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let etc = dir.path().join("etc").display().to_string();
    let mut command = Command::cargo_bin("isthmus").unwrap();
    command.args(["quickstart", "--dir", &etc, "--address", "203.0.113.10"]);
    assert!(command.output().unwrap().status.success());
    dir
}

#[test]
fn without_a_gateway_nothing_is_in_force_and_it_says_how_to_start_one() {
    let dir = configured();
    for what in ["nat", "policy", "routes", "rules"] {
        let (code, said) = show(&dir, &[what, "--json"]);
        assert_eq!(code, 3, "{what}: {said}");
        assert!(said.contains("isthmus is not running") && said.contains("isthmus run"), "{said}");
    }
}

#[test]
fn a_tenant_that_is_not_there_is_answered_with_those_that_are() {
    let (code, said) = show(&configured(), &["routes", "--tenant", "nobody"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("there is no tenant `nobody`; there are: "), "{said}");
}

#[test]
fn what_cannot_be_shown_is_wrong_usage_with_what_can() {
    let (code, said) = show(&configured(), &["routs"]);
    assert_eq!(code, 2, "{said}");
    assert!(["nat", "policy", "routes", "rules"].iter().all(|what| said.contains(what)), "{said}");
    assert_eq!(show(&configured(), &[]).0, 2);
}
