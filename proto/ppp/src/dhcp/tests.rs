//! Questions and answers against bytes written by hand, and against everything else.

use alloc::vec;

use isthmus_wire::ip::{Ipv4, Udp};
use isthmus_wire::{Checksum, checksum};
use proptest::prelude::*;

use super::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 7);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
/// IPv4 and UDP header, and a message up to its options.
const OPTIONS_AT: usize = 20 + 8 + 240;

fn net(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

fn answer(routes: &[&str]) -> Answer {
    Answer {
        server: GATEWAY,
        routes: routes.iter().map(|r| net(r)).collect(),
        dns: vec![[10, 64, 0, 53].into(), [10, 64, 0, 54].into()],
        domain: Domain::new("corp.example"),
        ntp: Vec::new(),
        search: Vec::new(),
    }
}

/// A message as a client may build it, with these options and right checksums.
fn inform_with(options: &[u8]) -> Vec<u8> {
    let mut message = vec![1, 8, 0, 0, 0xca, 0xfe, 0xba, 0xbe, 0, 3, 0, 0];
    message.extend(CLIENT.octets());
    message.extend([0; 12 + 16 + 64 + 128]);
    message.extend([0x63, 0x82, 0x53, 0x63]);
    message.extend(options);
    packet::write(
        SocketAddrV4::new(CLIENT, 68),
        SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
        &message,
    )
}

fn asking(codes: &[u8]) -> Inform {
    let len = u8::try_from(codes.len()).unwrap();
    Inform::read(&inform_with(&[&[53, 1, 8, 55, len][..], codes, &[255]].concat())).unwrap()
}

/// Puts right checksums into a packet that was changed.
fn repaired(mut packet: Vec<u8>) -> Vec<u8> {
    packet[10..12].fill(0);
    let sum = checksum::checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[26..28].fill(0);
    packet
}

/// The codes of the options in a packet.
fn codes(packet: &[u8]) -> Vec<u8> {
    let mut codes = Vec::new();
    let mut rest = &packet[OPTIONS_AT..];
    while rest[0] != 255 {
        codes.push(rest[0]);
        rest = &rest[2 + usize::from(rest[1])..];
    }
    codes
}

#[test]
fn routes_are_written_as_in_the_table_of_rfc_3442() {
    for (route, descriptor) in [
        ("0.0.0.0/0", &[0][..]),
        ("10.0.0.0/8", &[8, 10]),
        ("10.0.0.0/24", &[24, 10, 0, 0]),
        ("10.17.0.0/16", &[16, 10, 17]),
        ("10.27.129.0/24", &[24, 10, 27, 129]),
        ("10.229.0.128/25", &[25, 10, 229, 0, 128]),
        ("10.198.122.47/32", &[32, 10, 198, 122, 47]),
    ] {
        let expected = [descriptor, &GATEWAY.octets()].concat();
        assert_eq!(routes::write([net(route)].iter(), GATEWAY), expected, "{route}");
        assert_eq!(routes::read(&expected), Ok(vec![net(route)]), "{route}");
    }
}

#[test]
fn an_answer_is_what_the_rfcs_say_byte_for_byte() {
    let inform = asking(&[6, 44, 43, 1, 249, 15]);
    let packet = answer(&["10.17.0.0/16", "10.229.0.128/25"]).write(&inform);
    let mut expected = vec![2, 8, 0, 0, 0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0, 10, 64, 0, 7];
    expected.extend([0; 12 + 16 + 64 + 128]);
    expected.extend([0x63, 0x82, 0x53, 0x63]);
    expected.extend([53, 1, 5, 54, 4, 10, 64, 0, 1, 1, 4, 255, 255, 255, 255]);
    expected.extend([6, 8, 10, 64, 0, 53, 10, 64, 0, 54]);
    expected.extend([15, 12]);
    expected.extend(b"corp.example");
    for code in [121, 249] {
        expected.extend([code, 16, 16, 10, 17, 10, 64, 0, 1]);
        expected.extend([25, 10, 229, 0, 128, 10, 64, 0, 1]);
    }
    expected.push(255);
    let ip = Ipv4::new(&packet).unwrap();
    let udp = Udp::new(ip.payload()).unwrap();
    assert_eq!(udp.payload(), expected);
    assert_eq!((ip.source(), ip.destination()), (GATEWAY, CLIENT));
    assert_eq!((udp.source_port(), udp.destination_port()), (67, 68));
    assert!(ip.checksum_is_valid());
    let len = u16::try_from(ip.payload().len()).unwrap();
    let sum = Checksum::new().pseudo_v4(GATEWAY, CLIENT, 17, len).bytes(ip.payload());
    assert!(udp.checksum() != 0 && sum.is_valid());
}

#[test]
fn our_question_is_what_the_rfcs_say_byte_for_byte() {
    let packet = Inform::new(CLIENT, 0x0102_0304).write();
    let ip = Ipv4::new(&packet).unwrap();
    assert_eq!((ip.source(), ip.destination()), (CLIENT, Ipv4Addr::BROADCAST));
    let mut expected = vec![1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0, 10, 64, 0, 7];
    expected.extend([0; 12]);
    expected.extend([2, 0, 10, 64, 0, 7]);
    expected.extend([0; 10 + 64 + 128]);
    expected.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 8, 55, 5, 1, 6, 15, 121, 249, 255]);
    expected.resize(300, 0);
    assert_eq!(Udp::new(ip.payload()).unwrap().payload(), expected);
}

