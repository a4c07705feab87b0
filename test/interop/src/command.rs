//! Short-lived programs: run to the end, output captured, failure explained. And waiting for a fact.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::LabError;

/// Runs `command` to its end and answers its standard output.
///
/// # Errors
/// The program could not be started, or its exit status is not 0.
pub fn run(command: &mut Command) -> Result<String, LabError> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| LabError::Io { what: line.clone(), source })?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(LabError::Command {
        line,
        status: output.status.to_string(),
        output: format!("{stdout}{stderr}"),
    })
}

/// The command line as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Asks `probe` until it answers something, every `POLL`, for at most `limit`.
///
/// # Errors
/// The probe's own error at once, or a timeout naming `what`.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>, LabError>,
) -> Result<T, LabError> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        if start.elapsed() >= limit {
            return Err(LabError::Timeout { what: what.to_owned(), after: limit });
        }
        sleep(POLL);
    }
}

/// How often a waited-for fact is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_quoted_with_its_output() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]))
            .expect_err("exit 3 is a failure");
        let text = error.to_string();
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.contains("out\nerr"), "{text}");
    }

    #[test]
    fn waiting_ends_with_a_timeout_that_names_the_fact() {
        let error = wait_for("the moon", Duration::ZERO, || Ok(None::<()>)).expect_err("timeout");
        assert_eq!(error.to_string(), "the moon did not happen within 0 s");
    }

    #[test]
    fn a_probe_that_fails_ends_the_wait_at_once() {
        let limit = Duration::from_hours(1);
        let error = wait_for("x", limit, || Err::<Option<()>, _>(LabError::unexpected("dead")))
            .expect_err("dead");
        assert_eq!(error.to_string(), "dead");
    }
}
