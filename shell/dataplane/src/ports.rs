//! The sockets of one worker.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use isthmus_core::{Buf, Path};
use isthmus_net::{EspFamily, EspSocket, SocketError, SocketOptions, UdpPort};
use isthmus_plane::Port;

use crate::io::IoStats;

/// Where to listen.
#[derive(Clone, Debug)]
pub struct PortsConfig {
    /// Addresses, wildcards included.
    pub addresses: Vec<IpAddr>,
    /// IKE port (500).
    pub ike: u16,
    /// NAT traversal port (4500).
    pub nat_t: u16,
    /// Where to take plain L2TP from trusted LACs, or to send it from; nowhere as a rule.
    pub l2tp: Vec<SocketAddr>,
    /// Whether to open raw ESP sockets as well.
    pub esp: bool,
    /// Namespace, buffers and sharing.
    pub options: SocketOptions,
}

/// All sockets, opened.
pub struct Ports {
    sockets: Vec<Socket>,
}

struct Socket {
    port: Port,
    /// The address it is bound to, wildcard or not.
    bound: IpAddr,
    kind: Kind,
}

enum Kind {
    Udp(UdpPort),
    Esp(EspSocket),
}

impl Ports {
    /// Opens every socket.
    ///
    /// # Errors
    /// The first that cannot be opened, with what to do about it.
    pub fn open(config: &PortsConfig) -> Result<Self, SocketError> {
        let mut sockets = Vec::new();
        for &bound in &config.addresses {
            for (port, number) in [(Port::Ike, config.ike), (Port::NatT, config.nat_t)] {
                let udp = UdpPort::bind(SocketAddr::new(bound, number), &config.options)?;
                sockets.push(Socket { port, bound, kind: Kind::Udp(udp) });
            }
        }
        for address in &config.l2tp {
            let udp = UdpPort::bind(*address, &config.options)?;
            sockets.push(Socket { port: Port::L2tp, bound: address.ip(), kind: Kind::Udp(udp) });
        }
        if config.esp {
            for (family, bound) in
                [(EspFamily::V4, IpAddr::from([0; 4])), (EspFamily::V6, IpAddr::from([0; 16]))]
            {
                if config.addresses.iter().any(|a| a.is_ipv4() == bound.is_ipv4()) {
                    let esp = EspSocket::open(family, &config.options)?;
                    sockets.push(Socket { port: Port::Esp, bound, kind: Kind::Esp(esp) });
                }
            }
        }
        Ok(Self { sockets })
    }

    /// The local address of the first socket of a port; tells what the system chose for port 0.
    pub fn local(&self, port: Port) -> Option<SocketAddr> {
        self.sockets.iter().filter(|s| s.port == port).find_map(|s| match &s.kind {
            Kind::Udp(udp) => Some(udp.local()),
            Kind::Esp(_) => None,
        })
    }

    /// Datagrams that every UDP socket can hand over in one message.
    pub(crate) fn segments_max(&self) -> usize {
        let each = self.sockets.iter().filter_map(|socket| match &socket.kind {
            Kind::Udp(udp) => Some(udp.segments_max()),
            Kind::Esp(_) => None,
        });
        each.min().unwrap_or(1)
    }

    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|s| match &s.kind {
            Kind::Udp(udp) => udp.as_fd(),
            Kind::Esp(esp) => esp.as_fd(),
        })
    }

    /// Reads at most one batch from the socket at `index`.
    pub(crate) fn recv(
        &mut self,
        index: usize,
        alloc: &mut dyn FnMut() -> Buf,
        out: &mut Vec<(Path, Buf)>,
        stats: &mut IoStats,
    ) -> Option<Port> {
        let socket = self.sockets.get_mut(index)?;
        let read = match &mut socket.kind {
            Kind::Udp(udp) => udp.recv_batch(alloc, out),
            Kind::Esp(esp) => esp.recv_batch(alloc, out),
        };
        if read.is_err() {
            stats.recv_errors += 1;
        }
        Some(socket.port)
    }

    /// Sends a run of packets that share a port and an address family.
    pub(crate) fn send<'a>(
        &mut self,
        port: Port,
        local: IpAddr,
        packets: impl Iterator<Item = (Path, &'a [u8])> + Clone,
        stats: &mut IoStats,
    ) {
        let Some(socket) = self.socket_for(port, local) else {
            stats.send_no_socket += packets.count() as u64;
            return;
        };
        let total = packets.clone().count();
        let sent = match &mut socket.kind {
            Kind::Udp(udp) => udp.send_batch(packets),
            Kind::Esp(esp) => esp.send_batch(packets),
        };
        match sent {
            // A full socket buffer is a full link: dropping is what a router does.
            Ok(sent) => stats.send_full += total.saturating_sub(sent.done) as u64,
            Err(_) => stats.send_errors += 1,
        }
    }

    /// The socket bound to this very address, else the wildcard of its family.
    fn socket_for(&mut self, port: Port, local: IpAddr) -> Option<&mut Socket> {
        let fits = |s: &Socket| s.port == port && s.bound.is_ipv4() == local.is_ipv4();
        let index = self
            .sockets
            .iter()
            .position(|s| fits(s) && s.bound == local)
            .or_else(|| self.sockets.iter().position(|s| fits(s) && s.bound.is_unspecified()))
            .or_else(|| self.sockets.iter().position(fits))?;
        self.sockets.get_mut(index)
    }
}
