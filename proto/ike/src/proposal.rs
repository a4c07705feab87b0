//! Phase 1 proposals: what we offer, what we accept, and what either is called.

mod choice;

use alloc::vec::Vec;
use core::fmt;

use isthmus_core::Duration;
use isthmus_crypto::{CipherAlg, DhGroup, HashAlg};
use serde::{Deserialize, Serialize};

pub(crate) use self::choice::{
    Authentication, ChosenIke, LIFETIME_DEFAULT, choose_ike, choose_ike_with_share, lifetimes,
};
use crate::codec::{Attribute, Proposal, SaBody, Transform};
use crate::iana::{
    AuthMethod, GroupNumber, IkeAttribute, IkeEncryption, IkeHash, LifeType, ProtocolId,
    TRANSFORM_KEY_IKE,
};

/// Algorithms of an IKE SA; the authentication goes beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IkeProposal {
    /// Cipher.
    pub cipher: CipherAlg,
    /// Hash, also the base of the PRF.
    pub hash: HashAlg,
    /// Diffie-Hellman group.
    pub group: DhGroup,
}

impl IkeProposal {
    /// Everything we accept from clients, strongest habits first. `legacy` adds 3DES, MD5 and the
    /// groups of 1024 and 1536 bits, which Android up to 11 and old routers cannot do without.
    pub fn acceptable(legacy: bool) -> Vec<Self> {
        let mut all = Vec::new();
        for group in GROUPS {
            for cipher in CIPHERS {
                for hash in HASHES {
                    let proposal = Self { cipher, hash, group };
                    if legacy || !proposal.is_legacy() {
                        all.push(proposal);
                    }
                }
            }
        }
        all
    }

    /// A short list to offer as initiator; it fits one unfragmented datagram.
    pub fn offered(legacy: bool) -> Vec<Self> {
        let modern = [
            (CipherAlg::Aes256Cbc, HashAlg::Sha256, DhGroup::Modp2048),
            (CipherAlg::Aes256Cbc, HashAlg::Sha256, DhGroup::Ecp256),
            (CipherAlg::Aes256Cbc, HashAlg::Sha384, DhGroup::Ecp384),
            (CipherAlg::Aes256Cbc, HashAlg::Sha1, DhGroup::Modp2048),
            (CipherAlg::Aes256Cbc, HashAlg::Sha1, DhGroup::Ecp384),
            (CipherAlg::Aes128Cbc, HashAlg::Sha256, DhGroup::Modp2048),
            (CipherAlg::Aes128Cbc, HashAlg::Sha1, DhGroup::Modp2048),
        ];
        let old = [
            (CipherAlg::TripleDesCbc, HashAlg::Sha1, DhGroup::Modp2048),
            (CipherAlg::Aes256Cbc, HashAlg::Sha1, DhGroup::Modp1536),
            (CipherAlg::Aes256Cbc, HashAlg::Sha1, DhGroup::Modp1024),
            (CipherAlg::Aes128Cbc, HashAlg::Sha1, DhGroup::Modp1024),
            (CipherAlg::TripleDesCbc, HashAlg::Sha1, DhGroup::Modp1024),
        ];
        let old = old.into_iter().filter(|_| legacy);
        let all = modern.into_iter().chain(old);
        all.map(|(cipher, hash, group)| Self { cipher, hash, group }).collect()
    }

    /// Whether the proposal is allowed only behind the legacy switch.
    pub const fn is_legacy(self) -> bool {
        self.group.is_legacy()
            || matches!(self.cipher, CipherAlg::TripleDesCbc)
            || matches!(self.hash, HashAlg::Md5 | HashAlg::Md4)
    }

    /// The proposal with a name such as `aes256-sha256-modp2048`.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let (cipher, hash, group) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            cipher: CIPHERS.into_iter().find(|c| cipher_name(*c) == cipher)?,
            hash: HASHES.into_iter().find(|h| hash_name(*h) == hash)?,
            group: GROUPS.into_iter().find(|g| group_name(*g) == group)?,
        })
    }

    /// The proposal as it is offered, authenticated by a pre-shared key.
    pub const fn offered_as(self) -> OfferedIke {
        OfferedIke {
            encryption: ike_encryption(self.cipher),
            key_bits: key_bits(self.cipher),
            hash: ike_hash(self.hash),
            group: GroupNumber(self.group.number()),
            authentication: AuthMethod::PSK,
        }
    }
}

