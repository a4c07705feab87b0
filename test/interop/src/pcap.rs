//! What a capture of the internet segment shows: how much of it was IKE and ESP, and every packet
//! that carried L2TP in the clear.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use etherparse::{IpNumber, NetSlice, SlicedPacket};
use pcap_file::pcap::PcapReader;

use crate::error::LabError;

/// Counts of a capture, by what an observer on the path can tell apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WireSummary {
    /// Frames of any kind.
    pub frames: usize,
    /// IKE messages, on port 500 or behind the non-ESP marker on port 4500 (RFC 3948 §2.2).
    pub ike: usize,
    /// ESP in UDP (RFC 3948 §2.1).
    pub esp_in_udp: usize,
    /// ESP as IP protocol 50.
    pub esp_plain: usize,
    /// Octets of ESP of either kind. With segmentation offload one frame holds many packets, so this, and
    /// not the number of frames, tells how much was carried.
    pub esp_octets: u64,
    /// The SAs of the ESP packets: destination and SPI, which is only unique together (RFC 4301 §4.1).
    pub esp_sas: BTreeSet<(IpAddr, u32)>,
    /// The initiator cookies of the IKE messages: one for each IKE SA that was tried.
    pub ike_cookies: BTreeSet<u64>,
    /// Fragments of IP packets, the first ones included.
    pub fragments: usize,
    /// UDP packets with port 1701 that anyone can read.
    pub clear_l2tp: Vec<ClearL2tp>,
}

/// A leaked packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearL2tp {
    /// Its number in the capture, from 1 as Wireshark counts.
    pub frame: usize,
    /// Its time stamp (Unix time).
    pub time: Duration,
    /// Its source.
    pub source: (IpAddr, u16),
    /// Its destination.
    pub destination: (IpAddr, u16),
}

impl fmt::Display for ClearL2tp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frame, time, source, destination } = self;
        write!(
            f,
            "frame {frame} at {:.3}: {} port {} > {} port {}",
            time.as_secs_f64(),
            source.0,
            source.1,
            destination.0,
            destination.1
        )
    }
}

impl WireSummary {
    /// # Errors
    /// L2TP was seen in the clear; the error lists every packet.
    pub fn refuse_clear_l2tp(&self) -> Result<(), LabError> {
        if self.clear_l2tp.is_empty() {
            return Ok(());
        }
        let list = self.clear_l2tp.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Err(LabError::unexpected(format!("L2TP went out unencrypted:\n{list}")))
    }

    fn count(&mut self, time: Duration, frame: &[u8]) {
        self.frames = self.frames.saturating_add(1);
        // What etherparse cannot read has no IP header, so it is no L2TP either.
        let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return };
        let Some(ip) = packet.net.as_ref().and_then(IpPacket::read) else { return };
        if ip.protocol == IpNumber::ENCAPSULATING_SECURITY_PAYLOAD {
            self.esp_plain = self.esp_plain.saturating_add(1);
            self.count_esp(ip.payload);
            let spi = spi(ip.payload).filter(|_| ip.is_first_fragment);
            self.esp_sas.extend(spi.map(|spi| (ip.destination, spi)));
        }
        if ip.is_fragment {
            self.fragments = self.fragments.saturating_add(1);
        }
        if ip.protocol == IpNumber::UDP && ip.is_first_fragment {
            self.count_udp(time, &ip);
        }
    }

    fn count_esp(&mut self, content: &[u8]) {
        let octets = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.esp_octets = self.esp_octets.saturating_add(octets);
    }

    fn count_udp(&mut self, time: Duration, ip: &IpPacket<'_>) {
        let Some((source_port, destination_port)) = ports(ip.payload) else { return };
        let used = |port| source_port == port || destination_port == port;
        if used(L2TP_PORT) {
            self.clear_l2tp.push(ClearL2tp {
                frame: self.frames,
                time,
                source: (ip.source, source_port),
                destination: (ip.destination, destination_port),
            });
        }
        let content = ip.payload.get(UDP_HEADER_OCTETS..).unwrap_or_default();
        let marked = content.strip_prefix(&NON_ESP_MARKER).filter(|_| used(NAT_T_PORT));
        if let Some(ike) = marked.or_else(|| used(IKE_PORT).then_some(content)) {
            self.ike = self.ike.saturating_add(1);
            self.ike_cookies.extend(cookie(ike));
        } else if used(NAT_T_PORT) && content.len() > NON_ESP_MARKER.len() {
            self.esp_in_udp = self.esp_in_udp.saturating_add(1);
            self.count_esp(content);
            self.esp_sas.extend(spi(content).map(|spi| (ip.destination, spi)));
        }
    }
}

