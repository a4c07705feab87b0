//! Phase 1 proposals: what we offer, what we accept, and how a choice is made.
//!
//! The responder goes through the initiator's transforms in the initiator's order and takes the
//! first that is in its own list. Windows puts P-384 first and means it; Apple and Android put their
//! strongest first as well; nobody orders by weakness.

use alloc::vec::Vec;
use core::fmt;

use isthmus_core::Duration;
use isthmus_crypto::{CipherAlg, DhGroup, HashAlg, KeyKind};
use serde::{Deserialize, Serialize};

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

/// How both sides of an IKE SA prove themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    Psk,
    /// Both sign, with keys of one kind.
    Signature(KeyKind),
}

impl Authentication {
    pub(crate) const fn method(self) -> AuthMethod {
        match self {
            Self::Psk => AuthMethod::PSK,
            Self::Signature(KeyKind::Rsa) => AuthMethod::RSA,
            Self::Signature(KeyKind::EcdsaP256) => AuthMethod::ECDSA_256,
            Self::Signature(KeyKind::EcdsaP384) => AuthMethod::ECDSA_384,
        }
    }
}

/// An acceptable phase 1 transform among those offered.
#[derive(Clone, Debug)]
pub(crate) struct ChosenIke {
    pub(crate) proposal: IkeProposal,
    pub(crate) authentication: Authentication,
    /// In seconds, as offered; RFC 2407 §4.5's default of eight hours when absent.
    pub(crate) lifetime: Duration,
    /// The SA body that says so: the one transform, attributes untouched (RFC 2409 §5).
    pub(crate) reply: SaBody,
}

/// Takes the first offered transform that is in `ours` and allowed; else what was offered.
pub(crate) fn choose_ike(
    offer: &SaBody,
    ours: &[IkeProposal],
    legacy: bool,
    ways: &[Authentication],
) -> Result<ChosenIke, Vec<OfferedIke>> {
    let candidates = offer
        .proposals
        .iter()
        .filter(|p| p.protocol == ProtocolId::ISAKMP)
        .flat_map(|p| p.transforms.iter().map(move |t| (p, t)))
        .filter(|(_, t)| t.id == TRANSFORM_KEY_IKE);
    for (proposal, transform) in candidates.clone() {
        let Some((known, method)) = read_ike(transform) else { continue };
        let way = ways.iter().copied().find(|way| way.method() == method);
        let Some(authentication) = way else { continue };
        if ours.contains(&known) && (legacy || !known.is_legacy()) {
            let reply = Proposal {
                number: proposal.number,
                protocol: proposal.protocol,
                spi: Vec::new(),
                transforms: Vec::from([transform.clone()]),
            };
            return Ok(ChosenIke {
                proposal: known,
                authentication,
                lifetime: ike_lifetime(transform),
                reply: SaBody { proposals: Vec::from([reply]) },
            });
        }
    }
    Err(candidates.map(|(_, transform)| OfferedIke::of(transform)).collect())
}

/// Like [`choose_ike`], among the transforms whose group the share that came along fits: aggressive mode
/// sends one share with all its transforms.
pub(crate) fn choose_ike_with_share(
    offer: &SaBody,
    ours: &[IkeProposal],
    legacy: bool,
    share_len: usize,
) -> Result<ChosenIke, Vec<OfferedIke>> {
    let fitting: Vec<_> =
        ours.iter().copied().filter(|p| p.group.public_len() == share_len).collect();
    choose_ike(offer, &fitting, legacy, &[Authentication::Psk])
}

/// Understands a transform completely, or not at all: an attribute we do not know might change its
/// meaning (RFC 2408 §4.2).
fn read_ike(transform: &Transform) -> Option<(IkeProposal, AuthMethod)> {
    let known = |a: &Attribute| {
        matches!(
            IkeAttribute(a.class),
            IkeAttribute::ENCRYPTION
                | IkeAttribute::HASH
                | IkeAttribute::AUTHENTICATION
                | IkeAttribute::GROUP
                | IkeAttribute::LIFE_TYPE
                | IkeAttribute::LIFE_DURATION
                | IkeAttribute::KEY_LENGTH
        )
    };
    if !transform.attributes.iter().all(known) {
        return None;
    }
    let offered = OfferedIke::of(transform);
    Some((offered.algorithms()?, offered.authentication))
}

fn ike_lifetime(transform: &Transform) -> Duration {
    let (seconds, _) =
        lifetimes(&transform.attributes, IkeAttribute::LIFE_TYPE.0, IkeAttribute::LIFE_DURATION.0);
    seconds.map_or(LIFETIME_DEFAULT, Duration::from_secs)
}

