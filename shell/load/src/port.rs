//! A client's only socket.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use isthmus_core::{Buf, Path};
use isthmus_plane::{Port, Rx, Tx};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

/// A UDP socket that speaks to all ports of the server. It holds no buffers: see [`Blocks`].
pub(crate) struct ClientPort {
    socket: Socket,
    state: UdpSocketState,
    local: SocketAddr,
}

/// What all sockets of a shard receive into and send from.
pub(crate) struct Blocks {
    received: Vec<u8>,
    sending: Vec<u8>,
    /// Datagrams that the system did not take.
    pub(crate) unsent: u64,
}

impl ClientPort {
    /// A socket on any free port of an address.
    pub(crate) fn open(source: IpAddr) -> io::Result<Self> {
        let address = SocketAddr::new(source, 0);
        let socket =
            Socket::new(Domain::for_address(address), Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
        // A burst of several segmented messages must fit. Whoever may not go beyond the system's limits
        // gets them.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BYTES).is_err() {
            socket.set_recv_buffer_size(RECEIVE_BYTES)?;
        }
        socket.bind(&address.into())?;
        let local = socket.local_addr()?.as_socket().unwrap_or(address);
        let state = UdpSocketState::new((&socket).into())?;
        if source.is_ipv4() {
            // As a client's system does: IKE messages of certificates may need fragments.
            sockopt::set_ip_mtu_discover(&socket, sockopt::Ipv4PathMtuDiscovery::WANT)?;
        }
        Ok(Self { socket, state, local })
    }

    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Reads what is there, at most one batch; whether there may be more.
    pub(crate) fn receive(
        &self,
        nat_t: SocketAddr,
        blocks: &mut Blocks,
        free: &mut Vec<Buf>,
        out: &mut Vec<Rx>,
    ) -> bool {
        let mut meta = [RecvMeta::default(); MESSAGES];
        let mut each = blocks.received.chunks_exact_mut(BLOCK_BYTES);
        let mut slices: [IoSliceMut<'_>; MESSAGES] =
            std::array::from_fn(|_| IoSliceMut::new(each.next().unwrap_or_default()));
        // Errors are those of packets sent before (RFC 1122 §4.1.3.3); the machines' own timers deal
        // with silence.
        let Ok(count) = self.state.recv((&self.socket).into(), &mut slices, &mut meta) else {
            return false;
        };
        for (meta, block) in meta.iter().zip(blocks.received.chunks_exact(BLOCK_BYTES)).take(count)
        {
            let port = if meta.addr.port() == nat_t.port() { Port::NatT } else { Port::Ike };
            let path = Path::new(self.local, meta.addr);
            let bytes = block.get(..meta.len).unwrap_or_default();
            for datagram in bytes.chunks(meta.stride.max(1)) {
                out.push(Rx { path, port, buf: filled(free, datagram) });
            }
        }
        count == MESSAGES
    }

    /// Sends datagrams in order, runs of equal length in one call.
    pub(crate) fn send(&self, packets: &[Tx], blocks: &mut Blocks) {
        let mut rest = packets;
        while let Some(first) = rest.first() {
            let run = run_length(rest, self.state.max_gso_segments());
            let (head, tail) = rest.split_at(run);
            self.send_run(first, head, blocks);
            rest = tail;
        }
    }

    fn send_run(&self, first: &Tx, run: &[Tx], blocks: &mut Blocks) {
        let destination = first.path.remote;
        let contents = match run {
            [one] => &*one.buf,
            many => {
                blocks.sending.clear();
                for tx in many {
                    blocks.sending.extend_from_slice(&tx.buf);
                }
                &blocks.sending
            }
        };
        let segment_size = (run.len() > 1).then_some(first.buf.len());
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        match self.state.try_send((&self.socket).into(), &transmit) {
            Ok(()) => {}
            // A run that the interface cannot cut up goes one by one.
            Err(error) if run.len() > 1 && error.kind() != io::ErrorKind::WouldBlock => {
                for tx in run {
                    self.send_run(tx, std::slice::from_ref(tx), blocks);
                }
            }
            Err(_) => blocks.unsent += run.len() as u64,
        }
    }
}

impl AsFd for ClientPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Blocks {
    pub(crate) fn new() -> Self {
        Self { received: vec![0; MESSAGES * BLOCK_BYTES], sending: Vec::new(), unsent: 0 }
    }
}

/// How many packets from the first on go to the same place and are of one length, but for the last.
fn run_length(packets: &[Tx], segments_max: usize) -> usize {
    let Some(first) = packets.first() else { return 0 };
    let fits = MESSAGE_BYTES_MAX / first.buf.len().max(1);
    let alike = |tx: &&Tx| tx.path.remote == first.path.remote && tx.buf.len() == first.buf.len();
    packets.iter().take(segments_max.min(fits).max(1)).take_while(alike).count()
}

fn filled(free: &mut Vec<Buf>, datagram: &[u8]) -> Buf {
    let used = free.pop().filter(|buf| buf.len() + buf.headroom() + buf.tailroom() >= BUF_BYTES);
    let mut buf = used.unwrap_or_else(|| Buf::with_capacity(BUF_BYTES.max(datagram.len())));
    buf.clear();
    if buf.set_len(datagram.len()) {
        buf.copy_from_slice(datagram);
        return buf;
    }
    Buf::copy_of(datagram)
}

/// Messages of one system call; each may hold several datagrams.
const MESSAGES: usize = 8;
const _: () = assert!(MESSAGES <= BATCH_SIZE);
/// The longest message there is.
const BLOCK_BYTES: usize = 1 << 16;
/// The most that is sent in one message.
const MESSAGE_BYTES_MAX: usize = 65_000;
/// Room that the kernel has for what comes to one client; it takes none while nothing comes.
const RECEIVE_BYTES: usize = 2 << 20;
/// Room for a packet of a 2 KiB path.
const BUF_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn tx(remote: &str, bytes: usize) -> Tx {
        let path = Path::new("127.0.0.1:1".parse().unwrap(), remote.parse().unwrap());
        Tx { path, port: Port::NatT, buf: Buf::copy_of(&vec![7; bytes]) }
    }

