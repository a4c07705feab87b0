//! Phase 2 proposals: which ESP suite, encapsulation, lifetime and group a child gets.
//!
//! As in phase 1 the responder takes the initiator's first transform that is in its own list.

use alloc::vec::Vec;
use core::fmt;

use isthmus_core::{Duration, Encap};
use isthmus_crypto::{DhGroup, EspSuite};
use serde::{Deserialize, Serialize};

use crate::codec::{Attribute, Proposal, SaBody, Transform};
use crate::iana::{
    Encapsulation, EspAttribute, EspAuthentication, EspTransform, GroupNumber, LifeType, ProtocolId,
};
use crate::proposal::{LIFETIME_DEFAULT, lifetimes};

/// How long a child may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// Time from installation.
    pub time: Duration,
    /// Traffic in kilobytes of 1000 bytes.
    pub kilobytes: Option<u64>,
}

impl Lifetime {
    /// The shorter of both in each respect.
    #[must_use]
    pub fn shorter(self, other: Self) -> Self {
        let kilobytes = match (self.kilobytes, other.kilobytes) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { time: self.time.min(other.time), kilobytes }
    }
}

/// One ESP transform as a peer offered it, for people to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedEsp {
    /// Transform id.
    pub transform: EspTransform,
    /// Key length in bits, when given.
    pub key_bits: Option<u16>,
    /// Authentication algorithm, when given.
    pub authentication: Option<EspAuthentication>,
    /// Group for perfect forward secrecy, when asked for.
    pub group: Option<GroupNumber>,
    /// Encapsulation mode, when given.
    pub encapsulation: Option<Encapsulation>,
}

impl OfferedEsp {
    /// Reads a transform leniently.
    pub fn of(transform: &Transform) -> Self {
        let number = |class: EspAttribute| transform.attribute(class.0).and_then(Attribute::as_u16);
        Self {
            transform: EspTransform(transform.id),
            key_bits: number(EspAttribute::KEY_LENGTH),
            authentication: number(EspAttribute::AUTHENTICATION).map(EspAuthentication),
            group: number(EspAttribute::GROUP).map(GroupNumber),
            encapsulation: number(EspAttribute::ENCAPSULATION).map(Encapsulation),
        }
    }

    /// A suite as it is offered.
    pub const fn of_suite(suite: EspSuite) -> Self {
        let (transform, key_bits, authentication) = names(suite);
        Self { transform, key_bits, authentication, group: None, encapsulation: None }
    }

    /// The suite this is for who has these: SHA-256 cut to 96 bits has the number of the proper one, so
    /// the list says which is meant, the one that stands first if both are in it.
    fn suite_among(&self, ours: &[EspSuite]) -> Option<EspSuite> {
        let proper = self.suite()?;
        let twins = [
            (EspSuite::Aes128CbcSha256, EspSuite::Aes128CbcSha256Cut96),
            (EspSuite::Aes256CbcSha256, EspSuite::Aes256CbcSha256Cut96),
        ];
        let cut = twins.into_iter().find(|(twin, _)| *twin == proper).map(|(_, cut)| cut);
        ours.iter().copied().find(|own| *own == proper || Some(*own) == cut)
    }

    /// The suite that an initiator with this list means, or else what it is called.
    pub(crate) fn meant(&self, ours: &[EspSuite]) -> Option<EspSuite> {
        self.suite_among(ours).or_else(|| self.suite())
    }

    /// The suite this is, if we know it. NULL, DES, GMAC and all else we cannot do have none.
    pub fn suite(&self) -> Option<EspSuite> {
        use EspAuthentication as Auth;
        match (self.transform, self.key_bits, self.authentication) {
            // RFC 2407 has no default; racoon and Windows mean 128 when they say nothing.
            (EspTransform::AES, None | Some(128), Some(Auth::SHA1)) => {
                Some(EspSuite::Aes128CbcSha1)
            }
            (EspTransform::AES, Some(192), Some(Auth::SHA1)) => Some(EspSuite::Aes192CbcSha1),
            (EspTransform::AES, Some(256), Some(Auth::SHA1)) => Some(EspSuite::Aes256CbcSha1),
            (EspTransform::AES, None | Some(128), Some(Auth::SHA256)) => {
                Some(EspSuite::Aes128CbcSha256)
            }
            (EspTransform::AES, Some(256), Some(Auth::SHA256)) => Some(EspSuite::Aes256CbcSha256),
            (EspTransform::AES, None | Some(128), Some(Auth::SHA384)) => {
                Some(EspSuite::Aes128CbcSha384)
            }
            (EspTransform::AES, Some(256), Some(Auth::SHA384)) => Some(EspSuite::Aes256CbcSha384),
            (EspTransform::AES, None | Some(128), Some(Auth::SHA512)) => {
                Some(EspSuite::Aes128CbcSha512)
            }
            (EspTransform::AES, Some(256), Some(Auth::SHA512)) => Some(EspSuite::Aes256CbcSha512),
            (EspTransform::AES_GCM_16, Some(128), None) => Some(EspSuite::Aes128Gcm16),
            (EspTransform::AES_GCM_16, Some(256), None) => Some(EspSuite::Aes256Gcm16),
            (EspTransform::TRIPLE_DES, None, Some(Auth::SHA1)) => Some(EspSuite::TripleDesSha1),
            _ => None,
        }
    }
}

