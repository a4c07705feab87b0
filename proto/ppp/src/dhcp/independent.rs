//! Answers as another implementation of DHCP reads them, and its questions as we read them.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use dhcproto::v4::{self, DhcpOption, MessageType, OptionCode};
use dhcproto::{Decodable, Encodable};
use isthmus_wire::ip::{Ipv4, Udp};
use proptest::prelude::*;

use super::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 7);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
const XID: u32 = 0xcafe_babe;

/// A DHCPINFORM as the other implementation writes it.
fn question(wanted: &[u8]) -> Vec<u8> {
    let mut message = v4::Message::new_with_id(
        XID,
        CLIENT,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::UNSPECIFIED,
        &[2, 0, 0, 0, 0, 7],
    );
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(MessageType::Inform));
    options.insert(DhcpOption::ClientIdentifier(vec![1, 2, 0, 0, 0, 0, 7]));
    options.insert(DhcpOption::Hostname("laptop".to_string()));
    let wanted = wanted.iter().copied().map(OptionCode::from).collect();
    options.insert(DhcpOption::ParameterRequestList(wanted));
    packet::write(
        SocketAddrV4::new(CLIENT, 68),
        SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
        &message.to_vec().unwrap(),
    )
}

/// What the other implementation finds in the answer to that question.
fn read(answer: &Answer, wanted: &[u8]) -> v4::Message {
    let packet = answer.write(&Inform::read(&question(wanted)).unwrap());
    let ip = Ipv4::new(&packet).unwrap();
    let payload = Udp::new(ip.payload()).unwrap().payload();
    v4::Message::decode(&mut dhcproto::Decoder::new(payload)).unwrap()
}

fn answer() -> Answer {
    Answer {
        server: GATEWAY,
        routes: ["10.17.0.0/16", "0.0.0.0/0", "192.0.2.7/32"].map(|r| r.parse().unwrap()).into(),
        dns: vec![[10, 64, 0, 53].into(), [10, 64, 0, 54].into()],
        ntp: vec![[10, 64, 0, 123].into(), [192, 0, 2, 123].into()],
        domain: Domain::new("corp.example"),
        search: ["corp.example", "lab.example"].into_iter().filter_map(Domain::new).collect(),
    }
}

/// Routes as (destination, width, router).
fn routes(message: &v4::Message, code: u8) -> Vec<(Ipv4Addr, u8, Ipv4Addr)> {
    match message.opts().get(OptionCode::from(code)) {
        Some(DhcpOption::ClasslessStaticRoute(routes)) => {
            routes.iter().map(|(net, via)| (net.addr(), net.prefix_len(), *via)).collect()
        }
        // Microsoft's number: the other implementation knows the form only under the standard one.
        Some(DhcpOption::Unknown(option)) => {
            let mut bytes = vec![121, u8::try_from(option.data().len()).unwrap()];
            bytes.extend(option.data());
            bytes.push(255);
            let options = v4::DhcpOptions::decode(&mut dhcproto::Decoder::new(&bytes)).unwrap();
            let mut message = v4::Message::default();
            message.set_opts(options);
            routes(&message, 121)
        }
        None => Vec::new(),
        Some(other) => panic!("{other:?}"),
    }
}

fn expected(answer: &Answer) -> Vec<(Ipv4Addr, u8, Ipv4Addr)> {
    answer.routes.iter().map(|net| (net.addr(), net.prefix_len(), GATEWAY)).collect()
}

