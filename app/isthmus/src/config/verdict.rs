//! What becomes of a packet of a user, by the configuration alone, and why.

use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_policy::{Flow, Verdict};

use super::types::{Config, Tenant};

/// A verdict with its reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// Why.
    pub why: String,
}

/// Addresses at which clouds tell a machine its credentials: AWS, Azure, GCP and others; Azure's wire
/// server; Alibaba; AWS over IPv6; GCP over IPv6.
const CLOUD_METADATA: [&str; 5] =
    ["169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"];

/// The addresses of [`CLOUD_METADATA`].
pub(crate) fn cloud_metadata() -> impl Iterator<Item = IpAddr> {
    CLOUD_METADATA.iter().filter_map(|text| text.parse().ok())
}

/// What becomes of a packet of a tenant's user, in the order in which the packet filter asks. It asks about the
/// destination as it is, which for a mapped network is not the one that the user knows.
pub fn judge(config: &Config, tenant: &Tenant, flow: &Flow<'_>) -> Judgement {
    let destination = tenant.mapped(flow.destination).map_or(flow.destination, |to| to.address);
    let flow = &Flow { destination, ..*flow };
    let deny = |why: String| Judgement { verdict: Verdict::Deny, why };
    let (access, to) = (&tenant.access, flow.destination);
    if !access.cloud_metadata && cloud_metadata().any(|address| address == to) {
        return deny(format!("{to} is a cloud's metadata service (`cloud_metadata` is false)"));
    }
    let neighbours = || {
        let others = config.tenants.iter().filter(|other| other.name != tenant.name);
        others.filter(|other| other.netns == tenant.netns)
    };
    let own = |other: &&Tenant| other.is_own(to);
    if let Some(other) = neighbours().find(own).filter(|_| !tenant.is_own(to)) {
        return deny(format!("{to} is the gateway's own address for tenant `{}`", other.name));
    }
    let inside = |other: &&Tenant| other.is_inside(to) && !access.reaches.contains(&other.name);
    if let Some(other) = neighbours().find(inside) {
        return deny(format!("{to} is of tenant `{}`, which is not in `reaches`", other.name));
    }
    let decision = access.policy.decide(flow);
    let rule = decision.rule.and_then(|index| access.policy.rules.get(index));
    let why = match (rule, decision.verdict) {
        (Some(rule), Verdict::Allow) => format!("the rule `{}` allows it", rule.name),
        (Some(rule), Verdict::Deny) => format!("the rule `{}` denies it", rule.name),
        (None, Verdict::Allow) => String::from("no rule fits, and the default is to allow"),
        (None, Verdict::Deny) => String::from("no rule fits, and the default is to deny"),
    };
    Judgement { verdict: decision.verdict, why }
}

impl Tenant {
    /// Whether an address is ours on the tenant's device.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.gateway_address == address,
            IpAddr::V6(address) => self.gateway_address6 == Some(address),
        }
    }

    /// An address that a user may have, of the version of `to`.
    pub(crate) fn source_of(&self, user: &str, to: IpAddr) -> Option<IpAddr> {
        let user = self.users.named(user);
        let group = user.and_then(|user| user.group.as_ref());
        let group = self.groups.iter().find(|own| Some(&own.name) == group);
        if to.is_ipv4() {
            let own = user.and_then(|user| user.address);
            let of_group = group.map(|group| &group.pool).filter(|pool| !pool.is_empty());
            let pool = of_group.unwrap_or(&self.pool);
            let of_pool = || pool.iter().flat_map(Ipv4Net::hosts);
            let any = || of_pool().find(|address| *address != self.gateway_address);
            return own.or_else(any).map(IpAddr::V4);
        }
        let own = user.and_then(|user| user.address6);
        let of_group = group.map(|group| &group.pool6).filter(|pool| !pool.is_empty());
        let any = of_group.unwrap_or(&self.pool6).first().map(Ipv6Net::network);
        own.map(|net| net.network()).or(any).map(IpAddr::V6)
    }

    /// Whether an address is behind the tenant's device: of a pool, or of a network behind a user.
    pub(crate) fn is_inside(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                let networks = || self.users.iter().flat_map(|(_, user)| &user.networks);
                self.all_pools().iter().chain(networks()).any(|net| net.contains(&address))
            }
            IpAddr::V6(address) => self.all_pools6().iter().any(|net| net.contains(&address)),
        }
    }
}