impl fmt::Display for OfferedEsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.transform)?;
        if let Some(bits) = self.key_bits {
            write!(f, "{bits}")?;
        }
        if let Some(authentication) = self.authentication {
            write!(f, "-{authentication}")?;
        }
        if let Some(group) = self.group {
            write!(f, "-{group}")?;
        }
        match self.encapsulation {
            Some(mode) => write!(f, " ({mode})"),
            None => Ok(()),
        }
    }
}

/// What a transform must satisfy besides being in the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Criteria<'a> {
    pub(crate) suites: &'a [EspSuite],
    pub(crate) legacy: bool,
    /// Plain ESP reaches the peer.
    pub(crate) plain: bool,
    /// ESP in UDP reaches the peer.
    pub(crate) udp: bool,
    /// Length of the key exchange value in the message; perfect forward secrecy follows it.
    pub(crate) ke_len: Option<usize>,
}

/// An acceptable ESP transform among those offered.
#[derive(Clone, Debug)]
pub(crate) struct ChosenEsp {
    pub(crate) suite: EspSuite,
    /// The peer's inbound SPI.
    pub(crate) spi: u32,
    pub(crate) encap: Encap,
    pub(crate) group: Option<DhGroup>,
    pub(crate) lifetime: Lifetime,
    number: u8,
    transform: Transform,
}

impl ChosenEsp {
    /// The SA body that answers the offer: the one transform, attributes untouched, and our SPI.
    pub(crate) fn reply(&self, spi: u32) -> SaBody {
        let proposal = Proposal {
            number: self.number,
            protocol: ProtocolId::ESP,
            spi: spi.to_be_bytes().to_vec(),
            transforms: Vec::from([self.transform.clone()]),
        };
        SaBody { proposals: Vec::from([proposal]) }
    }
}

/// Takes the first offered transform that satisfies the criteria; else what was offered.
pub(crate) fn choose_esp(
    offer: &SaBody,
    criteria: Criteria<'_>,
) -> Result<ChosenEsp, Vec<OfferedEsp>> {
    for proposal in &offer.proposals {
        // Proposals of the same number are wanted together; ESP with AH or IPCOMP we cannot do.
        let same = offer.proposals.iter().filter(|p| p.number == proposal.number);
        if proposal.protocol != ProtocolId::ESP
            || same.clone().any(|p| p.protocol != ProtocolId::ESP)
        {
            continue;
        }
        let Some(spi) = proposal.esp_spi() else { continue };
        for transform in &proposal.transforms {
            if let Some((suite, encap, group)) = accept(transform, criteria) {
                return Ok(ChosenEsp {
                    suite,
                    spi,
                    encap,
                    group,
                    lifetime: lifetime(transform),
                    number: proposal.number,
                    transform: transform.clone(),
                });
            }
        }
    }
    Err(offer.proposals.iter().flat_map(|p| &p.transforms).map(OfferedEsp::of).collect())
}

fn accept(
    transform: &Transform,
    criteria: Criteria<'_>,
) -> Option<(EspSuite, Encap, Option<DhGroup>)> {
    let known = |a: &Attribute| match EspAttribute(a.class) {
        EspAttribute::LIFE_TYPE
        | EspAttribute::LIFE_DURATION
        | EspAttribute::GROUP
        | EspAttribute::ENCAPSULATION
        | EspAttribute::AUTHENTICATION
        | EspAttribute::KEY_LENGTH
        | EspAttribute::ECN_TUNNEL => true,
        // Saying "no extended sequence numbers" changes nothing.
        EspAttribute::EXTENDED_SEQUENCE => a.as_u16() == Some(0),
        _ => false,
    };
    if !transform.attributes.iter().all(known) {
        return None;
    }
    let offered = OfferedEsp::of(transform);
    let suite = offered.suite_among(criteria.suites)?;
    if suite.is_legacy() && !criteria.legacy {
        return None;
    }
    let encap = match offered.encapsulation? {
        Encapsulation::TRANSPORT if criteria.plain => Encap::Esp,
        Encapsulation::UDP_TRANSPORT | Encapsulation::UDP_TRANSPORT_DRAFT if criteria.udp => {
            Encap::Udp
        }
        _ => return None,
    };
    let group = match (offered.group, criteria.ke_len) {
        (None, None) => None,
        (Some(number), Some(len)) => {
            let group = DhGroup::from_number(number.0)?;
            let allowed = criteria.legacy || !group.is_legacy();
            Some(group).filter(|g| allowed && g.public_len() == len).map(Some)?
        }
        (Some(_), None) | (None, Some(_)) => return None,
    };
    Some((suite, encap, group))
}

