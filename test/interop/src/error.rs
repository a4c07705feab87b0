//! Everything that can go wrong in the lab, worded for the person who reads a failed test.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a lab could not be built or a scenario did not hold.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program of the lab failed; `output` is what it printed.
    #[error("`{line}` failed with {status}:\n{output}")]
    Command {
        /// The command line.
        line: String,
        /// Its exit status.
        status: String,
        /// Standard output and error.
        output: String,
    },
    /// An operation on a file or socket failed.
    #[error("{what}: {source}")]
    Io {
        /// The file or the operation.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The built binary is not where the tests look for it.
    #[error(
        "no isthmus binary at {0}; build it with `cargo build -p isthmus` or set ISTHMUS_BIN to one"
    )]
    NoBinary(PathBuf),
    /// A step of a scenario exited with something else than 0.
    #[error("{host}: {step} exited with {exit}; the end of its log:\n{log}")]
    Step {
        /// The machine's name.
        host: String,
        /// The step's path in the scenario.
        step: String,
        /// The step's exit code.
        exit: i32,
        /// The last lines that it printed.
        log: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s", after.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// The time that was given.
        after: Duration,
    },
    /// An observation contradicts what the scenario demands.
    #[error("{0}")]
    Unexpected(String),
}

impl LabError {
    /// An I/O failure at `path`.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { what: path.display().to_string(), source }
    }

    /// A demand of the scenario that does not hold.
    pub fn unexpected(what: impl Into<String>) -> Self {
        Self::Unexpected(what.into())
    }
}
