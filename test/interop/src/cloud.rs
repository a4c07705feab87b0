//! The network behind the gateway: one host that answers pings and serves a file of random bytes.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::run;
use crate::daemon::Daemon;
use crate::error::LabError;
use crate::evidence::Evidence;
use crate::lab::{CLOUD_HOST, CLOUD_ROUTER};
use crate::netns::{Namespace, cable};

/// The cloud host, serving `http://10.0.0.2:8000/blob`.
#[derive(Debug)]
pub struct Cloud {
    server: Daemon,
    host: Namespace,
    folder: PathBuf,
    sha256: String,
}

impl Cloud {
    /// Builds the host behind `gateway`'s new link `eth1` and starts its server.
    pub(crate) fn start(
        prefix: &str,
        gateway: &Namespace,
        evidence: &Evidence,
    ) -> Result<Self, LabError> {
        let host = Namespace::create(prefix, "cloud")?;
        cable(gateway, "eth1", &host, "eth0")?;
        host.ip(&format!("address add {CLOUD_HOST}/24 dev eth0"))?;
        host.ip(&format!("route add default via {CLOUD_ROUTER}"))?;

        let folder = evidence.subfolder("cloud")?;
        let blob = folder.join("blob");
        write_random(&blob).map_err(|source| LabError::io(&blob, source))?;
        let digest = run(Command::new("sha256sum").arg(&blob))?;
        let sha256 = digest.split_whitespace().next().unwrap_or_default().to_owned();
        let mut serve = host.command("python3");
        serve.args(["-c", SERVER, &CLOUD_HOST.to_string(), &HTTP_PORT.to_string()]).arg(&folder);
        let mut server = Daemon::start("http.server", &serve, &evidence.path("cloud-http.log"))?;
        host.wait_bound("tcp", HTTP_PORT, START_LIMIT, || server.alive())?;
        Ok(Self { server, host, folder, sha256 })
    }

    /// The namespace of the host.
    pub fn host(&self) -> &Namespace {
        &self.host
    }

    /// Serves `content` as `http://10.0.0.2:8000/<name>` too.
    pub fn serve(&self, name: &str, content: &str) -> Result<(), LabError> {
        let path = self.folder.join(name);
        fs::write(&path, content).map_err(|source| LabError::io(&path, source))
    }

    /// The server's log: a line for each request, beginning with the client's address.
    pub fn requests(&self) -> String {
        self.server.log()
    }

    /// The SHA-256 of the served file, in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// Fills `path` with random bytes.
fn write_random(path: &Path) -> io::Result<()> {
    let mut random = File::open("/dev/urandom")?.take(BLOB_OCTETS);
    io::copy(&mut random, &mut File::create(path)?).map(drop)
}

/// `python3 -m http.server` would look its own address up in the DNS, which costs five seconds here.
const SERVER: &str = "
import functools, http.server, socketserver, sys
address, port, folder = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
# Python lets five connections wait; a crowd that fetches at once has some of them reset.
socketserver.TCPServer.request_queue_size = 128
socketserver.ThreadingTCPServer((address, int(port)), handler).serve_forever()
";
/// Size of the served file.
const BLOB_OCTETS: u64 = 10 * 1024 * 1024;
/// The port of the server; the scenarios name it too.
const HTTP_PORT: u16 = 8000;
/// How long Python may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