/// Reads the capture in `file`.
///
/// # Errors
/// It is not a pcap file with Ethernet frames, or is cut off.
pub fn summarize(file: &Path) -> Result<WireSummary, LabError> {
    let reader = File::open(file).map_err(|source| LabError::io(file, source))?;
    read(reader).map_err(|what| LabError::unexpected(format!("{}: {what}", file.display())))
}

fn read(reader: impl Read) -> Result<WireSummary, String> {
    let mut capture = PcapReader::new(reader).map_err(|error| error.to_string())?;
    if capture.header().datalink != pcap_file::DataLink::ETHERNET {
        return Err(format!("link type {:?} is not Ethernet", capture.header().datalink));
    }
    let mut summary = WireSummary::default();
    while let Some(packet) = capture.next_packet() {
        let packet = packet.map_err(|error| error.to_string())?;
        summary.count(packet.timestamp, &packet.data);
    }
    Ok(summary)
}

/// The parts of an IPv4 or IPv6 packet that are counted by.
struct IpPacket<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: IpNumber,
    is_fragment: bool,
    is_first_fragment: bool,
    payload: &'a [u8],
}

impl<'a> IpPacket<'a> {
    fn read(net: &NetSlice<'a>) -> Option<Self> {
        match net {
            NetSlice::Ipv4(ip) => Some(Self {
                source: ip.header().source_addr().into(),
                destination: ip.header().destination_addr().into(),
                protocol: ip.payload().ip_number,
                is_fragment: ip.is_payload_fragmented(),
                is_first_fragment: ip.header().fragments_offset().value() == 0,
                payload: ip.payload().payload,
            }),
            NetSlice::Ipv6(ip) => Some(Self {
                source: ip.header().source_addr().into(),
                destination: ip.header().destination_addr().into(),
                protocol: ip.payload().ip_number,
                is_fragment: ip.is_payload_fragmented(),
                is_first_fragment: !is_later_fragment(ip),
                payload: ip.payload().payload,
            }),
            NetSlice::Arp(_) => None,
        }
    }
}

fn is_later_fragment(ip: &etherparse::Ipv6Slice<'_>) -> bool {
    ip.extensions().clone().into_iter().any(|extension| match extension {
        etherparse::Ipv6ExtensionSlice::Fragment(header) => header.fragment_offset().value() != 0,
        etherparse::Ipv6ExtensionSlice::HopByHop(_)
        | etherparse::Ipv6ExtensionSlice::Routing(_)
        | etherparse::Ipv6ExtensionSlice::DestinationOptions(_)
        | etherparse::Ipv6ExtensionSlice::Authentication(_) => false,
    })
}

/// The ports of the UDP header that `payload` starts with; the rest may be cut off or in fragments.
fn ports(payload: &[u8]) -> Option<(u16, u16)> {
    let port = |at: usize| {
        let octets = payload.get(at..at.checked_add(2)?)?;
        octets.try_into().ok().map(u16::from_be_bytes)
    };
    Some((port(0)?, port(2)?))
}

/// The SPI that an ESP packet starts with (RFC 4303 §2.1).
fn spi(esp: &[u8]) -> Option<u32> {
    esp.first_chunk().copied().map(u32::from_be_bytes)
}

/// The initiator cookie that an IKE message starts with (RFC 2408 §3.1).
fn cookie(ike: &[u8]) -> Option<u64> {
    ike.first_chunk().copied().map(u64::from_be_bytes)
}

/// Octets of a UDP header.
const UDP_HEADER_OCTETS: usize = 8;
/// RFC 2661 §8.1.
const L2TP_PORT: u16 = 1701;
/// RFC 2408 §2.5.1.
const IKE_PORT: u16 = 500;
/// RFC 3948 §1.
const NAT_T_PORT: u16 = 4500;
/// Stands where an SPI would: the message is IKE (RFC 3948 §2.2).
const NON_ESP_MARKER: [u8; 4] = [0; 4];

#[cfg(test)]
mod tests {
    use etherparse::{Ipv4Header, PacketBuilder};
    use pcap_file::pcap::{PcapPacket, PcapWriter};

    use super::*;

    const A: [u8; 4] = [192, 0, 2, 1];
    const B: [u8; 4] = [192, 0, 2, 2];

    fn udp4(source: u16, destination: u16, content: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(A, B, 64)
            .udp(source, destination)
            .write(&mut frame, content)
            .expect("a packet");
        frame
    }

