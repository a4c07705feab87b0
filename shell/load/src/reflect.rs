//! The other end of probe packets: a UDP server that sends them back.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use isthmus_core::Buf;
use isthmus_net::{SocketError, SocketOptions, UdpPort};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::traffic::probe::turn;

/// What a reflector has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reflected {
    /// Probes sent back.
    pub probes: u64,
    /// Datagrams that were no probes, or had been sent back already.
    pub others: u64,
    /// Probes that the system did not take.
    pub unsent: u64,
}

/// Why there is no reflector.
#[derive(Debug, thiserror::Error)]
pub enum ReflectError {
    /// The port cannot be had.
    #[error(transparent)]
    Port(#[from] SocketError),
    /// The socket broke.
    #[error("the reflector's socket broke: {0}")]
    Socket(#[from] std::io::Error),
}

/// Sends probes back to where they came from, and nothing else to anybody, until `stop` says so;
/// `ready` is told the address that was bound.
///
/// # Errors
/// When the port cannot be had, or its socket breaks.
pub fn reflect(
    listen: SocketAddr,
    ready: impl FnOnce(SocketAddr),
    stop: impl Fn() -> bool,
) -> Result<Reflected, ReflectError> {
    let mut port = UdpPort::bind(listen, &SocketOptions::default())?;
    ready(port.local());
    let mut done = Reflected::default();
    let (mut pool, mut batch) = (Vec::new(), Vec::new());
    while !stop() {
        let mut fds = [PollFd::from_borrowed_fd(port.as_fd(), PollFlags::IN)];
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_AROUND.subsec_nanos()) };
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(std::io::Error::from(errno).into()),
        }
        let mut alloc = || pool.pop().unwrap_or_else(|| Buf::with_capacity(2048));
        port.recv_batch(&mut alloc, &mut batch)?;
        let received = batch.len() as u64;
        batch.retain_mut(|(_, buf): &mut (_, Buf)| turn(buf));
        done.others += received - batch.len() as u64;
        let sent = port.send_batch(batch.iter().map(|(path, buf)| (*path, &**buf)))?.done as u64;
        done.probes += sent;
        done.unsent += (batch.len() as u64).saturating_sub(sent);
        pool.extend(batch.drain(..).map(|(_, buf)| buf));
        pool.truncate(POOL_MAX);
    }
    Ok(done)
}

/// How often it looks whether to stop.
const LOOK_AROUND: Duration = Duration::from_millis(200);
/// Buffers kept for use again.
const POOL_MAX: usize = 1024;
