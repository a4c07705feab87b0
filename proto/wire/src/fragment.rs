//! Cutting an IPv4 packet into fragments (RFC 791 §3.2).

use crate::checksum;
use crate::ip::Ipv4;

/// The fragments of `packet`, none longer than `mtu` bytes; a packet that is a fragment itself is cut
/// further. None when DF is set, the packet or one of its options is ill-formed, it reaches past the
/// end of the longest packet, or `mtu` leaves no room for 8 bytes of payload.
pub fn ipv4(packet: &[u8], mtu: usize) -> Option<Fragments<'_>> {
    let ip = Ipv4::new(packet).ok().filter(|ip| !ip.dont_fragment())?;
    let end = ip.fragment_offset() + ip.payload().len();
    u16::try_from(end).ok()?;
    let later = later_header(&ip)?;
    let fragments = Fragments { ip, later, mtu, done: 0, finished: false };
    // The first header is the longer one.
    (fragments.room(ip.header_len()) > 0).then_some(fragments)
}

/// The fragments still to come.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    ip: Ipv4<'a>,
    /// The header of every fragment but the first: without the options that are not copied.
    later: Header,
    mtu: usize,
    /// Bytes of payload in the fragments that went before.
    done: usize,
    finished: bool,
}

impl Fragments<'_> {
    /// Most payload bytes behind a header of this length, where another fragment follows.
    fn room(&self, header_len: usize) -> usize {
        self.mtu.saturating_sub(header_len) & !7
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        if self.finished {
            return None;
        }
        let mut header = if self.done == 0 { Header::whole(&self.ip)? } else { self.later };
        let rest = self.ip.payload().get(self.done..)?;
        let last = rest.len() <= self.mtu.saturating_sub(header.len);
        let len = if last { rest.len() } else { self.room(header.len) };
        let payload = rest.get(..len)?;
        let more = !last || self.ip.more_fragments();
        header.finish(len, self.ip.fragment_offset() + self.done, more)?;
        self.done += len;
        self.finished = last;
        Some(Fragment { header, payload })
    }
}

/// One fragment: a header of its own and a part of the payload.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    header: Header,
    payload: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// The IPv4 header.
    pub fn header(&self) -> &[u8] {
        self.header.bytes.get(..self.header.len).unwrap_or_default()
    }

    /// The part of the payload.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// A header with room for all options.
#[derive(Clone, Copy, Debug)]
struct Header {
    bytes: [u8; Ipv4::HEADER_LEN_MAX],
    len: usize,
}

impl Header {
    fn bare(ip: &Ipv4<'_>) -> Self {
        let mut bytes = [0; Ipv4::HEADER_LEN_MAX];
        if let Some(fixed) = bytes.first_chunk_mut() {
            *fixed = *ip.fixed_header();
        }
        Self { bytes, len: Ipv4::HEADER_LEN }
    }

    fn whole(ip: &Ipv4<'_>) -> Option<Self> {
        let mut header = Self::bare(ip);
        header.append(ip.options_bytes())?;
        Some(header)
    }

