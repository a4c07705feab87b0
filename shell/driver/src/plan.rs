//! What a gateway would change in the kernel, without changing it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use isthmus_kernel::{
    Around, Change, Changes, Desired, Entry, Found, Inspection, Interest, KernelError, Link,
    Options, Reconciler,
};
use isthmus_net::Namespace;
use tokio::task::JoinSet;

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
    /// What of our nftables table is to be changed, thing by thing.
    pub firewall: Vec<Found<Entry>>,
    /// Whether a way out leads into it and it is not there, so that nothing can be changed.
    pub is_missing: bool,
    /// What is there and not ours.
    pub around: Around,
}

/// What is compared with the kernel.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The gateway's name.
    pub name: String,
    /// Its tenants, each with the networks behind its users and the ways out, by name, that are down.
    pub tenants: Vec<(TenantNetwork, Vec<Ipv4Net>, BTreeSet<String>)>,
    /// Whether the gateway runs, so that what it has noted of the kernel holds.
    pub runs: bool,
}

/// What is wanted of each namespace.
struct Wanted {
    desired: BTreeMap<Option<Namespace>, Desired>,
    /// Those that ways out lead into and that are not there.
    missing: BTreeSet<Namespace>,
    placed: Vec<Placed>,
}

/// Compares what a gateway wants with what is there, in several namespaces at a time.
///
/// # Errors
/// When a namespace cannot be entered or the kernel cannot be read, with what to do about it.
pub async fn plan(wishes: Wishes) -> Result<Vec<Planned>, NetworkError> {
    let usual = Options { keep_on_drop: true, beside: wishes.runs, ..Options::named(&wishes.name) };
    let Wanted { desired, missing, placed } = wanted(wishes.tenants);
    let looks = each(desired, |namespace, desired| {
        let here = |placed: &&Placed| placed.tenant.device.namespace == namespace;
        let interest = interest(placed.iter().filter(here));
        look(usual.clone(), namespace, desired, interest)
    });
    let found = looks.await?;
    Ok(missing.into_iter().map(Planned::missing).chain(found.into_values()).collect())
}

/// What is in force in a namespace.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The namespace; the caller's own when absent.
    pub namespace: Option<Namespace>,
    /// Whether it is not there, so that nothing is in force.
    pub is_missing: bool,
    /// What is in force, beside what is wanted.
    pub found: Inspection,
}

/// Looks at what is in force in the namespaces that are `meant`, by name.
///
/// # Errors
/// When a namespace cannot be entered or the kernel cannot be read, with what to do about it.
pub async fn inspect(
    wishes: Wishes,
    meant: impl Fn(Option<&str>) -> bool,
) -> Result<Vec<Inspected>, NetworkError> {
    let usual = Options { keep_on_drop: true, beside: wishes.runs, ..Options::named(&wishes.name) };
    let Wanted { mut desired, placed, .. } = wanted(wishes.tenants);
    desired.retain(|namespace, _| meant(namespace.as_ref().map(Namespace::name)));
    let looks = each(desired, |namespace, desired| {
        let here = |placed: &&Placed| placed.tenant.device.namespace == namespace;
        let interest = interest(placed.iter().filter(here));
        look_at(usual.clone(), namespace, desired, interest)
    });
    Ok(looks.await?.into_values().collect())
}

async fn look_at(
    usual: Options,
    namespace: Option<Namespace>,
    desired: Desired,
    interest: Interest,
) -> Result<Inspected, NetworkError> {
    if namespace.as_ref().is_some_and(|namespace| !namespace.exists()) {
        return Ok(Inspected { namespace, is_missing: true, found: Inspection::default() });
    }
    let mut reconciler = Reconciler::new(Options { namespace: namespace.clone(), ..usual })?;
    let found = reconciler.inspect(&desired, interest).await?;
    Ok(Inspected { namespace, is_missing: false, found })
}

