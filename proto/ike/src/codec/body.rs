//! The small payload bodies: identification, notification, delete and NAT original address.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use super::{Chain, Cookies};
use crate::iana::{DOI_IPSEC, IdType, NotifyType, PayloadType, ProtocolId};

/// The body of an identification payload (RFC 2407 §4.6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdBody {
    /// Type of the data.
    pub kind: IdType,
    /// IP protocol, 0 for any.
    pub protocol: u8,
    /// Port, 0 for any.
    pub port: u16,
    /// Address, name or opaque bytes.
    pub data: Vec<u8>,
}

impl IdBody {
    /// Reads the body.
    ///
    /// # Errors
    /// Truncated, longer than [`ID_LEN_MAX`], or an address type with data of another length.
    pub fn read(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        let kind = IdType(r.u8("ID type")?);
        let protocol = r.u8("ID protocol")?;
        let port = r.u16("ID port")?;
        let data = r.rest().to_vec();
        let wanted = match kind {
            IdType::IPV4_ADDR => 4,
            IdType::IPV4_ADDR_SUBNET | IdType::IPV4_ADDR_RANGE => 8,
            IdType::IPV6_ADDR => 16,
            IdType::IPV6_ADDR_SUBNET | IdType::IPV6_ADDR_RANGE => 32,
            _ => data.len(),
        };
        if data.len() > ID_LEN_MAX {
            return Err(DecodeError::new("ID data", Fault::TooLong));
        }
        if data.len() != wanted {
            return Err(DecodeError::illegal("ID data"));
        }
        Ok(Self { kind, protocol, port, data })
    }

    /// The body's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(self.kind.0);
        w.u8(self.protocol);
        w.u16(self.port);
        w.bytes(&self.data);
        w.into_vec()
    }

    /// An address with protocol and port, as quick mode has it.
    pub fn address(address: IpAddr, protocol: u8, port: u16) -> Self {
        let (kind, data) = match address {
            IpAddr::V4(v4) => (IdType::IPV4_ADDR, v4.octets().to_vec()),
            IpAddr::V6(v6) => (IdType::IPV6_ADDR, v6.octets().to_vec()),
        };
        Self { kind, protocol, port, data }
    }
}

/// The body of a notification payload (RFC 2408 §3.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Protocol the SPI belongs to.
    pub protocol: ProtocolId,
    /// What is notified.
    pub kind: NotifyType,
    /// SPI or cookies it is about; may be empty.
    pub spi: Vec<u8>,
    /// Data in a format of the type.
    pub data: Vec<u8>,
}

impl Notification {
    /// INITIAL-CONTACT: no SA with the receiver is known besides the one with these cookies (RFC 2407
    /// §4.6.3.3).
    pub(crate) fn initial_contact(cookies: &Cookies) -> Self {
        Self {
            protocol: ProtocolId::ISAKMP,
            kind: NotifyType::INITIAL_CONTACT,
            spi: cookies.concat().to_vec(),
            data: Vec::new(),
        }
    }

    /// Whether a message says INITIAL-CONTACT.
    pub(crate) fn is_initial_contact(chain: &Chain<'_>) -> bool {
        let mut all = chain.all(PayloadType::NOTIFICATION).filter_map(|b| Self::read(b).ok());
        all.any(|notification| notification.kind == NotifyType::INITIAL_CONTACT)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// Another DOI than IPsec (or the ISAKMP 0), an SPI that is too long, truncation.
    pub fn read(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        // RFC 2408 lets phase 1 errors use the generic DOI 0.
        if r.u32("DOI")? > DOI_IPSEC {
            return Err(DecodeError::illegal("DOI"));
        }
        let protocol = ProtocolId(r.u8("protocol id")?);
        let spi_len = usize::from(r.u8("SPI size")?);
        let kind = NotifyType(r.u16("notify type")?);
        let spi = r.take("SPI", spi_len)?.to_vec();
        Ok(Self { protocol, kind, spi, data: r.rest().to_vec() })
    }

    /// The body's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(DOI_IPSEC);
        w.u8(self.protocol.0);
        w.u8(u8::try_from(self.spi.len()).unwrap_or(u8::MAX));
        w.u16(self.kind.0);
        w.bytes(&self.spi);
        w.bytes(&self.data);
        w.into_vec()
    }
}

