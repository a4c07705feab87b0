//! What a gateway would change in the kernel, without changing it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use isthmus_kernel::{Around, Change, Changes, Desired, Link, Options, Reconciler, Route};
use isthmus_net::Namespace;

use crate::around::interest;
use crate::inside::Placed;
use crate::keeper::LOOPBACK;
use crate::members::Members;
use crate::network::{NetworkError, TenantNetwork};
use crate::ours::OurNamespaces;
use crate::wanted::{passages, want, want_beyond};

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
    /// Whether a way out leads into it and it is not there, so that nothing can be changed.
    pub is_missing: bool,
    /// What is there and not ours.
    pub around: Around,
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
    let mut all_placed = Vec::new();
    for (tenant, networks) in tenants.iter().zip(networks) {
        let desired = wanted.entry(tenant.device.namespace.clone()).or_default();
        let device = tenant.device.name.clone();
        let placed = Placed {
            tenant: tenant.clone(),
            device,
            networks: networks.clone(),
            members: Members::default(),
            owned: BTreeMap::new(),
            down: BTreeSet::new(),
        };
        want(desired, &placed);
        all_placed.push(placed);
    }
    let missing = beyond(&mut wanted, &all_placed);
    let mut all: Vec<_> = missing.into_iter().map(Planned::missing).collect();
    let usual = Options::named(name);
    let ours = OurNamespaces::new(&usual.state_folder, &usual.owner.name);
    for (namespace, mut desired) in wanted {
        let here = |placed: &&Placed| placed.tenant.device.namespace == namespace;
        let interest = interest(all_placed.iter().filter(here));
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
        let devices: Vec<_> = all_placed.iter().filter(here).map(|p| p.device.clone()).collect();
        let of_session = |change: &Change| {
            matches!(change, Change::SetMembers { .. })
                || matches!(change, Change::RemoveRoute(route) if is_of_session(route, &devices))
        };
        changes.0.retain(|change| !of_session(change));
        let around = reconciler.around(interest).await?;
        all.push(Planned { namespace, makes_namespace, is_missing: false, changes, around });
    }
    Ok(all)
}

/// Whether a route leads to a device that a session has to itself.
fn is_of_session(route: &Route, devices: &[String]) -> bool {
    let own = |link: &str, device: &String| {
        link.strip_prefix(device.as_str()).is_some_and(|end| end.starts_with('.'))
    };
    route.next.link().is_some_and(|link| devices.iter().any(|device| own(link, device)))
}

impl Planned {
    fn missing(namespace: Namespace) -> Self {
        let (namespace, makes_namespace) = (Some(namespace), false);
        let (changes, around) = (Changes::default(), Around::default());
        Self { namespace, makes_namespace, is_missing: true, changes, around }
    }
}

/// Adds what ways into other namespaces want there; answers which of those are not there.
fn beyond(
    wanted: &mut BTreeMap<Option<Namespace>, Desired>,
    all: &[Placed],
) -> BTreeSet<Namespace> {
    let mut missing = BTreeSet::new();
    for (_, _, passage) in all.iter().flat_map(passages) {
        match passage.namespace() {
            Some(away) if !away.exists() && !wanted.contains_key(&Some(away.clone())) => {
                missing.insert(away);
            }
            place => drop(wanted.entry(place).or_default()),
        }
    }
    for (namespace, desired) in wanted {
        for placed in all {
            want_beyond(desired, placed, namespace.as_ref());
        }
        // What is not there would be made before.
        desired.far_links.clear();
    }
    missing
}
