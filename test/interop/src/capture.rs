//! tcpdump on a bridge, from before the first packet until the test says stop.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::command::{run, wait_for};
use crate::daemon::Daemon;
use crate::error::LabError;
use crate::netns::Namespace;

/// A running capture into a pcap file.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Daemon,
    fence: Command,
    file: PathBuf,
}

impl Capture {
    /// Captures everything that passes `link` of `namespace` into `file`; it is listening when this
    /// returns. `fence` is an unused address of the link's network.
    pub(crate) fn start(
        namespace: &Namespace,
        link: &str,
        fence: Ipv4Addr,
        file: &Path,
    ) -> Result<Self, LabError> {
        let mut command = namespace.command("tcpdump");
        // Without --immediate-mode: that would give every packet a slot for the largest, and a burst of
        // small ones would fill the buffer.
        command.args(["-n", "-U", "-Z", "root", "-i", link]);
        command.args(["-s", SNAP_OCTETS, "-B", BUFFER_KIB]);
        command.arg("-w").arg(file);
        let mut tcpdump = Daemon::start("tcpdump", &command, &file.with_extension("log"))?;
        wait_for("tcpdump's start", LIMIT, || {
            tcpdump.alive()?;
            Ok(tcpdump.log().contains("listening on").then_some(()))
        })?;
        // Nobody has the address, so nobody would answer a question for its neighbour entry.
        let send = format!(
            "ip neighbour replace {fence} lladdr 02:00:00:00:00:fe dev {link} && \
             echo {FENCE} > /dev/udp/{fence}/{DISCARD_PORT}"
        );
        let mut fence = namespace.command("bash");
        fence.args(["-c", &send]);
        Ok(Self { tcpdump, fence, file: file.to_owned() })
    }

    /// Ends the capture and answers its file.
    ///
    /// tcpdump throws away what the kernel still holds for it when it is told to end, and the last
    /// packets are those most likely to have leaked. So a last packet is sent, and waited for in the
    /// file.
    ///
    /// # Errors
    /// The kernel dropped packets: a capture with holes proves nothing about what was not sent.
    pub(crate) fn stop(mut self) -> Result<PathBuf, LabError> {
        run(&mut self.fence)?;
        wait_for("the last packet in the capture", LIMIT, || {
            self.tcpdump.alive()?;
            let octets = fs::read(&self.file).map_err(|source| LabError::io(&self.file, source))?;
            let recent = octets.len().saturating_sub(RECENT_OCTETS);
            let end = octets.get(recent..).unwrap_or_default();
            Ok(end.windows(FENCE.len()).any(|part| part == FENCE.as_bytes()).then_some(()))
        })?;
        self.tcpdump.stop(Signal::INT, LIMIT)?;
        let log = self.tcpdump.log();
        if log.lines().any(|line| line == "0 packets dropped by kernel") {
            Ok(self.file)
        } else {
            Err(LabError::unexpected(format!("the capture is incomplete:\n{log}")))
        }
    }
}

/// The content of the last packet.
const FENCE: &str = "end of capture";
/// RFC 863.
const DISCARD_PORT: u16 = 9;
/// How far from its end the capture file is searched for the last packet.
const RECENT_OCTETS: usize = 1 << 20;
/// Octets kept of each packet: all, because a segmentation super-packet that is cut cannot be read.
const SNAP_OCTETS: &str = "262144";
/// Kernel buffer of the capture, so that a busy machine loses nothing.
const BUFFER_KIB: &str = "65536";
/// How long tcpdump may take to start or to end.
const LIMIT: Duration = Duration::from_secs(30);
