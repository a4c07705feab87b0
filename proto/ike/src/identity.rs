//! Who a peer says it is. A pre-shared key proves the key, not the name.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use isthmus_crypto::ClaimedName;
use serde::{Deserialize, Serialize};

use crate::codec::IdBody;
use crate::iana::IdType;

/// The identity of one end of an IKE SA.
///
/// It prints escaped and shortened, because the bytes are the peer's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    kind: IdType,
    data: Vec<u8>,
}

impl Identity {
    /// An address.
    pub fn address(address: IpAddr) -> Self {
        let body = IdBody::address(address, 0, 0);
        Self { kind: body.kind, data: body.data }
    }

    /// A domain name.
    pub fn fqdn(name: &str) -> Self {
        Self { kind: IdType::FQDN, data: name.as_bytes().to_vec() }
    }

    /// A user at a domain.
    pub fn user_fqdn(name: &str) -> Self {
        Self { kind: IdType::USER_FQDN, data: name.as_bytes().to_vec() }
    }

    /// An X.500 distinguished name, DER.
    pub fn distinguished_name(der: &[u8]) -> Self {
        Self { kind: IdType::DER_ASN1_DN, data: der.to_vec() }
    }

    /// Opaque bytes, such as a group name.
    pub fn key_id(bytes: &[u8]) -> Self {
        Self { kind: IdType::KEY_ID, data: bytes.to_vec() }
    }

    /// The identity in the habit of configuration files: an address, `user@domain` or a name.
    pub fn parse(text: &str) -> Self {
        match text.parse::<IpAddr>() {
            Ok(address) => Self::address(address),
            Err(_) if text.contains('@') => Self::user_fqdn(text),
            Err(_) => Self::fqdn(text),
        }
    }

    /// The address, when it is one.
    pub fn as_address(&self) -> Option<IpAddr> {
        match self.kind {
            IdType::IPV4_ADDR => {
                <[u8; 4]>::try_from(self.data.as_slice()).ok().map(|o| Ipv4Addr::from(o).into())
            }
            IdType::IPV6_ADDR => {
                <[u8; 16]>::try_from(self.data.as_slice()).ok().map(|o| Ipv6Addr::from(o).into())
            }
            _ => None,
        }
    }

    /// The name, when it is one that people give: a domain, `user@domain`, or opaque bytes.
    pub fn as_name(&self) -> Option<&[u8]> {
        match self.kind {
            IdType::FQDN | IdType::KEY_ID | IdType::USER_FQDN => Some(&self.data),
            _ => None,
        }
    }

    /// Whether this is the name of a group. Apple sends it as a key id, Android as a domain name or user
    /// name when it looks like one.
    pub(crate) fn names(&self, group: &[u8]) -> bool {
        match (self.as_address(), self.kind) {
            (Some(address), _) => {
                core::str::from_utf8(group).is_ok_and(|text| text.parse() == Ok(address))
            }
            (None, IdType::KEY_ID | IdType::FQDN | IdType::USER_FQDN) => self.data == group,
            (None, _) => false,
        }
    }

    /// The name in the form that certificates have it.
    pub(crate) fn claimed(&self) -> ClaimedName {
        let data = self.data.clone();
        match self.kind {
            IdType::IPV4_ADDR | IdType::IPV6_ADDR => ClaimedName::Address(data),
            IdType::DER_ASN1_DN => ClaimedName::DistinguishedName(data),
            IdType::FQDN => ClaimedName::Domain(data),
            IdType::USER_FQDN => ClaimedName::Email(data),
            _ => ClaimedName::Other,
        }
    }

    /// The kind of identity.
    pub const fn kind(&self) -> IdType {
        self.kind
    }

    pub(crate) fn from_body(body: IdBody) -> Self {
        Self { kind: body.kind, data: body.data }
    }

    /// The body of a phase 1 identification payload; protocol and port 0 suit everyone.
    pub(crate) fn to_body(&self) -> Vec<u8> {
        self.to_body_with((0, 0))
    }

    /// The body with a protocol and a port.
    pub(crate) fn to_body_with(&self, (protocol, port): (u8, u16)) -> Vec<u8> {
        IdBody { kind: self.kind, protocol, port, data: self.data.clone() }.to_bytes()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.as_address() {
            return write!(f, "{address}");
        }
        if !matches!(self.kind, IdType::FQDN | IdType::USER_FQDN) {
            write!(f, "{}:", self.kind)?;
        }
        for byte in self.data.iter().take(PRINTED_MAX) {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                0x21..=0x7e => f.write_char(char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        if self.data.len() > PRINTED_MAX { f.write_str("...") } else { Ok(()) }
    }
}

/// Most bytes of a name that are printed.
const PRINTED_MAX: usize = 64;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn the_three_habits_are_told_apart() {
        assert_eq!(Identity::parse("192.0.2.1").as_address(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(Identity::parse("2001:db8::1").kind(), IdType::IPV6_ADDR);
        assert_eq!(Identity::parse("vpn.example.org").kind(), IdType::FQDN);
        assert_eq!(Identity::parse("a@example.org").kind(), IdType::USER_FQDN);
        assert_eq!(Identity::parse("a@example.org").as_name(), Some(&b"a@example.org"[..]));
        assert_eq!(Identity::parse("192.0.2.1").as_name(), None);
    }

    #[test]
    fn hostile_bytes_print_escaped_and_shortened() {
        assert_eq!(Identity::key_id(b"a\n\x1b[0m").to_string(), "key id:a\\x0a\\x1b[0m");
        let long = Identity::key_id(&[b'a'; 500]).to_string();
        assert_eq!(long.len(), "key id:".len() + PRINTED_MAX + 3);
    }

    #[test]
    fn a_body_makes_the_round_trip() {
        let identity = Identity::parse("192.168.1.10");
        let body = IdBody::read(&identity.to_body()).unwrap();
        assert_eq!((body.protocol, body.port), (0, 0));
        assert_eq!(Identity::from_body(body), identity);
    }
}
