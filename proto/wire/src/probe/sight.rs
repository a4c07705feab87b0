//! Knowing a probe again, and what is said about it.

use core::net::{IpAddr, SocketAddr};

use super::{ACK, ECHO, ECHO_REPLY, ECHO_REPLY_V6, ECHO_V6, Kind, Probe, RST, SYN};
use crate::Reader;
use crate::ip::{Icmp, Ip, Tcp, Udp, protocol};

/// Both ends as a packet has them; ports are 0 in ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes to.
    pub destination: SocketAddr,
}

/// What a packet is to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// An answer, and the address it comes from.
    Answer(Answer, IpAddr),
    /// The probe itself, translated or not.
    Probe(Ends),
}

/// What somebody says to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// UDP: a datagram back.
    Datagram,
    /// An echo reply.
    Echo,
    /// TCP: the port is closed, or somebody on the way says so.
    Reset,
    /// TCP: the port is open.
    SynAck,
    /// An ICMP error.
    Trouble(Trouble),
}

/// What an ICMP error says (RFC 792, RFC 4443 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The hop limit was used up: a loop, most often.
    HopsExceeded,
    /// The last router does not find the host.
    HostUnreachable,
    /// A router knows no way.
    NoRoute,
    /// Something else, by type and code.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// The host has nobody at that port.
    PortUnreachable,
    /// A filter or a route forbids it.
    Prohibited,
    /// The packet is too big for a link.
    TooBig {
        /// What fits, in bytes; 0 where the router does not say.
        mtu: u32,
    },
}

impl Probe {
    /// What `packet` is to this probe; nothing, most often. `left` is how the probe was seen leaving, when a
    /// translation had changed it: an answer goes back there.
    pub fn sight(&self, packet: &[u8], left: Option<&Ends>) -> Option<Sighting> {
        let ip = Ip::new(packet).ok()?;
        let (number, body) = match &ip {
            Ip::V4(ip) if ip.fragment_offset() == 0 => (ip.protocol(), ip.payload()),
            Ip::V4(_) => return None,
            Ip::V6(ip) => {
                let upper = ip.upper().ok()?;
                upper.fragment.is_none_or(|fragment| fragment.offset == 0).then_some(())?;
                (upper.protocol, upper.payload)
            }
        };
        let from = ip.source();
        if let protocol::ICMP | protocol::ICMPV6 = number
            && let Ok(icmp) = Icmp::new(body)
            && let Some(trouble) = trouble(number, &icmp)
        {
            let told = self.is_quoted(icmp.body(), left);
            return told.then_some(Sighting::Answer(Answer::Trouble(trouble), from));
        }
        if number != self.protocol() {
            return None;
        }
        let ends = |source, destination| Ends {
            source: SocketAddr::new(from, source),
            destination: SocketAddr::new(ip.destination(), destination),
        };
        match self.kind {
            Kind::Echo => self.sight_echo(&Icmp::new(body).ok()?, ends(0, 0)),
            Kind::Tcp(_) => {
                let tcp = Tcp::new(body).ok()?;
                self.sight_tcp(body, ends(tcp.source_port(), tcp.destination_port()))
            }
            Kind::Udp(_) => {
                let udp = Udp::new(body).ok()?;
                self.sight_udp(&udp, ends(udp.source_port(), udp.destination_port()), left)
            }
        }
    }

    fn sight_echo(&self, icmp: &Icmp<'_>, ends: Ends) -> Option<Sighting> {
        if icmp.body() != self.payload() {
            return None;
        }
        match icmp.kind() {
            ECHO | ECHO_V6 => Some(Sighting::Probe(ends)),
            ECHO_REPLY | ECHO_REPLY_V6 => Some(Sighting::Answer(Answer::Echo, ends.source.ip())),
            _ => None,
        }
    }

    fn sight_tcp(&self, segment: &[u8], ends: Ends) -> Option<Sighting> {
        let mut reader = Reader::new(segment);
        reader.u32("ports").ok()?;
        let sequence = reader.u32("sequence number").ok()?;
        let acknowledged = reader.u32("acknowledgment number").ok()?;
        let [_, flags] = reader.array("flags").ok()?;
        let control = flags & (SYN | RST | ACK);
        if control == SYN && sequence == self.mark {
            return Some(Sighting::Probe(ends));
        }
        let answer = match control {
            _ if acknowledged != self.mark.wrapping_add(1) => return None,
            c if c == SYN | ACK => Answer::SynAck,
            c if c == RST | ACK => Answer::Reset,
            _ => return None,
        };
        Some(Sighting::Answer(answer, ends.source.ip()))
    }

