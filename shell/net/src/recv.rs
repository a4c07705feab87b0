//! Receiving in batches.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use isthmus_core::{Buf, Path};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use socket2::Socket;

use crate::NetStats;
use crate::options::undo_quic;

/// The receiving half of a socket: one large block per message of a batch.
///
/// Datagrams that the kernel merged (`UDP_GRO`) are cut apart into packet buffers of their own, with
/// room for headers. A block is only touched as far as messages arrive in it, so the memory that an
/// idle socket holds is address space.
#[derive(Debug)]
pub(crate) struct Receiver {
    quinn: UdpSocketState,
    blocks: Vec<u8>,
    /// Our address where the kernel does not tell the destination, and our port.
    bound: SocketAddr,
    /// Finds the packet inside a received message.
    content: Content,
}

/// What a received message holds, for sockets that deliver more than that; nothing when malformed.
pub(crate) type Content = fn(&[u8]) -> Option<&[u8]>;

impl Receiver {
    /// Prepares `socket`, bound to `bound`, for receiving.
    pub(crate) fn new(socket: &Socket, bound: SocketAddr, content: Content) -> io::Result<Self> {
        let quinn = UdpSocketState::new(socket.into())?;
        undo_quic(socket, bound.is_ipv6())?;
        Ok(Self { quinn, blocks: vec![0; BATCH_SIZE * BLOCK_BYTES], bound, content })
    }

    /// How many packets one sent message may carry on this kernel.
    pub(crate) fn segments_max(&self) -> usize {
        self.quinn.max_gso_segments()
    }

    /// Receives what is there, at most one batch, and answers how many packets were appended.
    pub(crate) fn receive(
        &mut self,
        socket: &Socket,
        alloc: &mut dyn FnMut() -> Buf,
        out: &mut Vec<(Path, Buf)>,
        stats: &mut NetStats,
    ) -> io::Result<usize> {
        let mut meta = [RecvMeta::default(); BATCH_SIZE];
        let mut blocks = self.blocks.chunks_exact_mut(BLOCK_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(blocks.next().unwrap_or_default()));
        let messages = match self.quinn.recv(socket.into(), &mut slices, &mut meta) {
            Ok(messages) => messages,
            Err(error) => return quiet(error, stats),
        };
        let before = out.len();
        for (meta, block) in meta.iter().zip(self.blocks.chunks_exact(BLOCK_BYTES)).take(messages) {
            let path = Path::new(local(self.bound, meta.dst_ip), meta.addr);
            let bytes = block.get(..meta.len).unwrap_or_default();
            for datagram in bytes.chunks(meta.stride.max(1)) {
                match (self.content)(datagram) {
                    Some(packet) => out.push((path, filled(alloc(), packet))),
                    None => stats.received_malformed += 1,
                }
            }
        }
        let received = out.len() - before;
        stats.received += received as u64;
        Ok(received)
    }
}

/// Each message gets room for the longest datagram and the longest merge of datagrams.
const BLOCK_BYTES: usize = 1 << 16;

/// Errors that concern one peer are no errors of the socket; "nothing there" is no error at all.
fn quiet(error: io::Error, stats: &mut NetStats) -> io::Result<usize> {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Ok(0),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EPROTO) => {
            stats.receive_errors += 1;
            Ok(0)
        }
        _ => Err(error),
    }
}

/// The address a packet came to: the one it names, with our port.
fn local(bound: SocketAddr, destination: Option<IpAddr>) -> SocketAddr {
    destination.map_or(bound, |ip| SocketAddr::new(ip, bound.port()))
}

/// `buf` holding `packet`; a larger buffer in its place when it is too small.
fn filled(mut buf: Buf, packet: &[u8]) -> Buf {
    match buf.spare().get_mut(..packet.len()) {
        Some(room) => room.copy_from_slice(packet),
        None => return Buf::copy_of(packet),
    }
    buf.set_len(packet.len());
    buf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_too_long_for_its_buffer_is_kept_whole() {
        let long = vec![7; 3000];
        let buf = filled(Buf::with_capacity(100), &long);
        assert_eq!(*buf, *long);
        assert_eq!(buf.headroom(), Buf::HEADROOM);
    }

    #[test]
    fn an_icmp_error_on_receive_is_counted_and_not_returned() {
        let mut stats = NetStats::default();
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        assert_eq!(quiet(refused, &mut stats).unwrap(), 0);
        assert_eq!(stats.receive_errors, 1);
        assert!(quiet(io::Error::from_raw_os_error(libc::EBADF), &mut stats).is_err());
    }
}