#[test]
fn only_options_asked_for_are_in_the_answer() {
    let answer = answer(&["10.0.0.0/8"]);
    for (wanted, found) in [
        (&[][..], &[53, 54][..]),
        (&[1], &[53, 54, 1]),
        (&[15, 6], &[53, 54, 6, 15]),
        (&[121], &[53, 54, 121, 249]),
        (&[249, 252], &[53, 54, 121, 249]),
    ] {
        assert_eq!(codes(&answer.write(&asking(wanted))), found, "{wanted:?}");
    }
    let bare = Answer { routes: Vec::new(), dns: Vec::new(), domain: None, ..answer };
    assert_eq!(codes(&bare.write(&Inform::new(CLIENT, 1))), [53, 54, 1]);
}

#[test]
fn other_messages_are_no_inform() {
    let inform = |options: &[u8]| Inform::read(&inform_with(options));
    assert!(inform(&[53, 1, 8, 255]).is_ok());
    let wrong_type = Err(DecodeError::illegal("message type"));
    for message_type in (0..=255).filter(|n| *n != 8) {
        assert_eq!(inform(&[53, 1, message_type, 255]), wrong_type);
    }
    assert_eq!(inform(&[255]), wrong_type, "BOOTP");
    assert_eq!(inform(&[53, 1, 8, 53, 1, 8, 255]), wrong_type, "twice");
    for (at, byte, field) in [
        (28, 2, "op"),
        (30, 17, "hlen"),
        (28 + 236, 0, "magic cookie"),
        (21, 67, "UDP port"),
        (23, 68, "UDP port"),
        (9, 6, "protocol"),
        (6, 0x20, "fragment offset"),
        (7, 1, "fragment offset"),
    ] {
        let mut packet = inform_with(&[53, 1, 8, 255]);
        packet[at] = byte;
        assert_eq!(Inform::read(&repaired(packet)), Err(DecodeError::illegal(field)), "{at}");
    }
    let mut packet = inform_with(&[53, 1, 8, 255]);
    packet[28 + 12..28 + 16].fill(0);
    assert_eq!(Inform::read(&repaired(packet)), Err(DecodeError::illegal("ciaddr")));
}

#[test]
fn a_damaged_packet_is_refused_and_a_missing_udp_checksum_is_not() {
    let whole = Inform::new(CLIENT, 9).write();
    assert!(Inform::read(&repaired(whole.clone())).is_ok());
    for at in 0..whole.len() {
        let mut packet = whole.clone();
        packet[at] ^= 0x10;
        assert!(Inform::read(&packet).is_err(), "byte {at}");
    }
}