impl fmt::Display for IkeProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cipher, hash) = (cipher_name(self.cipher), hash_name(self.hash));
        write!(f, "{cipher}-{hash}-{}", group_name(self.group))
    }
}

/// One phase 1 transform as a peer offered it, for people to read; it may name what we cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedIke {
    /// Encryption algorithm.
    pub encryption: IkeEncryption,
    /// Key length in bits, when given.
    pub key_bits: Option<u16>,
    /// Hash algorithm.
    pub hash: IkeHash,
    /// Group.
    pub group: GroupNumber,
    /// Authentication method.
    pub authentication: AuthMethod,
}

impl OfferedIke {
    /// Reads a transform leniently; what is missing becomes 0.
    pub fn of(transform: &Transform) -> Self {
        let number = |class: IkeAttribute| {
            transform.attribute(class.0).and_then(Attribute::as_u16).unwrap_or(0)
        };
        let key_bits = transform.attribute(IkeAttribute::KEY_LENGTH.0).and_then(Attribute::as_u16);
        Self {
            encryption: IkeEncryption(number(IkeAttribute::ENCRYPTION)),
            key_bits,
            hash: IkeHash(number(IkeAttribute::HASH)),
            group: GroupNumber(number(IkeAttribute::GROUP)),
            authentication: AuthMethod(number(IkeAttribute::AUTHENTICATION)),
        }
    }

    /// The transform that offers this for `lifetime`.
    fn transform(&self, number: u8, lifetime: Attribute) -> Transform {
        let mut attributes = Vec::from([
            Attribute::basic(IkeAttribute::ENCRYPTION.0, self.encryption.0),
            Attribute::basic(IkeAttribute::HASH.0, self.hash.0),
            Attribute::basic(IkeAttribute::GROUP.0, self.group.0),
            Attribute::basic(IkeAttribute::AUTHENTICATION.0, self.authentication.0),
            Attribute::basic(IkeAttribute::LIFE_TYPE.0, LifeType::SECONDS.0),
            lifetime,
        ]);
        if let Some(bits) = self.key_bits {
            attributes.insert(1, Attribute::basic(IkeAttribute::KEY_LENGTH.0, bits));
        }
        Transform { number, id: TRANSFORM_KEY_IKE, attributes }
    }

    /// The SA that offers these transforms in this order, at most [`OFFERS_MAX`]; `wide` makes the
    /// life duration four bytes long.
    pub(crate) fn offer(transforms: &[Self], lifetime: Duration, wide: bool) -> SaBody {
        let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        let lifetime = Attribute::duration(IkeAttribute::LIFE_DURATION.0, seconds, wide);
        let transforms = (1u8..)
            .zip(transforms.iter().take(OFFERS_MAX))
            .map(|(number, transform)| transform.transform(number, lifetime.clone()))
            .collect();
        let proposal =
            Proposal { number: 1, protocol: ProtocolId::ISAKMP, spi: Vec::new(), transforms };
        SaBody { proposals: Vec::from([proposal]) }
    }

    /// The proposal this is, if we know every algorithm and it authenticates by pre-shared key.
    pub fn proposal(&self) -> Option<IkeProposal> {
        self.algorithms().filter(|_| self.authentication == AuthMethod::PSK)
    }

    /// The proposal this is, if we know every algorithm, however it authenticates.
    pub fn algorithms(&self) -> Option<IkeProposal> {
        let cipher = match (self.encryption, self.key_bits) {
            (IkeEncryption::AES, Some(128)) => CipherAlg::Aes128Cbc,
            (IkeEncryption::AES, Some(192)) => CipherAlg::Aes192Cbc,
            (IkeEncryption::AES, Some(256)) => CipherAlg::Aes256Cbc,
            (IkeEncryption::TRIPLE_DES, None) => CipherAlg::TripleDesCbc,
            _ => return None,
        };
        let hash = match self.hash {
            IkeHash::MD5 => HashAlg::Md5,
            IkeHash::SHA1 => HashAlg::Sha1,
            IkeHash::SHA256 => HashAlg::Sha256,
            IkeHash::SHA384 => HashAlg::Sha384,
            IkeHash::SHA512 => HashAlg::Sha512,
            _ => return None,
        };
        Some(IkeProposal { cipher, hash, group: DhGroup::from_number(self.group.0)? })
    }
}

