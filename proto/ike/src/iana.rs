//! Numbers assigned to ISAKMP, the IPsec DOI and IKEv1, as newtypes: an unknown value survives a
//! round trip and prints as its number.

use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! registry {
    ($(#[$meta:meta])* $name:ident($repr:ty) { $($(#[$doc:meta])* $constant:ident = $value:literal, $label:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $repr);

        impl $name {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The registered name, if this value has one here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($label),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

registry! {
    /// Exchange types (RFC 2408 §3.1, RFC 2409 §A).
    ExchangeType(u8) {
        /// RFC 2408 §4.4; unused by IKE.
        BASE = 1, "base";
        /// Main mode (RFC 2409 §5).
        IDENTITY_PROTECTION = 2, "main mode";
        /// RFC 2408 §4.6; unused by IKE.
        AUTHENTICATION_ONLY = 3, "authentication only";
        /// Aggressive mode.
        AGGRESSIVE = 4, "aggressive mode";
        /// RFC 2409 §5.7.
        INFORMATIONAL = 5, "informational";
        /// Mode configuration and XAUTH.
        TRANSACTION = 6, "transaction";
        /// RFC 2409 §5.5.
        QUICK_MODE = 32, "quick mode";
        /// RFC 2409 §5.6.
        NEW_GROUP_MODE = 33, "new group mode";
    }
}

registry! {
    /// Payload types (RFC 2408 §3.1, RFC 3947, draft-ietf-ipsec-nat-t-ike-02).
    PayloadType(u8) {
        /// End of the chain.
        NONE = 0, "none";
        /// Security association.
        SA = 1, "SA";
        /// Proposal.
        PROPOSAL = 2, "P";
        /// Transform.
        TRANSFORM = 3, "T";
        /// Key exchange.
        KE = 4, "KE";
        /// Identification.
        ID = 5, "ID";
        /// Certificate.
        CERT = 6, "CERT";
        /// Certificate request.
        CERT_REQUEST = 7, "CR";
        /// Hash.
        HASH = 8, "HASH";
        /// Signature.
        SIGNATURE = 9, "SIG";
        /// Nonce.
        NONCE = 10, "NONCE";
        /// Notification.
        NOTIFICATION = 11, "N";
        /// Delete.
        DELETE = 12, "D";
        /// Vendor id.
        VENDOR_ID = 13, "VID";
        /// Attributes (mode configuration); 14 in the drafts everyone implemented.
        ATTRIBUTES = 14, "ATTR";
        /// NAT detection in drafts 04 to 08 and Apple's; SAK in RFC 6407.
        NAT_D_OLD = 15, "NAT-D(15)";
        /// NAT detection (RFC 3947 §3.2).
        NAT_D = 20, "NAT-D";
        /// NAT original address (RFC 3947 §5.2).
        NAT_OA = 21, "NAT-OA";
        /// NAT detection in drafts 00 to 03.
        NAT_D_DRAFT = 130, "NAT-D(130)";
        /// NAT original address in drafts 00 to 03.
        NAT_OA_DRAFT = 131, "NAT-OA(131)";
        /// One piece of a fragmented message.
        FRAGMENT = 132, "FRAG";
    }
}

impl PayloadType {
    /// Whether a chain may hold this type: IKEv1's own, the GDOI range that drafts reused (14 to 19)
    /// and private use. The rest, IKEv2's 33 to 53 among them, is refused (RFC 2408 §5.3).
    pub const fn is_tolerated(self) -> bool {
        matches!(self.0, 1..=21 | 128..=255)
    }
}

registry! {
    /// Security protocols (RFC 2407 §4.4.1).
    ProtocolId(u8) {
        /// Phase 1.
        ISAKMP = 1, "ISAKMP";
        /// Authentication header.
        AH = 2, "AH";
        /// Encapsulating security payload.
        ESP = 3, "ESP";
        /// IP compression.
        IPCOMP = 4, "IPCOMP";
    }
}

registry! {
    /// Phase 1 attribute classes (RFC 2409 §A).
    IkeAttribute(u16) {
        /// Encryption algorithm.
        ENCRYPTION = 1, "encryption";
        /// Hash algorithm.
        HASH = 2, "hash";
        /// Authentication method.
        AUTHENTICATION = 3, "authentication";
        /// Group description.
        GROUP = 4, "group";
        /// Life type.
        LIFE_TYPE = 11, "life type";
        /// Life duration, of the life type before it.
        LIFE_DURATION = 12, "life duration";
        /// PRF; none was ever assigned.
        PRF = 13, "PRF";
        /// Key length in bits.
        KEY_LENGTH = 14, "key length";
    }
}

registry! {
    /// Phase 1 encryption algorithms.
    IkeEncryption(u16) {
        /// Single DES; never accepted.
        DES = 1, "des";
        /// Triple DES in CBC mode.
        TRIPLE_DES = 5, "3des";
        /// AES in CBC mode (RFC 3602).
        AES = 7, "aes";
        /// Camellia in CBC mode.
        CAMELLIA = 8, "camellia";
    }
}

registry! {
    /// Phase 1 hash algorithms.
    IkeHash(u16) {
        /// MD5.
        MD5 = 1, "md5";
        /// SHA-1.
        SHA1 = 2, "sha1";
        /// SHA2-256 (RFC 4868).
        SHA256 = 4, "sha256";
        /// SHA2-384.
        SHA384 = 5, "sha384";
        /// SHA2-512.
        SHA512 = 6, "sha512";
    }
}

registry! {
    /// Phase 1 authentication methods.
    AuthMethod(u16) {
        /// Pre-shared key.
        PSK = 1, "psk";
        /// DSS signatures.
        DSS = 2, "dss";
        /// RSA signatures.
        RSA = 3, "rsa";
        /// RSA encryption; never accepted: it makes an oracle of the private key.
        RSA_ENCRYPTION = 4, "rsa-encryption";
        /// Revised RSA encryption; never accepted.
        RSA_ENCRYPTION_REVISED = 5, "revised-rsa-encryption";
        /// ECDSA with SHA-256 on P-256 (RFC 4754).
        ECDSA_256 = 9, "ecdsa-256";
        /// ECDSA with SHA-384 on P-384.
        ECDSA_384 = 10, "ecdsa-384";
        /// ECDSA with SHA-512 on P-521.
        ECDSA_521 = 11, "ecdsa-521";
        /// Pre-shared key with XAUTH, initiator is the client.
        XAUTH_PSK = 65001, "xauth-psk";
        /// RSA signatures with XAUTH, initiator is the client.
        XAUTH_RSA = 65005, "xauth-rsa";
    }
}

registry! {
    /// Diffie-Hellman groups as both phases number them.
    GroupNumber(u16) {
        /// 768-bit MODP; never accepted.
        MODP768 = 1, "modp768";
        /// 1024-bit MODP.
        MODP1024 = 2, "modp1024";
        /// 1536-bit MODP.
        MODP1536 = 5, "modp1536";
        /// 2048-bit MODP.
        MODP2048 = 14, "modp2048";
        /// 3072-bit MODP.
        MODP3072 = 15, "modp3072";
        /// 4096-bit MODP.
        MODP4096 = 16, "modp4096";
        /// 6144-bit MODP.
        MODP6144 = 17, "modp6144";
        /// 8192-bit MODP.
        MODP8192 = 18, "modp8192";
        /// NIST P-256.
        ECP256 = 19, "ecp256";
        /// NIST P-384.
        ECP384 = 20, "ecp384";
        /// NIST P-521.
        ECP521 = 21, "ecp521";
        /// Curve25519.
        CURVE25519 = 31, "curve25519";
    }
}

registry! {
    /// Phase 2 attribute classes (RFC 2407 §4.5).
    EspAttribute(u16) {
        /// SA life type.
        LIFE_TYPE = 1, "life type";
        /// SA life duration, of the life type before it.
        LIFE_DURATION = 2, "life duration";
        /// Group description: perfect forward secrecy.
        GROUP = 3, "group";
        /// Encapsulation mode.
        ENCAPSULATION = 4, "encapsulation";
        /// Authentication algorithm.
        AUTHENTICATION = 5, "authentication";
        /// Key length in bits.
        KEY_LENGTH = 6, "key length";
        /// ECN tunnel (RFC 3168 §9.2.1); meaningless in transport mode.
        ECN_TUNNEL = 10, "ECN tunnel";
        /// Extended sequence numbers (RFC 4304).
        EXTENDED_SEQUENCE = 11, "ESN";
    }
}

registry! {
    /// Life types; the same numbers in both phases.
    LifeType(u16) {
        /// Seconds.
        SECONDS = 1, "seconds";
        /// Kilobytes.
        KILOBYTES = 2, "kilobytes";
    }
}

registry! {
    /// ESP transform ids (RFC 2407 §4.4.4).
    EspTransform(u8) {
        /// DES; never accepted.
        DES = 2, "des";
        /// Triple DES.
        TRIPLE_DES = 3, "3des";
        /// NULL; never accepted.
        NULL = 11, "null";
        /// AES in CBC mode.
        AES = 12, "aes";
        /// AES in counter mode.
        AES_CTR = 13, "aesctr";
        /// AES-GCM with a 16-byte ICV (RFC 4106).
        AES_GCM_16 = 20, "aesgcm16";
        /// Camellia.
        CAMELLIA = 22, "camellia";
        /// Authentication only; never accepted.
        AES_GMAC = 23, "aesgmac";
    }
}

registry! {
    /// ESP authentication algorithms (RFC 2407 §4.5, RFC 4868).
    EspAuthentication(u16) {
        /// HMAC-MD5-96.
        MD5 = 1, "md5";
        /// HMAC-SHA1-96.
        SHA1 = 2, "sha1";
        /// HMAC-SHA2-256-128.
        SHA256 = 5, "sha256";
        /// HMAC-SHA2-384-192.
        SHA384 = 6, "sha384";
        /// HMAC-SHA2-512-256.
        SHA512 = 7, "sha512";
    }
}

registry! {
    /// Encapsulation modes (RFC 2407 §4.5, RFC 3947 §5.1, and the drafts' private numbers).
    Encapsulation(u16) {
        /// Tunnel mode.
        TUNNEL = 1, "tunnel";
        /// Transport mode.
        TRANSPORT = 2, "transport";
        /// Tunnel mode in UDP.
        UDP_TUNNEL = 3, "udp tunnel";
        /// Transport mode in UDP.
        UDP_TRANSPORT = 4, "udp transport";
        /// Tunnel mode in UDP, drafts 00 to 03.
        UDP_TUNNEL_DRAFT = 61443, "udp tunnel (draft)";
        /// Transport mode in UDP, drafts 00 to 03.
        UDP_TRANSPORT_DRAFT = 61444, "udp transport (draft)";
    }
}

registry! {
    /// Identification types (RFC 2407 §4.6.2.1).
    IdType(u8) {
        /// One IPv4 address.
        IPV4_ADDR = 1, "ipv4";
        /// A domain name.
        FQDN = 2, "fqdn";
        /// A mail-like user name.
        USER_FQDN = 3, "user fqdn";
        /// IPv4 address and mask.
        IPV4_ADDR_SUBNET = 4, "ipv4 subnet";
        /// One IPv6 address.
        IPV6_ADDR = 5, "ipv6";
        /// IPv6 address and mask.
        IPV6_ADDR_SUBNET = 6, "ipv6 subnet";
        /// First and last IPv4 address.
        IPV4_ADDR_RANGE = 7, "ipv4 range";
        /// First and last IPv6 address.
        IPV6_ADDR_RANGE = 8, "ipv6 range";
        /// An X.500 distinguished name.
        DER_ASN1_DN = 9, "dn";
        /// Opaque bytes, such as Apple's group name.
        KEY_ID = 11, "key id";
    }
}

registry! {
    /// Notify message types (RFC 2408 §3.14.1, RFC 2407 §4.6.3, RFC 3706).
    NotifyType(u16) {
        /// A payload type the receiver does not know.
        INVALID_PAYLOAD_TYPE = 1, "INVALID-PAYLOAD-TYPE";
        /// An unknown DOI.
        DOI_NOT_SUPPORTED = 2, "DOI-NOT-SUPPORTED";
        /// An unknown situation.
        SITUATION_NOT_SUPPORTED = 3, "SITUATION-NOT-SUPPORTED";
        /// Cookies the receiver does not know.
        INVALID_COOKIE = 4, "INVALID-COOKIE";
        /// An exchange the receiver does not do.
        INVALID_EXCHANGE_TYPE = 7, "INVALID-EXCHANGE-TYPE";
        /// An SPI the receiver does not know.
        INVALID_SPI = 11, "INVALID-SPI";
        /// Nothing offered is acceptable.
        NO_PROPOSAL_CHOSEN = 14, "NO-PROPOSAL-CHOSEN";
        /// Syntax, or what a wrong key makes of it.
        PAYLOAD_MALFORMED = 16, "PAYLOAD-MALFORMED";
        /// A key exchange the receiver does not accept.
        INVALID_KEY_INFORMATION = 17, "INVALID-KEY-INFORMATION";
        /// Selectors or identity the receiver does not accept.
        INVALID_ID_INFORMATION = 18, "INVALID-ID-INFORMATION";
        /// A hash does not verify.
        INVALID_HASH_INFORMATION = 23, "INVALID-HASH-INFORMATION";
        /// Authentication failed.
        AUTHENTICATION_FAILED = 24, "AUTHENTICATION-FAILED";
        /// Lifetimes of the responder (RFC 2407 §4.6.3.1).
        RESPONDER_LIFETIME = 24576, "RESPONDER-LIFETIME";
        /// First contact since a restart (RFC 2407 §4.6.3.3).
        INITIAL_CONTACT = 24578, "INITIAL-CONTACT";
        /// Are you there (RFC 3706).
        R_U_THERE = 36136, "R-U-THERE";
        /// Yes.
        R_U_THERE_ACK = 36137, "R-U-THERE-ACK";
    }
}

impl NotifyType {
    /// Whether the type reports an error (RFC 2408 §3.14.1).
    pub const fn is_error(self) -> bool {
        self.0 < 16384
    }
}

/// The IPsec domain of interpretation (RFC 2407).
pub const DOI_IPSEC: u32 = 1;
/// The only situation in use (RFC 2407 §4.2.1).
pub const SITUATION_IDENTITY_ONLY: u32 = 1;
/// Phase 1 transform id `KEY_IKE`.
pub const TRANSFORM_KEY_IKE: u8 = 1;
/// IP protocol number of UDP in identification payloads.
pub const PROTOCOL_UDP: u8 = 17;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn known_values_print_their_name_and_unknown_ones_their_number() {
        assert_eq!(NotifyType::NO_PROPOSAL_CHOSEN.to_string(), "NO-PROPOSAL-CHOSEN");
        assert_eq!(NotifyType(9999).to_string(), "9999");
        assert_eq!(std::format!("{:?}", GroupNumber(1025)), "GroupNumber(1025)");
    }

    #[test]
    fn the_payload_types_of_ikev2_are_not_tolerated() {
        assert!((33..=53).all(|n| !PayloadType(n).is_tolerated()));
        assert!(PayloadType::NAT_OA_DRAFT.is_tolerated() && PayloadType::NAT_D_OLD.is_tolerated());
        assert!(!PayloadType::NONE.is_tolerated());
    }
}
