//! A long-lived child process of the lab, ended by its process id and by nothing else.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::command::{line, wait_for};
use crate::error::LabError;

/// A running program whose output goes to a log file. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command`, with standard output and error in `log`.
    ///
    /// The kernel kills the program when the *thread* that started it ends, so a test that is
    /// killed leaves no process behind; start daemons from the test's own thread.
    pub fn start(name: &str, command: &Command, log: &Path) -> Result<Self, LabError> {
        let output = File::create(log).map_err(|source| LabError::io(log, source))?;
        let errors = output.try_clone().map_err(|source| LabError::io(log, source))?;
        let child = tied_to_us(command)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| LabError::Io { what: line(command), source })?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the program has printed so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Nothing while the program runs.
    ///
    /// # Errors
    /// It has ended, with the end of its log.
    pub fn alive(&mut self) -> Result<(), LabError> {
        match self.try_wait()? {
            None => Ok(()),
            Some(status) => Err(LabError::Command {
                line: self.name.clone(),
                status: format!("an early end, {status}"),
                output: tail(&self.log(), TAIL_LINES).to_owned(),
            }),
        }
    }

    /// Sends `signal` and waits for the end.
    ///
    /// # Errors
    /// It is still running after `limit` (and is left so: dropping kills it).
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<ExitStatus, LabError> {
        self.alive()?;
        self.signal(signal);
        self.ended(limit)
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// It is still running after `limit` (and is left so: dropping kills it).
    pub fn ended(&mut self, limit: Duration) -> Result<ExitStatus, LabError> {
        let what = format!("the end of {}", self.name);
        wait_for(&what, limit, || self.try_wait()).map_err(|error| match error {
            late @ LabError::Timeout { .. } => {
                let log = self.log();
                LabError::unexpected(format!("{late}; its log:\n{}", tail(&log, TAIL_LINES)))
            }
            other @ (LabError::Command { .. }
            | LabError::Io { .. }
            | LabError::NoBinary(_)
            | LabError::Step { .. }
            | LabError::Unexpected(_)) => other,
        })
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // The only failure is that it has ended, which is what is wanted.
            let _ = kill_process(pid, signal);
        }
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>, LabError> {
        self.child.try_wait().map_err(|source| LabError::Io { what: self.name.clone(), source })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `command` run under a parent-death signal. `setpriv` sets it and becomes the program, so the
/// process id stays the one we hold.
fn tied_to_us(command: &Command) -> Command {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(key, value),
            None => tied.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        tied.current_dir(folder);
    }
    tied
}

/// The last `lines` lines of `text`.
pub(crate) fn tail(text: &str, lines: usize) -> &str {
    let start = text.trim_end().rmatch_indices('\n').nth(lines.saturating_sub(1));
    start.and_then(|(at, _)| text.get(at.saturating_add(1)..)).unwrap_or(text)
}

/// Lines of a log that are quoted in an error.
pub(crate) const TAIL_LINES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn log_path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("isthmus-interop-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_stopped_daemon_reports_its_exit_and_its_log() {
        let log = log_path("stop");
        let mut script = Command::new("sh");
        script.args(["-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"]);
        let mut daemon = Daemon::start("sh", &script, &log).expect("start");
        wait_for("up", Duration::from_secs(20), || Ok(daemon.log().contains("up").then_some(())))
            .expect("the script prints");
        let status = daemon.stop(Signal::TERM, Duration::from_secs(20)).expect("stop");
        assert_eq!(status.code(), Some(7));
        assert_eq!(daemon.log(), "up\nbye\n");
        let _ = std::fs::remove_file(log);
    }

    #[test]
    fn a_daemon_that_ended_by_itself_is_not_alive() {
        let log = log_path("early");
        let mut script = Command::new("sh");
        script.args(["-c", "echo no config; exit 2"]);
        let mut daemon = Daemon::start("sh", &script, &log).expect("start");
        let error = wait_for("the end", Duration::from_secs(20), || Ok(daemon.alive().err()))
            .expect("it ends");
        assert!(error.to_string().contains("no config"), "{error}");
        let _ = std::fs::remove_file(log);
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(tail("a\nb", 2), "a\nb");
        assert_eq!(tail("", 2), "");
    }
}
