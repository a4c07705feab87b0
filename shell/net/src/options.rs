//! How sockets are set up.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::net::sockopt;
use socket2::Socket;

use crate::{LaneShare, Namespace};

/// How a socket is opened.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// The network namespace to open it in; the caller's own when absent.
    pub namespace: Option<Namespace>,
    /// Bytes of each kernel buffer (`SO_RCVBUF` and `SO_SNDBUF`). Without `CAP_NET_ADMIN` the system's
    /// `net.core.rmem_max` and `wmem_max` cap it silently.
    pub buffer_bytes: usize,
    /// Whether other sockets of ours are open on the same port, and how packets are dealt out then.
    pub sharing: Sharing,
}

/// How several sockets share a port, or raw sockets a protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// They do not: opening a port that somebody else has fails.
    #[default]
    Alone,
    /// The kernel keeps one remote address and port on one socket; raw sockets all get everything.
    ByFlow,
    /// By the lane of the SPI. What is no ESP goes to the socket that was opened first, which must be
    /// that of share 0.
    ByLane(LaneShare),
    /// Everything goes to the socket that was opened first, which must be that of share 0; the others
    /// only send.
    First(LaneShare),
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { namespace: None, buffer_bytes: BUFFER_BYTES, sharing: Sharing::Alone }
    }
}

/// Room for about two thousand full-size packets: 20 ms of 1 Gbit/s.
const BUFFER_BYTES: usize = 4 << 20;

/// Sizes both kernel buffers, beyond the system's limits where we may.
pub(crate) fn size_buffers(socket: &Socket, bytes: usize) -> io::Result<()> {
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_err() {
        socket.set_recv_buffer_size(bytes)?;
    }
    if sockopt::set_socket_send_buffer_size_force(socket, bytes).is_err() {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

/// Undoes what `quinn-udp` sets for QUIC only.
///
/// QUIC forbids fragmentation. We want the kernel's path MTU discovery instead: a large IKE message
/// is fragmented rather than refused, smaller ones carry DF. Time stamps cost time and nobody reads
/// them.
pub(crate) fn undo_quic(socket: &Socket, is_ipv6: bool) -> io::Result<()> {
    if is_ipv6 {
        sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::WANT)?;
        set_off(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG)?;
    } else {
        sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::WANT)?;
    }
    set_off(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)
}

/// Switches off the option `name`, for those that no safe crate knows.
#[expect(unsafe_code, reason = "IPV6_DONTFRAG and SO_TIMESTAMPNS have no safe setter")]
fn set_off(socket: &Socket, level: libc::c_int, name: libc::c_int) -> io::Result<()> {
    static VALUE: libc::c_int = 0;
    const LENGTH: libc::socklen_t = 4;
    // SAFETY: the pointer and the length describe `VALUE`, a static of four bytes; the kernel only
    // reads it.
    let done = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const VALUE).cast(), LENGTH)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
