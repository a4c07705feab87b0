//! What passes the links of a network namespace: a packet socket (`packet`(7)).
//!
//! It sees a packet when it comes in by a link, before any filter, and when it goes out by one, after every
//! translation.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::net::netdevice;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::bpf::{
    AND, Instruction, JUMP_EQUAL, LOAD_BYTE, LOAD_HALF_BEHIND, LOAD_HEADER_LEN, LOAD_WORD_BEHIND,
    LOAD_X, attach,
};
use crate::options::size_buffers;
use crate::{Namespace, SocketError, in_namespace};

/// Which packets to see, beside ICMP of the same IP version. The kernel leaves out others, so that a busy
/// link costs little; what it lets pass may still be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catch {
    /// No others.
    Icmp,
    /// TCP segments with this sequence number, and those that acknowledge it.
    Tcp {
        /// The sequence number.
        sequence: u32,
    },
    /// UDP datagrams from or to this port.
    Udp {
        /// The port.
        port: u16,
    },
}

/// A packet that passed a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// The link's number in the namespace; see [`Tap::link_name`].
    pub link: u32,
    /// Whether it went out by the link.
    pub outgoing: bool,
    /// The packet from its IP header on, as much of it as fits into `CAUGHT_BYTES_MAX`.
    pub packet: Vec<u8>,
}

/// Sees packets of a namespace. It needs `CAP_NET_RAW`.
#[derive(Debug)]
pub struct Tap {
    socket: Socket,
}

impl Tap {
    /// Sees the packets of all links from now on, in the caller's namespace when none is given.
    ///
    /// # Errors
    ///
    /// When the process may not, with what to do about it.
    pub fn open(
        catch: Catch,
        is_ipv4: bool,
        namespace: Option<&Namespace>,
    ) -> Result<Self, SocketError> {
        let open = || Self::open_here(catch, is_ipv4);
        let opened = match namespace {
            Some(namespace) => in_namespace(namespace, open)?,
            None => open(),
        };
        let what = || String::from("a socket that sees the packets of links");
        opened.map_err(|source| SocketError::Open { what: what(), source })
    }

