//! A tenant and what is behind its device, which may change while sessions go on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_core::Key;
use isthmus_plane::TunId;

use crate::keeper::OwnDevice;
use crate::members::Members;
use crate::network::TenantNetwork;

/// A tenant, its device, and the networks behind its users.
pub(crate) struct Placed {
    pub(crate) tenant: TenantNetwork,
    pub(crate) device: String,
    pub(crate) networks: Vec<Ipv4Net>,
    /// Whose packets are of which class.
    pub(crate) members: Members,
    /// Devices that sessions have to themselves.
    pub(crate) owned: BTreeMap<Key, OwnDevice>,
    /// The ways out, by name, that are down.
    pub(crate) down: BTreeSet<String>,
}

/// What is behind a tenant's device and may change while sessions go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    /// The tenant's device.
    pub(crate) tun: TunId,
    pub(crate) pool: Vec<Ipv4Net>,
    pub(crate) pool6: Vec<Ipv6Net>,
    pub(crate) gateway_address6: Option<Ipv6Addr>,
    /// Networks behind users.
    pub(crate) networks: Vec<Ipv4Net>,
    /// Addresses that sessions have.
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// The /64 networks that sessions have.
    pub(crate) prefixes6: Vec<Ipv6Net>,
}

impl Placed {
    /// Takes over what is inside; answers whether anything differs. What is no longer of a pool stays
    /// routed for sessions that have it, to the next change without them.
    pub(crate) fn take(&mut self, new: Inside) -> bool {
        let Inside {
            tun: _,
            mut pool,
            mut pool6,
            gateway_address6,
            networks,
            addresses,
            prefixes6,
        } = new;
        let old = &self.tenant;
        let stays = |net: &&Ipv4Net| addresses.iter().any(|address| net.contains(address));
        let kept = old.pool.iter().filter(|net| !pool.contains(net)).filter(stays);
        pool.extend(kept.copied().collect::<Vec<_>>());
        let stays6 = |net: &&Ipv6Net| prefixes6.iter().any(|prefix| net.contains(prefix));
        let kept = old.pool6.iter().filter(|net| !pool6.contains(net)).filter(stays6);
        pool6.extend(kept.copied().collect::<Vec<_>>());
        let own = gateway_address6.or(old.gateway_address6.filter(|_| !pool6.is_empty()));
        let differs = (&pool, &pool6, own) != (&old.pool, &old.pool6, old.gateway_address6)
            || networks != self.networks;
        self.networks = networks;
        self.tenant.pool = pool;
        self.tenant.pool6 = pool6;
        self.tenant.gateway_address6 = own;
        differs
    }

    /// With other settings and the same device; what is inside stays until it is taken.
    pub(crate) fn with_settings(self, tenant: TenantNetwork) -> Self {
        let TenantNetwork { pool, pool6, gateway_address6, .. } = self.tenant;
        Self { tenant: TenantNetwork { pool, pool6, gateway_address6, ..tenant }, ..self }
    }
}

impl TenantNetwork {
    /// Whether the other's device is this one.
    pub(crate) fn has_device_of(&self, other: &Self) -> bool {
        self.tun == other.tun && self.is_at_the_place_of(other)
    }

    /// Whether the other's device has this one's name, where this one is.
    pub(crate) fn is_at_the_place_of(&self, other: &Self) -> bool {
        let (own, other) = (&self.device, &other.device);
        own.name == other.name && own.namespace == other.namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sessions_have_of_an_old_pool_stays_routed() {
        let mut placed = crate::wanted::tests::placed(Vec::new());
        let (old, new): (Ipv4Net, Ipv4Net) =
            ("10.64.0.0/20".parse().unwrap(), "10.65.0.0/24".parse().unwrap());
        let six: Ipv6Net = "2001:db8:64::/48".parse().unwrap();
        let own = Some("2001:db8:64::1".parse().unwrap());
        let mut inside = Inside {
            tun: TunId(0),
            pool: vec![new],
            pool6: vec![six],
            gateway_address6: own,
            networks: Vec::new(),
            addresses: vec![[10, 64, 3, 4].into()],
            prefixes6: Vec::new(),
        };
        assert!(placed.take(inside.clone()));
        assert_eq!(placed.tenant.pool, [new, old]);
        assert_eq!((&placed.tenant.pool6[..], placed.tenant.gateway_address6), (&[six][..], own));
        assert!(!placed.take(inside.clone()), "nothing is new");

        inside.addresses.clear();
        inside.pool6.clear();
        inside.gateway_address6 = None;
        inside.prefixes6 = vec!["2001:db8:64:7::/64".parse().unwrap()];
        assert!(placed.take(inside.clone()));
        assert_eq!(placed.tenant.pool, [new]);
        assert_eq!((&placed.tenant.pool6[..], placed.tenant.gateway_address6), (&[six][..], own));
        inside.prefixes6.clear();
        assert!(placed.take(inside));
        assert_eq!((&placed.tenant.pool6[..], placed.tenant.gateway_address6), (&[][..], None));
    }
}
