//! The sockets of one worker.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use isthmus_core::{Buf, Path};
use isthmus_net::{EspFamily, EspSocket, LaneShare, Sharing, SocketError, SocketOptions, UdpPort};
use isthmus_plane::{Port, Share};

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
    /// Namespace and buffers; the workers decide on sharing.
    pub options: SocketOptions,
}

/// All sockets of a worker, opened.
pub(crate) struct Ports {
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
    /// Opens every socket of one worker; those of the first worker first, which alone hears IKE.
    ///
    /// # Errors
    /// The first that cannot be opened, with what to do about it.
    pub(crate) fn open(config: &PortsConfig, share: Share) -> Result<Self, SocketError> {
        let lanes = LaneShare { index: narrow(share.lane()), of: narrow(share.of()) };
        let [to_first, by_lane, by_flow] = if share == Share::SOLE {
            [Sharing::Alone; 3]
        } else {
            [Sharing::First(lanes), Sharing::ByLane(lanes), Sharing::ByFlow]
        };
        let options = |sharing| SocketOptions { sharing, ..config.options.clone() };
        let mut sockets = Vec::new();
        let mut open = |port, address: SocketAddr, sharing| {
            let udp = UdpPort::bind(address, &options(sharing))?;
            sockets.push(Socket { port, bound: address.ip(), kind: Kind::Udp(udp) });
            Ok::<(), SocketError>(())
        };
        for &bound in &config.addresses {
            let ike = SocketAddr::new(bound, config.ike);
            if share.lane() == 0 {
                // A port that is shared opens even where another gateway has it.
                drop(UdpPort::bind(ike, &options(Sharing::Alone))?);
            }
            open(Port::Ike, ike, to_first)?;
            open(Port::NatT, SocketAddr::new(bound, config.nat_t), by_lane)?;
        }
        for &address in &config.l2tp {
            open(Port::L2tp, address, by_flow)?;
        }
        if config.esp {
            for (family, bound) in
                [(EspFamily::V4, IpAddr::from([0; 4])), (EspFamily::V6, IpAddr::from([0; 16]))]
            {
                if config.addresses.iter().any(|a| a.is_ipv4() == bound.is_ipv4()) {
                    let esp = EspSocket::open(family, &options(by_lane))?;
                    sockets.push(Socket { port: Port::Esp, bound, kind: Kind::Esp(esp) });
                }
            }
        }
        Ok(Self { sockets })
    }

    /// Every UDP port with the address it is bound to.
    pub(crate) fn locals(&self) -> impl Iterator<Item = (Port, SocketAddr)> {
        self.sockets.iter().filter_map(|socket| match &socket.kind {
            Kind::Udp(udp) => Some((socket.port, udp.local())),
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

/// The number of a worker, which is small.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