    fn open_here(catch: Catch, is_ipv4: bool) -> io::Result<Self> {
        // In this protocol's own order of bytes.
        let everything = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.cloexec(), Some(everything))?;
        attach(&socket, libc::SO_ATTACH_FILTER, &program(catch, is_ipv4))?;
        size_buffers(&socket, BUFFER_BYTES)?;
        Ok(Self { socket })
    }

    /// The next packet; none when there is none before `until`.
    ///
    /// # Errors
    ///
    /// Only when the socket itself is broken.
    pub fn next(&self, until: Instant) -> io::Result<Option<Caught>> {
        loop {
            // No time at all would mean to wait for ever.
            let left = until.saturating_duration_since(Instant::now()).max(WAIT_MIN);
            self.socket.set_read_timeout(Some(left))?;
            let mut bytes = Vec::with_capacity(CAUGHT_BYTES_MAX);
            match self.receive(&mut bytes) {
                Ok((link, outgoing)) => {
                    return Ok(Some(Caught { link, outgoing, packet: bytes }));
                }
                Err(error) if passes(&error) && Instant::now() < until => {}
                Err(error) if passes(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn receive(&self, bytes: &mut Vec<u8>) -> io::Result<(u32, bool)> {
        let mut room = [MaybeUninit::uninit(); CAUGHT_BYTES_MAX];
        let (length, from) = self.socket.recv_from(&mut room)?;
        let written = room.iter().take(length);
        #[expect(unsafe_code, reason = "the bytes are written by the kernel")]
        // SAFETY: `recv_from` has written the first `length` bytes.
        bytes.extend(written.map(|byte| unsafe { byte.assume_init() }));
        link_of(from).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The name of a link.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn link_name(&self, link: u32) -> io::Result<String> {
        Ok(netdevice::index_to_name(self.socket.as_fd(), link)?)
    }
}

/// The link that a packet passed, and whether it went out.
fn link_of(from: SockAddr) -> Option<(u32, bool)> {
    if i32::from(from.family()) != libc::AF_PACKET {
        return None;
    }
    let mut storage = from.as_storage();
    #[expect(unsafe_code, reason = "no safe crate reads the address of a packet socket")]
    // SAFETY: the family says that the storage, which the kernel has filled, is this structure; it has
    // integers only, so that any bits are values of it.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    let outgoing = address.sll_pkttype == PACKET_OUTGOING;
    Some((u32::try_from(address.sll_ifindex).ok()?, outgoing))
}

/// Whether to try again: it took too long, or a signal came, or a link went down.
fn passes(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NetworkDown, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | NetworkDown | TimedOut | WouldBlock)
}

/// A step of a program: most skip to a verdict.
enum Step {
    Do(u16, u32),
    TakeIf(u32),
    DropUnless(u32),
}

/// The program that takes what is to be caught.
fn program(catch: Catch, is_ipv4: bool) -> Vec<Instruction> {
    use Step::{Do, DropUnless, TakeIf};
    let (version, protocol_at, icmp) =
        if is_ipv4 { (0x40, 9, libc::IPPROTO_ICMP) } else { (0x60, 6, libc::IPPROTO_ICMPV6) };
    let number = |protocol: libc::c_int| u32::try_from(protocol).unwrap_or_default();
    let mut steps = vec![Do(LOAD_BYTE, 0), Do(AND, 0xf0), DropUnless(version)];
    steps.extend([Do(LOAD_BYTE, protocol_at), TakeIf(number(icmp))]);
    steps.push(match catch {
        Catch::Icmp => DropUnless(number(icmp)),
        Catch::Tcp { .. } => DropUnless(number(libc::IPPROTO_TCP)),
        Catch::Udp { .. } => DropUnless(number(libc::IPPROTO_UDP)),
    });
    steps.push(if is_ipv4 { Do(LOAD_HEADER_LEN, 0) } else { Do(LOAD_X, IPV6_HEADER_LEN) });
    steps.extend(match catch {
        Catch::Icmp => Vec::new(),
        Catch::Tcp { sequence } => vec![
            Do(LOAD_WORD_BEHIND, 4),
            TakeIf(sequence),
            Do(LOAD_WORD_BEHIND, 8),
            TakeIf(sequence.wrapping_add(1)),
        ],
        Catch::Udp { port } => vec![
            Do(LOAD_HALF_BEHIND, 0),
            TakeIf(port.into()),
            Do(LOAD_HALF_BEHIND, 2),
            TakeIf(port.into()),
        ],
    });
    assemble(&steps)
}

/// The steps, then the verdict to drop, then that to take.
fn assemble(steps: &[Step]) -> Vec<Instruction> {
    let instruction = |(at, step): (usize, &Step)| {
        // How far the verdict to drop is from the instruction after this one.
        let drop = u8::try_from(steps.len() - at - 1).unwrap_or(u8::MAX);
        match *step {
            Step::Do(code, value) => Instruction { code, jump_true: 0, jump_false: 0, value },
            Step::TakeIf(value) => {
                let jump_true = drop.saturating_add(1);
                Instruction { code: JUMP_EQUAL, jump_true, jump_false: 0, value }
            }
            Step::DropUnless(value) => {
                Instruction { code: JUMP_EQUAL, jump_true: 0, jump_false: drop, value }
            }
        }
    };
    let [take, drop] = crate::bpf::verdicts();
    steps.iter().enumerate().map(instruction).chain([drop, take]).collect()
}

/// `linux/if_ether.h`: packets of all protocols.
const ETH_P_ALL: u16 = 3;
/// `linux/if_packet.h`.
const PACKET_OUTGOING: u8 = 4;
const IPV6_HEADER_LEN: u32 = 40;
/// Headers, and what ICMP errors quote.
const CAUGHT_BYTES_MAX: usize = 2048;
/// Room for the packets of a busy server's port while nobody reads.
const BUFFER_BYTES: usize = 4 << 20;
const WAIT_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