#[test]
fn every_prefix_is_refused() {
    let inform = Inform::new(CLIENT, 7);
    let question = inform.write();
    let reply = answer(&["10.0.0.0/8"]).write(&inform);
    for len in 0..question.len() {
        assert!(Inform::read(&question[..len]).is_err(), "{len} bytes");
    }
    for len in 0..reply.len() {
        assert!(Answer::read(&reply[..len], &inform).is_err(), "{len} bytes");
    }
    let options = [53, 1, 8, 55, 2, 121, 249, 255];
    for len in 0..options.len() {
        assert!(Inform::read(&inform_with(&options[..len])).is_err(), "{len} bytes of options");
    }
    let message = inform.message(BOOTREQUEST, Options::default()).write();
    for len in 0..=240 {
        assert!(Message::read(&message[..len]).is_err(), "{len} bytes of message");
    }
}

#[test]
fn padding_between_and_behind_options_is_skipped() {
    let packet = inform_with(&[0, 0, 53, 1, 8, 0, 61, 2, 1, 2, 255, 53, 1, 1]);
    assert_eq!(Inform::read(&packet).unwrap().address, CLIENT);
}

#[test]
fn more_options_than_the_bound_are_refused() {
    let mut options = vec![53, 1, 8];
    for _ in 1..DHCP_OPTIONS_MAX {
        options.extend([60, 1, 0]);
    }
    let end = |options: &[u8]| inform_with(&[options, &[255]].concat());
    assert!(Inform::read(&end(&options)).is_ok());
    options.extend([60, 0]);
    let too_many = DecodeError::new("options", Fault::TooMany);
    assert_eq!(Inform::read(&end(&options)), Err(too_many));
}

#[test]
fn more_routes_than_the_bound_are_neither_written_nor_read() {
    let inform = Inform::new(CLIENT, 7);
    let many: Vec<Ipv4Net> = (0..=ROUTES_MAX)
        .map(|n| Ipv4Net::from(Ipv4Addr::new(192, 0, 2, u8::try_from(n).unwrap())))
        .collect();
    let full = Answer {
        routes: many.clone(),
        domain: None,
        ntp: Vec::new(),
        search: Vec::new(),
        dns: vec![GATEWAY; 9],
        server: GATEWAY,
    };
    let packet = full.write(&inform);
    assert!(packet.len() <= 1280, "{} bytes", packet.len());
    let read = Answer::read(&packet, &inform).unwrap();
    assert_eq!(read.routes, many[..ROUTES_MAX], "an option in two parts");
    assert_eq!(read.dns.len(), NAME_SERVERS_MAX);
    let bytes = routes::write(many.iter(), GATEWAY);
    assert_eq!(routes::read(&bytes), Err(DecodeError::new("routes", Fault::TooMany)));
}

#[test]
fn more_name_servers_than_the_bound_are_refused() {
    let mut options = Options::default();
    options.append(code::NAME_SERVERS, &[9; 4 * NAME_SERVERS_MAX]);
    assert_eq!(read_name_servers(&options).map(|s| s.len()), Ok(NAME_SERVERS_MAX));
    options.append(code::NAME_SERVERS, &[9; 4]);
    let too_many = DecodeError::new("name servers", Fault::TooMany);
    assert_eq!(read_name_servers(&options), Err(too_many));
    let mut odd = Options::default();
    odd.append(code::NAME_SERVERS, &[9; 5]);
    assert_eq!(read_name_servers(&odd), Err(DecodeError::illegal("name servers")));
}