/// The body of a delete payload (RFC 2408 §3.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// Protocol of the deleted SAs.
    pub protocol: ProtocolId,
    /// Their SPIs, all of one length.
    pub spis: Vec<Vec<u8>>,
}

impl Delete {
    /// Reads the body.
    ///
    /// # Errors
    /// Another DOI, an SPI size that is not the protocol's, more than [`DELETED_MAX`] SPIs, a count
    /// that does not fit.
    pub fn read(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        if r.u32("DOI")? > DOI_IPSEC {
            return Err(DecodeError::illegal("DOI"));
        }
        let protocol = ProtocolId(r.u8("protocol id")?);
        let spi_len = usize::from(r.u8("SPI size")?);
        let count = usize::from(r.u16("number of SPIs")?);
        let wanted = match protocol {
            ProtocolId::ISAKMP => 16,
            ProtocolId::AH | ProtocolId::ESP => 4,
            ProtocolId::IPCOMP => spi_len,
            _ => return Err(DecodeError::illegal("protocol id")),
        };
        if spi_len != wanted || spi_len == 0 {
            return Err(DecodeError::illegal("SPI size"));
        }
        if count > DELETED_MAX {
            return Err(DecodeError::new("number of SPIs", Fault::TooMany));
        }
        let mut spis = Vec::with_capacity(count);
        for _ in 0..count {
            spis.push(r.take("SPI", spi_len)?.to_vec());
        }
        r.finish("delete")?;
        Ok(Self { protocol, spis })
    }

    /// The body's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let spi_len = self.spis.first().map_or(0, Vec::len);
        w.u32(DOI_IPSEC);
        w.u8(self.protocol.0);
        w.u8(u8::try_from(spi_len).unwrap_or(u8::MAX));
        w.u16(u16::try_from(self.spis.len()).unwrap_or(u16::MAX));
        self.spis.iter().for_each(|spi| w.bytes(spi));
        w.into_vec()
    }
}

/// The body of a NAT-OA payload (RFC 3947 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatOa(pub IpAddr);

impl NatOa {
    /// Reads the body.
    ///
    /// # Errors
    /// Not an address type, or data of another length than the type's.
    pub fn read(body: &[u8]) -> Result<Self, DecodeError> {
        Reader::all("NAT-OA", body, |r| {
            let kind = IdType(r.u8("NAT-OA type")?);
            r.take("NAT-OA reserved", 3)?;
            match kind {
                IdType::IPV4_ADDR => {
                    Ok(Self(Ipv4Addr::from(r.array::<4>("NAT-OA address")?).into()))
                }
                IdType::IPV6_ADDR => {
                    Ok(Self(Ipv6Addr::from(r.array::<16>("NAT-OA address")?).into()))
                }
                _ => Err(DecodeError::illegal("NAT-OA type")),
            }
        })
    }

    /// The body's bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        // The layout is that of an identification payload with the port fields reserved.
        IdBody::address(self.0, 0, 0).to_bytes()
    }
}

/// Reads the body of a nonce payload.
///
/// # Errors
/// Shorter than 8 or longer than 256 bytes (RFC 2409 §5).
pub fn read_nonce(body: &[u8]) -> Result<&[u8], DecodeError> {
    match body.len() {
        0..NONCE_LEN_MIN => Err(DecodeError::new("NONCE", Fault::Truncated)),
        NONCE_LEN_MIN..=NONCE_LEN_MAX => Ok(body),
        _ => Err(DecodeError::new("NONCE", Fault::TooLong)),
    }
}