fn lifetime(transform: &Transform) -> Lifetime {
    let (seconds, kilobytes) =
        lifetimes(&transform.attributes, EspAttribute::LIFE_TYPE.0, EspAttribute::LIFE_DURATION.0);
    Lifetime { time: seconds.map_or(LIFETIME_DEFAULT, Duration::from_secs), kilobytes }
}

/// The SA that offers these transforms in this order, at most [`SUITES_MAX`]; `wide` makes life
/// durations four bytes long.
pub(crate) fn offer_esp(
    offered: impl IntoIterator<Item = OfferedEsp>,
    spi: u32,
    lifetime: Lifetime,
    wide: bool,
) -> SaBody {
    let transforms = (1u8..)
        .zip(offered.into_iter().take(SUITES_MAX))
        .map(|(number, offered)| transform(number, &offered, lifetime, wide))
        .collect();
    let proposal = Proposal {
        number: 1,
        protocol: ProtocolId::ESP,
        spi: spi.to_be_bytes().to_vec(),
        transforms,
    };
    SaBody { proposals: Vec::from([proposal]) }
}

fn transform(number: u8, offered: &OfferedEsp, lifetime: Lifetime, wide: bool) -> Transform {
    let duration = |value| Attribute::duration(EspAttribute::LIFE_DURATION.0, value, wide);
    let mode = offered.encapsulation.unwrap_or(Encapsulation::TRANSPORT);
    let seconds = u32::try_from(lifetime.time.as_secs()).unwrap_or(u32::MAX);
    let mut attributes = Vec::from([
        Attribute::basic(EspAttribute::ENCAPSULATION.0, mode.0),
        Attribute::basic(EspAttribute::LIFE_TYPE.0, LifeType::SECONDS.0),
        duration(seconds),
    ]);
    if let Some(kilobytes) = lifetime.kilobytes {
        let kilobytes = u32::try_from(kilobytes).unwrap_or(u32::MAX);
        attributes.push(Attribute::basic(EspAttribute::LIFE_TYPE.0, LifeType::KILOBYTES.0));
        attributes.push(duration(kilobytes));
    }
    let optional = [
        offered.authentication.map(|a| Attribute::basic(EspAttribute::AUTHENTICATION.0, a.0)),
        offered.key_bits.map(|bits| Attribute::basic(EspAttribute::KEY_LENGTH.0, bits)),
        offered.group.map(|group| Attribute::basic(EspAttribute::GROUP.0, group.0)),
    ];
    attributes.extend(optional.into_iter().flatten());
    Transform { number, id: offered.transform.0, attributes }
}

const fn names(suite: EspSuite) -> (EspTransform, Option<u16>, Option<EspAuthentication>) {
    let (sha1, sha256) = (Some(EspAuthentication::SHA1), Some(EspAuthentication::SHA256));
    let (sha384, sha512) = (Some(EspAuthentication::SHA384), Some(EspAuthentication::SHA512));
    match suite {
        EspSuite::Aes128CbcSha1 => (EspTransform::AES, Some(128), sha1),
        EspSuite::Aes192CbcSha1 => (EspTransform::AES, Some(192), sha1),
        EspSuite::Aes256CbcSha1 => (EspTransform::AES, Some(256), sha1),
        EspSuite::Aes128CbcSha256 | EspSuite::Aes128CbcSha256Cut96 => {
            (EspTransform::AES, Some(128), sha256)
        }
        EspSuite::Aes256CbcSha256 | EspSuite::Aes256CbcSha256Cut96 => {
            (EspTransform::AES, Some(256), sha256)
        }
        EspSuite::Aes128CbcSha384 => (EspTransform::AES, Some(128), sha384),
        EspSuite::Aes256CbcSha384 => (EspTransform::AES, Some(256), sha384),
        EspSuite::Aes128CbcSha512 => (EspTransform::AES, Some(128), sha512),
        EspSuite::Aes256CbcSha512 => (EspTransform::AES, Some(256), sha512),
        EspSuite::Aes128Gcm16 => (EspTransform::AES_GCM_16, Some(128), None),
        EspSuite::Aes256Gcm16 => (EspTransform::AES_GCM_16, Some(256), None),
        EspSuite::TripleDesSha1 => (EspTransform::TRIPLE_DES, None, sha1),
    }
}

/// Most suites offered as initiator.
pub const SUITES_MAX: usize = 32;

#[cfg(test)]
mod tests;
