//! `sendmmsg`: the one system call here that no safe crate offers with a source address and a
//! segment size per message.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::{mem, ptr};

use socket2::SockAddr;

/// One message: packets for one destination, gathered from where they lie.
pub(crate) struct Message<'a> {
    /// Where it goes.
    pub(crate) destination: SocketAddr,
    /// The address it leaves from; the kernel's choice when absent.
    pub(crate) source: Option<IpAddr>,
    /// The packets in order. All but the last are `segment_size` long when there are several.
    pub(crate) packets: &'a [IoSlice<'a>],
    /// The length the kernel cuts the message into (`UDP_SEGMENT`), for several packets.
    pub(crate) segment_size: Option<u16>,
}

/// Sends `messages` in order and answers how many went, at least one.
///
/// # Errors
///
/// What kept the first message from going.
#[expect(clippy::cast_possible_truncation, reason = "at most MESSAGES_MAX messages")]
#[expect(unsafe_code, reason = "sendmmsg has no safe wrapper that takes IP_PKTINFO per message")]
pub(crate) fn send(socket: &impl AsFd, messages: &[Message<'_>]) -> io::Result<usize> {
    let names: Vec<SockAddr> = messages.iter().map(|message| message.destination.into()).collect();
    let controls: Vec<Control> = messages.iter().map(Control::new).collect();
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(messages.len());
    for ((message, name), control) in messages.iter().zip(&names).zip(&controls) {
        // SAFETY: `mmsghdr` is a plain C structure for which all zeroes is a valid value (null
        // pointers with zero lengths).
        let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
        header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = name.len();
        header.msg_hdr.msg_iov = message.packets.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_iovlen = message.packets.len() as _;
        header.msg_hdr.msg_control = if control.used == 0 {
            ptr::null_mut()
        } else {
            control.bytes.as_ptr().cast_mut().cast()
        };
        header.msg_hdr.msg_controllen = control.used as _;
        headers.push(header);
    }
    loop {
        // SAFETY: `headers` holds `headers.len()` initialised structures, of which the kernel writes
        // only `msg_len`. Their pointers lead to `names`, `controls` and the callers' packets, all
        // alive and unmoved until after the call and only read by it; `IoSlice` has the layout of
        // `iovec` by its documentation. Each length given is the length of what its pointer leads to.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len().min(MESSAGES_MAX) as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// The control messages of one message, in the kernel's layout (cmsg(3)): a length, a level, a type and
/// the value, each aligned to a machine word.
#[repr(C, align(8))]
struct Control {
    bytes: [u8; CONTROL_BYTES],
    used: usize,
}

impl Control {
    fn new(message: &Message<'_>) -> Self {
        let mut control = Self { bytes: [0; CONTROL_BYTES], used: 0 };
        match message.source {
            Some(IpAddr::V4(source)) => {
                // `in_pktinfo`: interface index (any), local address, header destination (unused).
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&source.octets());
                control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Some(IpAddr::V6(source)) => {
                // `in6_pktinfo`: address, interface index (any).
                let mut info = [0; 20];
                info[..16].copy_from_slice(&source.octets());
                control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            None => {}
        }
        if let Some(size) = message.segment_size {
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
        }
        control
    }

    fn push(&mut self, level: libc::c_int, kind: libc::c_int, value: &[u8]) {
        let length = HEADER_BYTES + value.len();
        let end = self.used + length.next_multiple_of(WORD);
        let header = length.to_ne_bytes().into_iter().chain(level.to_ne_bytes());
        let content = header.chain(kind.to_ne_bytes()).chain(value.iter().copied());
        let room = self.bytes.iter_mut().skip(self.used);
        for (place, byte) in room.zip(content) {
            *place = byte;
        }
        self.used = end;
    }
}

/// Messages in one system call.
pub(crate) const MESSAGES_MAX: usize = 64;
/// What control messages are aligned to: the kernel's `long`.
const WORD: usize = size_of::<usize>();
/// A control message's own header: `size_t` and two `int`.
const HEADER_BYTES: usize = WORD + 8;
/// Room for the longest set: `in6_pktinfo` and a segment size.
const CONTROL_BYTES: usize = 2 * HEADER_BYTES + 24 + WORD;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(source: &str, segment_size: Option<u16>) -> Message<'static> {
        let destination = SocketAddr::new("192.0.2.9".parse().unwrap(), 4500);
        Message { destination, source: Some(source.parse().unwrap()), packets: &[], segment_size }
    }

    #[test]
    fn the_longest_control_messages_fill_their_room_exactly() {
        assert_eq!(Control::new(&message("2001:db8::1", Some(1400))).used, CONTROL_BYTES);
    }

    #[test]
    fn control_messages_have_the_layout_of_the_c_library() {
        let control = Control::new(&message("192.0.2.1", Some(1400)));
        let first = size_of::<libc::cmsghdr>();
        assert_eq!(first, HEADER_BYTES);
        assert_eq!(control.bytes[..WORD], (HEADER_BYTES + 12).to_ne_bytes());
        assert_eq!(control.bytes[first + 4..first + 8], [192, 0, 2, 1]);
        let second = (HEADER_BYTES + 12).next_multiple_of(WORD);
        assert_eq!(control.bytes[second..second + WORD], (HEADER_BYTES + 2).to_ne_bytes());
        let value = second + HEADER_BYTES;
        assert_eq!(control.bytes[value..value + 2], 1400_u16.to_ne_bytes());
        assert_eq!(control.used, second + (HEADER_BYTES + 2).next_multiple_of(WORD));
    }
}
