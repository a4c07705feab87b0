//! Which tenant a client comes to.
//!
//! ```text
//! key or certificate -> IKE identity -> address dialled       -> realm of the user's name
//!                       (once the peer is authenticated)         (at login)
//! ```
//!
//! The key says which tenants are possible at all. Of those, each further mark leaves the tenants that name
//! what the client brought, or, where none does, those that name nothing of the kind. Identity and address
//! are the peer's, so they are looked at once; the realm is the user's, so each login has its own. The
//! realm is never more than a choice among tenants that the key leads to: who has the key of one tenant
//! does not get into another by a name. A LAC without IPsec has neither key nor identity: the configuration names
//! its tenants, and the realm chooses among them.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use isthmus_ike::{Identity, PskId};

use crate::cause::Cause;
use crate::config::Tenant;

/// What leads a client to a tenant.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// The pre-shared keys and authorities that lead here.
    pub keys: Vec<PskId>,
    /// Who comes here of those that have the key; empty when it does not matter.
    pub identities: Vec<IdentityPattern>,
    /// Our addresses that those dial who come here; empty when it does not matter.
    pub addresses: Vec<IpAddr>,
    /// Realms of the users that come here: `user@realm` or `realm\user`; letter case does not matter.
    pub realms: Vec<String>,
    /// Users are known by their name with the realm, as `user@realm`, instead of without.
    pub keep_realm: bool,
}

/// A name in IKE, or the end of one behind a `*`. Letter case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityPattern(pub String);

impl IdentityPattern {
    /// Whether `identity` is meant.
    pub fn fits(&self, identity: &Identity) -> bool {
        if let Some(address) = identity.as_address() {
            return self.0.parse() == Ok(address);
        }
        let Some(name) = identity.as_name() else { return false };
        match self.0.as_bytes().strip_prefix(b"*") {
            Some(end) => name.len().checked_sub(end.len()).is_some_and(|at| {
                at > 0 && name.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
            }),
            None => name.eq_ignore_ascii_case(self.0.as_bytes()),
        }
    }

    /// Whether some identity is meant by both.
    pub fn meets(&self, other: &Self) -> bool {
        let (a, b) = (self.0.to_ascii_lowercase(), other.0.to_ascii_lowercase());
        match (a.strip_prefix('*'), b.strip_prefix('*')) {
            (None, None) => a == b,
            (Some(end), None) => b.len() > end.len() && b.ends_with(end),
            (None, Some(end)) => a.len() > end.len() && a.ends_with(end),
            (Some(x), Some(y)) => x.ends_with(y) || y.ends_with(x),
        }
    }
}

/// The tenants that a peer may log in to, by index; at least one.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// The one that a call belongs to before its login.
    pub(crate) home: usize,
    /// Told from it by realm; mostly there are none.
    others: Box<[usize]>,
}

/// Where a login leads, and the user's name there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lead<'a> {
    pub(crate) tenant: usize,
    pub(crate) name: Cow<'a, [u8]>,
}

impl Admitted {
    /// One tenant, whoever comes.
    pub(crate) fn to(tenant: usize) -> Self {
        Self { home: tenant, others: Box::default() }
    }

    /// The tenants that a peer with this key, this identity and this address of ours is admitted to; none
    /// when no tenant is left.
    pub(crate) fn of(
        tenants: &[Tenant],
        key: PskId,
        identity: &Identity,
        dialled: IpAddr,
    ) -> Option<Self> {
        let selector = |index: usize| tenants.get(index).map(|tenant| &tenant.selector);
        let led = |index: &usize| selector(*index).is_some_and(|s| s.keys.contains(&key));
        let mut left: Vec<usize> = (0..tenants.len()).filter(led).collect();
        narrow(&mut left, |index| {
            let wanted = &selector(index)?.identities;
            (!wanted.is_empty()).then(|| wanted.iter().any(|pattern| pattern.fits(identity)))
        });
        narrow(&mut left, |index| {
            let wanted = &selector(index)?.addresses;
            (!wanted.is_empty()).then(|| wanted.contains(&dialled.to_canonical()))
        });
        Self::among(tenants, left)
    }

