//! Raw ESP: IP protocol 50 without UDP (RFC 4303).

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use isthmus_core::{Buf, Path};
use socket2::{Domain, Protocol, Socket, Type};

use crate::options::size_buffers;
use crate::recv::{Content, Receiver};
use crate::send::Sender;
use crate::{NetStats, Sent, Sharing, SocketError, SocketOptions, in_namespace, lanes};

/// The IP version of a raw socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EspFamily {
    /// ESP over IPv4.
    V4,
    /// ESP over IPv6.
    V6,
}

impl fmt::Display for EspFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A raw socket that takes every ESP packet to any address of this machine. Paths have port 0.
///
/// It never blocks; poll its descriptor. It needs `CAP_NET_RAW`.
#[derive(Debug)]
pub struct EspSocket {
    socket: Socket,
    receiver: Receiver,
    sender: Sender,
    stats: NetStats,
}

impl EspSocket {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// When the process may not, with what to do about it.
    pub fn open(family: EspFamily, options: &SocketOptions) -> Result<Self, SocketError> {
        let open = || Self::open_here(family, options);
        let opened = match &options.namespace {
            Some(namespace) => in_namespace(namespace, open)?,
            None => open(),
        };
        let what = || format!("a raw socket for ESP over {family}");
        opened.map_err(|source| SocketError::Open { what: what(), source })
    }

    fn open_here(family: EspFamily, options: &SocketOptions) -> io::Result<Self> {
        // Raw IPv4 sockets deliver the IP header, raw IPv6 sockets do not.
        let (domain, any, content): (_, _, Content) = match family {
            EspFamily::V4 => (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into(), ipv4_payload),
            EspFamily::V6 => (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into(), |packet| Some(packet)),
        };
        let protocol = Protocol::from(libc::IPPROTO_ESP);
        let socket = Socket::new(domain, Type::RAW.cloexec(), Some(protocol))?;
        size_buffers(&socket, options.buffer_bytes)?;
        if let Sharing::ByLane(share) = options.sharing {
            match family {
                EspFamily::V4 => lanes::keep_own_v4(&socket, share)?,
                EspFamily::V6 => lanes::keep_own_v6(&socket, share)?,
            }
        }
        let receiver = Receiver::new(&socket, SocketAddr::new(any, 0), content)?;
        Ok(Self { socket, receiver, sender: Sender::new(1, false), stats: NetStats::default() })
    }

    /// What it counted since it was opened.
    pub fn stats(&self) -> NetStats {
        self.stats
    }

    /// Appends the packets that are there, at most one batch, in buffers from `alloc`, and answers how
    /// many; 0 when there are none. A packet begins at its SPI.
    ///
    /// # Errors
    ///
    /// Only when the socket itself is broken.
    pub fn recv_batch(
        &mut self,
        alloc: &mut dyn FnMut() -> Buf,
        out: &mut Vec<(Path, Buf)>,
    ) -> io::Result<usize> {
        let Self { socket, receiver, stats, .. } = self;
        receiver.receive(socket, alloc, out, stats)
    }

    /// Sends ESP packets in order, each from `Path::local` (the kernel's choice when that is unspecified)
    /// to `Path::remote`; ports are ignored.
    ///
    /// A packet that cannot go is counted and skipped.
    ///
    /// # Errors
    ///
    /// Only when the socket itself is broken.
    pub fn send_batch<'a>(
        &mut self,
        packets: impl IntoIterator<Item = (Path, &'a [u8])>,
    ) -> io::Result<Sent> {
        self.sender.send(&self.socket, packets, &mut self.stats)
    }
}

impl AsFd for EspSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What follows the IPv4 header, whose length is in 32-bit words (RFC 791 §3.1).
fn ipv4_payload(packet: &[u8]) -> Option<&[u8]> {
    let first = packet.first()?;
    let header = usize::from(first & 0x0f) * 4;
    packet.get(header..).filter(|_| first >> 4 == 4 && header >= 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ipv4_header_is_taken_off_with_its_options() {
        let mut packet = vec![0x45; 20];
        packet.extend(b"esp");
        assert_eq!(ipv4_payload(&packet), Some(&b"esp"[..]));
        packet[0] = 0x46;
        assert_eq!(ipv4_payload(&packet), None, "24 bytes of header in 23");
        packet.push(b'!');
        assert_eq!(ipv4_payload(&packet), Some(&b""[..]));
    }

    #[test]
    fn what_is_no_ipv4_header_is_refused() {
        for first in [0x00, 0x44, 0x65, 0xff] {
            assert_eq!(ipv4_payload(&[first; 60]), None, "{first:02x}");
        }
        assert_eq!(ipv4_payload(&[]), None);
    }
}
