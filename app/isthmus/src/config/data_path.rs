//! Reads `[data_path]`.

use std::time::Duration;

use super::read::set;
use super::section::Section;
use super::types::{DataPath, Engine};
use super::value;
use crate::report::Report;

/// Reads `[data_path]` with its defaults.
pub(crate) fn data_path(section: Option<Section>, report: &mut Report) -> DataPath {
    let mut path = DataPath {
        workers: processors().min(WORKERS_DEFAULT_MAX),
        pin: false,
        busy_poll: Duration::ZERO,
        engine: Engine::Fastest,
    };
    let Some(mut section) = section else { return path };
    if let Some(workers) = section.take("workers", report, value::number(1..=WORKERS_MAX)) {
        path.workers = usize::from(workers.value);
        if path.workers > processors() {
            report.warning(
                workers.span,
                format!("this machine has {} processors", processors()),
                "more workers than processors only get in each other's way",
            );
        }
    }
    set(&mut path.pin, section.take("pin", report, value::boolean));
    if let Some(busy) = section.take("busy_poll", report, value::number(0..=BUSY_POLL_MAX)) {
        path.busy_poll = Duration::from_micros(busy.value.into());
    }
    set(&mut path.engine, section.take("engine", report, value::one_of(&Engine::NAMES)));
    section.finish(report);
    path
}

/// Processors that this process may run on.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Most workers: into so many lanes are clients dealt out.
#[expect(clippy::cast_possible_truncation, reason = "there are 64 lanes")]
const WORKERS_MAX: u16 = isthmus_core::LANES as u16;
/// Most workers that nobody asked for: by then something else is in the way.
const WORKERS_DEFAULT_MAX: usize = 16;
/// In microseconds; ten milliseconds of looking is no help to latency any more.
const BUSY_POLL_MAX: u16 = 10_000;
