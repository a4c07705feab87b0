//! Which of several sockets a packet goes to: small programs that the kernel runs (`bpf`(2), the classic
//! kind).
//!
//! The lowest bits of an SPI are its lane ([`isthmus_core::LANES`]), and lanes are dealt out to the
//! sockets in turn. So all packets of a client reach the same socket, however its NAT changes
//! addresses and ports; a hash of those would scatter them.

use std::io;

use isthmus_core::LANES;
use socket2::Socket;

use crate::bpf::{
    AND, Instruction, JUMP_EQUAL, LOAD_HEADER_LEN, LOAD_WORD_BEHIND, MODULO, RETURN_A, attach,
    verdicts,
};

/// A share of all lanes: number `index` of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneShare {
    /// Whose it is, below `of`.
    pub index: u32,
    /// Among how many the lanes are shared, 1 to [`LANES`].
    pub of: u32,
}

/// Has the kernel choose a socket of the `SO_REUSEPORT` group of `socket` by the first word of a UDP
/// payload, an SPI. What is no ESP (its first word is the non-ESP marker, RFC 3948 §2.2) or is shorter
/// goes to the first socket. Sockets count in the order in which they were bound.
pub(crate) fn deal_out(socket: &Socket, of: u32) -> io::Result<()> {
    let program =
        [LOAD_WORD, and(LANE_MASK), modulo(of), Instruction { code: RETURN_A, ..LOAD_WORD }];
    attach(socket, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
}

/// Has the kernel give everything to the first socket of the `SO_REUSEPORT` group of `socket`.
pub(crate) fn deal_to_first(socket: &Socket) -> io::Result<()> {
    let [_, zero] = verdicts();
    attach(socket, libc::SO_ATTACH_REUSEPORT_CBPF, &[zero])
}

/// Has the kernel give a raw IPv6 socket only packets whose first word, an SPI, is of the share.
pub(crate) fn keep_own_v6(socket: &Socket, share: LaneShare) -> io::Result<()> {
    let [accept, drop] = verdicts();
    let program = [LOAD_WORD, and(LANE_MASK), modulo(share.of), unless(share.index), accept, drop];
    attach(socket, libc::SO_ATTACH_FILTER, &program)
}

/// The same for a raw IPv4 socket, where packets begin with their IP header.
pub(crate) fn keep_own_v4(socket: &Socket, share: LaneShare) -> io::Result<()> {
    let [accept, drop] = verdicts();
    let program = [
        Instruction { code: LOAD_HEADER_LEN, ..LOAD_WORD },
        Instruction { code: LOAD_WORD_BEHIND, ..LOAD_WORD },
        and(LANE_MASK),
        modulo(share.of),
        unless(share.index),
        accept,
        drop,
    ];
    attach(socket, libc::SO_ATTACH_FILTER, &program)
}

const fn and(value: u32) -> Instruction {
    Instruction { code: AND, value, ..LOAD_WORD }
}

const fn modulo(value: u32) -> Instruction {
    Instruction { code: MODULO, value, ..LOAD_WORD }
}

/// Skips the next instruction unless the accumulator is `value`.
const fn unless(value: u32) -> Instruction {
    Instruction { code: JUMP_EQUAL, jump_true: 0, jump_false: 1, value }
}

/// `A = word at 0`.
const LOAD_WORD: Instruction = Instruction { code: 0x20, jump_true: 0, jump_false: 0, value: 0 };
/// The bits of an SPI that are its lane.
#[expect(clippy::cast_possible_truncation, reason = "there are 64 lanes")]
const LANE_MASK: u32 = LANES as u32 - 1;
