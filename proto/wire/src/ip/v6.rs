//! IPv6 header and extension headers (RFC 8200 §3, §4).

use core::net::Ipv6Addr;

use crate::{DecodeError, Fault, Reader};

/// A view of one IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a> {
    fixed: &'a [u8; Ipv6::HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// Length of the fixed header in bytes.
    pub const HEADER_LEN: usize = 40;

    /// A view of the packet at the front of `bytes`. A jumbogram (RFC 2675) reads as an empty packet.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::new("IPv6 header", Fault::Truncated);
        let (fixed, rest) = bytes.split_first_chunk::<{ Ipv6::HEADER_LEN }>().ok_or(truncated)?;
        if fixed[0] >> 4 != 6 {
            return Err(DecodeError::illegal("version"));
        }
        let len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let payload = Reader::new(rest).take("payload length", len)?;
        Ok(Self { fixed, payload })
    }

    /// Length of the whole packet in bytes.
    pub const fn total_len(&self) -> usize {
        Self::HEADER_LEN + self.payload.len()
    }

    /// The next header field of the fixed header.
    pub const fn next_header(&self) -> u8 {
        self.fixed[6]
    }

    /// Hop limit.
    pub const fn hop_limit(&self) -> u8 {
        self.fixed[7]
    }

    /// Source address.
    pub fn source(&self) -> Ipv6Addr {
        let [_, _, _, _, _, _, _, _, source @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            *self.fixed;
        let source: [u8; 16] = source;
        Ipv6Addr::from(source)
    }

    /// Destination address.
    pub fn destination(&self) -> Ipv6Addr {
        Ipv6Addr::from(self.fixed.last_chunk::<16>().copied().unwrap_or_default())
    }

    /// Everything behind the fixed header, extension headers included.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Walks over the extension headers to what they carry. The walk stops at a fragment that is not
    /// the first, at a header it does not know, and fails after [`EXTENSION_HEADERS_MAX`] headers.
    pub fn upper(&self) -> Result<Upper<'a>, DecodeError> {
        let mut reader = Reader::new(self.payload);
        let mut protocol = self.next_header();
        let mut fragment = None;
        for _ in 0..=EXTENSION_HEADERS_MAX {
            let inside = fragment.is_some_and(|f: FragmentHeader| f.offset != 0);
            let Some(kind) = Extension::of(protocol).filter(|_| !inside) else {
                return Ok(Upper { protocol, fragment, payload: reader.rest() });
            };
            let [next, len] = reader.array("extension header")?;
            let rest = match kind {
                Extension::Authentication => (usize::from(len) + 2) * 4 - 2,
                Extension::Fragment => 6,
                Extension::Options => (usize::from(len) + 1) * 8 - 2,
            };
            let body = reader.take("extension header", rest)?;
            if let (Extension::Fragment, [high, low, ..]) = (kind, body) {
                let field = u16::from_be_bytes([*high, *low]);
                let offset = usize::from(field & !7);
                fragment = Some(FragmentHeader { offset, more: field & 1 != 0 });
            }
            protocol = next;
        }
        Err(DecodeError::new("extension header", Fault::TooMany))
    }
}

/// What is behind the extension headers.
#[derive(Clone, Copy, Debug)]
pub struct Upper<'a> {
    /// Protocol number of the payload.
    pub protocol: u8,
    /// The fragment header, when there is one.
    pub fragment: Option<FragmentHeader>,
    /// The payload; part of one when there is a fragment header.
    pub payload: &'a [u8],
}

/// A fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// Where the payload stands in the packet that was fragmented, in bytes.
    pub offset: usize,
    /// Whether another fragment follows.
    pub more: bool,
}

/// How the length of an extension header is counted.
#[derive(Clone, Copy)]
enum Extension {
    /// In 4-byte units minus two (RFC 4302 §2.2).
    Authentication,
    /// Always 8 bytes.
    Fragment,
    /// In 8-byte units without the first (RFC 6564 §4).
    Options,
}

impl Extension {
    const fn of(protocol: u8) -> Option<Self> {
        match protocol {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
            0 | 43 | 60 | 135 | 139 | 140 => Some(Self::Options),
            44 => Some(Self::Fragment),
            51 => Some(Self::Authentication),
            _ => None,
        }
    }
}

/// Most extension headers one packet may have.
pub const EXTENSION_HEADERS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_fields_of_the_fixed_header_are_read() {
        let packet = fixture::ipv6(17, b"payload!");
        let ip = Ipv6::new(&packet).unwrap();
        assert_eq!(ip.source(), "2001:db8::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(ip.destination(), "2001:db8:ffff::2".parse::<Ipv6Addr>().unwrap());
        assert_eq!((ip.next_header(), ip.hop_limit()), (17, 64));
        assert_eq!((ip.payload(), ip.total_len()), (&b"payload!"[..], 48));
    }

    #[test]
    fn extension_headers_are_walked_over() {
        let hop_by_hop = [60, 0, 1, 4, 0, 0, 0, 0];
        let destination = [44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let fragment = [6, 0, 0, 1, 0, 0, 0, 9];
        let payload = [&hop_by_hop[..], &destination, &fragment, b"tcp"].concat();
        let packet = fixture::ipv6(0, &payload);
        let upper = Ipv6::new(&packet).unwrap().upper().unwrap();
        assert_eq!((upper.protocol, upper.payload), (6, &b"tcp"[..]));
        assert_eq!(upper.fragment, Some(FragmentHeader { offset: 0, more: true }));
    }

    #[test]
    fn the_length_of_an_authentication_header_is_in_units_of_four() {
        // Length 4: 24 bytes, 12 of them the ICV (RFC 4302 §2.2).
        let header = [&[17, 4][..], &[0; 22]].concat();
        let packet = fixture::ipv6(51, &[&header[..], b"udp"].concat());
        let upper = Ipv6::new(&packet).unwrap().upper().unwrap();
        assert_eq!((upper.protocol, upper.payload), (17, &b"udp"[..]));
    }

    #[test]
    fn the_walk_does_not_read_the_inside_of_a_later_fragment() {
        let packet = fixture::ipv6(44, &[0, 0, 0, 8, 0, 0, 0, 9, 60, 255]);
        let upper = Ipv6::new(&packet).unwrap().upper().unwrap();
        assert_eq!((upper.protocol, upper.payload), (0, &[60, 255][..]));
        assert_eq!(upper.fragment, Some(FragmentHeader { offset: 8, more: false }));
    }

    #[test]
    fn more_extension_headers_than_the_limit_are_refused() {
        let header = [60, 0, 1, 4, 0, 0, 0, 0];
        let most = [header.repeat(EXTENSION_HEADERS_MAX - 1), [17, 0, 1, 4, 0, 0, 0, 0].to_vec()];
        let packet = fixture::ipv6(60, &most.concat());
        assert_eq!(Ipv6::new(&packet).unwrap().upper().unwrap().protocol, 17);
        let packet = fixture::ipv6(60, &header.repeat(EXTENSION_HEADERS_MAX + 1));
        let refused = Ipv6::new(&packet).unwrap().upper().unwrap_err();
        assert_eq!(refused, DecodeError::new("extension header", Fault::TooMany));
    }

    #[test]
    fn every_prefix_is_refused() {
        let packet = fixture::ipv6(17, b"payload!");
        for len in 0..packet.len() {
            assert!(Ipv6::new(&packet[..len]).is_err(), "{len} bytes");
        }
        let extension = fixture::ipv6(60, &[6, 0, 1, 4, 0, 0, 0]);
        assert!(Ipv6::new(&extension).unwrap().upper().is_err());
    }
}
