//! What is joined, and that the kernel's cutting gives back what was joined.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::checksum::checksum;

/// A packet of some flow.
#[derive(Clone, Debug)]
struct Spec {
    v6: bool,
    udp: bool,
    port: u8,
    id: u16,
    sequence: u32,
    flags: u8,
    payload: Vec<u8>,
}

const ACK: u8 = 0x10;
const PSH: u8 = 0x08;

impl Spec {
    fn tcp(sequence: u32, len: usize) -> Self {
        let payload = (0..len).map(|at| (sequence as usize + at).to_le_bytes()[0]).collect();
        Self { v6: false, udp: false, port: 1, id: 0, sequence, flags: ACK, payload }
    }

    fn udp(id: u16, len: usize) -> Self {
        Self { udp: true, id, ..Self::tcp(u32::from(id), len) }
    }

    fn transport(&self) -> Vec<u8> {
        let mut bytes = vec![0x12, self.port, 0x34, 0x56];
        if self.udp {
            bytes.extend_from_slice(&u16::try_from(8 + self.payload.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(&[0, 0]);
        } else {
            bytes.extend_from_slice(&self.sequence.to_be_bytes());
            bytes.extend_from_slice(&[0, 0, 0, 9, 0x80, self.flags, 0x10, 0, 0, 0, 0, 0]);
            // A timestamp option, as every stack sends it.
            bytes.extend_from_slice(&[1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 8]);
        }
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    fn packet(&self) -> Vec<u8> {
        let transport = self.transport();
        let number = if self.udp { 17 } else { 6 };
        let len = u16::try_from(transport.len()).unwrap();
        let at = if self.v6 { 40 } else { 20 };
        let mut packet = if self.v6 {
            crate::fixture::ipv6(number, &transport)
        } else {
            let mut packet = vec![0x45, 0];
            packet.extend_from_slice(&(len + 20).to_be_bytes());
            packet.extend_from_slice(&self.id.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 64, number, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7]);
            let sum = checksum(&packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            packet.extend_from_slice(&transport);
            packet
        };
        let sum = segment::pseudo_header(&packet, at, transport.len()).unwrap().bytes(&transport);
        let sum_at = at + if self.udp { 6 } else { 16 };
        packet[sum_at..sum_at + 2].copy_from_slice(&sum.finish_udp().to_be_bytes());
        packet
    }
}

/// The long packets, whole, as the kernel gets them, with what it is told about each.
fn write(coalescer: &mut Coalescer, packets: &[Vec<u8>]) -> Vec<(Vec<u8>, Option<Long>)> {
    let packet = |index: usize| packets[index].as_slice();
    coalescer.plan(packets.len(), packet);
    let join = |run: &Run| match run.long(packet) {
        None => {
            assert_eq!(run.count(), 1);
            (packets[run.first()].clone(), None)
        }
        Some(long) => {
            let mut bytes = long.header().to_vec();
            for index in coalescer.members(run) {
                bytes.extend_from_slice(&packets[index][usize::from(long.header_len)..]);
            }
            (bytes, Some(long))
        }
    };
    coalescer.runs().iter().map(join).collect()
}

/// Cuts a long packet as the kernel does (`tcp_gso_segment`, `__udp_gso_segment`).
fn cut(bytes: &[u8], long: &Long) -> Vec<Vec<u8>> {
    let (header, payload) = bytes.split_at(long.header_len.into());
    let at = usize::from(long.checksum_start);
    let pieces: Vec<_> = payload.chunks(long.segment_len.into()).collect();
    let mut out = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let mut packet = [header, *piece].concat();
        let transport_len = u16::try_from(packet.len() - at).unwrap();
        if at == 20 {
            packet[2..4].copy_from_slice(&(transport_len + 20).to_be_bytes());
            let id = u16::from_be_bytes([packet[4], packet[5]]) + u16::try_from(number).unwrap();
            packet[4..6].copy_from_slice(&id.to_be_bytes());
            packet[10..12].fill(0);
            let sum = checksum(&packet[..20]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            packet[4..6].copy_from_slice(&transport_len.to_be_bytes());
        }
        if long.kind == Kind::Udp {
            packet[at + 4..at + 6].copy_from_slice(&transport_len.to_be_bytes());
        } else {
            let sent = u32::try_from(number * usize::from(long.segment_len)).unwrap();
            let first = u32::from_be_bytes(*packet[at + 4..].first_chunk().unwrap());
            packet[at + 4..at + 8].copy_from_slice(&first.wrapping_add(sent).to_be_bytes());
            if number + 1 < pieces.len() {
                packet[at + 13] &= !PSH;
            }
        }
        let sum_at = at + usize::from(long.checksum_offset);
        packet[sum_at..sum_at + 2].fill(0);
        let sum = segment::pseudo_header(&packet, at, transport_len.into()).unwrap();
        let sum = sum.bytes(&packet[at..]).finish_udp();
        packet[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
        out.push(packet);
    }
    out
}

/// How many packets each run has.
fn sizes(packets: &[Spec]) -> Vec<usize> {
    let packets: Vec<_> = packets.iter().map(Spec::packet).collect();
    let mut coalescer = Coalescer::new(true);
    write(&mut coalescer, &packets);
    coalescer.runs().iter().map(Run::count).collect()
}

fn tcp_run(count: u16, len: u16) -> Vec<Spec> {
    let number = |n| Spec { id: n, ..Spec::tcp(u32::from(n * len), len.into()) };
    (0..count).map(number).collect()
}

#[test]
fn consecutive_segments_make_one_packet_with_the_sum_of_the_pseudo_header() {
    let packets: Vec<_> = tcp_run(3, 100).iter().map(Spec::packet).collect();
    let [(bytes, Some(long))] = &write(&mut Coalescer::new(false), &packets)[..] else {
        panic!("not one long packet");
    };
    assert_eq!((long.kind, long.segment_len, long.header_len), (Kind::TcpV4, 100, 52));
    assert_eq!((long.checksum_start, long.checksum_offset), (20, 16));
    assert_eq!(bytes.len(), 352);
    assert_eq!(bytes[2..4], 352_u16.to_be_bytes());
    assert_eq!(checksum(&bytes[..20]), 0);
    // 192.0 + 2.1 + 198.51 + 100.7 + protocol 6 + length 332, folded (RFC 9293 §3.1).
    let sum: u32 = 0xc000 + 0x0201 + 0xc633 + 0x6407 + 6 + 332;
    assert_eq!(u32::from(u16::from_be_bytes([bytes[36], bytes[37]])), (sum & 0xffff) + (sum >> 16));
}

#[test]
fn a_gap_a_shorter_segment_and_a_push_end_a_run() {
    let mut gap = tcp_run(4, 100);
    gap[2].sequence += 1;
    gap[3].sequence += 1;
    assert_eq!(sizes(&gap), [2, 2]);
    let mut short = tcp_run(3, 100);
    short[1] = Spec { id: 1, ..Spec::tcp(100, 40) };
    short[2] = Spec { id: 2, ..Spec::tcp(140, 100) };
    assert_eq!(sizes(&short), [2, 1]);
    let mut push = tcp_run(4, 100);
    push[1].flags |= PSH;
    assert_eq!(sizes(&push), [2, 2]);
    let mut longer = tcp_run(2, 100);
    longer[1].payload.push(0);
    assert_eq!(sizes(&longer), [1, 1]);
}

#[test]
fn what_differs_in_its_header_is_not_joined() {
    let changes: [fn(&mut Vec<u8>); 6] = [
        |packet| packet[1] = 4,
        |packet| packet[8] = 63,
        |packet| packet[20 + 11] ^= 1,
        |packet| packet[20 + 13] = 0x11,
        |packet| packet[20 + 15] ^= 1,
        |packet| packet[20 + 30] ^= 1,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut packets: Vec<_> = tcp_run(2, 100).iter().map(Spec::packet).collect();
        change(&mut packets[1]);
        packets[1][10..12].fill(0);
        let sum = checksum(&packets[1][..20]);
        packets[1][10..12].copy_from_slice(&sum.to_be_bytes());
        packets[1][36..38].fill(0);
        let sum = segment::pseudo_header(&packets[1], 20, 132).unwrap().bytes(&packets[1][20..]);
        packets[1][36..38].copy_from_slice(&sum.finish().to_be_bytes());
        assert!(segment::checksum_is_valid(&packets[1], 20));
        let mut coalescer = Coalescer::new(true);
        assert_eq!(write(&mut coalescer, &packets).len(), 2, "change {number}");
    }
}

#[test]
fn a_wrong_checksum_is_passed_on_and_not_mended() {
    for bad in 0..3 {
        let mut packets: Vec<_> = tcp_run(3, 100).iter().map(Spec::packet).collect();
        *packets[bad].last_mut().unwrap() ^= 1;
        let written = write(&mut Coalescer::new(true), &packets);
        assert!(written.iter().any(|(bytes, long)| *bytes == packets[bad] && long.is_none()));
    }
}

#[test]
fn datagrams_are_joined_only_where_the_kernel_can_cut_them() {
    let packets: Vec<_> = (0..3).map(|n| Spec::udp(n, 200).packet()).collect();
    assert_eq!(write(&mut Coalescer::new(true), &packets).len(), 1);
    assert_eq!(write(&mut Coalescer::new(false), &packets).len(), 3);
    let mut unsummed = packets;
    for packet in &mut unsummed {
        packet[26..28].fill(0);
    }
    assert_eq!(write(&mut Coalescer::new(true), &unsummed).len(), 3);
}

#[test]
fn a_run_ends_at_each_bound() {
    let full = u16::try_from(SEGMENTS_MAX).unwrap();
    assert_eq!(sizes(&tcp_run(full + 1, 100)), [SEGMENTS_MAX, 1]);
    // 52 bytes of header and 46 times 1400 make 64452; one more would not fit the length field.
    assert_eq!(sizes(&tcp_run(46, 1400)), [46]);
    let long: Vec<_> =
        (0..47).map(|n| Spec { id: n, ..Spec::tcp(u32::from(n) * 1400, 1400) }).collect();
    assert_eq!(sizes(&long), [46, 1]);
}

#[test]
fn flows_that_alternate_are_told_apart_up_to_the_bound() {
    let alternating = |flows: u8| {
        let of = move |n| {
            (0..flows).map(move |port| Spec { port, id: n, ..Spec::tcp(u32::from(n) * 10, 10) })
        };
        sizes(&(0..2).flat_map(of).collect::<Vec<_>>())
    };
    let most = u8::try_from(OPEN_MAX).unwrap();
    assert_eq!(alternating(most), vec![2; OPEN_MAX]);
    assert_eq!(alternating(most + 1), vec![1; 2 * (OPEN_MAX + 1)]);
}

#[test]
fn nothing_overtakes_what_cannot_be_read() {
    let mut packets: Vec<_> = tcp_run(3, 100).iter().map(Spec::packet).collect();
    packets.insert(1, vec![0x45, 1, 2, 3]);
    let written = write(&mut Coalescer::new(true), &packets);
    let counts: Vec<_> = written.iter().map(|(bytes, _)| bytes.len()).collect();
    assert_eq!(counts, [152, 4, 252]);
}

/// A few flows that mostly go on as they should, and sometimes do not.
fn traffic() -> impl Strategy<Value = Vec<Spec>> {
    let step = (0u8..3, any::<bool>(), any::<bool>(), 0u8..20, 1usize..4);
    prop::collection::vec(step, 0..60).prop_map(|steps| {
        let mut at = [[0u32; 3]; 4];
        let mut ids = [[0u16; 3]; 4];
        let mut out = Vec::new();
        for (port, v6, udp, oddity, blocks) in steps {
            let flow = usize::from(v6) * 2 + usize::from(udp);
            let (next, id) = (&mut at[flow][usize::from(port)], &mut ids[flow][usize::from(port)]);
            let len = if oddity == 0 { 37 } else { 50 * blocks.min(2) };
            *next += u32::from(oddity == 1);
            let flags = [ACK, ACK | PSH][usize::from(oddity == 2)] | u8::from(oddity == 3);
            let payload = (0..len).map(|n| (*next as usize + n * 7).to_le_bytes()[0]).collect();
            out.push(Spec { v6, udp, port, id: *id, sequence: *next, flags, payload });
            *next += u32::try_from(len).unwrap();
            *id += 1;
        }
        out
    })
}

proptest! {
    #[test]
    fn cutting_gives_back_every_packet_and_the_order_of_each_flow(specs in traffic(), udp: bool) {
        let packets: Vec<_> = specs.iter().map(Spec::packet).collect();
        let written = write(&mut Coalescer::new(udp), &packets);
        let back: Vec<Vec<u8>> = written.iter().flat_map(|(bytes, long)| match long {
            Some(long) => cut(bytes, long),
            None => vec![bytes.clone()],
        }).collect();
        let of = |all: &[Vec<u8>], like: &Spec| -> Vec<Vec<u8>> {
            let flow = |packet: &[u8]| {
                let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
                (at, packet[if at == 20 { 9 } else { 6 }], packet[at + 1])
            };
            let wanted = flow(&like.packet());
            all.iter().filter(|packet| flow(packet) == wanted).cloned().collect()
        };
        prop_assert_eq!(back.len(), packets.len());
        for spec in &specs {
            prop_assert_eq!(of(&back, spec), of(&packets, spec));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..8),
        version in prop::sample::select(&[0x45u8, 0x46, 0x60]),
    ) {
        let mut packets = packets;
        for packet in &mut packets {
            if let Some(first) = packet.first_mut() {
                *first = version;
            }
        }
        let written = write(&mut Coalescer::new(true), &packets);
        let members: usize = written.iter().map(|(bytes, _)| usize::from(!bytes.is_empty())).sum();
        prop_assert!(members <= packets.len());
    }
}