impl fmt::Display for OfferedIke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.encryption)?;
        if let Some(bits) = self.key_bits {
            write!(f, "{bits}")?;
        }
        write!(f, "-{}-{}", self.hash, self.group)?;
        if self.authentication == AuthMethod::PSK {
            return Ok(());
        }
        write!(f, " ({})", self.authentication)
    }
}

/// The configuration name of a group, such as `modp2048`.
pub fn group_name(group: DhGroup) -> &'static str {
    GroupNumber(group.number()).name().unwrap_or("unknown")
}

fn cipher_name(cipher: CipherAlg) -> &'static str {
    match cipher {
        CipherAlg::Aes128Cbc => "aes128",
        CipherAlg::Aes192Cbc => "aes192",
        CipherAlg::Aes256Cbc => "aes256",
        CipherAlg::TripleDesCbc => "3des",
    }
}

fn hash_name(hash: HashAlg) -> &'static str {
    match hash {
        HashAlg::Md4 => "md4",
        HashAlg::Md5 => "md5",
        HashAlg::Sha1 => "sha1",
        HashAlg::Sha256 => "sha256",
        HashAlg::Sha384 => "sha384",
        HashAlg::Sha512 => "sha512",
    }
}

const fn ike_encryption(cipher: CipherAlg) -> IkeEncryption {
    match cipher {
        CipherAlg::Aes128Cbc | CipherAlg::Aes192Cbc | CipherAlg::Aes256Cbc => IkeEncryption::AES,
        CipherAlg::TripleDesCbc => IkeEncryption::TRIPLE_DES,
    }
}

const fn key_bits(cipher: CipherAlg) -> Option<u16> {
    match cipher {
        CipherAlg::Aes128Cbc => Some(128),
        CipherAlg::Aes192Cbc => Some(192),
        CipherAlg::Aes256Cbc => Some(256),
        CipherAlg::TripleDesCbc => None,
    }
}

const fn ike_hash(hash: HashAlg) -> IkeHash {
    match hash {
        // MD4 is no IKE hash; 0 is what a peer refuses.
        HashAlg::Md4 => IkeHash(0),
        HashAlg::Md5 => IkeHash::MD5,
        HashAlg::Sha1 => IkeHash::SHA1,
        HashAlg::Sha256 => IkeHash::SHA256,
        HashAlg::Sha384 => IkeHash::SHA384,
        HashAlg::Sha512 => IkeHash::SHA512,
    }
}

const CIPHERS: [CipherAlg; 4] =
    [CipherAlg::Aes256Cbc, CipherAlg::Aes192Cbc, CipherAlg::Aes128Cbc, CipherAlg::TripleDesCbc];
const HASHES: [HashAlg; 5] =
    [HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512, HashAlg::Sha1, HashAlg::Md5];
const GROUPS: [DhGroup; 7] = [
    DhGroup::Ecp384,
    DhGroup::Ecp256,
    DhGroup::Modp4096,
    DhGroup::Modp3072,
    DhGroup::Modp2048,
    DhGroup::Modp1536,
    DhGroup::Modp1024,
];
/// Most proposals offered as initiator.
pub const OFFERS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    fn offer(proposals: &[IkeProposal], lifetime: Duration) -> SaBody {
        let offered: Vec<_> = proposals.iter().map(|p| p.offered_as()).collect();
        OfferedIke::offer(&offered, lifetime, false)
    }

    #[test]
    fn names_and_proposals_are_the_same_thing() {
        for proposal in IkeProposal::acceptable(true) {
            assert_eq!(IkeProposal::from_name(&proposal.to_string()), Some(proposal));
            let transform = offer(&[proposal], Duration::from_hours(1))
                .proposals
                .remove(0)
                .transforms
                .remove(0);
            assert_eq!(choice::read_ike(&transform), Some((proposal, AuthMethod::PSK)));
            assert_eq!(OfferedIke::of(&transform).to_string(), proposal.to_string());
        }
        assert_eq!(IkeProposal::from_name("aes256-sha256"), None);
        assert_eq!(IkeProposal::from_name("aes256-sha256-modp2048-x"), None);
    }

    #[test]
    fn an_offer_is_bounded() {
        let all = IkeProposal::acceptable(true);
        assert!(all.len() > OFFERS_MAX);
        let offer = offer(&all, Duration::from_secs(1));
        assert_eq!(offer.proposals[0].transforms.len(), OFFERS_MAX);
    }
}
