//! The product under test: the built binary, run as an operator would, in the gateway's namespace.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::answer::Answer;
use crate::command::{run, wait_for};
use crate::daemon::Daemon;
use crate::error::LabError;
use crate::lab::Lab;

/// A running `isthmus run`. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    daemon: Daemon,
    binary: PathBuf,
    folder: PathBuf,
}

impl Gateway {
    /// Starts the binary with the files of `configuration`, a folder with a `gateway.toml`, and
    /// waits until it answers: it listens for IKE before it puts its kernel state in place, and
    /// answers after it. The binary is `ISTHMUS_BIN`, else the one beside this test's own build, else
    /// that of the other profile.
    ///
    /// The daemon works in a copy of the folder and sees a `/run` and a `/var/lib` of its own, so
    /// that gateways of parallel tests cannot meet. A second start in the same lab finds what the
    /// first one left there, as after a restart of the service.
    pub fn start(lab: &Lab, configuration: &Path) -> Result<Self, LabError> {
        let mut gateway = Self::start_binary(lab, &binary()?, configuration)?;
        gateway.wait_answer()?;
        Ok(gateway)
    }

    /// Does the same as [`Gateway::start`] with the given `binary`, and waits only until it listens.
    pub fn start_binary(lab: &Lab, binary: &Path, configuration: &Path) -> Result<Self, LabError> {
        let folder = lab.evidence().subfolder("gateway")?;
        copy_private(configuration, &folder)?;
        let daemon = launch(lab, binary, &folder)?;
        Ok(Self { daemon, binary: binary.to_owned(), folder })
    }

    /// Ends the daemon with SIGKILL and starts it again as it was, with what it left behind. Waits
    /// as [`Gateway::start`] does.
    pub fn kill_and_start(&mut self, lab: &Lab) -> Result<(), LabError> {
        lab.evidence().note("gateway: SIGKILL");
        self.daemon.stop(Signal::KILL, STOP_LIMIT)?;
        let (log, kept) = (self.folder.join(LOG), self.folder.join("killed.log"));
        fs::rename(&log, kept).map_err(|source| LabError::io(&log, source))?;
        self.daemon = launch(lab, &self.binary, &self.folder)?;
        self.wait_answer()
    }

    /// Waits until the daemon serves its control socket.
    fn wait_answer(&mut self) -> Result<(), LabError> {
        wait_for("an answer of the gateway", START_LIMIT, || {
            self.daemon.alive()?;
            // The socket of a killed daemon is there and nobody behind it.
            Ok(self.status().ok().map(drop))
        })
    }

    /// The binary under test.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// The folder of the daemon's configuration, which is also its working directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `isthmus <words>` beside the daemon, where it finds the daemon's socket, and answers
    /// what it prints.
    pub fn cli(&self, words: &[&str]) -> Result<String, LabError> {
        run(&mut self.command(words))
    }

    /// The same for a command that may fail: its exit code, what it prints, and what it complains of.
    pub fn cli_ends(&self, words: &[&str]) -> Result<(Option<i32>, String, String), LabError> {
        let ended = self.command(words).stdin(Stdio::null()).output();
        let ended = ended.map_err(|source| LabError::Io { what: words.join(" "), source })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((ended.status.code(), text(&ended.stdout), text(&ended.stderr)))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.daemon.pid().to_string()).args(["--net", "--mount"]);
        command.arg(format!("--wd={}", self.folder.display())).arg(&self.binary).args(words);
        command
    }

    /// Asks for `isthmus status --json`.
    pub fn status(&self) -> Result<Answer, LabError> {
        Answer::parse(&self.cli(&["status", "--json"])?)
    }

    /// Asks for `isthmus sessions --json`.
    pub fn sessions(&self) -> Result<Answer, LabError> {
        Answer::parse(&self.cli(&["sessions", "--json"])?)
    }

    /// Waits until status counts `number` of `key`.
    ///
    /// # Errors
    /// It counts something else to the end of `limit`, or the daemon is dead.
    pub fn wait_count(
        &mut self,
        key: &str,
        number: u64,
        limit: Duration,
    ) -> Result<Answer, LabError> {
        let mut last = None;
        let reached = wait_for(&format!("{number} {key}"), limit, || {
            self.daemon.alive()?;
            let status = self.status()?;
            let reached = status.count(key)? == number;
            last = Some(status.clone());
            Ok(reached.then_some(status))
        });
        reached.map_err(|error| match last {
            Some(status) => LabError::unexpected(format!("{error}; status: {status}")),
            None => error,
        })
    }

    /// What the daemon has logged so far.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Ends the daemon as a service manager does and answers its exit status.
    pub fn stop(mut self, lab: &Lab) -> Result<ExitStatus, LabError> {
        lab.evidence().note("gateway: SIGTERM");
        self.daemon.stop(Signal::TERM, STOP_LIMIT)
    }
}