    fn sight_udp(&self, udp: &Udp<'_>, ends: Ends, left: Option<&Ends>) -> Option<Sighting> {
        let back =
            |there: &Ends| there.destination == ends.source && there.source == ends.destination;
        if back(&self.own_ends()) || left.is_some_and(back) {
            return Some(Sighting::Answer(Answer::Datagram, ends.source.ip()));
        }
        (udp.payload() == self.payload()).then_some(Sighting::Probe(ends))
    }

    /// As it is sent.
    pub fn own_ends(&self) -> Ends {
        let ports = self.port().map_or((0, 0), |port| (self.source_port(), port));
        Ends {
            source: SocketAddr::new(self.source(), ports.0),
            destination: SocketAddr::new(self.destination(), ports.1),
        }
    }

    /// Whether an ICMP error is about this probe. Only eight bytes behind the IP header are certain to be
    /// quoted (RFC 792).
    fn is_quoted(&self, quoted: &[u8], left: Option<&Ends>) -> bool {
        let Some(Quoted { number, ends, second }) = Quoted::read(quoted) else { return false };
        let same = |there: &Ends| {
            let hosts = (there.source.ip(), there.destination.ip());
            hosts == (ends.source.ip(), ends.destination.ip())
        };
        let ports = |there: &Ends| *there == ends;
        number == self.protocol()
            && match self.kind {
                // A translation may change the identifier; the sequence number stays.
                Kind::Echo => {
                    let hosts = same(&self.own_ends()) || left.is_some_and(same);
                    hosts && second & 0xffff == self.mark & 0xffff
                }
                Kind::Tcp(_) => second == self.mark,
                Kind::Udp(_) => ports(&self.own_ends()) || left.is_some_and(ports),
            }
    }
}

/// The beginning of a packet that an ICMP error is about.
struct Quoted {
    number: u8,
    /// Ports are those of TCP and UDP, 0 in ICMP.
    ends: Ends,
    /// The second word behind the IP header.
    second: u32,
}

impl Quoted {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let first = bytes.first()?;
        let (number, source, destination): (_, IpAddr, IpAddr) = match first >> 4 {
            4 => {
                reader.take("header", 9).ok()?;
                let number = reader.u8("protocol").ok()?;
                reader.u16("checksum").ok()?;
                let source = reader.array::<4>("source").ok()?;
                let destination = reader.array::<4>("destination").ok()?;
                let options = (usize::from(first & 0x0f) * 4).checked_sub(20)?;
                reader.take("options", options).ok()?;
                (number, source.into(), destination.into())
            }
            6 => {
                reader.take("header", 6).ok()?;
                let [number, _] = reader.array("next header").ok()?;
                let source = reader.array::<16>("source").ok()?;
                let destination = reader.array::<16>("destination").ok()?;
                (number, source.into(), destination.into())
            }
            _ => return None,
        };
        let [from, to] = [reader.u16("port").ok()?, reader.u16("port").ok()?];
        let second = reader.u32("second word").ok()?;
        let has_ports = matches!(number, protocol::TCP | protocol::UDP);
        let ports = if has_ports { (from, to) } else { (0, 0) };
        let ends = Ends {
            source: SocketAddr::new(source, ports.0),
            destination: SocketAddr::new(destination, ports.1),
        };
        Some(Self { number, ends, second })
    }
}

/// What an ICMP message complains about; nothing, when it is no error.
fn trouble(number: u8, icmp: &Icmp<'_>) -> Option<Trouble> {
    let (kind, code) = (icmp.kind(), icmp.code());
    let other = Trouble::Other { kind, code };
    if number == protocol::ICMP {
        return match (kind, code) {
            (3, 0 | 6) => Some(Trouble::NoRoute),
            (3, 1 | 7) => Some(Trouble::HostUnreachable),
            (3, 3) => Some(Trouble::PortUnreachable),
            (3, 4) => Some(Trouble::TooBig { mtu: icmp.rest() & 0xffff }),
            (3, 9 | 10 | 13) => Some(Trouble::Prohibited),
            (11, _) => Some(Trouble::HopsExceeded),
            (3 | 12, _) => Some(other),
            _ => None,
        };
    }
    match (kind, code) {
        (1, 0 | 6) => Some(Trouble::NoRoute),
        (1, 1 | 5) => Some(Trouble::Prohibited),
        (1, 3) => Some(Trouble::HostUnreachable),
        (1, 4) => Some(Trouble::PortUnreachable),
        (2, _) => Some(Trouble::TooBig { mtu: icmp.rest() }),
        (3, _) => Some(Trouble::HopsExceeded),
        // Types below 128 are errors (RFC 4443 §2.1).
        (0..128, _) => Some(other),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
