//! Programs that the kernel runs for each packet of a socket (`bpf`(2), the classic kind).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use socket2::Socket;

/// `struct sock_filter` of `linux/filter.h`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_true: u8,
    pub(crate) jump_false: u8,
    pub(crate) value: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    len: u16,
    instructions: *const Instruction,
}

/// What the others are made of.
const NOTHING: Instruction = Instruction { code: 0, jump_true: 0, jump_false: 0, value: 0 };

/// To take a packet whole, and to drop it.
pub(crate) fn verdicts() -> [Instruction; 2] {
    let verdict = |value| Instruction { code: RETURN_VALUE, value, ..NOTHING };
    [verdict(u32::MAX), verdict(0)]
}

#[expect(unsafe_code, reason = "no safe crate attaches such a program to a socket")]
pub(crate) fn attach(
    socket: &Socket,
    option: libc::c_int,
    program: &[Instruction],
) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = Program { len, instructions: program.as_ptr() };
    let size = libc::socklen_t::try_from(size_of::<Program>()).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length describe `program`, which lives until after the call; it leads
    // to `len` instructions that the caller has borrowed. The kernel only reads and copies them.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const program).cast(),
            size,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `A = byte at value`.
pub(crate) const LOAD_BYTE: u16 = 0x30;
/// `A = half a word at X + value`.
pub(crate) const LOAD_HALF_BEHIND: u16 = 0x48;
/// `X = value`.
pub(crate) const LOAD_X: u16 = 0x01;
/// `X = 4 * (byte at 0 & 15)`: the length of an IPv4 header.
pub(crate) const LOAD_HEADER_LEN: u16 = 0xb1;
/// `A = word at X + value`.
pub(crate) const LOAD_WORD_BEHIND: u16 = 0x40;
/// `A &= value`.
pub(crate) const AND: u16 = 0x54;
/// `A %= value`.
pub(crate) const MODULO: u16 = 0x94;
/// `A == value`?
pub(crate) const JUMP_EQUAL: u16 = 0x15;
/// Answers `A`.
pub(crate) const RETURN_A: u16 = 0x16;
/// Answers `value`.
pub(crate) const RETURN_VALUE: u16 = 0x06;
