//! Clamping: the MSS is never raised, nothing but it and the checksum changes, and a checksum that
//! was right stays right.
#![no_main]

use isthmus_wire::Checksum;
use isthmus_wire::ip::{Ip, Tcp, TcpOption, protocol};
use isthmus_wire::mss::{self, Clamped};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((mss, packet)) = input.split_first_chunk::<2>() else { return };
    let mss = u16::from_be_bytes(*mss);
    let mut packet = packet.to_vec();
    complete(&mut packet);
    let before = packet.clone();
    match mss::clamp(&mut packet, mss) {
        Clamped::Unchanged => {
            assert_eq!(packet, before);
            assert!(announced(&packet).is_none_or(|found| found <= mss));
        }
        Clamped::Lowered { from } => {
            assert!(from > mss);
            assert_eq!(announced(&before), Some(from));
            assert_eq!(announced(&packet), Some(mss));
            let changed = packet.iter().zip(&before).filter(|(new, old)| new != old).count();
            assert!(changed <= 4, "{changed} bytes changed");
            assert!(!is_right(&before) || is_right(&packet), "the checksum broke");
        }
    }
    assert_eq!(mss::clamp(&mut packet, mss), Clamped::Unchanged);
});

/// The TCP segment that is all of its packet, with where it starts.
fn segment(packet: &[u8]) -> Option<(usize, &[u8])> {
    let ip = Ip::new(packet).ok()?;
    let segment = match &ip {
        Ip::V4(ip) => {
            (ip.protocol() == protocol::TCP && ip.fragment_offset() == 0).then(|| ip.payload())?
        }
        Ip::V6(ip) => {
            let upper = ip.upper().ok()?;
            let first = upper.fragment.is_none_or(|fragment| fragment.offset == 0);
            (upper.protocol == protocol::TCP && first).then_some(upper.payload)?
        }
    };
    Some((ip.total_len() - segment.len(), segment))
}

fn announced(packet: &[u8]) -> Option<u16> {
    let tcp = Tcp::new(segment(packet)?.1).ok().filter(Tcp::is_syn)?;
    tcp.options().find_map(|(_, option)| match option {
        TcpOption::MaximumSegmentSize(mss) => Some(mss),
        TcpOption::Other { .. } => None,
    })
}

fn sum(packet: &[u8]) -> Option<Checksum> {
    let (_, segment) = segment(packet)?;
    let pseudo = match Ip::new(packet).ok()? {
        Ip::V4(ip) => {
            let len = u16::try_from(segment.len()).ok()?;
            Checksum::new().pseudo_v4(ip.source(), ip.destination(), protocol::TCP, len)
        }
        Ip::V6(ip) => {
            let len = u32::try_from(segment.len()).ok()?;
            Checksum::new().pseudo_v6(ip.source(), ip.destination(), protocol::TCP, len)
        }
    };
    Some(pseudo.bytes(segment))
}

fn is_right(packet: &[u8]) -> bool {
    sum(packet).is_some_and(Checksum::is_valid)
}

/// Makes the TCP checksum right: chance would not find one.
fn complete(packet: &mut [u8]) {
    let Some((at, _)) = segment(packet).filter(|(_, segment)| segment.len() >= Tcp::HEADER_LEN)
    else {
        return;
    };
    packet[at + 16..at + 18].fill(0);
    let Some(sum) = sum(packet) else { return };
    packet[at + 16..at + 18].copy_from_slice(&sum.finish().to_be_bytes());
}