/// Looks at several namespaces at a time.
async fn each<T, F>(
    desired: BTreeMap<Option<Namespace>, Desired>,
    look: impl Fn(Option<Namespace>, Desired) -> F,
) -> Result<BTreeMap<Option<Namespace>, T>, NetworkError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, NetworkError>> + Send + 'static,
{
    let mut due: Vec<_> = desired.into_iter().rev().collect();
    let mut looks = JoinSet::new();
    let mut found = BTreeMap::new();
    while !due.is_empty() || !looks.is_empty() {
        while looks.len() < LOOKS_MAX
            && let Some((namespace, desired)) = due.pop()
        {
            let one = look(namespace.clone(), desired);
            looks.spawn(async move { (namespace, one.await) });
        }
        if let Some(done) = looks.join_next().await {
            let (namespace, one) = done.map_err(|_| KernelError::Stopped)?;
            found.insert(namespace, one?);
        }
    }
    Ok(found)
}

fn wanted(tenants: Vec<(TenantNetwork, Vec<Ipv4Net>, BTreeSet<String>)>) -> Wanted {
    let mut desired: BTreeMap<Option<Namespace>, Desired> = BTreeMap::new();
    let mut placed = Vec::new();
    for (tenant, networks, down) in tenants {
        let here = desired.entry(tenant.device.namespace.clone()).or_default();
        let device = tenant.device.name.clone();
        let one = Placed {
            tenant,
            device,
            networks,
            members: Members::default(),
            owned: BTreeMap::new(),
            down,
        };
        want(here, &one);
        placed.push(one);
    }
    let missing = beyond(&mut desired, &placed);
    Wanted { desired, missing, placed }
}

/// Compares one namespace. Dropping what looks there does not take down what a running gateway has.
async fn look(
    usual: Options,
    namespace: Option<Namespace>,
    mut desired: Desired,
    interest: Interest,
) -> Result<Planned, NetworkError> {
    let ours = OurNamespaces::new(&usual.state_folder, &usual.owner.name);
    let missing = namespace.as_ref().filter(|one| one.can_be_made() && !one.exists());
    if missing.is_some() || namespace.as_ref().is_some_and(|one| ours.contains(one)) {
        desired.links.push(Link { name: LOOPBACK.to_owned(), up: true, mtu: None });
    }
    let makes_namespace = missing.is_some();
    let place = missing.map(Namespace::imagined).or_else(|| namespace.clone());
    let mut reconciler = Reconciler::new(Options { namespace: place, ..usual })?;
    let mut changes = reconciler.plan(&desired).await?;
    // They are the sessions' of a gateway that runs, and no configuration knows them.
    changes.0.retain(|change| !is_of_sessions(change, &desired));
    let writes =
        |change: &Change| matches!(change, Change::SetFirewall(_) | Change::RemoveFirewall);
    let mut firewall = Vec::new();
    if changes.iter().any(writes) {
        firewall = reconciler.firewall_changes(&desired).await?;
    }
    let around = reconciler.around(interest).await?;
    Ok(Planned { namespace, makes_namespace, is_missing: false, changes, firewall, around })
}

/// Whether a change would take away what sessions have: classes, and routes to devices of their own.
fn is_of_sessions(change: &Change, desired: &Desired) -> bool {
    if let Change::RemoveRoute(route) | Change::ReplaceRoute { from: route, .. } = change {
        return route.next.link().is_some_and(|link| desired.firewall.is_of_family(link));
    }
    matches!(change, Change::SetMembers { .. })
}

impl Planned {
    fn missing(namespace: Namespace) -> Self {
        let (namespace, makes_namespace) = (Some(namespace), false);
        let (changes, around) = (Changes::default(), Around::default());
        let firewall = Vec::new();
        Self { namespace, makes_namespace, is_missing: true, changes, firewall, around }
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

/// Most namespaces that are looked at at a time: each takes a thread.
const LOOKS_MAX: usize = 16;
