//! What tests do with a tunnel: ping and download.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use isthmus_interop::{CLOUD_HOST, Daemon, LabError, Namespace, PingRun, run, wait_for};
use rustix::process::Signal;

use crate::site::Site;

/// Pings `target` from `host`, and demands every answer.
pub fn ping(host: &Namespace, target: Ipv4Addr) -> Result<(), LabError> {
    let mut command = host.command("ping");
    command.args(["-n", "-D", "-O", "-c", "3", "-i", "0.2", "-W", "2", &target.to_string()]);
    let log = run(&mut command)?;
    let lost = PingRun::parse(&log)?.lost;
    if lost.is_empty() {
        Ok(())
    } else {
        Err(LabError::unexpected(format!("pings were lost:\n{log}")))
    }
}

/// What three pings of `target` from `host` say, answered or not.
pub fn pinged(host: &Namespace, target: impl Display) -> Result<String, LabError> {
    let mut command = host.command("sh");
    run(command.args(["-c", &format!("ping -n -c 3 -i 0.2 -W 2 {target} 2>&1 || true")]))
}

/// A ping that goes on until it is finished.
#[derive(Debug)]
pub struct RunningPing {
    ping: Daemon,
}

/// Starts to ping `target` from `host`, once in `interval`.
pub fn start_ping(
    site: &Site,
    host: &Namespace,
    target: impl Display,
    interval: Duration,
) -> Result<RunningPing, LabError> {
    let mut command = host.command("ping");
    let interval = interval.as_secs_f32().to_string();
    command.args(["-n", "-D", "-O", "-i", &interval, &target.to_string()]);
    let turns = (1..).map(|turn| format!("{}-{turn}.ping", host.name()));
    let mut named = turns.map(|name| (site.lab().evidence().path(&name), name));
    let (log, name) = named.find(|(path, _)| !path.exists()).unwrap_or_default();
    Ok(RunningPing { ping: Daemon::start(&name, &command, &log)? })
}

impl RunningPing {
    /// The answers so far.
    pub fn answers(&self) -> usize {
        self.ping.log().lines().filter(|line| line.contains(" time=")).count()
    }

    /// Makes a change and demands that answers go on within `limit`, as long as it is looked at after the
    /// change; notes the longest time without one.
    pub fn goes_on_within(
        &self,
        limit: Duration,
        site: &Site,
        text: &str,
        change: &dyn Fn() -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        let before = self.answers();
        wait_for("answers before", LOOK, || Ok((self.answers() > before + 5).then_some(())))?;
        change()?;
        let (began, mut last, mut longest) = (Instant::now(), self.answers(), Duration::ZERO);
        let mut heard = began;
        while began.elapsed() < LOOK {
            std::thread::sleep(Duration::from_millis(20));
            let answers = self.answers();
            longest = longest.max(heard.elapsed());
            if answers > last {
                (last, heard) = (answers, Instant::now());
            }
        }
        site.lab().evidence().note(&format!("{text}: {longest:?} without an answer"));
        if longest < limit {
            return Ok(());
        }
        Err(LabError::unexpected(format!("{text}: {longest:?} without an answer")))
    }

    /// Ends the ping and says what was lost.
    pub fn finish(mut self) -> Result<PingRun, LabError> {
        self.ping.stop(Signal::INT, Duration::from_secs(10))?;
        PingRun::parse(&self.ping.log())
    }
}

/// One end of a conversation in datagrams, on a port that is the same everywhere.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
}

impl Datagrams {
    /// Opens an end at `address` of `host`.
    pub fn open(host: &Namespace, address: impl Into<IpAddr>) -> Result<Self, LabError> {
        let socket = host.udp_socket((address.into(), PORT), RECEIVE_LIMIT)?;
        Ok(Self { socket })
    }

    /// Sends `text` to the end at `address`.
    pub fn send(&self, text: &str, address: impl Into<IpAddr>) -> Result<(), LabError> {
        self.send_to(text, (address.into(), PORT).into())
    }

    /// Sends `text` to `target`.
    pub fn send_to(&self, text: &str, target: SocketAddr) -> Result<(), LabError> {
        let sent = self.socket.send_to(text.as_bytes(), target);
        sent.map(drop)
            .map_err(|source| LabError::Io { what: format!("{text:?} to {target}"), source })
    }

    /// Everything that has come, each with where it seems to come from.
    pub fn drain(&self) -> Result<Vec<(String, SocketAddr)>, LabError> {
        let waits = |limit| {
            let set = self.socket.set_read_timeout(Some(limit));
            set.map_err(|source| LabError::Io { what: "a time limit".to_owned(), source })
        };
        waits(QUIET)?;
        let all = std::iter::from_fn(|| self.receive().ok()).collect();
        waits(RECEIVE_LIMIT)?;
        Ok(all)
    }

    /// Waits for a datagram, and answers its text and where it seems to come from.
    pub fn receive(&self) -> Result<(String, SocketAddr), LabError> {
        let mut octets = [0; 256];
        let received = self.socket.recv_from(&mut octets);
        let (length, from) = received
            .map_err(|source| LabError::Io { what: "waiting for a datagram".to_owned(), source })?;
        let text = octets.get(..length).unwrap_or_default();
        Ok((String::from_utf8_lossy(text).into_owned(), from))
    }
}

/// Downloads the cloud's 10 MiB from `host` and compares the digest.
pub fn download(site: &Site, host: &Namespace) -> Result<(), LabError> {
    let get = format!(
        "curl -sS --fail --max-time {FETCH_SECONDS} http://{CLOUD_HOST}:8000/blob | sha256sum"
    );
    let mut command = host.command("bash");
    let log = run(command.args(["-o", "pipefail", "-c", &get]))?;
    let (got, want) =
        (log.split_whitespace().next().unwrap_or_default(), site.lab().cloud().sha256());
    if got == want {
        Ok(())
    } else {
        Err(LabError::unexpected(format!("the file arrived as {got}, it is {want}")))
    }
}

/// Downloads the cloud's file `name` from `host`.
pub fn fetch(host: &Namespace, name: &str) -> Result<String, LabError> {
    let mut command = host.command("curl");
    command.args(["-sS", "--fail", "--max-time", &FETCH_SECONDS.to_string()]);
    run(command.arg(format!("http://{CLOUD_HOST}:8000/{name}")))
}

/// Starts to download the cloud's file `name` from `host`; it is the daemon's log at its end.
pub fn start_fetch(site: &Site, host: &Namespace, name: &str) -> Result<Daemon, LabError> {
    let mut command = host.command("curl");
    command.args(["-sS", "--fail", "--max-time", &FETCH_SECONDS.to_string()]);
    command.arg(format!("http://{CLOUD_HOST}:8000/{name}"));
    let log = site.lab().evidence().path(&format!("{name}.fetched"));
    Daemon::start(&format!("the fetch of {name}"), &command, &log)
}

/// The port of [`Datagrams`].
const PORT: u16 = 7777;
/// How long a datagram may take on a busy machine.
const RECEIVE_LIMIT: Duration = Duration::from_secs(5);
/// What has come is there at once.
const QUIET: Duration = Duration::from_millis(20);
/// How long a ping is looked at after a change.
const LOOK: Duration = Duration::from_secs(6);
/// How long a download may take on a busy machine.
const FETCH_SECONDS: u64 = 60;
