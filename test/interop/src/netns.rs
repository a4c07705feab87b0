//! Network namespaces that disappear with the value that names them.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{run, wait_for};
use crate::error::LabError;

/// A named network namespace of this run. Dropping it deletes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace `<prefix>-<role>` with its loopback up.
    pub fn create(prefix: &str, role: &str) -> Result<Self, LabError> {
        let name = format!("{prefix}-{role}");
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        // Duplicate address detection would make addresses change state under the snapshots.
        for key in ["all", "default"] {
            namespace.sysctl(&format!("net/ipv6/conf/{key}/accept_dad"), "0")?;
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The namespace's name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command line that runs `program` in the namespace, to add arguments to.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `ip <words>` in the namespace and answers what it prints.
    pub fn ip(&self, words: &str) -> Result<String, LabError> {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split_whitespace()))
    }

    /// A UDP socket bound to `address` in the namespace, where it stays. Reading from it gives up after
    /// `limit`.
    pub fn udp_socket(
        &self,
        address: impl Into<SocketAddr>,
        limit: Duration,
    ) -> Result<UdpSocket, LabError> {
        let address = address.into();
        let socket = self.with(move || UdpSocket::bind(address))?;
        let limited = socket.set_read_timeout(Some(limit));
        limited.map(|()| socket).map_err(|source| failed("a read time limit", source))
    }

    /// Does `make` inside the namespace, to make a socket that stays there.
    pub fn with<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, LabError> {
        let path = Path::new("/run/netns").join(&self.name);
        let inside = File::open(&path).map_err(|source| LabError::io(&path, source))?;
        // A thread of its own enters the namespace and ends; the socket remembers where it was made.
        let enter = move || {
            move_into_link_name_space(inside.as_fd(), Some(LinkNameSpaceType::Network))?;
            make()
        };
        thread::spawn(enter)
            .join()
            .map_err(|_| LabError::unexpected("the thread that makes a socket died"))?
            .map_err(|source| failed(&format!("a socket in {}", self.name), source))
    }

    /// Loads `rules` into the namespace's nftables.
    pub fn nft(&self, rules: &str) -> Result<String, LabError> {
        run(self.command("nft").arg(rules))
    }

    /// Sets the kernel parameter `key` (a path below `/proc/sys`) of the namespace.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), LabError> {
        let set = format!("echo {value} > /proc/sys/{key}");
        run(self.command("sh").args(["-c", &set])).map(drop)
    }

    /// Whether a socket of `table` ("tcp", "udp") is bound to local `port`.
    pub fn is_bound(&self, table: &str, port: u16) -> Result<bool, LabError> {
        let sockets = run(self.command("cat").arg(format!("/proc/net/{table}")))?;
        Ok(bound_ports(&sockets).any(|bound| bound == port))
    }

    /// Waits until local `port` of `table` is bound, asking `alive` meanwhile whether to go on.
    pub fn wait_bound(
        &self,
        table: &str,
        port: u16,
        limit: Duration,
        mut alive: impl FnMut() -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        wait_for(&format!("a socket on {table} port {port}"), limit, || {
            alive()?;
            Ok(self.is_bound(table, port)?.then_some(()))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = run(Command::new("ip").args(["netns", "delete", &self.name]));
    }
}

/// Joins `left` and `right` by a cable whose ends are called `left_link` and `right_link`, both up.
pub fn cable(
    left: &Namespace,
    left_link: &str,
    right: &Namespace,
    right_link: &str,
) -> Result<(), LabError> {
    left.ip(&format!(
        "link add {left_link} type veth peer name {right_link} netns {}",
        right.name()
    ))?;
    left.ip(&format!("link set {left_link} up"))?;
    right.ip(&format!("link set {right_link} up")).map(drop)
}

/// Deletes the namespaces of earlier runs whose process is gone (killed before it could clean up).
pub(crate) fn sweep_orphans() -> Result<(), LabError> {
    for line in run(Command::new("ip").args(["netns", "list"]))?.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let orphan =
            owner(name).is_some_and(|pid| fs::metadata(Path::new("/proc").join(pid)).is_err());
        if orphan {
            // Another run may be sweeping too.
            let _ = run(Command::new("ip").args(["netns", "delete", name]));
        }
    }
    Ok(())
}

fn failed(what: &str, source: io::Error) -> LabError {
    LabError::Io { what: what.to_owned(), source }
}

/// The prefix of the `number`th lab of process `pid`.
pub(crate) fn prefix(pid: u32, number: u32) -> String {
    format!("ist{pid}n{number}")
}

/// The process id in a name made of [`prefix`] and a role.
fn owner(name: &str) -> Option<&str> {
    let (pid, rest) = name.strip_prefix("ist")?.split_once('n')?;
    let (number, _role) = rest.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(pid) && digits(number)).then_some(pid)
}

/// The local ports in the text of `/proc/net/udp` or `/proc/net/tcp`.
fn bound_ports(table: &str) -> impl Iterator<Item = u16> {
    table.lines().skip(1).filter_map(|line| {
        let (_address, port) = line.split_whitespace().nth(1)?.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_labs_have_an_owner() {
        assert_eq!(owner(&format!("{}-gw", prefix(4711, 2))), Some("4711"));
        for foreign in ["ist-gw", "istn1-gw", "ist4711-gw", "istanbul", "ist4711nx-gw", "x", ""] {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn bound_ports_are_read_from_the_local_column() {
        let table = "  sl  local_address rem_address   st\n\
             10: 00000000:01F4 00000000:0000 07 00000000:00000000\n\
             11: 0A0071CB:1194 00000000:0035 07 00000000:00000000\n";
        assert_eq!(bound_ports(table).collect::<Vec<_>>(), [500, 4500]);
    }
}
