//! Joining: every packet stands in exactly one run, in order, and a joined run holds what its header
//! says: one size, consecutive sequence numbers, right checksums.
#![no_main]

use isthmus_fuzz::{Step, steps};
use isthmus_wire::Checksum;
use isthmus_wire::coalesce::{Coalescer, Kind, Long, Run, SEGMENTS_MAX};
use isthmus_wire::ip::{Ip, protocol};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut sequences = [0_u32; 4];
    let packets: Vec<_> = steps(input).map(|step| packet(&step, &mut sequences)).collect();
    for udp in [false, true] {
        let mut coalescer = Coalescer::new(udp);
        let packet = |index: usize| packets[index].as_slice();
        coalescer.plan(packets.len(), packet);
        let mut seen = vec![false; packets.len()];
        for run in coalescer.runs() {
            let members: Vec<_> = coalescer.members(run).collect();
            assert!(members.is_sorted() && members.len() == run.count());
            for &index in &members {
                assert!(!std::mem::replace(&mut seen[index], true), "packet {index} twice");
            }
            check(run, run.long(packet), &members.iter().map(|&at| packet(at)).collect::<Vec<_>>());
        }
        assert!(seen.iter().all(|seen| *seen));
    }
});

fn check(run: &Run, long: Option<Long>, members: &[&[u8]]) {
    let Some(long) = long else { return assert_eq!(run.count(), 1) };
    assert!((2..=SEGMENTS_MAX).contains(&members.len()));
    let header_len = usize::from(long.header_len);
    let payload: usize = members.iter().map(|packet| packet.len() - header_len).sum();
    let whole = [long.header(), &vec![0; payload]].concat();
    assert_eq!(Ip::new(&whole).unwrap().total_len(), header_len + payload);
    let at = usize::from(long.checksum_start);
    let sequence = |packet: &[u8]| u32::from_be_bytes(*packet[at + 4..].first_chunk().unwrap());
    let mut expected = sequence(members[0]);
    for (number, packet) in members.iter().enumerate() {
        let len = packet.len() - header_len;
        let last = number + 1 == members.len();
        assert!(len == usize::from(long.segment_len) || (last && len < long.segment_len.into()));
        assert!(sum(packet).unwrap().is_valid());
        if long.kind != Kind::Udp {
            assert_eq!(sequence(packet), expected);
            expected = expected.wrapping_add(u32::try_from(len).unwrap());
        }
    }
}

/// A packet of one of four flows that continues it, or any bytes.
fn packet(step: &Step<'_>, sequences: &mut [u32; 4]) -> Vec<u8> {
    if step.op & 0x80 != 0 {
        return step.bytes.to_vec();
    }
    let (udp, v6, flow) = (step.op & 1 != 0, step.op & 2 != 0, usize::from(step.op >> 2 & 3));
    let mut transport = vec![0, step.op >> 2 & 3, 0, 9];
    if udp {
        transport.extend_from_slice(&u16::try_from(8 + step.bytes.len()).unwrap().to_be_bytes());
        transport.extend_from_slice(&[0, 0]);
    } else {
        transport.extend_from_slice(&sequences[flow].to_be_bytes());
        let flags = if step.op & 0x40 != 0 { step.bytes.len().to_le_bytes()[0] } else { 0x10 };
        transport.extend_from_slice(&[0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    }
    sequences[flow] = sequences[flow].wrapping_add(u32::try_from(step.bytes.len()).unwrap());
    transport.extend_from_slice(step.bytes);
    let mut packet = around(v6, if udp { protocol::UDP } else { protocol::TCP }, &transport);
    let sum_at = if v6 { 40 } else { 20 } + if udp { 6 } else { 16 };
    if let Some(sum) = sum(&packet).filter(|_| step.op & 0x20 == 0) {
        packet[sum_at..sum_at + 2].copy_from_slice(&sum.finish_udp().to_be_bytes());
    }
    packet
}

/// The IP header in front.
fn around(v6: bool, number: u8, transport: &[u8]) -> Vec<u8> {
    let len = u16::try_from(transport.len()).unwrap();
    let mut packet = if v6 {
        let mut header = vec![0x60, 0, 0, 0, 0, 0, number, 64];
        header[4..6].copy_from_slice(&len.to_be_bytes());
        header.extend_from_slice(&[7; 32]);
        header
    } else {
        let mut header =
            vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, number, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        header[2..4].copy_from_slice(&(len + 20).to_be_bytes());
        let sum = isthmus_wire::checksum::checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    };
    packet.extend_from_slice(transport);
    packet
}

/// The sum that the transport checksum makes whole.
fn sum(packet: &[u8]) -> Option<Checksum> {
    match Ip::new(packet).ok()? {
        Ip::V4(ip) => {
            let len = u16::try_from(ip.payload().len()).ok()?;
            let sum = Checksum::new().pseudo_v4(ip.source(), ip.destination(), ip.protocol(), len);
            Some(sum.bytes(ip.payload()))
        }
        Ip::V6(ip) => {
            let len = u32::try_from(ip.payload().len()).ok()?;
            let number = ip.next_header();
            let sum = Checksum::new().pseudo_v6(ip.source(), ip.destination(), number, len);
            Some(sum.bytes(ip.payload()))
        }
    }
}
