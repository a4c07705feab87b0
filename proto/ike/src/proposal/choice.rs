//! How a choice is made among the proposals of phase 1.
//!
//! The responder goes through the initiator's transforms in the initiator's order and takes the
//! first that is in its own list. Windows puts P-384 first and means it; Apple and Android put their
//! strongest first as well; nobody orders by weakness.

use alloc::vec::Vec;

use isthmus_core::Duration;
use isthmus_crypto::KeyKind;

use super::{IkeProposal, OfferedIke};
use crate::codec::{Attribute, Proposal, SaBody, Transform};
use crate::iana::{AuthMethod, IkeAttribute, LifeType, ProtocolId, TRANSFORM_KEY_IKE};

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
pub(super) fn read_ike(transform: &Transform) -> Option<(IkeProposal, AuthMethod)> {
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
}
