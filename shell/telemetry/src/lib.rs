//! Logs: where they go, in which form, and how much of them.
//!
//! Events are recorded with `tracing` anywhere in the program; this crate decides once, at the start,
//! how they become lines on standard error. Two rules hold for every line. Secrets are never recorded:
//! their type prints nothing. Names of users are recorded at debug level or under the target
//! [`AUDIT`], which is on at every level, so that an operator can send the audit trail elsewhere.

mod event;

pub use event::event;

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

/// The target of audit events: logins, refusals, disconnections, with names and addresses.
pub const AUDIT: &str = "audit";

/// For whom lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For programs: one JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Logging was set up before.
    #[error("logging is already set up")]
    AlreadySet,
    /// The filter does not read.
    #[error(
        "`{filter}` is not a log filter: {source}; write a level such as `info`, or `info,isthmus_ike=debug`"
    )]
    BadFilter {
        /// As written.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logging has ended.
    #[error("logging has ended")]
    Ended,
}

/// Changes the amount of logs while the program runs.
#[derive(Clone, Debug)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogControl {
    /// Replaces the filter.
    ///
    /// # Errors
    /// [`TelemetryError::BadFilter`]; the old filter stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), TelemetryError> {
        self.filter.reload(parse(filter)?).map_err(|_| TelemetryError::Ended)
    }
}

/// Sends every event that passes `filter` to standard error, from now to the end of the process.
///
/// `filter` is a level (`info`) or a list such as `info,isthmus_ike=debug`. Under systemd lines carry
/// no time, because the journal has its own.
///
/// # Errors
/// [`TelemetryError::BadFilter`], [`TelemetryError::AlreadySet`].
pub fn init(format: LogFormat, filter: &str) -> Result<LogControl, TelemetryError> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let set = match format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text if journal => {
            registry.with(layer.without_time().with_ansi(false)).try_init()
        }
        LogFormat::Text => {
            registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init()
        }
    };
    set.map_err(|_| TelemetryError::AlreadySet)?;
    Ok(LogControl { filter: handle })
}

/// Whether `filter` reads.
///
/// # Errors
/// [`TelemetryError::BadFilter`].
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    // The audit trail comes first, so that a filter that names it has the last word.
    EnvFilter::builder()
        .parse(format!("{AUDIT}=info,{filter}"))
        .map_err(|source| TelemetryError::BadFilter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_lists_are_filters() {
        for good in ["info", "debug", "info,isthmus_ike=trace", "warn,audit=off"] {
            assert!(check_filter(good).is_ok(), "{good}");
        }
        let wrong = check_filter("info,isthmus_ike=loud").unwrap_err().to_string();
        assert!(wrong.contains("`info,isthmus_ike=loud` is not a log filter"), "{wrong}");
    }

    #[test]
    fn the_audit_trail_is_on_unless_switched_off() {
        assert!(parse("error").unwrap().to_string().contains("audit=info"));
        assert!(parse("error,audit=off").unwrap().to_string().contains("audit=off"));
    }
}
