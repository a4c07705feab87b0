//! What we offer: message 1 of quick mode.

use alloc::vec::Vec;

use isthmus_core::Encap;
use isthmus_crypto::EspSuite;

use super::initiator::AwaitQm2;
use crate::codec::{NatOa, Out};
use crate::config::Config;
use crate::context::Context;
use crate::error::Rejected;
use crate::iana::{Encapsulation, ExchangeType, GroupNumber, PayloadType};
use crate::nat;
use crate::sa::IkeSa;
use crate::suite::{OfferedEsp, offer_esp};
use crate::vendor::NatT;

/// The transforms to offer, group and encapsulation left open.
pub(super) fn offered(config: &Config) -> Vec<OfferedEsp> {
    let allowed = |suite: EspSuite| config.legacy || !suite.is_legacy();
    let transforms = match &config.habits.phase2.transforms {
        Some(transforms) => transforms.clone(),
        None => config.esp.iter().copied().map(OfferedEsp::of_suite).collect(),
    };
    // What we cannot do is offered when it is a habit; choosing it is the peer's mistake.
    transforms
        .into_iter()
        .filter(|transform| transform.suite().is_none_or(allowed))
        .take(crate::suite::SUITES_MAX)
        .collect()
}

/// Message 1, and the IV of message 2.
pub(super) fn message1(
    ctx: &Context,
    sa: &IkeSa,
    offer: &AwaitQm2,
    ke: Option<Vec<u8>>,
    id: u32,
) -> Result<(Vec<u8>, Vec<u8>), Rejected> {
    let Some(established) = sa.established() else { return Err(Rejected::IncorrectState) };
    let (provider, keys) = (&*ctx.provider, &established.keys);
    let dialect = sa.vendors.nat_t.unwrap_or(NatT::Rfc3947);
    let habits = &ctx.config.habits.phase2;
    let encapsulation = match offer.encap {
        Encap::Esp => Encapsulation::TRANSPORT,
        Encap::Udp => habits.encapsulation.unwrap_or_else(|| nat::udp_transport(dialect)),
    };
    let group = offer.pfs.as_ref().map(|(group, _)| GroupNumber(group.number()));
    let transforms = offered(&ctx.config).into_iter().map(|t| OfferedEsp {
        group,
        encapsulation: Some(encapsulation),
        ..t
    });
    let body = offer_esp(transforms, offer.spi, offer.lifetime, habits.wide_lifetimes);
    let mut chain = Out::new()
        .with(PayloadType::SA, body.to_bytes())
        .with(PayloadType::NONCE, offer.nonce_i.as_slice());
    if let Some(ke) = ke {
        chain.push(PayloadType::KE, ke);
    }
    if let Some((own, peers)) = &offer.selectors.bodies {
        chain.push(PayloadType::ID, own.as_slice());
        chain.push(PayloadType::ID, peers.as_slice());
    }
    if offer.encap == Encap::Udp {
        // Our address, then the peer's as we see it (RFC 3947 §5.2).
        let kind = habits.nat_oa_number.unwrap_or_else(|| nat::nat_oa(dialect));
        let addresses = [sa.path.local.ip(), sa.path.remote.ip()];
        for address in addresses.into_iter().take(usize::from(habits.nat_oa)) {
            chain.push(kind, NatOa(address).to_bytes());
        }
    }
    let chain = keys.hashed(provider, id, &[], chain)?;
    let iv = keys.phase2_iv(provider, &established.last_block, id)?;
    Ok(keys.seal(provider, &iv, (sa.cookies, ExchangeType::QUICK_MODE, id), &chain)?)
}