fn search(message: &v4::Message) -> Vec<alloc::string::String> {
    match message.opts().get(OptionCode::DomainSearch) {
        Some(DhcpOption::DomainSearch(names)) => {
            names.iter().map(|name| name.to_string().trim_end_matches('.').into()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_implementation_reads_every_option_of_an_answer() {
    // What Windows asks for, and what Apple asks for with 119 and 121 added.
    for wanted in [&[6, 44, 43, 1, 249, 15, 42, 119][..], &[1, 121, 3, 6, 15, 42, 119, 252, 249]] {
        let answer = answer();
        let message = read(&answer, wanted);
        assert_eq!(message.opcode(), v4::Opcode::BootReply);
        assert_eq!((message.xid(), message.ciaddr()), (XID, CLIENT));
        assert!(message.yiaddr().is_unspecified() && message.siaddr().is_unspecified());
        assert_eq!(message.chaddr(), [2, 0, 0, 0, 0, 7]);
        let option = |code| message.opts().get(code).cloned();
        assert_eq!(
            option(OptionCode::MessageType),
            Some(DhcpOption::MessageType(MessageType::Ack))
        );
        assert_eq!(
            option(OptionCode::ServerIdentifier),
            Some(DhcpOption::ServerIdentifier(GATEWAY))
        );
        assert_eq!(
            option(OptionCode::SubnetMask),
            Some(DhcpOption::SubnetMask(Ipv4Addr::BROADCAST))
        );
        assert_eq!(
            option(OptionCode::DomainNameServer),
            Some(DhcpOption::DomainNameServer(answer.dns.clone()))
        );
        assert_eq!(
            option(OptionCode::NtpServers),
            Some(DhcpOption::NtpServers(answer.ntp.clone()))
        );
        assert_eq!(
            option(OptionCode::DomainName),
            Some(DhcpOption::DomainName("corp.example".to_string()))
        );
        assert_eq!(search(&message), ["corp.example", "lab.example"]);
        assert_eq!(routes(&message, 121), expected(&answer));
        assert_eq!(routes(&message, 249), expected(&answer));
    }
}

#[test]
fn more_time_servers_than_the_bound_are_not_written_and_nobody_is_told_unasked() {
    let many: Vec<Ipv4Addr> = (0..=4).map(|n| [10, 64, 0, n].into()).collect();
    let answer = Answer { ntp: many.clone(), ..answer() };
    let told = DhcpOption::NtpServers(many[..TIME_SERVERS_MAX].to_vec());
    assert_eq!(read(&answer, &[42]).opts().get(OptionCode::NtpServers), Some(&told));
    assert_eq!(read(&answer, &[6]).opts().get(OptionCode::NtpServers), None);
}

#[test]
fn more_domains_than_the_bound_are_not_written() {
    let many = (0..=SEARCH_MAX).map(|n| Domain::new(&alloc::format!("d{n}.example")).unwrap());
    let answer = Answer { search: many.collect(), ..answer() };
    let found = search(&read(&answer, &[119]));
    assert_eq!(found.len(), SEARCH_MAX);
    assert_eq!(found[SEARCH_MAX - 1], "d7.example");
}

proptest! {
    #[test]
    fn another_implementation_reads_what_was_told(
        nets in prop::collection::vec((any::<[u8; 4]>(), 0..=32_u8), 1..=27),
        dns in prop::collection::vec(any::<[u8; 4]>(), 1..=NAME_SERVERS_MAX),
        ntp in prop::collection::vec(any::<[u8; 4]>(), 1..=TIME_SERVERS_MAX),
        names in prop::collection::vec("[a-z0-9]{1,20}(\\.[a-wyz][a-z0-9]{0,8}(-[a-z0-9])?){0,2}", 1..=6),
    ) {
        let answer = Answer {
            server: GATEWAY,
            routes: nets
                .iter()
                .map(|(a, n)| Ipv4Net::new((*a).into(), *n).unwrap().trunc())
                .collect(),
            dns: dns.iter().map(|a| (*a).into()).collect(),
            ntp: ntp.iter().map(|a| (*a).into()).collect(),
            domain: Domain::new(&names[0]),
            search: names.iter().filter_map(|name| Domain::new(name)).collect(),
        };
        let message = read(&answer, &[6, 15, 42, 119, 121]);
        prop_assert_eq!(routes(&message, 121), expected(&answer));
        prop_assert_eq!(routes(&message, 249), expected(&answer));
        prop_assert_eq!(search(&message), names.clone());
        prop_assert_eq!(
            message.opts().get(OptionCode::DomainNameServer),
            Some(&DhcpOption::DomainNameServer(answer.dns))
        );
        prop_assert_eq!(
            message.opts().get(OptionCode::NtpServers),
            Some(&DhcpOption::NtpServers(answer.ntp))
        );
        prop_assert_eq!(
            message.opts().get(OptionCode::DomainName),
            Some(&DhcpOption::DomainName(names[0].clone()))
        );
    }
}