/// Reads life type and duration pairs: seconds and kilobytes.
pub(crate) fn lifetimes(
    attributes: &[Attribute],
    life_type: u16,
    life_duration: u16,
) -> (Option<u64>, Option<u64>) {
    let (mut seconds, mut kilobytes) = (None, None);
    let mut kind = LifeType::SECONDS;
    for attribute in attributes {
        if attribute.class == life_type {
            kind = LifeType(attribute.as_u16().unwrap_or(0));
        } else if attribute.class == life_duration {
            // A duration too large for 64 bits is as good as none.
            let value = attribute.as_number().filter(|n| *n > 0);
            match kind {
                LifeType::SECONDS => seconds = value,
                LifeType::KILOBYTES => kilobytes = value,
                _ => {}
            }
        }
    }
    (seconds, kilobytes)
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
/// Lifetime of an SA whose negotiation names none (RFC 2407 §4.5).
pub(crate) const LIFETIME_DEFAULT: Duration = Duration::from_hours(8);

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    fn offer(proposals: &[IkeProposal], lifetime: Duration) -> SaBody {
        let offered: Vec<_> = proposals.iter().map(|p| p.offered_as()).collect();
        OfferedIke::offer(&offered, lifetime, false)
    }

    fn named(names: &[&str]) -> Vec<IkeProposal> {
        names.iter().map(|name| IkeProposal::from_name(name).unwrap()).collect()
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
            assert_eq!(read_ike(&transform), Some((proposal, AuthMethod::PSK)));
            assert_eq!(OfferedIke::of(&transform).to_string(), proposal.to_string());
        }
        assert_eq!(IkeProposal::from_name("aes256-sha256"), None);
        assert_eq!(IkeProposal::from_name("aes256-sha256-modp2048-x"), None);
    }

    #[test]
    fn the_first_offered_transform_that_is_ours_is_taken() {
        let names = ["aes256-sha1-ecp384", "aes128-sha1-ecp256", "aes256-sha1-modp2048"];
        let offer = offer(&named(&names), Duration::from_hours(8));
        let all = IkeProposal::acceptable(false);
        assert_eq!(
            choose_ike(&offer, &all, false, &[Authentication::Psk]).unwrap().proposal.to_string(),
            names[0]
        );
        let ours = named(&["aes256-sha1-modp2048", "aes128-sha1-ecp256"]);
        let chosen = choose_ike(&offer, &ours, false, &[Authentication::Psk]).unwrap();
        assert_eq!(chosen.proposal.to_string(), names[1]);
        assert_eq!(chosen.lifetime, Duration::from_hours(8));
        assert_eq!(
            chosen.reply.proposals[0].transforms,
            [offer.proposals[0].transforms[1].clone()]
        );
    }

    #[test]
    fn legacy_is_refused_unless_switched_on_even_when_listed() {
        let android = named(&["aes256-sha384-modp1024", "3des-md5-modp1024"]);
        let offer = offer(&android, Duration::from_hours(8));
        let all = IkeProposal::acceptable(true);
        let offered = choose_ike(&offer, &all, false, &[Authentication::Psk]).unwrap_err();
        assert_eq!(offered[0].to_string(), "aes256-sha384-modp1024");
        assert_eq!(
            choose_ike(&offer, &all, true, &[Authentication::Psk]).unwrap().proposal,
            android[0]
        );
        assert!(IkeProposal::acceptable(false).iter().all(|p| !p.is_legacy()));
    }

    #[test]
    fn what_we_do_not_understand_completely_is_not_chosen() {
        let offer = |change: &dyn Fn(&mut Vec<Attribute>)| {
            let ours = named(&["aes256-sha1-modp2048"]);
            let mut offer = offer(&ours, Duration::from_secs(1));
            change(&mut offer.proposals[0].transforms[0].attributes);
            choose_ike(&offer, &ours, true, &[Authentication::Psk]).is_ok()
        };
        assert!(offer(&|_| {}));
        assert!(!offer(&|a| a.push(Attribute::basic(13, 1))));
        assert!(!offer(&|a| a.push(Attribute::basic(999, 1))));
        assert!(!offer(&|a| a[3] = Attribute::basic(IkeAttribute::GROUP.0, 1025)));
        assert!(!offer(&|a| a.retain(|x| x.class != IkeAttribute::AUTHENTICATION.0)));
        assert!(!offer(&|a| a[4] = Attribute::basic(IkeAttribute::AUTHENTICATION.0, 65001)));
        assert!(!offer(&|a| a[1] = Attribute::basic(IkeAttribute::KEY_LENGTH.0, 255)));
    }

    #[test]
    fn durations_belong_to_the_type_before_them() {
        let pairs = [
            Attribute::basic(1, 1),
            Attribute::number(2, 3600),
            Attribute::basic(1, 2),
            Attribute::number(2, 250_000),
        ];
        assert_eq!(lifetimes(&pairs, 1, 2), (Some(3600), Some(250_000)));
        assert_eq!(lifetimes(&[], 1, 2), (None, None));
    }

    #[test]
    fn an_offer_is_bounded() {
        let all = IkeProposal::acceptable(true);
        assert!(all.len() > OFFERS_MAX);
        let offer = offer(&all, Duration::from_secs(1));
        assert_eq!(offer.proposals[0].transforms.len(), OFFERS_MAX);
    }
}
