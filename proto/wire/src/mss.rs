//! Lowering the Maximum Segment Size that TCP ends announce (RFC 9293 §3.7.1), so that their segments
//! fit a tunnel even where nobody answers "too big".

use crate::checksum;
use crate::ip::{Ip, Tcp, TcpOption, protocol};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clamped {
    /// The announced size was larger and was lowered.
    Lowered {
        /// What it was.
        from: u16,
    },
    /// Nothing to lower: no SYN, no such option, a size small enough, or not TCP at all.
    Unchanged,
}

/// Lowers the MSS option of a SYN in an IPv4 or IPv6 packet to at most `mss` and corrects the TCP
/// checksum, which must be complete (not left to hardware).
///
/// An option that is absent is not added: an end that announces nothing gets 536 or 1220 bytes.
pub fn clamp(packet: &mut [u8], mss: u16) -> Clamped {
    let Some(found) = find(packet).filter(|found| found.value > mss) else {
        return Clamped::Unchanged;
    };
    // A value at an odd place of the segment straddles two words of the sum, which swaps its bytes.
    let aligned = |value: u16| if found.odd { value.swap_bytes() } else { value };
    let sum = checksum::update(found.checksum, aligned(found.value), aligned(mss));
    put(packet, found.value_at, mss);
    put(packet, found.checksum_at, sum);
    Clamped::Lowered { from: found.value }
}

/// The MSS to announce for packets of at most `mtu` bytes that have no IP or TCP options.
pub const fn for_mtu_v4(mtu: u16) -> u16 {
    mtu.saturating_sub(40)
}

/// The same for IPv6.
pub const fn for_mtu_v6(mtu: u16) -> u16 {
    mtu.saturating_sub(60)
}

/// Where an MSS option stands.
struct Found {
    value: u16,
    value_at: usize,
    checksum: u16,
    checksum_at: usize,
    /// Whether the value stands at an odd distance from the start of the segment.
    odd: bool,
}

fn find(packet: &[u8]) -> Option<Found> {
    let ip = Ip::new(packet).ok()?;
    let segment = match &ip {
        Ip::V4(ip) if ip.protocol() == protocol::TCP && ip.fragment_offset() == 0 => ip.payload(),
        Ip::V4(_) => return None,
        Ip::V6(ip) => {
            let upper = ip.upper().ok()?;
            let first = upper.fragment.is_none_or(|fragment| fragment.offset == 0);
            (upper.protocol == protocol::TCP && first).then_some(upper.payload)?
        }
    };
    let tcp = Tcp::new(segment).ok().filter(Tcp::is_syn)?;
    let (at, value) = tcp.options().find_map(|(at, option)| match option {
        TcpOption::MaximumSegmentSize(value) => Some((at, value)),
        TcpOption::Other { .. } => None,
    })?;
    // The segment reaches to the end of the packet, so this is where it starts.
    let start = ip.total_len() - segment.len();
    Some(Found {
        value,
        value_at: start + at + 2,
        checksum: tcp.checksum(),
        checksum_at: start + CHECKSUM_AT,
        odd: at % 2 == 1,
    })
}

fn put(packet: &mut [u8], at: usize, value: u16) {
    if let Some(field) = packet.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *field = value.to_be_bytes();
    }
}

/// Where the checksum stands in a TCP header.
const CHECKSUM_AT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use proptest::prelude::*;

    fn mss_of(packet: &[u8]) -> Option<u16> {
        find(packet).map(|found| found.value)
    }

    #[test]
    fn a_large_mss_is_lowered_and_the_checksum_stays_right() {
        for options in [&[2, 4, 0x05, 0xb4][..], &[1, 2, 4, 0x05, 0xb4, 4, 2, 0]] {
            for mut packet in [fixture::tcp_v4(options), fixture::tcp_v6(options)] {
                assert!(fixture::tcp_checksum_is_valid(&packet));
                assert_eq!(clamp(&mut packet, 1240), Clamped::Lowered { from: 1460 });
                assert_eq!(mss_of(&packet), Some(1240));
                assert!(fixture::tcp_checksum_is_valid(&packet));
                assert_eq!(clamp(&mut packet, 1240), Clamped::Unchanged);
            }
        }
    }

    #[test]
    fn an_absent_option_is_not_added() {
        let mut packet = fixture::tcp_v4(&[]);
        let before = packet.clone();
        assert_eq!(clamp(&mut packet, 100), Clamped::Unchanged);
        assert_eq!(packet, before);
    }

    #[test]
    fn what_is_no_syn_is_left_alone() {
        let mut data = fixture::tcp_v4(&[2, 4, 0x05, 0xb4]);
        data[33] = 0x10;
        assert_eq!(clamp(&mut data, 100), Clamped::Unchanged);
        let mut later_fragment = fixture::tcp_v4(&[2, 4, 0x05, 0xb4]);
        later_fragment[7] = 1;
        assert_eq!(clamp(&mut later_fragment, 100), Clamped::Unchanged);
        let inside =
            [&[6, 0, 0, 8, 0, 0, 0, 1][..], &fixture::tcp_syn(&[2, 4, 0x05, 0xb4])].concat();
        let mut later_fragment = fixture::ipv6(44, &inside);
        assert_eq!(clamp(&mut later_fragment, 100), Clamped::Unchanged);
        later_fragment[43] = 1;
        assert_eq!(clamp(&mut later_fragment, 100), Clamped::Lowered { from: 1460 });
        let mut udp = fixture::IPV4_UDP;
        assert_eq!(clamp(&mut udp, 100), Clamped::Unchanged);
    }

    proptest! {
        #[test]
        fn clamping_never_breaks_a_checksum_and_never_raises(
            before in 0usize..4, value: u16, mss: u16, v6: bool,
        ) {
            let [high, low] = value.to_be_bytes();
            let options = [&[1u8, 1, 1, 1][..before], &[2, 4, high, low], &[0; 4][..4 - before]].concat();
            let mut packet = if v6 { fixture::tcp_v6(&options) } else { fixture::tcp_v4(&options) };
            clamp(&mut packet, mss);
            prop_assert_eq!(mss_of(&packet), Some(value.min(mss)));
            prop_assert!(fixture::tcp_checksum_is_valid(&packet));
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), version in prop::sample::select(&[0x45u8, 0x46, 0x60])) {
            if let Some(first) = bytes.first_mut() { *first = version; }
            clamp(&mut bytes, 0);
        }
    }
}
