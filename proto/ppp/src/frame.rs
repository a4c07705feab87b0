//! PPP frames as L2TP carries them: optional FF 03, a protocol number of one or two bytes, the body.
//!
//! Both compressions (RFC 1661 §6.5 and §6.6) are understood whether or not they were negotiated:
//! the two forms cannot be confused, and some peers compress before the other side agreed.

use alloc::vec::Vec;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use crate::iana::Protocol;

/// One PPP frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is.
    pub protocol: Protocol,
    /// Everything behind the protocol number.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a frame that begins with FF 03 or directly with the protocol number.
    ///
    /// # Errors
    /// A missing byte, or a protocol number that is not built as RFC 1661 §2 demands.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes.strip_prefix(&ADDRESS_CONTROL).unwrap_or(bytes));
        let first = reader.u8("protocol")?;
        let number = if first & 1 == 1 {
            u16::from(first)
        } else {
            u16::from_be_bytes([first, reader.u8("protocol")?])
        };
        if number & 1 == 0 || first == ADDRESS {
            return Err(DecodeError::new("protocol", Fault::Illegal));
        }
        Ok(Self { protocol: Protocol(number), body: reader.rest() })
    }

    /// Writes the frame with FF 03 and two bytes of protocol number, which every peer understands.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(&ADDRESS_CONTROL);
        writer.u16(self.protocol.0);
        writer.bytes(self.body);
        writer.into_vec()
    }
}

/// Which IP version a data frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// Protocol 0x0021.
    V4,
    /// Protocol 0x0057.
    V6,
}

/// The IP packet in a data frame; none when the frame carries anything else. For the packet path:
/// no error is built and every form of header is accepted.
#[inline]
pub fn split_ip(frame: &[u8]) -> Option<(IpVersion, &[u8])> {
    let frame = match frame {
        [ADDRESS, CONTROL, rest @ ..] => rest,
        _ => frame,
    };
    match frame {
        [0x00, 0x21, packet @ ..] | [0x21, packet @ ..] => Some((IpVersion::V4, packet)),
        [0x00, 0x57, packet @ ..] | [0x57, packet @ ..] => Some((IpVersion::V6, packet)),
        _ => None,
    }
}

/// The PPP header of outgoing data frames, with the compressions the peer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    bytes: [u8; 4],
    len: usize,
}

impl DataHeader {
    /// The header for `version`. `acfc` and `pfc` are what the peer's LCP options allow
    /// ([`NetworkUp::send_acfc`](crate::NetworkUp::send_acfc) and `send_pfc`).
    pub const fn new(version: IpVersion, acfc: bool, pfc: bool) -> Self {
        let low = match version {
            IpVersion::V4 => 0x21,
            IpVersion::V6 => 0x57,
        };
        match (acfc, pfc) {
            (true, true) => Self { bytes: [low, 0, 0, 0], len: 1 },
            (true, false) => Self { bytes: [0, low, 0, 0], len: 2 },
            (false, true) => Self { bytes: [ADDRESS, CONTROL, low, 0], len: 3 },
            (false, false) => Self { bytes: [ADDRESS, CONTROL, 0, low], len: 4 },
        }
    }

    /// The bytes in front of the IP packet.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The HDLC all-stations address.
const ADDRESS: u8 = 0xff;
/// The HDLC unnumbered-information control byte.
const CONTROL: u8 = 0x03;
const ADDRESS_CONTROL: [u8; 2] = [ADDRESS, CONTROL];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_four_header_forms_are_the_same_frame() {
        let expected = Frame { protocol: Protocol::IPV4, body: b"ip" };
        for bytes in [&b"\xff\x03\x00\x21ip"[..], b"\xff\x03\x21ip", b"\x00\x21ip", b"\x21ip"] {
            assert_eq!(Frame::read(bytes), Ok(expected));
            assert_eq!(split_ip(bytes), Some((IpVersion::V4, &b"ip"[..])));
        }
    }

    #[test]
    fn every_prefix_of_a_header_is_refused() {
        for bytes in [&b""[..], b"\xff", b"\xff\x03", b"\xff\x03\xc0", b"\xc0"] {
            assert!(Frame::read(bytes).is_err(), "{bytes:02x?}");
            assert_eq!(split_ip(bytes), None);
        }
    }

    #[test]
    fn a_protocol_number_of_the_wrong_shape_is_refused() {
        assert_eq!(Frame::read(b"\xc0\x20x"), Err(DecodeError::illegal("protocol")));
        assert_eq!(Frame::read(b"\xff\x05x"), Err(DecodeError::illegal("protocol")));
    }

    #[test]
    fn data_headers_are_read_back_as_ip() {
        for (acfc, pfc, len) in
            [(false, false, 4), (false, true, 3), (true, false, 2), (true, true, 1)]
        {
            for version in [IpVersion::V4, IpVersion::V6] {
                let header = DataHeader::new(version, acfc, pfc);
                assert_eq!(header.as_slice().len(), len);
                let frame = [header.as_slice(), b"packet"].concat();
                assert_eq!(split_ip(&frame), Some((version, &b"packet"[..])));
            }
        }
    }

    #[test]
    fn control_frames_are_not_ip() {
        assert_eq!(split_ip(b"\xff\x03\xc0\x21\x01"), None);
        assert_eq!(split_ip(b"\x80\x21\x01"), None);
    }

    proptest! {
        #[test]
        fn a_written_frame_is_read_back(number in any::<u16>(), body in any::<Vec<u8>>()) {
            // The shape RFC 1661 §2 prescribes: high byte even, low byte odd.
            let protocol = Protocol(number & 0xfeff | 1);
            let frame = Frame { protocol, body: &body };
            let bytes = frame.write();
            prop_assert_eq!(Frame::read(&bytes), Ok(frame));
        }

        #[test]
        fn the_fast_path_agrees_with_the_full_decoder(bytes in any::<Vec<u8>>()) {
            let slow = Frame::read(&bytes).ok().and_then(|f| match f.protocol {
                Protocol::IPV4 => Some((IpVersion::V4, f.body)),
                Protocol::IPV6 => Some((IpVersion::V6, f.body)),
                _ => None,
            });
            prop_assert_eq!(split_ip(&bytes), slow);
        }
    }
}
