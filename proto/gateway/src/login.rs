//! Verdicts on local users: does the proof fit, and what does the user get.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_crypto::Provider;
use isthmus_ppp::auth::{self, mschapv2::AuthenticatorResponse};
use isthmus_ppp::{AuthRequest, Proof};

use crate::advice::Advice;
use crate::cause::Cause;
use crate::config::{Group, Tenant};
use crate::limits::Limits;
use crate::pool::{EVERYBODY, Holder, Pools};
use crate::users::{User, UserSecret};

/// What a user is granted.
#[derive(Debug)]
pub(crate) struct Grant {
    /// The name in the users file.
    pub(crate) user: String,
    /// The address leased.
    pub(crate) address: Ipv4Addr,
    /// The /64 leased; none without IPv6.
    pub(crate) prefix6: Option<Ipv6Net>,
    /// What the user is told.
    pub(crate) advice: Arc<Advice>,
    /// The user's group.
    pub(crate) group: Option<String>,
    /// Networks behind the user.
    pub(crate) networks: Vec<Ipv4Net>,
    /// Those of the user and the tenant.
    pub(crate) limits: Limits,
    /// For MS-CHAPv2: our proof that we know the password too.
    pub(crate) response: Option<AuthenticatorResponse>,
}

/// A user who is who he says.
#[derive(Debug)]
pub(crate) struct Proven<'a> {
    /// The name in the users file.
    pub(crate) name: &'a str,
    pub(crate) user: &'a User,
    response: Option<AuthenticatorResponse>,
}

/// Checks a login as `name` against a tenant's users. The name in the request may have a realm, which
/// proofs cover.
///
/// # Errors
/// The cause of the refusal.
pub(crate) fn judge<'a>(
    tenant: &'a Tenant,
    name: &[u8],
    request: &AuthRequest,
    provider: &dyn Provider,
) -> Result<Proven<'a>, Cause> {
    let (name, user) = tenant.users.find(name).ok_or(Cause::UnknownUser)?;
    let response = prove(user, request, provider)?;
    if user.disabled {
        return Err(Cause::AccountDisabled);
    }
    Ok(Proven { name, user, response })
}

/// Leases a user what he gets.
///
/// # Errors
/// The cause of the refusal; nothing is leased then.
pub(crate) fn grant(
    tenant: &Tenant,
    pools: &mut Pools,
    Proven { name, user, response }: Proven<'_>,
    holder: Holder,
) -> Result<Grant, Cause> {
    let group = tenant.group_of(user);
    let address = match user.address {
        Some(address) => pools.v4.lease_fixed(address, holder).ok_or(Cause::AddressInUse)?,
        None => pools.v4.lease_of(part(group), name, holder).ok_or(Cause::PoolExhausted)?,
    };
    Ok(Grant {
        user: name.to_string(),
        address,
        // A session without IPv6 is better than none.
        prefix6: match user.prefix6 {
            Some(prefix) => pools.v6.lease_fixed(prefix, holder),
            None => pools.v6.lease_of(part6(group), name, holder),
        },
        advice: pools.advice_of(user, group.map(|(index, _)| index)),
        group: user.group.clone(),
        networks: user.networks.clone(),
        limits: tenant.limits_of(user),
        response,
    })
}

/// Which part of the addresses a user of a group gets one of.
pub(crate) fn part(group: Option<(usize, &Group)>) -> usize {
    group.filter(|(_, group)| !group.pool.is_empty()).map_or(EVERYBODY, |(index, _)| index + 1)
}

/// The same for IPv6.
fn part6(group: Option<(usize, &Group)>) -> usize {
    group.filter(|(_, group)| !group.pool6.is_empty()).map_or(EVERYBODY, |(index, _)| index + 1)
}

/// Verifies the proof; the MS-CHAPv2 answer when there is one.
fn prove(
    user: &User,
    request: &AuthRequest,
    provider: &dyn Provider,
) -> Result<Option<AuthenticatorResponse>, Cause> {
    let nt_hash = match &user.secret {
        UserSecret::Password(password) => auth::nt_hash(provider, password.expose()),
        UserSecret::NtHash(hash) => Ok(hash.clone()),
    }
    .map_err(|_| Cause::AuthProtocolUnusable)?;
    match &request.proof {
        Proof::MsChapV2(proof) => auth::mschapv2::verify(provider, &nt_hash, &request.user, proof)
            .map(Some)
            .ok_or(Cause::WrongPassword),
        Proof::ChapMd5 { id, challenge, response } => match &user.secret {
            UserSecret::NtHash(_) => Err(Cause::AuthProtocolUnusable),
            UserSecret::Password(password) => {
                fits(auth::chap_md5::verify(provider, *id, password.expose(), challenge, response))
            }
        },
        Proof::Pap { password } => match &user.secret {
            UserSecret::Password(expected) => fits(auth::pap::verify(expected, password)),
            UserSecret::NtHash(expected) => {
                let given =
                    auth::nt_hash(provider, password.expose()).map_err(|_| Cause::WrongPassword)?;
                fits(expected.ct_eq(given.expose()))
            }
        },
    }
}

fn fits(ok: bool) -> Result<Option<AuthenticatorResponse>, Cause> {
    if ok { Ok(None) } else { Err(Cause::WrongPassword) }
}
