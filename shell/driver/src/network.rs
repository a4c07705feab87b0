//! TUN devices and kernel state of tenants: made at the start, gone at the end.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use isthmus_dataplane::WorkerError;
use isthmus_kernel::{
    Address, Desired, IpVersion, KernelError, MAIN_TABLE, Nat, NextHop, Options, Reconciler, Route,
    Rule, RuleAction, Translation,
};
use isthmus_net::{Namespace, SocketError};
use isthmus_plane::TunId;
use isthmus_tun::{TunConfig, TunDevice, TunError};

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
    /// Ways out.
    pub egress: Vec<EgressNetwork>,
}

/// A way out of a tenant.
#[derive(Clone, Debug)]
pub struct EgressNetwork {
    /// Destinations.
    pub to: Vec<Ipv4Net>,
    /// The device packets leave by.
    pub interface: Option<String>,
    /// The next hop; without one the main table decides.
    pub gateway: Option<Ipv4Addr>,
    /// Whether the source becomes the address of the interface.
    pub masquerade: bool,
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

/// Kernel state that is ours, one reconciler for each namespace.
pub(crate) struct Network {
    reconcilers: Vec<Reconciler>,
}

impl Network {
    /// Makes every device and puts routes, rules and NAT in place.
    pub(crate) async fn up(
        name: &str,
        tenants: &[TenantNetwork],
    ) -> Result<(Self, Vec<(TunId, TunDevice)>), NetworkError> {
        let mut devices = Vec::new();
        let mut desired: BTreeMap<Option<&Namespace>, Desired> = BTreeMap::new();
        for (index, tenant) in (0..).zip(tenants) {
            let device = TunDevice::create(&tenant.device)?;
            let state = desired.entry(tenant.device.namespace.as_ref()).or_default();
            want(state, tenant, device.name(), index);
            devices.push((tenant.tun, device));
        }
        let mut network = Self { reconcilers: Vec::new() };
        for (namespace, desired) in desired {
            let options = Options { namespace: namespace.cloned(), ..Options::named(name) };
            let mut reconciler = Reconciler::new(options)?;
            let applied = reconciler.apply(&desired).await;
            network.reconcilers.push(reconciler);
            if let Err(error) = applied {
                // The first error tells more than what the clean-up may add.
                let _second = network.down().await;
                return Err(error.into());
            }
        }
        Ok((network, devices))
    }

    /// Removes everything that is ours; the devices go with the worker that holds them.
    pub(crate) async fn down(self) -> Result<(), NetworkError> {
        let mut outcome = Ok(());
        for mut reconciler in self.reconcilers {
            let removed = reconciler.remove_all().await;
            outcome = outcome.and(removed.map(drop));
        }
        outcome.map_err(NetworkError::from)
    }
}

/// Adds what one tenant wants.
fn want(state: &mut Desired, tenant: &TenantNetwork, device: &str, index: u32) {
    state.addresses.push(Address {
        link: device.to_owned(),
        address: IpNet::V4(tenant.gateway_address.into()),
        peer: None,
    });
    state.routes.extend(tenant.pool.iter().map(|prefix| pool_route(tenant, *prefix, device)));
    state.sysctls.insert("net/ipv4/ip_forward".into(), "1".into());
    for egress in &tenant.egress {
        if let Some(gateway) = egress.gateway {
            state
                .routes
                .extend(egress.to.iter().map(|to| egress_route(egress, *to, gateway, index)));
        }
        if egress.masquerade {
            state.nat.extend(tenant.pool.iter().map(|prefix| Nat {
                source: (*prefix).into(),
                egress: egress.interface.clone(),
                except: Vec::new(),
                to: Translation::Masquerade,
            }));
        }
    }
    if tenant.egress.iter().any(|egress| egress.gateway.is_some()) {
        // The pool stays reachable from within, however wide an egress is.
        state.routes.extend(tenant.pool.iter().map(|prefix| Route {
            table: FIRST_TABLE + index,
            ..pool_route(tenant, *prefix, device)
        }));
        state.rules.extend(egress_rules(device, index));
    }
}

fn pool_route(tenant: &TenantNetwork, prefix: Ipv4Net, device: &str) -> Route {
    Route {
        destination: prefix.into(),
        table: MAIN_TABLE,
        metric: None,
        next: NextHop::Link(device.to_owned()),
        source: Some(IpAddr::V4(tenant.gateway_address)),
    }
}

fn egress_route(egress: &EgressNetwork, to: Ipv4Net, gateway: Ipv4Addr, index: u32) -> Route {
    Route {
        destination: to.into(),
        table: FIRST_TABLE + index,
        metric: None,
        next: NextHop::Gateway {
            gateway: gateway.into(),
            link: egress.interface.clone(),
            on_link: false,
        },
        source: None,
    }
}

/// How packets out of the tenant's device find their way: the tenant's own destinations first, then what
/// the machine knows better than "everything else", then the tenant's default. The machine's own
/// packets never look there.
fn egress_rules(device: &str, index: u32) -> impl Iterator<Item = Rule> {
    let table = FIRST_TABLE + index;
    let actions = [
        RuleAction::LookupSpecific(table),
        RuleAction::LookupSpecific(MAIN_TABLE),
        RuleAction::Lookup(table),
    ];
    let first = FIRST_PRIORITY + index * 3;
    (first..).zip(actions).map(|(priority, action)| Rule {
        priority,
        version: IpVersion::V4,
        from: None,
        to: None,
        input: Some(device.to_owned()),
        output: None,
        mark: None,
        action,
    })
}

/// Routing table of the first tenant.
const FIRST_TABLE: u32 = 17_300;
/// First rule priority of the first tenant; the reconciler's owner allows a hundred from here, which is
/// 33 tenants with a next hop of their own.
const FIRST_PRIORITY: u32 = 17_300;

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(gateway: Option<Ipv4Addr>) -> TenantNetwork {
        TenantNetwork {
            tun: TunId(0),
            device: TunConfig::default(),
            gateway_address: [10, 64, 0, 1].into(),
            pool: vec!["10.64.0.0/20".parse().unwrap()],
            egress: vec![EgressNetwork {
                to: vec!["0.0.0.0/0".parse().unwrap()],
                interface: Some("eth1".into()),
                gateway,
                masquerade: true,
            }],
        }
    }

    #[test]
    fn a_next_hop_makes_a_table_and_a_rule_of_the_tenants_own() {
        let mut state = Desired::default();
        want(&mut state, &tenant(Some([192, 0, 2, 1].into())), "acme", 3);
        let actions: Vec<_> = state.rules.iter().map(|rule| rule.action).collect();
        let table = FIRST_TABLE + 3;
        assert_eq!(
            actions,
            [
                RuleAction::LookupSpecific(table),
                RuleAction::LookupSpecific(MAIN_TABLE),
                RuleAction::Lookup(table)
            ]
        );
        assert!(state.rules.iter().all(|rule| rule.input.as_deref() == Some("acme")));
        let own: Vec<_> = state.routes.iter().filter(|route| route.table == table).collect();
        assert_eq!(own.len(), 2, "the egress and the pool");
    }

    #[test]
    fn without_a_next_hop_the_machines_own_routes_decide() {
        let mut state = Desired::default();
        want(&mut state, &tenant(None), "acme", 0);
        assert!(state.rules.is_empty());
        assert_eq!(state.routes.len(), 1);
        assert_eq!(state.nat.len(), 1);
    }
}
