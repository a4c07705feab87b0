//! TUN devices and kernel state of tenants: made at the start, gone at the end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_dataplane::WorkerError;
use isthmus_kernel::{Desired, KernelError, Options, Reconciler};
use isthmus_net::{Namespace, SocketError};
use isthmus_plane::TunId;
use isthmus_tun::{TunConfig, TunDevice, TunError};

use crate::guard::{Guard, Look};
use crate::wanted::{EgressNetwork, want};

/// What a tenant needs of the kernel.
#[derive(Clone, Debug)]
pub struct TenantNetwork {
    /// The device in the pipeline.
    pub tun: TunId,
    /// Name, MTU and namespace of the device.
    pub device: TunConfig,
    /// Our address on it.
    pub gateway_address: Ipv4Addr,
    /// Networks behind it.
    pub pool: Vec<Ipv4Net>,
    /// IPv6 networks behind it; what is behind the machine is the affair of its own routes.
    pub pool6: Vec<Ipv6Net>,
    /// Our IPv6 address on it.
    pub gateway_address6: Option<Ipv6Addr>,
    /// Ways out.
    pub egress: Vec<EgressNetwork>,
}

/// Why the world refuses.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No randomness.
    #[error("cannot read the system's random numbers: {0}")]
    Entropy(#[source] io::Error),
    /// Routes, addresses, NAT.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Sockets.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// TUN devices.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// The worker cannot start.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The worker has ended by itself.
    #[error("the packet worker has stopped; the log says why (please report this)")]
    WorkerGone,
}

/// Kernel state that is ours.
pub(crate) struct Network {
    tenants: Vec<Placed>,
    /// One for each namespace that tenants are in.
    reconcilers: BTreeMap<Option<Namespace>, Reconciler>,
    guard: Guard,
}

/// A tenant, its device, and the networks behind its users.
pub(crate) struct Placed {
    pub(crate) tenant: TenantNetwork,
    pub(crate) device: String,
    pub(crate) networks: Vec<Ipv4Net>,
}

/// What is behind a tenant's device and may change while sessions go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inside {
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
    fn take(&mut self, new: Inside) -> bool {
        let Inside { mut pool, mut pool6, gateway_address6, networks, addresses, prefixes6 } = new;
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
}

impl Network {
    /// Makes every device, with so many queues, and puts routes, rules and NAT in place. `networks` has
    /// for each tenant those behind its users.
    pub(crate) async fn up(
        name: &str,
        tenants: &[TenantNetwork],
        networks: Vec<Vec<Ipv4Net>>,
        queues: usize,
    ) -> Result<(Self, Vec<(TunId, Vec<TunDevice>)>), NetworkError> {
        let mut devices = Vec::new();
        let mut network =
            Self { tenants: Vec::new(), reconcilers: BTreeMap::new(), guard: Guard::new() };
        for (tenant, networks) in tenants.iter().zip(networks) {
            let device = TunDevice::create_queues(&tenant.device, queues)?;
            let namespace = tenant.device.namespace.clone();
            let options = Options { namespace: namespace.clone(), ..Options::named(name) };
            if let Entry::Vacant(vacant) = network.reconcilers.entry(namespace) {
                vacant.insert(Reconciler::new(options)?);
            }
            let name = device.first().map(|queue| queue.name().to_owned()).unwrap_or_default();
            let tenant = tenant.clone();
            devices.push((tenant.tun, device));
            network.tenants.push(Placed { tenant, device: name, networks });
        }
        if let Err(error) = network.apply().await {
            // The first error tells more than what the clean-up may add.
            let _second = network.down().await;
            return Err(error);
        }
        for (namespace, reconciler) in &mut network.reconcilers {
            network.guard.watch(namespace.clone(), reconciler.watch().await?);
        }
        Ok((network, devices))
    }

    /// Waits until somebody may have changed what is ours.
    pub(crate) async fn disturbed(&mut self) -> Look {
        self.guard.disturbed().await
    }

    /// Puts back what somebody else undid in a namespace.
    pub(crate) async fn repair(&mut self, Look { namespace, found }: Look) {
        let desired = self.desired(namespace.as_ref());
        let Some(reconciler) = self.reconcilers.get_mut(&namespace) else { return };
        let place = namespace.as_ref().map_or("host", Namespace::name);
        let put_back = reconciler.apply(&desired).await;
        match &put_back {
            Ok(made) => made.iter().for_each(|change| {
                tracing::warn!(namespace = place, %change, "somebody else undid it; done again");
            }),
            Err(error) => {
                tracing::error!(namespace = place, %error, "cannot put back what somebody else undid");
            }
        }
        let _gone = found.send(put_back.map_or(true, |made| !made.is_empty()));
    }

    /// Routes what is inside now to the tenants' devices.
    pub(crate) async fn set_inside(&mut self, inside: Vec<Inside>) -> Result<(), NetworkError> {
        let mut changed = false;
        for (placed, inside) in self.tenants.iter_mut().zip(inside) {
            changed |= placed.take(inside);
        }
        if changed { self.apply().await } else { Ok(()) }
    }

    async fn apply(&mut self) -> Result<(), NetworkError> {
        let places: Vec<_> = self.reconcilers.keys().cloned().collect();
        for namespace in places {
            let desired = self.desired(namespace.as_ref());
            if let Some(reconciler) = self.reconcilers.get_mut(&namespace) {
                reconciler.apply(&desired).await?;
            }
        }
        Ok(())
    }

    /// All that the tenants of a namespace want.
    fn desired(&self, namespace: Option<&Namespace>) -> Desired {
        let mut desired = Desired::default();
        for placed in &self.tenants {
            if placed.tenant.device.namespace.as_ref() == namespace {
                want(&mut desired, placed);
            }
        }
        desired
    }

    /// Removes everything that is ours; the devices go with the worker that holds them.
    pub(crate) async fn down(self) -> Result<(), NetworkError> {
        let mut outcome = Ok(());
        for mut reconciler in self.reconcilers.into_values() {
            let removed = reconciler.remove_all().await;
            outcome = outcome.and(removed.map(drop));
        }
        outcome.map_err(NetworkError::from)
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
            pool: vec![new],
            pool6: vec![six],
            gateway_address6: own,
            addresses: vec![[10, 64, 3, 4].into()],
            ..Inside::default()
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
