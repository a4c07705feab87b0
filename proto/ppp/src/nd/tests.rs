//! Messages against bytes written by hand, and against everything else.

use alloc::vec;

use isthmus_wire::Fault;
use proptest::prelude::*;

use super::*;
use crate::dhcp::Domain;

const ROUTER_LL: &str = "fe80::a";

fn id(value: u64) -> InterfaceId {
    InterfaceId::new(value).unwrap()
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn advertisement() -> RouterAdvertisement {
    RouterAdvertisement {
        router_lifetime: 1800,
        other_config: true,
        prefix: Some("2001:db8:64:7::/64".parse().unwrap()),
        prefix_lifetime: 86400,
        mtu: Some(1400),
        dns: vec![address("2001:db8::53"), address("2001:db8::54")],
        search: vec![Domain::new("corp.example").unwrap()],
    }
}

/// An `ICMPv6` message in a packet with a right checksum.
fn packet(from: &str, to: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    write_icmp(address(from), to, message)
}

#[test]
fn an_advertisement_is_what_the_rfcs_say_byte_for_byte() {
    let bytes = advertisement().write(id(10), ALL_NODES);
    let mut expected = vec![0x60, 0, 0, 0, 0, 120, 58, 255];
    expected.extend(address(ROUTER_LL).octets());
    expected.extend(ALL_NODES.octets());
    expected.extend([134, 0, bytes[42], bytes[43], 64, 0x40, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([3, 4, 64, 0x40, 0, 1, 0x51, 0x80, 0, 0, 0xa8, 0xc0, 0, 0, 0, 0]);
    expected.extend(address("2001:db8:64:7::").octets());
    expected.extend([5, 1, 0, 0, 0, 0, 5, 0x78]);
    expected.extend([25, 5, 0, 0, 0, 0, 7, 8]);
    expected.extend(address("2001:db8::53").octets());
    expected.extend(address("2001:db8::54").octets());
    expected.extend([31, 3, 0, 0, 0, 0, 7, 8]);
    expected.extend(b"\x04corp\x07example\0\0\0");
    assert_eq!(bytes.len(), 40 + 120);
    assert_eq!(bytes, expected);
    let read = RouterAdvertisement::read(&bytes).unwrap();
    let search = Vec::new();
    assert_eq!(read, (address(ROUTER_LL), RouterAdvertisement { search, ..advertisement() }));
}

/// Windows 11 does not take an advertisement with one over PPP.
#[test]
fn nothing_carries_a_link_layer_address() {
    let advertised = advertisement().write(id(10), ALL_NODES);
    let mut kinds = Vec::new();
    let mut reader = Reader::new(&advertised[56..]);
    options::each(&mut reader, |kind, _| {
        kinds.push(kind);
        Ok(())
    })
    .unwrap();
    assert_eq!(kinds, [3, 5, 25, 31]);
    assert_eq!(neighbor_advertisement(id(10), address("fe80::7")).len(), 40 + 24);
    assert_eq!(router_solicitation(id(7)).len(), 40 + 8);
}

#[test]
fn solicitations_with_and_without_a_source_are_read() {
    let ours = router_solicitation(id(7));
    assert_eq!(Question::read(&ours), Ok(Question::Router { from: address("fe80::7") }));
    // With the option that hosts on Ethernet send.
    let message = [133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7];
    let with_option = packet("fe80::7", ALL_ROUTERS, &message);
    assert_eq!(Question::read(&with_option), Question::read(&ours));
    let anonymous = packet("::", ALL_ROUTERS, &message[..8]);
    assert_eq!(Question::read(&anonymous), Ok(Question::Router { from: Ipv6Addr::UNSPECIFIED }));
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(address(ROUTER_LL).octets());
    let neighbor = packet("fe80::7", address("ff02::1:ff00:a"), &message);
    let asked = Question::Neighbor { from: address("fe80::7"), target: address(ROUTER_LL) };
    assert_eq!(Question::read(&neighbor), Ok(asked));
}

#[test]
fn a_neighbor_is_told_what_rfc_4861_says() {
    let told = neighbor_advertisement(id(10), address("fe80::7"));
    assert_eq!(told[8..24], address(ROUTER_LL).octets());
    assert_eq!(told[24..40], address("fe80::7").octets());
    assert_eq!((told[40], told[44]), (136, 0xe0));
    assert_eq!(told[48..64], address(ROUTER_LL).octets());
    let unspecified = neighbor_advertisement(id(10), Ipv6Addr::UNSPECIFIED);
    assert_eq!((&unspecified[24..40], unspecified[44]), (&ALL_NODES.octets()[..], 0xa0));
}

#[test]
fn what_a_router_has_forwarded_or_somebody_has_damaged_is_refused() {
    let whole = router_solicitation(id(7));
    for at in (0..whole.len()).filter(|at| !(1..4).contains(at)) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(Question::read(&damaged).is_err(), "byte {at}");
    }
    let mut forwarded = whole.clone();
    forwarded[7] = 254;
    assert_eq!(Question::read(&forwarded), Err(DecodeError::illegal("hop limit")));
    let advertised = advertisement().write(id(10), ALL_NODES);
    for len in 0..advertised.len() {
        assert!(RouterAdvertisement::read(&advertised[..len]).is_err(), "{len} bytes");
        assert!(Question::read(&advertised[..len]).is_err());
    }
    let global = packet("2001:db8::1", ALL_NODES, &[134, 0, 0, 0]);
    assert_eq!(RouterAdvertisement::read(&global), Err(DecodeError::illegal("source")));
}

#[test]
fn an_option_of_length_zero_or_beyond_the_end_is_refused() {
    for option in [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[1], &[1, 2, 0, 0, 0, 0, 0, 0], &[1, 255]] {
        let message = [&[133, 0, 0, 0, 0, 0, 0, 0], option].concat();
        assert!(Question::read(&packet("fe80::7", ALL_ROUTERS, &message)).is_err(), "{option:?}");
    }
}

#[test]
fn more_options_than_the_bound_are_refused() {
    let with = |count: usize| {
        let message = [&[133, 0, 0, 0, 0, 0, 0, 0][..], &[14, 1, 0, 0, 0, 0, 0, 0].repeat(count)];
        Question::read(&packet("fe80::7", ALL_ROUTERS, &message.concat()))
    };
    assert!(with(ND_OPTIONS_MAX).is_ok());
    assert_eq!(with(ND_OPTIONS_MAX + 1), Err(DecodeError::new("options", Fault::TooMany)));
}

#[test]
fn more_name_servers_than_the_bound_are_neither_written_nor_read() {
    let many = RouterAdvertisement { dns: vec![address("2001:db8::53"); 9], ..advertisement() };
    let (_, read) = RouterAdvertisement::read(&many.write(id(10), ALL_NODES)).unwrap();
    assert_eq!(read.dns.len(), RDNSS_MAX);
    let option = [&[25, 19, 0, 0, 0, 0, 0, 9][..], &[1; 16 * 9]].concat();
    let message = [&[134, 0, 0, 0, 64, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0][..], &option].concat();
    let (_, read) = RouterAdvertisement::read(&packet(ROUTER_LL, ALL_NODES, &message)).unwrap();
    assert_eq!(read.dns.len(), RDNSS_MAX);
}

#[test]
fn prefixes_that_no_address_can_be_made_in_are_passed_over() {
    let good = advertisement().write(id(10), ALL_NODES);
    let with = |at: usize, bytes: &[u8]| {
        let mut message = good[40..].to_vec();
        message[2..4].fill(0);
        message[16 + at..16 + at + bytes.len()].copy_from_slice(bytes);
        RouterAdvertisement::read(&packet(ROUTER_LL, ALL_NODES, &message)).unwrap().1.prefix
    };
    assert!(with(0, &[3]).is_some());
    assert_eq!(with(2, &[48]), None, "not a /64");
    assert_eq!(with(3, &[0x80]), None, "not for addresses");
    assert_eq!(with(4, &[0; 4]), None, "no longer valid");
    assert_eq!(with(8, &[0xff; 4]), None, "preferred for longer than valid");
    assert_eq!(with(16, &[0xfe, 0x80]), None, "link-local");
    assert_eq!(with(16, &[0xff]), None, "multicast");
}

proptest! {
    #[test]
    fn a_written_advertisement_is_read_back(
        router_lifetime: u16, other_config: bool, prefix_lifetime in 1_u32..,
        prefix in any::<u64>(), mtu in prop::option::of(any::<u32>()),
        dns in prop::collection::vec(any::<[u8; 16]>(), 0..=RDNSS_MAX), router in 1_u64..,
    ) {
        let net = Ipv6Addr::from_bits(u128::from(prefix & (u64::MAX >> 3)) << 64);
        let advertisement = RouterAdvertisement {
            router_lifetime: router_lifetime.max(1),
            other_config,
            prefix: Some(ipnet::Ipv6Net::new(net, 64).unwrap()),
            prefix_lifetime,
            mtu,
            dns: dns.into_iter().map(Ipv6Addr::from).collect(),
            search: Vec::new(),
        };
        let bytes = advertisement.write(id(router), ALL_NODES);
        prop_assert_eq!(
            RouterAdvertisement::read(&bytes),
            Ok((id(router).link_local(), advertisement))
        );
    }

    #[test]
    fn any_bytes_behind_a_right_checksum_do_not_panic(
        message in prop::collection::vec(any::<u8>(), 4..200), kind in 130_u8..140
    ) {
        let mut message = message;
        message[..4].copy_from_slice(&[kind, 0, 0, 0]);
        let bytes = packet("fe80::7", ALL_NODES, &message);
        if Question::read(&bytes).is_ok() {
            prop_assert!(kind == 133 || kind == 135);
        }
        if RouterAdvertisement::read(&bytes).is_ok() {
            prop_assert_eq!(kind, 134);
        }
    }
}
