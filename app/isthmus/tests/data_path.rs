//! `[data_path]`: its defaults, its bounds, and that it waits for a restart.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::time::Duration;

use common::config::{LEAST, load, refused, valid};
use isthmus::config::{self, Config, Engine};

/// The least that is valid, with these lines as `[data_path]`, from line 9 on.
fn with(lines: &str) -> String {
    format!("{LEAST}[data_path]\n{lines}")
}

fn of(lines: &str) -> Config {
    valid(&with(lines))
}

#[test]
fn by_default_every_processor_works_and_sleeps_when_there_is_nothing() {
    let path = of("").data_path;
    let processors = std::thread::available_parallelism().unwrap().get();
    assert_eq!(path.workers, processors.min(16));
    assert_eq!((path.pin, path.busy_poll, path.engine), (false, Duration::ZERO, Engine::Fastest));
}

#[test]
fn every_key_is_understood() {
    let path = of("workers = 64\npin = true\nbusy_poll = 50\nengine = \"portable\"\n").data_path;
    assert_eq!((path.workers, path.pin, path.engine), (64, true, Engine::Portable));
    assert_eq!(path.busy_poll, Duration::from_micros(50));
}

#[test]
fn bounds_are_told_with_the_remedy() {
    for workers in ["0", "65"] {
        let lines = with(&format!("workers = {workers}\n"));
        refused(&lines, 9, "out of range", "write a number from 1 to 64");
    }
    refused(&with("busy_poll = 10001\n"), 9, "out of range", "write a number from 0 to 10000");
    let lines = with("engine = \"portabel\"\n");
    refused(&lines, 9, "`portabel` is not known", "did you mean \"portable\"?");
}

#[test]
fn more_workers_than_processors_are_a_warning() {
    let (_, report) = load(&with("workers = 64\n")).unwrap();
    let warned = report.to_string();
    let many = std::thread::available_parallelism().unwrap().get() >= 64;
    assert_eq!(warned.contains("get in each other's way"), !many, "{warned}");
}

#[test]
fn a_change_waits_for_a_restart_and_the_running_one_stays_in_force() {
    let (running, new) = (of("workers = 1\n"), of("workers = 2\npin = true\n"));
    let changes = config::compare(&running, &new);
    assert_eq!((changes.applied, changes.needs_restart), (vec![], vec!["data_path".to_owned()]));
    assert_eq!(config::effective(&running, &new).data_path, running.data_path);
}
