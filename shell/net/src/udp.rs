//! A UDP port.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use isthmus_core::{Buf, Path};
use socket2::{Domain, Protocol, Socket, Type};

use crate::options::size_buffers;
use crate::recv::Receiver;
use crate::send::Sender;
use crate::{LaneShare, NetStats, Sent, Sharing, SocketError, SocketOptions, in_namespace, lanes};

/// A UDP socket on one port of one address, or of all addresses of one IP version.
///
/// It never blocks; poll its descriptor.
#[derive(Debug)]
pub struct UdpPort {
    socket: Socket,
    receiver: Receiver,
    sender: Sender,
    bound: SocketAddr,
    stats: NetStats,
}

impl UdpPort {
    /// Opens the port. Port 0 is any free one; an unspecified address takes packets to every address of
    /// that IP version (an IPv6 socket never takes IPv4).
    ///
    /// # Errors
    ///
    /// When the address or port cannot be had, with what to do about it.
    pub fn bind(address: SocketAddr, options: &SocketOptions) -> Result<Self, SocketError> {
        let open = || Self::open(address, options);
        let opened = match &options.namespace {
            Some(namespace) => in_namespace(namespace, open)?,
            None => open(),
        };
        opened.map_err(|source| SocketError::Open { what: format!("UDP {address}"), source })
    }

    fn open(address: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_port(options.sharing != Sharing::Alone)?;
        size_buffers(&socket, options.buffer_bytes)?;
        socket.bind(&address.into())?;
        match options.sharing {
            Sharing::ByLane(LaneShare { index: 0, of }) => lanes::deal_out(&socket, of)?,
            Sharing::First(LaneShare { index: 0, .. }) => lanes::deal_to_first(&socket)?,
            Sharing::Alone | Sharing::ByFlow | Sharing::ByLane(_) | Sharing::First(_) => {}
        }
        let bound = socket.local_addr()?.as_socket().unwrap_or(address);
        let receiver = Receiver::new(&socket, bound, |datagram| Some(datagram))?;
        let sender = Sender::new(receiver.segments_max(), true);
        Ok(Self { socket, receiver, sender, bound, stats: NetStats::default() })
    }

    /// The address and port it is bound to.
    pub fn local(&self) -> SocketAddr {
        self.bound
    }

    /// Packets of equal length that one message to the kernel may carry now; 1 where the kernel or the
    /// interface does not cut them.
    pub fn segments_max(&self) -> usize {
        self.sender.segments_max()
    }

    /// What it counted since it was opened.
    pub fn stats(&self) -> NetStats {
        self.stats
    }

    /// Appends the packets that are there, at most one batch, in buffers from `alloc`, and answers how
    /// many; 0 when there are none. `Path::local` is the address a packet was sent to.
    ///
    /// A packet longer than the buffer gets a new, larger one.
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

    /// Sends packets in order, each from `Path::local` (the kernel's choice when that is unspecified; its
    /// port is always the bound one) to `Path::remote`.
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

impl AsFd for UdpPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
