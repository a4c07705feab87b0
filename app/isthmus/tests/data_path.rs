//! `[data_path]`: its defaults, its bounds, and that it waits for a restart.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use isthmus::config::{self, Config, Engine, Environment};
use isthmus::report::Report;

const LEAST: &str = "\
[ipsec]
psk = \"correct horse battery\"
[[tenant]]
name = \"acme\"
pool = [\"10.64.0.0/20\"]
[tenant.users.alice]
password = \"a\"
";

fn load(data_path: &str) -> Result<(Config, Report), Report> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("isthmus.toml");
    std::fs::write(&file, format!("{LEAST}[data_path]\n{data_path}")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    config::load(&file, &Environment::default())
}

fn valid(data_path: &str) -> Config {
    load(data_path).unwrap_or_else(|report| panic!("{report}")).0
}

fn refusal(data_path: &str) -> String {
    load(data_path).unwrap_err().to_string()
}

#[test]
fn by_default_every_processor_works_and_sleeps_when_there_is_nothing() {
    let path = valid("").data_path;
    let processors = std::thread::available_parallelism().unwrap().get();
    assert_eq!(path.workers, processors.min(16));
    assert_eq!((path.pin, path.busy_poll, path.engine), (false, Duration::ZERO, Engine::Fastest));
}

#[test]
fn every_key_is_understood() {
    let path = valid("workers = 64\npin = true\nbusy_poll = 50\nengine = \"portable\"\n").data_path;
    assert_eq!((path.workers, path.pin, path.engine), (64, true, Engine::Portable));
    assert_eq!(path.busy_poll, Duration::from_micros(50));
}

#[test]
fn bounds_are_told_with_the_remedy() {
    for workers in ["0", "65"] {
        let said = refusal(&format!("workers = {workers}\n"));
        assert!(said.contains("write a number from 1 to 64"), "{said}");
    }
    let said = refusal("busy_poll = 10001\n");
    assert!(said.contains("write a number from 0 to 10000"), "{said}");
    let said = refusal("engine = \"portabel\"\n");
    assert!(said.contains("did you mean \"portable\"?"), "{said}");
}

#[test]
fn more_workers_than_processors_are_a_warning() {
    let (_, report) = load("workers = 64\n").unwrap();
    let warned = report.to_string();
    let many = std::thread::available_parallelism().unwrap().get() >= 64;
    assert_eq!(warned.contains("get in each other's way"), !many, "{warned}");
}

#[test]
fn a_change_waits_for_a_restart_and_the_running_one_stays_in_force() {
    let (running, new) = (valid("workers = 1\n"), valid("workers = 2\npin = true\n"));
    let changes = config::compare(&running, &new);
    assert_eq!((changes.applied, changes.needs_restart), (vec![], vec!["data_path".to_owned()]));
    assert_eq!(config::effective(&running, &new).unwrap().data_path, running.data_path);
}
