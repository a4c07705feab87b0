//! Our views of IP headers against those of an independent implementation.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use etherparse::{
    IpFragOffset, IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv6Header, Ipv6HeaderSlice,
    PacketBuilder, TcpOptionElement, TcpSlice, UdpHeader, UdpSlice,
};
use isthmus_wire::checksum::checksum;
use isthmus_wire::fragment;
use isthmus_wire::ip::{Ip, Ipv4, Ipv6, Tcp, TcpOption, Udp};
use isthmus_wire::mss::{self, Clamped};
use proptest::prelude::*;

/// Bytes that are often close to an IPv4 packet.
fn nearly_ipv4() -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec(any::<u8>(), 0..96), 0x40u8..0x50, 0u16..110).prop_map(
        |(mut bytes, first, len)| {
            if let Some(byte) = bytes.get_mut(0) {
                *byte = first;
            }
            if let Some(field) = bytes.get_mut(2..4) {
                field.copy_from_slice(&len.to_be_bytes());
            }
            bytes
        },
    )
}

/// A SYN built elsewhere, with a right checksum.
fn syn(v6: bool, options: &[TcpOptionElement], payload: &[u8]) -> Vec<u8> {
    let builder = if v6 {
        PacketBuilder::ipv6([1; 16], [2; 16], 61)
    } else {
        PacketBuilder::ipv4([10, 1, 2, 3], [10, 4, 5, 6], 61)
    };
    let builder = builder.tcp(1000, 2000, 77, 4096).syn().options(options).unwrap();
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn transport(packet: &[u8]) -> &[u8] {
    match Ip::new(packet).unwrap() {
        Ip::V4(ip) => ip.payload(),
        Ip::V6(ip) => ip.upper().unwrap().payload,
    }
}

/// What the other implementation says the TCP checksum should be.
fn expected_tcp_checksum(packet: &[u8]) -> u16 {
    let tcp = TcpSlice::from_slice(transport(packet)).unwrap();
    match Ip::new(packet).unwrap() {
        Ip::V4(ip) => tcp.calc_checksum_ipv4(ip.source().octets(), ip.destination().octets()),
        Ip::V6(ip) => tcp.calc_checksum_ipv6(ip.source().octets(), ip.destination().octets()),
    }
    .unwrap()
}

proptest! {
    #[test]
    fn ipv4_headers_are_accepted_and_read_alike(bytes in nearly_ipv4()) {
        let ours = Ipv4::new(&bytes);
        let theirs = Ipv4HeaderSlice::from_slice(&bytes).ok().filter(|ip| {
            let total = usize::from(ip.total_len());
            total >= ip.slice().len() && total <= bytes.len()
        });
        prop_assert_eq!(ours.is_ok(), theirs.is_some());
        let (Ok(ours), Some(theirs)) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!(ours.source(), theirs.source_addr());
        prop_assert_eq!(ours.destination(), theirs.destination_addr());
        prop_assert_eq!(ours.header_len(), theirs.slice().len());
        prop_assert_eq!(ours.total_len(), usize::from(theirs.total_len()));
        prop_assert_eq!(ours.options_bytes(), theirs.options());
        prop_assert_eq!(ours.identification(), theirs.identification());
        prop_assert_eq!(ours.dont_fragment(), theirs.dont_fragment());
        prop_assert_eq!(ours.more_fragments(), theirs.more_fragments());
        prop_assert_eq!(ours.fragment_offset(), usize::from(theirs.fragments_offset().byte_offset()));
        prop_assert_eq!(ours.ttl(), theirs.ttl());
        prop_assert_eq!(ours.protocol(), theirs.protocol().0);
        let header = theirs.to_header();
        prop_assert_eq!(ours.checksum_is_valid(), header.calc_header_checksum() == header.header_checksum);
    }

    #[test]
    fn ipv6_headers_are_accepted_and_read_alike(mut bytes in prop::collection::vec(any::<u8>(), 0..120), len in 0u16..90) {
        if let [first, _, _, _, high, low, ..] = bytes.as_mut_slice() {
            *first = 0x60 | *first & 0xf;
            [*high, *low] = len.to_be_bytes();
        }
        let ours = Ipv6::new(&bytes);
        let theirs = Ipv6HeaderSlice::from_slice(&bytes).ok()
            .filter(|ip| usize::from(ip.payload_length()) + 40 <= bytes.len());
        prop_assert_eq!(ours.is_ok(), theirs.is_some());
        let (Ok(ours), Some(theirs)) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!(ours.source(), theirs.source_addr());
        prop_assert_eq!(ours.destination(), theirs.destination_addr());
        prop_assert_eq!(ours.payload().len(), usize::from(theirs.payload_length()));
        prop_assert_eq!(ours.next_header(), theirs.next_header().0);
        prop_assert_eq!(ours.hop_limit(), theirs.hop_limit());
    }

    #[test]
    fn udp_headers_are_accepted_and_read_alike(bytes in prop::collection::vec(any::<u8>(), 0..40), len in 1u16..50) {
        let mut bytes = bytes;
        if let Some(field) = bytes.get_mut(4..6) { field.copy_from_slice(&len.to_be_bytes()); }
        let ours = Udp::new(&bytes);
        let theirs = UdpSlice::from_slice(&bytes);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!((ours.source_port(), ours.destination_port()), (theirs.source_port(), theirs.destination_port()));
        prop_assert_eq!(ours.payload(), theirs.payload());
        prop_assert_eq!(ours.checksum(), theirs.checksum());
    }

    #[test]
    fn tcp_headers_and_their_mss_are_read_alike(mut bytes in prop::collection::vec(any::<u8>(), 0..80), offset in 0u8..16) {
        if let Some(byte) = bytes.get_mut(12) { *byte = offset << 4; }
        let ours = Tcp::new(&bytes);
        let theirs = TcpSlice::from_slice(&bytes);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { return Ok(()) };
        prop_assert_eq!((ours.source_port(), ours.destination_port()), (theirs.source_port(), theirs.destination_port()));
        prop_assert_eq!(ours.sequence(), theirs.sequence_number());
        prop_assert_eq!(ours.is_syn(), theirs.syn());
        prop_assert_eq!(ours.payload(), theirs.payload());
    }

    #[test]
    fn a_clamped_syn_has_the_checksum_the_other_side_computes(
        v6: bool, value: u16, mss: u16, nops in 0usize..4, payload in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let mut options = vec![TcpOptionElement::Noop; nops];
        options.extend([TcpOptionElement::MaximumSegmentSize(value), TcpOptionElement::SelectiveAcknowledgementPermitted]);
        let mut packet = syn(v6, &options, &payload);
        let outcome = mss::clamp(&mut packet, mss);
        prop_assert_eq!(outcome, if value > mss { Clamped::Lowered { from: value } } else { Clamped::Unchanged });
        let tcp = Tcp::new(transport(&packet)).unwrap();
        let announced = tcp.options().find_map(|(_, o)| match o {
            TcpOption::MaximumSegmentSize(value) => Some(value),
            TcpOption::Other { .. } => None,
        });
        prop_assert_eq!(announced, Some(value.min(mss)));
        prop_assert_eq!(tcp.checksum(), expected_tcp_checksum(&packet));
    }

    #[test]
    fn fragments_are_read_alike(len in 0u16..4000, mtu in 68usize..1500) {
        let payload: Vec<u8> = (0..=255).cycle().take(usize::from(len)).collect();
        let mut header = Ipv4Header::new(len, 64, IpNumber::UDP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
        header.dont_fragment = false;
        header.header_checksum = header.calc_header_checksum();
        let packet = [&header.to_bytes()[..], &payload].concat();
        let mut whole = Vec::new();
        for part in fragment::ipv4(&packet, mtu).unwrap() {
            let theirs = Ipv4HeaderSlice::from_slice(part.header()).unwrap().to_header();
            prop_assert_eq!(theirs.calc_header_checksum(), theirs.header_checksum);
            prop_assert_eq!(usize::from(theirs.total_len), part.header().len() + part.payload().len());
            prop_assert_eq!(theirs.fragment_offset, IpFragOffset::try_new(u16::try_from(whole.len() / 8).unwrap()).unwrap());
            whole.extend_from_slice(part.payload());
            prop_assert_eq!(theirs.more_fragments, whole.len() < payload.len());
        }
        prop_assert_eq!(whole, payload);
    }
}

#[test]
fn ipv6_extension_headers_are_walked_alike() {
    let mut packet = Vec::new();
    let fragment =
        etherparse::Ipv6FragmentHeader::new(IpNumber::UDP, IpFragOffset::ZERO, true, 0x1234);
    let mut header = Ipv6Header { hop_limit: 3, ..Ipv6Header::default() };
    header.next_header = IpNumber::IPV6_FRAGMENTATION_HEADER;
    header.payload_length = 8 + 8;
    header.write(&mut packet).unwrap();
    fragment.write(&mut packet).unwrap();
    UdpHeader { source_port: 1, destination_port: 2, length: 8, checksum: 0 }
        .write(&mut packet)
        .unwrap();
    let upper = Ipv6::new(&packet).unwrap().upper().unwrap();
    assert_eq!((upper.protocol, upper.payload.len()), (17, 8));
    assert!(upper.fragment.is_some_and(|f| f.offset == 0 && f.more));
}

#[test]
fn checksums_agree() {
    let header = Ipv4Header::new(99, 64, IpNumber::TCP, [1, 2, 3, 4], [5, 6, 7, 8]).unwrap();
    let mut bytes = header.to_bytes();
    bytes[10..12].fill(0);
    assert_eq!(checksum(&bytes), header.calc_header_checksum());
}
