//! What goes in and out of the pipeline.

use alloc::vec::Vec;

use isthmus_core::{Buf, Key, Path};
use serde::{Deserialize, Serialize};

use crate::Report;
use crate::share::Astray;

/// Which socket a datagram came in on or goes out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// Raw IP protocol 50.
    Esp,
    /// UDP port 500.
    Ike,
    /// UDP port 1701 in the clear, towards trusted LACs only.
    L2tp,
    /// UDP port 4500.
    NatT,
}

/// The TUN device of one tenant; the shell knows which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TunId(pub u16);

/// A TUN device: a tenant's, or one that a session of the tenant has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// The tenant's.
    pub tun: TunId,
    /// The session's, where it is not the tenant's.
    pub session: Option<Key>,
}

impl Device {
    /// The one of a session alone.
    pub const fn of_session(tun: TunId, session: Key) -> Self {
        Self { tun, session: Some(session) }
    }
}

impl From<TunId> for Device {
    fn from(tun: TunId) -> Self {
        Self { tun, session: None }
    }
}

/// A datagram from the network: for UDP its payload, for raw ESP the packet without its IP header.
#[derive(Debug)]
pub struct Rx {
    /// Where it came from and which of our addresses it was sent to.
    pub path: Path,
    /// The socket.
    pub port: Port,
    /// The content.
    pub buf: Buf,
}

/// A datagram to the network, like [`Rx`].
#[derive(Debug)]
pub struct Tx {
    /// Where it goes and which of our addresses it must leave from.
    pub path: Path,
    /// The socket.
    pub port: Port,
    /// The content.
    pub buf: Buf,
}

/// Everything the pipeline wants done. The caller takes what it wants out of each queue; a queue that
/// it leaves alone keeps growing, but for [`Outputs::reports`], where datagrams beyond
/// [`crate::REPORTS_MAX`] are dropped.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Datagrams to the network, in order.
    pub net: Vec<Tx>,
    /// Inner packets to TUN devices, in order.
    pub tun: Vec<(Device, Buf)>,
    /// What control must know, in order.
    pub reports: Vec<Report>,
    /// Packets for another pipeline, and which; only where there are several.
    pub astray: Vec<(usize, Astray)>,
    /// Buffers that are done with. The pipeline takes its own from here as well.
    pub free: Vec<Buf>,
}

impl Outputs {
    /// Empty queues.
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer with `len` bytes of unspecified content; a used one when it is large enough.
    pub(crate) fn buf(&mut self, len: usize) -> Buf {
        if let Some(mut buf) = self.free.pop()
            && buf.spare().len() >= len
            && buf.set_len(len)
        {
            return buf;
        }
        let mut buf = Buf::with_capacity(len.max(CAPACITY_MIN));
        // A buffer made for `len` bytes takes them.
        buf.set_len(len);
        buf
    }

    /// A buffer with a copy of `bytes`.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Buf {
        let mut buf = self.buf(bytes.len());
        buf.copy_from_slice(bytes);
        buf
    }
}

/// Smallest buffer made when none can be used again, so that it can be later.
const CAPACITY_MIN: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_buffer_is_taken_only_when_it_is_large_enough() {
        let mut out = Outputs::new();
        out.free.push(Buf::with_capacity(100));
        assert_eq!((out.buf(100).len(), out.free.len()), (100, 0));
        out.free.push(Buf::with_capacity(100));
        assert_eq!(&*out.copy(&[7; 101]), [7; 101]);
    }
}