    #[test]
    fn a_run_has_one_place_and_one_length() {
        const A: &str = "127.0.0.1:4500";
        const B: &str = "127.0.0.1:500";
        let packets = [tx(A, 10), tx(A, 10), tx(A, 9), tx(B, 9)];
        assert_eq!(run_length(&packets, 64), 2);
        assert_eq!(run_length(&packets, 1), 1);
        assert_eq!(run_length(&packets[2..], 64), 1);
        let long = [tx(A, 40_000), tx(A, 40_000)];
        assert_eq!(run_length(&long, 64), 1);
        assert_eq!(run_length(&[], 64), 0);
    }

    #[test]
    fn what_one_sends_the_other_receives_in_order_and_by_port() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let (a, b) = (ClientPort::open(loopback).unwrap(), ClientPort::open(loopback).unwrap());
        let mut blocks = Blocks::new();
        let to_b = Path::new(a.local(), b.local());
        let packet =
            |n: u8, len| Tx { path: to_b, port: Port::NatT, buf: Buf::copy_of(&vec![n; len]) };
        let sent = [packet(1, 100), packet(2, 100), packet(3, 50), packet(4, 1400)];
        a.send(&sent, &mut blocks);
        let (mut free, mut got) = (Vec::new(), Vec::new());
        let mut tries = 0;
        while got.len() < sent.len() && tries < 1000 {
            let mut fds = [rustix::event::PollFd::new(&b, rustix::event::PollFlags::IN)];
            let wait = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            rustix::event::poll(&mut fds, Some(&wait)).unwrap();
            b.receive(a.local(), &mut blocks, &mut free, &mut got);
            tries += 1;
        }
        let seen: Vec<_> = got.iter().map(|rx| (rx.buf[0], rx.buf.len(), rx.port)).collect();
        let nat_t = Port::NatT;
        assert_eq!(seen, [(1, 100, nat_t), (2, 100, nat_t), (3, 50, nat_t), (4, 1400, nat_t)]);
        assert_eq!(blocks.unsent, 0);
    }
}