/// Longest identity taken.
pub const ID_LEN_MAX: usize = 512;
/// Most SPIs in one delete payload.
pub const DELETED_MAX: usize = 64;
/// Shortest nonce (RFC 2409 §5).
pub const NONCE_LEN_MIN: usize = 8;
/// Longest nonce.
pub const NONCE_LEN_MAX: usize = 256;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_windows_selector_is_read() {
        let bytes = [1, 17, 0x06, 0xa5, 192, 168, 1, 10];
        let id = IdBody::read(&bytes).unwrap();
        assert_eq!(id, IdBody::address("192.168.1.10".parse().unwrap(), 17, 1701));
        assert_eq!(id.to_bytes(), bytes);
    }

    #[test]
    fn address_identities_have_exactly_their_length() {
        for (kind, len) in [(1, 4), (4, 8), (7, 8), (5, 16), (6, 32), (8, 32)] {
            for wrong in [0, len - 1, len + 1] {
                let mut bytes = vec![kind, 0, 0, 0];
                bytes.resize(4 + wrong, 1);
                assert!(IdBody::read(&bytes).is_err(), "type {kind} with {wrong} bytes");
            }
        }
    }

    #[test]
    fn an_identity_longer_than_the_bound_is_refused() {
        let mut bytes = vec![2, 0, 0, 0];
        bytes.resize(4 + ID_LEN_MAX, b'a');
        assert!(IdBody::read(&bytes).is_ok());
        bytes.push(b'a');
        assert_eq!(IdBody::read(&bytes).unwrap_err().fault, Fault::TooLong);
    }

    #[test]
    fn a_delete_names_spis_of_one_length() {
        let delete =
            Delete { protocol: ProtocolId::ESP, spis: vec![vec![0, 0, 1, 2], vec![9, 9, 9, 9]] };
        let bytes = delete.to_bytes();
        assert_eq!(bytes[..8], [0, 0, 0, 1, 3, 4, 0, 2]);
        assert_eq!(Delete::read(&bytes).unwrap(), delete);
        assert!((0..bytes.len()).all(|n| Delete::read(&bytes[..n]).is_err()));
    }

    #[test]
    fn a_delete_of_protocol_zero_or_with_another_spi_size_is_refused() {
        assert!(Delete::read(&[0, 0, 0, 1, 0, 4, 0, 0]).is_err());
        assert!(Delete::read(&[0, 0, 0, 1, 3, 0, 0xff, 0xff]).is_err());
        assert!(Delete::read(&[0, 0, 0, 1, 1, 4, 0, 1, 1, 2, 3, 4]).is_err());
    }

    #[test]
    fn more_deleted_spis_than_the_bound_are_refused() {
        let spis = vec![vec![1; 4]; DELETED_MAX + 1];
        let bytes = Delete { protocol: ProtocolId::ESP, spis }.to_bytes();
        assert_eq!(Delete::read(&bytes).unwrap_err().fault, Fault::TooMany);
    }

    #[test]
    fn an_original_address_is_an_address() {
        let bytes = [1, 0, 0, 0, 10, 0, 0, 1];
        assert_eq!(NatOa::read(&bytes).unwrap(), NatOa("10.0.0.1".parse().unwrap()));
        assert_eq!(NatOa("10.0.0.1".parse().unwrap()).to_bytes(), bytes);
        let v6 = NatOa("2001:db8::1".parse().unwrap());
        assert_eq!(NatOa::read(&v6.to_bytes()), Ok(v6));
        assert!(NatOa::read(&[2, 0, 0, 0, b'a']).is_err());
        assert!((0..bytes.len()).all(|n| NatOa::read(&bytes[..n]).is_err()));
    }

    #[test]
    fn notifications_and_deletes_may_name_the_doi_of_isakmp_but_no_other() {
        for (doi, good) in [(0, true), (1, true), (2, false)] {
            assert_eq!(Notification::read(&[0, 0, 0, doi, 1, 0, 0, 14]).is_ok(), good);
            assert_eq!(Delete::read(&[0, 0, 0, doi, 3, 4, 0, 0]).is_ok(), good);
        }
    }

    #[test]
    fn nonces_have_eight_to_256_bytes() {
        for (len, good) in [(0, false), (7, false), (8, true), (256, true), (257, false)] {
            assert_eq!(read_nonce(&vec![0; len]).is_ok(), good, "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn notifications_survive_the_wire(
            protocol: u8, kind: u16,
            spi in prop::collection::vec(any::<u8>(), 0..17),
            data in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let n = Notification { protocol: ProtocolId(protocol), kind: NotifyType(kind), spi, data };
            prop_assert_eq!(Notification::read(&n.to_bytes()).unwrap(), n);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (IdBody::read(&bytes), Notification::read(&bytes), Delete::read(&bytes), NatOa::read(&bytes));
        }
    }
}