    /// An Ethernet frame with an IPv4 packet of `protocol`, at `offset` (in 8 octets) of a datagram.
    fn ip4(protocol: IpNumber, offset: u16, more: bool, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("small");
        let mut header = Ipv4Header::new(length, 64, protocol, A, B).expect("a header");
        header.more_fragments = more;
        header.fragment_offset = offset.try_into().expect("13 bits");
        let mut frame = [&[2; 6][..], &[4; 6], &[8, 0]].concat();
        header.write(&mut frame).expect("a packet");
        frame.extend_from_slice(content);
        frame
    }

    fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = PcapWriter::new(Vec::new()).expect("a header");
        for (second, frame) in (1..).zip(frames) {
            let length = u32::try_from(frame.len()).expect("small");
            let time = Duration::from_secs(second);
            writer.write_packet(&PcapPacket::new(time, length, frame)).expect("a packet");
        }
        writer.into_writer()
    }

    #[test]
    fn clear_l2tp_is_found_in_both_directions_and_nothing_else_is() {
        let frames = [
            udp4(500, 500, &[7; 28]),
            udp4(1701, 4711, b"to a client"),
            udp4(4711, 1701, b"to a server"),
            udp4(1700, 1702, b"near"),
            udp4(4500, 31000, &[0, 0, 0, 0, 7, 7, 7, 7]),
            udp4(31000, 4500, &[0, 0, 0, 9, 7, 7, 7, 7]),
            udp4(31000, 4500, &[0xff]),
            ip4(IpNumber::ENCAPSULATING_SECURITY_PAYLOAD, 0, false, &[6, 0xa5, 6, 0xa5]),
            ip4(IpNumber::TCP, 0, false, &[6, 0xa5, 6, 0xa5, 0, 0, 0, 0]),
            vec![0; 9],
        ];
        let summary = read(&capture(&frames)[..]).expect("a capture");
        assert_eq!((summary.frames, summary.ike), (10, 2));
        assert_eq!((summary.esp_in_udp, summary.esp_plain), (1, 1));
        assert_eq!(
            Vec::from_iter(summary.esp_sas.clone()),
            [(B.into(), 9), (B.into(), 0x06a5_06a5)]
        );
        assert_eq!(Vec::from_iter(summary.ike_cookies.clone()), [0x0707_0707_0707_0707]);
        assert_eq!(
            summary.clear_l2tp,
            [
                ClearL2tp {
                    frame: 2,
                    time: Duration::from_secs(2),
                    source: (A.into(), 1701),
                    destination: (B.into(), 4711),
                },
                ClearL2tp {
                    frame: 3,
                    time: Duration::from_secs(3),
                    source: (A.into(), 4711),
                    destination: (B.into(), 1701),
                },
            ]
        );
        let error = summary.refuse_clear_l2tp().expect_err("two leaks").to_string();
        assert!(error.contains("frame 2 at 2.000: 192.0.2.1 port 1701 > 192.0.2.2"), "{error}");
        assert_eq!(WireSummary::default().refuse_clear_l2tp().ok(), Some(()));
    }

    #[test]
    fn the_first_fragment_of_a_leaked_packet_is_a_leak() {
        let udp = [6, 0xa5, 6, 0xa5, 4, 0, 0, 0];
        let frames = [ip4(IpNumber::UDP, 0, true, &udp), ip4(IpNumber::UDP, 1, false, &udp)];
        let summary = read(&capture(&frames)[..]).expect("a capture");
        assert_eq!(summary.clear_l2tp.iter().map(|leak| leak.frame).collect::<Vec<_>>(), [1]);
        assert_eq!(summary.fragments, 2);
    }

    #[test]
    fn ipv6_and_vlan_tags_hide_nothing() {
        let (mut six, mut tagged) = (Vec::new(), Vec::new());
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv6([1; 16], [2; 16], 64)
            .udp(1701, 9)
            .write(&mut six, b"x")
            .expect("a packet");
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .single_vlan(7.try_into().expect("12 bits"))
            .ipv4(A, B, 64)
            .udp(9, 1701)
            .write(&mut tagged, b"x")
            .expect("a packet");
        let summary = read(&capture(&[six, tagged])[..]).expect("a capture");
        assert_eq!(summary.clear_l2tp.len(), 2);
    }

    #[test]
    fn a_file_that_is_no_capture_or_is_cut_off_is_refused() {
        let whole = capture(&[udp4(1, 2, b"x")]);
        let cut = whole.get(..whole.len() - 1).expect("a byte less");
        assert!(read(&b"not a capture, by far not one"[..]).is_err());
        assert!(read(cut).is_err());
    }
}