    fn append(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    /// Fills in what differs between fragments.
    fn finish(&mut self, payload_len: usize, offset: usize, more: bool) -> Option<()> {
        let total = u16::try_from(self.len + payload_len).ok()?;
        let units = u16::try_from(offset / 8).ok().filter(|units| *units < 1 << 13)?;
        let field = units | if more { MORE_FRAGMENTS } else { 0 };
        self.bytes[0] = 0x40 | u8::try_from(self.len / 4).ok()?;
        [self.bytes[2], self.bytes[3]] = total.to_be_bytes();
        [self.bytes[6], self.bytes[7]] = field.to_be_bytes();
        [self.bytes[10], self.bytes[11]] = [0, 0];
        let sum = checksum::checksum(self.bytes.get(..self.len)?);
        [self.bytes[10], self.bytes[11]] = sum.to_be_bytes();
        Some(())
    }
}

/// The header of later fragments: options with the copied flag, padded with End of Option List to a
/// multiple of four. None when the options do not parse.
fn later_header(ip: &Ipv4<'_>) -> Option<Header> {
    let mut header = Header::bare(ip);
    let mut seen = 0;
    for option in ip.options() {
        seen += option.bytes.len();
        if option.is_copied() {
            header.append(option.bytes)?;
        }
    }
    let ended = ip.options_bytes().get(seen).is_none_or(|kind| *kind == END_OF_OPTION_LIST);
    header.len = header.len.next_multiple_of(4);
    ended.then_some(header)
}

const MORE_FRAGMENTS: u16 = 0x2000;
const END_OF_OPTION_LIST: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        ipv4(packet, mtu).unwrap().map(|f| [f.header(), f.payload()].concat()).collect()
    }

    /// Puts fragments together the way RFC 791 says, checking each.
    fn reassemble(fragments: &[Vec<u8>], mtu: usize) -> Vec<u8> {
        let mut payload = Vec::new();
        for (n, bytes) in fragments.iter().enumerate() {
            let ip = Ipv4::new(bytes).unwrap();
            assert!(bytes.len() <= mtu && ip.checksum_is_valid() && ip.total_len() == bytes.len());
            assert_eq!(ip.fragment_offset(), payload.len());
            assert_eq!(ip.more_fragments(), n + 1 < fragments.len());
            payload.extend_from_slice(ip.payload());
        }
        payload
    }

    fn fragmentable(options: &[u8], payload: &[u8]) -> Vec<u8> {
        fixture::ipv4_with_options(options, payload)
    }

    #[test]
    fn fragments_fit_the_mtu_and_make_up_the_packet() {
        let payload: Vec<u8> = (0..=255).cycle().take(3000).collect();
        let packet = fragmentable(&[], &payload);
        let fragments = cut(&packet, 1300);
        assert_eq!(fragments.len(), 3);
        assert_eq!(fragments[0].len(), 1300);
        assert_eq!(reassemble(&fragments, 1300), payload);
    }

    #[test]
    fn a_fragment_is_cut_further_and_keeps_its_place() {
        let mut packet = fragmentable(&[], &[5; 64]);
        packet[6..8].copy_from_slice(&0x2010u16.to_be_bytes());
        let fragments = cut(&packet, 60);
        let places: Vec<_> = fragments
            .iter()
            .map(|f| Ipv4::new(f).unwrap())
            .map(|ip| (ip.fragment_offset(), ip.more_fragments()))
            .collect();
        assert_eq!(places, [(128, true), (168, true)]);
    }

    #[test]
    fn only_options_with_the_copied_flag_go_into_later_fragments() {
        // Record route (not copied), then stream identifier (copied), then a router alert (copied).
        let options = [7, 4, 4, 0, 0x88, 4, 0, 1, 0x94, 4, 0, 0];
        let packet = fragmentable(&options, &[9; 100]);
        let fragments = cut(&packet, 80);
        assert_eq!(reassemble(&fragments, 80), [9; 100]);
        let options_of =
            |n: usize| Ipv4::new(&fragments[n]).map(|ip| ip.options_bytes().to_vec()).unwrap();
        assert_eq!(options_of(0), options);
        assert_eq!(options_of(1), [0x88, 4, 0, 1, 0x94, 4, 0, 0]);
    }

    #[test]
    fn copied_options_are_padded_to_a_multiple_of_four() {
        let packet = fragmentable(&[0x82, 3, 1, 0], &[9; 100]);
        let fragments = cut(&packet, 64);
        assert_eq!(Ipv4::new(&fragments[1]).unwrap().options_bytes(), [0x82, 3, 1, 0]);
    }

    #[test]
    fn what_cannot_be_cut_gives_nothing() {
        assert!(ipv4(&fixture::IPV4_UDP, 1300).is_none(), "DF");
        assert!(ipv4(&fragmentable(&[], &[0; 100]), 27).is_none(), "no room");
        assert!(ipv4(&fragmentable(&[], &[0; 100]), 28).is_some());
        assert!(ipv4(&fragmentable(&[7, 9, 0, 0], &[0; 100]), 100).is_none(), "bad option");
        let packet = fragmentable(&[], &[0; 20]);
        for len in 0..packet.len() {
            assert!(ipv4(&packet[..len], 100).is_none(), "{len} bytes");
        }
    }

    #[test]
    fn a_fragment_past_the_longest_packet_is_not_cut_in_part() {
        // The last place a fragment can have is 65528.
        let with_len = |len: usize| {
            let mut packet = fragmentable(&[], &vec![0; len]);
            packet[6..8].copy_from_slice(&0x1ff0u16.to_be_bytes());
            packet
        };
        assert_eq!(cut(&with_len(127), 68).len(), 3);
        assert!(ipv4(&with_len(128), 68).is_none());
    }

    proptest! {
        #[test]
        fn any_packet_comes_back_together(len in 0usize..3000, mtu in 68usize..1500) {
            let payload = vec![0xa5; len];
            let fragments = cut(&fragmentable(&[], &payload), mtu);
            prop_assert_eq!(reassemble(&fragments, mtu), payload);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 20..200), first in 0x44u8..0x50, mtu in 0usize..200) {
            bytes[0] = first;
            bytes[2] = 0;
            bytes[6] &= !0x40;
            if let Some(fragments) = ipv4(&bytes, mtu) {
                for fragment in fragments.take(100) {
                    prop_assert!(fragment.header().len() + fragment.payload().len() <= mtu);
                }
            }
        }
    }
}