    /// Some tenants, told apart by realm; none when there are none.
    pub(crate) fn among(tenants: &[Tenant], left: Vec<usize>) -> Option<Self> {
        // Who names no realm is at home in the tenant without one.
        let home =
            |index: &usize| tenants.get(*index).is_some_and(|t| t.selector.realms.is_empty());
        let home = left.iter().copied().find(home).or(left.first().copied())?;
        Some(Self { home, others: left.into_iter().filter(|index| *index != home).collect() })
    }

    /// What is left when some tenants go; none when nothing is.
    pub(crate) fn without(&self, gone: &[usize]) -> Option<Self> {
        let mut left = self.iter().filter(|tenant| !gone.contains(tenant));
        Some(Self { home: left.next()?, others: left.collect() })
    }

    /// The tenant, where there is only one.
    pub(crate) fn only(&self) -> Option<usize> {
        self.others.is_empty().then_some(self.home)
    }

    /// Every tenant, the home first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        core::iter::once(self.home).chain(self.others.iter().copied())
    }

    /// Every realm, in order.
    pub(crate) fn realms<'a>(&self, tenants: &'a [Tenant]) -> Vec<&'a str> {
        let tenants = self.iter().filter_map(|index| tenants.get(index));
        tenants.flat_map(|tenant| tenant.selector.realms.iter().map(String::as_str)).collect()
    }

    /// Where a login as `sent` leads.
    ///
    /// # Errors
    /// [`Cause::UnknownRealm`]: the name has a realm that is no tenant's, or it has none and every tenant
    /// wants one.
    pub(crate) fn lead<'a>(&self, tenants: &[Tenant], sent: &'a [u8]) -> Result<Lead<'a>, Cause> {
        let all = || self.iter().filter_map(|index| Some((index, tenants.get(index)?)));
        for (user, realm) in splits(sent) {
            let of_realm = all().find_map(|(index, tenant)| {
                let mut own = tenant.selector.realms.iter();
                let own = own.find(|own| own.as_bytes().eq_ignore_ascii_case(realm))?;
                Some((index, own, tenant.selector.keep_realm))
            });
            if let Some((tenant, realm, keep)) = of_realm {
                let whole = || [user, b"@", realm.as_bytes()].concat();
                let name = if keep { Cow::Owned(whole()) } else { Cow::Borrowed(user) };
                return Ok(Lead { tenant, name });
            }
        }
        let home = tenants.get(self.home).ok_or(Cause::UnknownRealm)?;
        let uses_realms = all().any(|(_, tenant)| !tenant.selector.realms.is_empty());
        let wants_one = !home.selector.realms.is_empty() && self.only().is_none();
        let has_one = splits(sent).next().is_some();
        if wants_one || (uses_realms && has_one && home.users.find(sent).is_none()) {
            return Err(Cause::UnknownRealm);
        }
        Ok(Lead { tenant: self.home, name: Cow::Borrowed(sent) })
    }
}

/// Keeps those of whom `fits` says so, or, where it says so of none, those of whom it says nothing.
fn narrow(left: &mut Vec<usize>, fits: impl Fn(usize) -> Option<bool>) {
    let wanted = left.iter().any(|index| fits(*index) == Some(true)).then_some(true);
    left.retain(|index| fits(*index) == wanted);
}

/// A user's name taken apart, as `user@realm` and as `realm\user`.
fn splits(sent: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let cut = |at: usize| Some((sent.get(..at)?, sent.get(at + 1..)?));
    let behind = sent.iter().rposition(|byte| *byte == b'@').and_then(cut);
    let before = sent.iter().position(|byte| *byte == b'\\').and_then(cut);
    behind.into_iter().chain(before.map(|(realm, user)| (user, realm)))
}

#[cfg(test)]
mod tests;
