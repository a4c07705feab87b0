//! The probe packet: UDP over IPv4, with what a receiver must know to count it.
//!
//! ```text
//!  IPv4 20 | UDP 8 | magic 4 | run 4 | flow 4 | turned 4 | sequence 8 | sent 8 | zeros
//! ```
//!
//! A reflector sets `turned` and sends the payload back; what is turned already it leaves alone, so that
//! two reflectors cannot play ball.

use std::net::{Ipv4Addr, SocketAddrV4};

use isthmus_core::Instant;
use isthmus_wire::checksum::checksum;
use isthmus_wire::ip::{Ipv4, Udp, protocol};

/// What a probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Which run of traffic.
    pub(crate) run: u32,
    /// The number of the client that sent it.
    pub(crate) flow: u32,
    /// Its number within the flow.
    pub(crate) sequence: u64,
    /// When it was sent.
    pub(crate) sent: Instant,
}

/// From whom and to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: SocketAddrV4,
}

impl Probe {
    /// Writes the whole packet into `out`, which is as long as the packet is to be.
    pub(crate) fn write(&self, ends: Ends, out: &mut [u8]) {
        let len = out.len();
        let Some((ip, rest)) = out.split_first_chunk_mut::<{ Ipv4::HEADER_LEN }>() else { return };
        *ip = ip_header(ends, len, self.sequence);
        let Some((udp, payload)) = rest.split_first_chunk_mut::<UDP_BYTES>() else { return };
        // Without a checksum, which IPv4 allows (RFC 768): ESP protects the packet, and lengths fit.
        let ports = (PORT, ends.to.port());
        *udp = Udp::header(ports.0, ports.1, payload.len(), 0).unwrap_or_default();
        payload.fill(0);
        if let Some(head) = payload.first_chunk_mut::<PAYLOAD_BYTES_MIN>() {
            *head = self.payload();
        }
    }

    fn payload(&self) -> [u8; PAYLOAD_BYTES_MIN] {
        let words = [MAGIC, self.run, self.flow, 0].map(u32::to_be_bytes).concat();
        let longs = [self.sequence, self.sent.as_nanos()].map(u64::to_be_bytes).concat();
        let mut out = [0; PAYLOAD_BYTES_MIN];
        out.iter_mut().zip(words.into_iter().chain(longs)).for_each(|(to, from)| *to = from);
        out
    }

    /// The probe in an inner packet, if there is one.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let ip = Ipv4::new(packet).ok().filter(|ip| ip.protocol() == protocol::UDP)?;
        let payload = Udp::new(ip.payload()).ok()?.payload();
        if long(payload, 0)? >> 32 != u64::from(MAGIC) {
            return None;
        }
        let run_and_magic = long(payload, 0)?;
        let flow_and_turned = long(payload, 8)?;
        Some(Self {
            run: u32::try_from(run_and_magic & u64::from(u32::MAX)).ok()?,
            flow: u32::try_from(flow_and_turned >> 32).ok()?,
            sequence: long(payload, 16)?,
            sent: Instant::from_nanos(long(payload, 24)?),
        })
    }
}

/// Marks the payload of a probe as turned; false when it is none, or is turned already.
pub(crate) fn turn(payload: &mut [u8]) -> bool {
    let Some(head) = payload.first_chunk_mut::<PAYLOAD_BYTES_MIN>() else { return false };
    if head[..4] != MAGIC.to_be_bytes() || head[12..16] != [0; 4] {
        return false;
    }
    head[15] = 1;
    true
}

fn ip_header(ends: Ends, len: usize, sequence: u64) -> [u8; Ipv4::HEADER_LEN] {
    let mut header = [0; Ipv4::HEADER_LEN];
    header[0] = VERSION_AND_LENGTH;
    header[2..4].copy_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
    header[4..6].copy_from_slice(&sequence.to_be_bytes()[6..]);
    header[8] = TTL;
    header[9] = protocol::UDP;
    header[12..16].copy_from_slice(&ends.from.octets());
    header[16..].copy_from_slice(&ends.to.ip().octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

fn long(payload: &[u8], at: usize) -> Option<u64> {
    payload.get(at..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

const MAGIC: u32 = 0x4973_746c;
/// The port that probes come from, and go to between sessions.
pub(crate) const PORT: u16 = 7007;
/// IPv4, and a header of five words.
const VERSION_AND_LENGTH: u8 = 0x45;
const TTL: u8 = 64;
const UDP_BYTES: usize = 8;
const PAYLOAD_BYTES_MIN: usize = 32;
/// Length of the shortest IP packet that has room for a probe, in bytes.
pub const PROBE_BYTES_MIN: u16 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> (Probe, Ends) {
        let probe = Probe { run: 9, flow: 3, sequence: 1 << 40, sent: Instant::from_secs(5) };
        (probe, Ends { from: [10, 0, 0, 2].into(), to: "10.0.0.9:7007".parse().unwrap() })
    }

    #[test]
    fn a_probe_of_any_length_comes_out_as_it_went_in() {
        let (probe, ends) = probe();
        for len in [usize::from(PROBE_BYTES_MIN), 64, 1400] {
            let mut packet = vec![0xff; len];
            probe.write(ends, &mut packet);
            let ip = Ipv4::new(&packet).unwrap();
            assert!(ip.checksum_is_valid());
            assert_eq!((ip.source(), ip.destination()), (ends.from, *ends.to.ip()));
            assert_eq!(ip.total_len(), len);
            assert_eq!(Probe::read(&packet), Some(probe));
        }
    }

    #[test]
    fn nothing_else_is_a_probe() {
        let (probe, ends) = probe();
        let mut packet = vec![0; 64];
        probe.write(ends, &mut packet);
        for len in 0..usize::from(PROBE_BYTES_MIN) {
            assert_eq!(Probe::read(&packet[..len]), None, "{len}");
        }
        packet[28] ^= 1;
        assert_eq!(Probe::read(&packet), None);
    }

    #[test]
    fn a_probe_is_turned_once() {
        let (probe, ends) = probe();
        let mut packet = vec![0; 64];
        probe.write(ends, &mut packet);
        assert!(turn(&mut packet[28..]));
        assert!(!turn(&mut packet[28..]), "another reflector leaves it alone");
        assert_eq!(Probe::read(&packet), Some(probe));
        assert!(!turn(&mut packet[..40]) && !turn(&mut []));
    }
}