#[test]
fn routes_of_the_wrong_shape_are_refused_and_stray_bits_cleared() {
    assert!(routes::read(&[33, 10, 0, 0, 0, 0, 10, 64, 0, 1]).is_err());
    assert!(routes::read(&[255]).is_err());
    let bytes = [12, 10, 0xff, 10, 64, 0, 1];
    assert_eq!(routes::read(&bytes), Ok(vec![net("10.240.0.0/12")]));
    for len in 1..bytes.len() {
        assert!(routes::read(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let inform = Inform::new(CLIENT, 7);
    let packet = answer(&["10.0.0.0/8"]).write(&inform);
    assert_eq!(Answer::read(&packet, &inform), Ok(answer(&["10.0.0.0/8"])));
    let other = Inform::new(CLIENT, 8);
    assert_eq!(Answer::read(&packet, &other), Err(DecodeError::illegal("xid")));
    let elsewhere = Inform::new(GATEWAY, 7);
    assert_eq!(Answer::read(&packet, &elsewhere), Err(DecodeError::illegal("ciaddr")));
    let mut nak = packet.clone();
    nak[OPTIONS_AT + 2] = 6;
    assert_eq!(Answer::read(&repaired(nak), &inform), Err(DecodeError::illegal("message type")));
    let mut no_server = packet.clone();
    no_server[OPTIONS_AT + 3] = 60;
    let missing = DecodeError::new("server identifier", Fault::Truncated);
    assert_eq!(Answer::read(&repaired(no_server), &inform), Err(missing));
    let mut no_ciaddr = packet;
    no_ciaddr[28 + 12..28 + 16].fill(0);
    assert!(Answer::read(&repaired(no_ciaddr), &inform).is_ok());
}

#[test]
fn routes_under_either_number_are_taken_and_the_standard_one_is_preferred() {
    let inform = Inform::new(CLIENT, 7);
    let with = |codes: &[(u8, u8)]| {
        let mut options = Options::default();
        options.append(code::MESSAGE_TYPE, &[ACK]);
        options.append(code::SERVER, &GATEWAY.octets());
        for (code, net) in codes {
            options.append(*code, &[8, *net, 0, 0, 0, 0]);
        }
        let message = inform.message(BOOTREPLY, options).write();
        let (from, to) = (SocketAddrV4::new(GATEWAY, 67), SocketAddrV4::new(CLIENT, 68));
        Answer::read(&packet::write(from, to, &message), &inform).unwrap().routes
    };
    assert_eq!(with(&[]), []);
    assert_eq!(with(&[(249, 10)]), [net("10.0.0.0/8")]);
    assert_eq!(with(&[(249, 10), (121, 11)]), [net("11.0.0.0/8")]);
}

#[test]
fn only_udp_to_port_67_is_for_a_server() {
    let inform = Inform::new(CLIENT, 7);
    assert!(is_for_server(&inform.write()));
    assert!(!is_for_server(&answer(&[]).write(&inform)));
    assert!(!is_for_server(&inform.write()[..27]));
}

proptest! {
    #[test]
    fn a_written_answer_is_read_back(
        xid: u32,
        nets in prop::collection::vec((any::<[u8; 4]>(), 0..=32_u8), 0..=ROUTES_MAX),
        dns in prop::collection::vec(any::<[u8; 4]>(), 0..=NAME_SERVERS_MAX),
        domain in prop::option::of("[a-z0-9-]{1,63}(\\.[a-z0-9-]{1,60}){0,3}"),
    ) {
        let inform = Inform::new(CLIENT, xid);
        let answer = Answer {
            server: GATEWAY,
            routes: nets.iter().map(|(a, n)| Ipv4Net::new((*a).into(), *n).unwrap().trunc()).collect(),
            dns: dns.iter().map(|a| (*a).into()).collect(),
            domain: domain.map(|name| Domain::new(&name).unwrap()),
            ntp: Vec::new(),
        search: Vec::new(),
        };
        prop_assert_eq!(Answer::read(&answer.write(&inform), &inform), Ok(answer));
    }

    #[test]
    fn a_written_question_is_read_back(address in 1_u32.., xid: u32) {
        let inform = Inform::new(address.into(), xid);
        prop_assert_eq!(Inform::read(&inform.write()), Ok(inform));
    }

    #[test]
    fn options_of_any_bytes_do_not_panic(options in any::<Vec<u8>>(), reply: bool) {
        let packet = inform_with(&options);
        let inform = Inform::new(CLIENT, 0xcafe_babe);
        // What is read must at least be what was sent.
        if reply {
            prop_assert!(Answer::read(&packet, &inform).is_err(), "a question is no answer");
        } else if let Ok(read) = Inform::read(&packet) {
            prop_assert_eq!((read.address, read.xid), (CLIENT, 0xcafe_babe));
        }
    }
}
