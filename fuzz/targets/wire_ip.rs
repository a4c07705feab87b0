//! The views of IP, UDP, TCP and ICMP: what they show lies inside the packet and adds up to it.
#![no_main]

use isthmus_wire::ip::{EXTENSION_HEADERS_MAX, Icmp, Ip, Ipv4, Ipv6, Tcp, TcpOption, Udp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match Ip::new(input) {
        Ok(Ip::V4(ip)) => v4(input, &ip),
        Ok(Ip::V6(ip)) => v6(input, &ip),
        Err(_) => {
            // What is no packet does not become one by being shorter.
            let shorter = input.split_last().map_or(input, |(_, rest)| rest);
            assert!(Ip::new(shorter).is_err());
        }
    }
    upper(input);
});

fn v4(input: &[u8], ip: &Ipv4<'_>) {
    let packet = &input[..ip.total_len()];
    assert_eq!(ip.header_len() + ip.payload().len(), packet.len());
    assert_eq!([ip.fixed_header(), ip.options_bytes(), ip.payload()].concat(), packet);
    let options: Vec<u8> = ip.options().flat_map(|option| option.bytes.to_vec()).collect();
    assert!(ip.options_bytes().starts_with(&options));
    let sum = isthmus_wire::checksum::checksum(&packet[..ip.header_len()]);
    assert_eq!(ip.checksum_is_valid(), sum == 0);
    // A packet needs all of its bytes, and no more.
    assert!(Ipv4::new(packet).is_ok() && Ipv4::new(&packet[..packet.len() - 1]).is_err());
    upper(ip.payload());
}

fn v6(input: &[u8], ip: &Ipv6<'_>) {
    let packet = &input[..ip.total_len()];
    assert_eq!(&packet[8..24], ip.source().octets());
    assert_eq!(&packet[24..40], ip.destination().octets());
    assert!(Ipv6::new(packet).is_ok() && Ipv6::new(&packet[..packet.len() - 1]).is_err());
    if let Ok(found) = ip.upper() {
        assert!(packet.ends_with(found.payload));
        let walked = ip.payload().len() - found.payload.len();
        // The longest header takes 255 units of eight bytes and one more.
        assert!(walked <= EXTENSION_HEADERS_MAX * 256 * 8);
        assert!(walked > 0 || found.protocol == ip.next_header());
        upper(found.payload);
    }
}

fn upper(bytes: &[u8]) {
    if let Ok(udp) = Udp::new(bytes) {
        let (from, to) = (udp.source_port(), udp.destination_port());
        let header = Udp::header(from, to, udp.payload().len(), udp.checksum()).unwrap();
        assert!(bytes.starts_with(&[&header, udp.payload()].concat()));
    }
    if let Ok(icmp) = Icmp::new(bytes) {
        assert_eq!(icmp.body(), &bytes[Icmp::HEADER_LEN..]);
    }
    if let Ok(tcp) = Tcp::new(bytes) {
        assert!(bytes.ends_with(tcp.payload()));
        let header_len = bytes.len() - tcp.payload().len();
        let mut end = Tcp::HEADER_LEN;
        for (at, option) in tcp.options() {
            let len = match option {
                TcpOption::MaximumSegmentSize(mss) => {
                    assert_eq!(bytes[at + 2..at + 4], mss.to_be_bytes());
                    4
                }
                TcpOption::Other { data, .. } => data.len() + 2,
            };
            assert!(at >= end && at + len <= header_len, "options overlap or leave the header");
            end = at + len;
        }
    }
}
