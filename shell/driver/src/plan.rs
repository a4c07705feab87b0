//! What a gateway would change in the kernel, without changing it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use isthmus_kernel::{Address, Change, Changes, Desired, Link, Options, Reconciler};
use isthmus_net::Namespace;

use crate::inside::Placed;
use crate::keeper::LOOPBACK;
use crate::members::Members;
use crate::network::{NetworkError, TenantNetwork};
use crate::ours::OurNamespaces;
use crate::wanted::want;

/// The changes of one namespace, in the order they would be made. A device that is not there is a link to
/// be set up.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The namespace; the caller's own when absent.
    pub namespace: Option<Namespace>,
    /// Whether it would be made first.
    pub makes_namespace: bool,
    /// The changes.
    pub changes: Changes,
    /// Addresses there that are not ours.
    pub others: Vec<Address>,
}

/// Compares what the gateway of that name wants with what is there. `networks` has for each tenant those
/// behind its users.
///
/// # Errors
/// When a namespace cannot be entered or the kernel cannot be read, with what to do about it.
pub async fn plan(
    name: &str,
    tenants: &[TenantNetwork],
    networks: &[Vec<Ipv4Net>],
) -> Result<Vec<Planned>, NetworkError> {
    let mut wanted: BTreeMap<Option<Namespace>, Desired> = BTreeMap::new();
    for (tenant, networks) in tenants.iter().zip(networks) {
        let desired = wanted.entry(tenant.device.namespace.clone()).or_default();
        let device = tenant.device.name.clone();
        desired.links.push(Link { name: device.clone(), up: true, mtu: None });
        let placed = Placed {
            tenant: tenant.clone(),
            device,
            networks: networks.clone(),
            members: Members::default(),
            down: BTreeSet::new(),
        };
        want(desired, &placed);
    }
    let mut all = Vec::new();
    let usual = Options::named(name);
    let ours = OurNamespaces::new(&usual.state_folder, &usual.owner.name);
    for (namespace, mut desired) in wanted {
        let missing = namespace.as_ref().filter(|one| one.can_be_made() && !one.exists());
        if missing.is_some() || namespace.as_ref().is_some_and(|one| ours.contains(one)) {
            desired.links.push(Link { name: LOOPBACK.to_owned(), up: true, mtu: None });
        }
        let makes_namespace = missing.is_some();
        let place = missing.map(Namespace::imagined).or_else(|| namespace.clone());
        // Dropping it must not take down what a running gateway has.
        let options = Options { namespace: place, keep_on_drop: true, ..usual.clone() };
        let mut reconciler = Reconciler::new(options)?;
        let mut changes = reconciler.plan(&desired).await?;
        // They are the sessions' of a gateway that runs, and no configuration knows them.
        changes.0.retain(|change| !matches!(change, Change::SetMembers { .. }));
        let others = reconciler.addresses_of_others().await?;
        all.push(Planned { namespace, makes_namespace, changes, others });
    }
    Ok(all)
}
