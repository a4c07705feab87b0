//! A tunnel device whose packets travel through the sessions, each through the one whose address it
//! comes from. With it any program is the load.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use isthmus_core::Buf;
use isthmus_plane::Device;
use isthmus_tun::{Cutter, TunDevice};
use isthmus_wire::ip::Ipv4;

/// The device, and whose address is whose.
pub(crate) struct Carrier {
    device: TunDevice,
    cutter: Cutter,
    owners: HashMap<Ipv4Addr, u32>,
    carried: Carried,
}

/// What a device has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets of this machine that left through a session.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packets that came out of a session for this machine.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Packets from addresses that no session has, and of IPv6.
    pub strangers: u64,
    /// Packets that this machine had no room for.
    pub refused: u64,
}

impl Carrier {
    pub(crate) fn new(device: TunDevice) -> Self {
        let (cutter, owners) = (Cutter::new(), HashMap::new());
        Self { device, cutter, owners, carried: Carried::default() }
    }

    pub(crate) const fn carried(&self) -> Carried {
        self.carried
    }

    /// A client has this address from now on.
    pub(crate) fn owns(&mut self, address: Ipv4Addr, client: u32) {
        self.owners.insert(address, client);
    }

    /// Reads what this machine sends, at most one batch; false when the device is gone.
    pub(crate) fn receive(&mut self, free: &mut Vec<Buf>, out: &mut Vec<Buf>) -> bool {
        let mut alloc = || {
            let mut buf = free.pop().unwrap_or_else(|| Buf::with_capacity(BUF_BYTES));
            buf.clear();
            buf
        };
        self.device.recv_batch(&mut self.cutter, &mut alloc, out).is_ok()
    }

    /// Whose packet this is.
    pub(crate) fn owner(&self, packet: &[u8]) -> Option<(Ipv4Addr, u32)> {
        let source = source(packet)?;
        Some((source, *self.owners.get(&source)?))
    }

    /// Counts packets that were given to a session.
    pub(crate) fn left(&mut self, packets: &[Buf]) {
        self.carried.sent += packets.len() as u64;
        self.carried.sent_bytes += packets.iter().map(|buf| buf.len() as u64).sum::<u64>();
    }

    /// Counts a packet that belongs to no session.
    pub(crate) const fn stranger(&mut self) {
        self.carried.strangers += 1;
    }

    /// Gives this machine what came out of a session.
    pub(crate) fn send(&mut self, packets: &[(Device, Buf)]) {
        if packets.is_empty() {
            return;
        }
        let sent = self.device.send_batch(packets, |(_, buf)| buf);
        let done = sent.map_or(0, |sent| sent.done);
        let given = packets.get(..done).unwrap_or_default();
        self.carried.received += given.len() as u64;
        self.carried.received_bytes += given.iter().map(|(_, buf)| buf.len() as u64).sum::<u64>();
        self.carried.refused += packets.len().saturating_sub(done) as u64;
    }
}

impl AsFd for Carrier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// Where an IPv4 packet comes from.
pub(crate) fn source(packet: &[u8]) -> Option<Ipv4Addr> {
    Ipv4::new(packet).ok().map(|ip| ip.source())
}

/// Room for a packet and everything around it.
const BUF_BYTES: usize = 2048;
