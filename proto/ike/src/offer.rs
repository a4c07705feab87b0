//! What an initiator says of itself before it has proved anything, in either mode: proposals, vendor
//! ids, the addresses it sees, and that it is a first contact.

use alloc::vec::Vec;

use isthmus_core::Path;
use isthmus_crypto::{CryptoError, HashAlg};

use crate::codec::{Cookies, Notification, Out};
use crate::config::Config;
use crate::context::Context;
use crate::error::Rejected;
use crate::habits::{InitialContact, Phase1Habits};
use crate::iana::PayloadType;
use crate::nat::{self, Disguise};
use crate::proposal::{Authentication, IkeProposal, OfferedIke};
use crate::vendor::{NatT, VendorId};

/// What we offer: the proposals that the peer may choose, and the SA body that says so. Aggressive mode
/// sends a share along, so its transforms have `one_group`, that of the first.
pub(crate) fn offer(
    config: &Config,
    authentication: Authentication,
    one_group: bool,
) -> Result<(Vec<IkeProposal>, Vec<u8>), Rejected> {
    let habits = &config.habits.phase1;
    let transforms = match &habits.transforms {
        Some(transforms) => transforms.clone(),
        None => config.ike.iter().map(|proposal| proposal.offered_as()).collect(),
    };
    let allowed = |p: &IkeProposal| config.legacy || !p.is_legacy();
    let signed = authentication != Authentication::Psk;
    let method = |transform: OfferedIke| OfferedIke {
        authentication: if signed { authentication.method() } else { transform.authentication },
        ..transform
    };
    // A transform that we cannot do is offered when it is a habit; choosing it is the peer's mistake.
    let known = |t: &OfferedIke| t.algorithms().is_some_and(|proposal| allowed(&proposal));
    let group = transforms.iter().find(|t| known(t)).map(|t| t.group).filter(|_| one_group);
    let transforms: Vec<OfferedIke> = transforms
        .into_iter()
        .filter(|transform| group.is_none_or(|group| transform.group == group))
        .filter(|transform| transform.algorithms().is_none_or(|proposal| allowed(&proposal)))
        .map(method)
        .take(crate::proposal::OFFERS_MAX)
        .collect();
    let chosen = |t: &&OfferedIke| t.authentication == authentication.method();
    let offered: Vec<_> =
        transforms.iter().filter(chosen).filter_map(OfferedIke::algorithms).collect();
    if offered.is_empty() {
        return Err(Rejected::NoProposalChosen);
    }
    let body = OfferedIke::offer(&transforms, config.ike_lifetime, habits.wide_lifetimes);
    Ok((offered, body.to_bytes()))
}

/// The vendor ids of message 1, in order.
pub(crate) fn vendors(habits: &Phase1Habits, rekey: bool) -> Vec<Vec<u8>> {
    let says_first = habits.initial_contact == InitialContact::VendorId && !rekey;
    if let Some(vendors) = &habits.vendors {
        let sent = |id: &&Vec<u8>| says_first || id.as_slice() != FIRST_CONTACT.bytes();
        return vendors.iter().filter(sent).cloned().collect();
    }
    let dialects = NatT::ALL.into_iter().map(NatT::vendor_id);
    let known = dialects.chain([VendorId::Dpd]).map(VendorId::bytes);
    known.chain([crate::vendor::FRAGMENTATION_WITH_CAPABILITY]).map(<[u8]>::to_vec).collect()
}

/// INITIAL-CONTACT by notification, where that is the habit and the attempt replaces no older IKE SA.
pub(crate) fn first_contact(
    habits: &Phase1Habits,
    rekey: bool,
    cookies: &Cookies,
    chain: &mut Out,
) {
    if !rekey && habits.initial_contact == InitialContact::Notification {
        let contact = Notification::initial_contact(cookies);
        chain.push(PayloadType::NOTIFICATION, contact.to_bytes());
    }
}

/// The addresses that we see (RFC 3947 §3.2).
pub(crate) fn nat_detection(
    ctx: &Context,
    about: (NatT, HashAlg),
    cookies: &Cookies,
    mut path: Path,
    chain: &mut Out,
) -> Result<(), CryptoError> {
    if ctx.config.force_encap {
        // A source port that is not ours: the server takes us to be behind a NAT.
        path.local.set_port(path.local.port().wrapping_add(1));
    }
    let disguise = Disguise { number: ctx.config.habits.phase1.nat_d, ..Disguise::default() };
    nat::announce(&*ctx.provider, about, cookies, path, disguise, chain)
}

const FIRST_CONTACT: VendorId = VendorId::MicrosoftInitialContact;