/// Starts the daemon in `folder` and waits until it listens.
fn launch(lab: &Lab, binary: &Path, folder: &Path) -> Result<Daemon, LabError> {
    let state = lab.evidence().subfolder("gateway/state")?;
    lab.evidence().note(&format!("gateway: {} run", binary.display()));
    let mut command = lab.gateway().command("sh");
    command.args(["-c", PRIVATE_FOLDERS]).arg(state).arg(binary);
    command.args(["run", "--config", "gateway.toml"]);
    command.current_dir(folder).env("RUST_BACKTRACE", "1");
    let mut daemon = Daemon::start("isthmus run", &command, &folder.join(LOG))?;
    for port in IKE_PORTS {
        lab.gateway().wait_bound("udp", port, START_LIMIT, || daemon.alive())?;
    }
    Ok(daemon)
}

/// The binary under test: `ISTHMUS_BIN`, else the one beside this test's own build, else that of the
/// other profile.
pub fn binary() -> Result<PathBuf, LabError> {
    let what = "the path of the test itself";
    let test =
        std::env::current_exe().map_err(|source| LabError::Io { what: what.to_owned(), source })?;
    find_binary(std::env::var_os("ISTHMUS_BIN").map(PathBuf::from), &test)
}

fn find_binary(named: Option<PathBuf>, test: &Path) -> Result<PathBuf, LabError> {
    if let Some(named) = named {
        return named.canonicalize().map_err(|_| LabError::NoBinary(named));
    }
    // target/<profile>/deps/<test>
    let profile = test.ancestors().nth(2).unwrap_or(test);
    let own = profile.join("isthmus");
    let others = ["debug", "release"].map(|name| profile.with_file_name(name).join("isthmus"));
    std::iter::once(&own)
        .chain(&others)
        .find(|path| path.is_file())
        .cloned()
        .ok_or(LabError::NoBinary(own))
}

/// Copies the files of `from` into `to`, readable by root only, as configurations with secrets are.
fn copy_private(from: &Path, to: &Path) -> Result<(), LabError> {
    let entries = fs::read_dir(from).map_err(|source| LabError::io(from, source))?;
    for entry in entries {
        let path = entry.map_err(|source| LabError::io(from, source))?.path();
        let Some(name) = path.file_name().filter(|_| path.is_file()) else { continue };
        let copy = to.join(name);
        fs::copy(&path, &copy)
            .and_then(|_| fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)))
            .map_err(|source| LabError::io(&path, source))?;
    }
    Ok(())
}

/// `sh -c` text: the folders `run` and `lib` of $0 become /run and /var/lib, /run has the names of
/// namespaces, the arguments become the process. `ip netns exec` has already given it a mount
/// namespace of its own.
const PRIVATE_FOLDERS: &str = r#"
set -e
mkdir -p "$0/lib" "$0/run/netns"
mount --bind "$0/lib" /var/lib
mount --bind "$0/run" "$0/run"
mount --rbind /run/netns "$0/run/netns"
mount --rbind "$0/run" /run
exec "$@"
"#;
/// The daemon's log in its folder.
const LOG: &str = "daemon.log";
/// RFC 2408 §2.5.1 and RFC 3948 §1.
const IKE_PORTS: [u16; 2] = [500, 4500];
/// How long the daemon may take to listen on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long the daemon may take to say goodbye to its peers and end.
const STOP_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_beside_the_test_is_found_first() {
        let target = std::env::temp_dir().join(format!("isthmus-target-{}", std::process::id()));
        let test = target.join("debug/deps/scenario-0123");
        for profile in ["debug/deps", "release"] {
            fs::create_dir_all(target.join(profile)).expect("folder");
        }
        let missing = find_binary(None, &test).expect_err("nothing is built").to_string();
        assert!(missing.contains("cargo build -p isthmus"), "{missing}");

        let release = target.join("release/isthmus");
        fs::write(&release, "").expect("file");
        assert_eq!(find_binary(None, &test).ok(), Some(release));
        let debug = target.join("debug/isthmus");
        fs::write(&debug, "").expect("file");
        assert_eq!(find_binary(None, &test).ok(), Some(debug.clone()));
        assert_eq!(find_binary(Some(debug.clone()), Path::new("/x/y/z")).ok(), Some(debug));
        assert!(find_binary(Some(target.join("nothing")), &test).is_err());
        fs::remove_dir_all(target).expect("clean up");
    }
}
