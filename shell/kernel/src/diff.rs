//! The difference between what is desired and what is there: a pure function.

use std::collections::BTreeMap;

use crate::netlink::ActualLink;
use crate::state::State;
use crate::{Address, Change, Desired, Link, Route, Rule, sysctl};

/// What is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actual {
    /// All links.
    pub(crate) links: Vec<ActualLink>,
    /// All addresses, with whether they carry our tag.
    pub(crate) addresses: Vec<(Address, bool)>,
    /// Our routes.
    pub(crate) routes: Vec<Route>,
    /// Our rules.
    pub(crate) rules: Vec<Rule>,
    /// The parameters that are desired or were changed by us, as far as they exist.
    pub(crate) sysctls: BTreeMap<String, String>,
    /// How our nftables table is listed.
    pub(crate) nat: Option<String>,
}

impl Actual {
    /// The link of that name.
    pub(crate) fn link(&self, name: &str) -> Option<&ActualLink> {
        self.links.iter().find(|link| link.name == name)
    }
}

/// The changes that lead from `actual` to `desired` (in its normal form), in the order to make them.
///
/// Translation comes before forwarding, so that no packet leaves untranslated; what is in the way goes
/// before what is to come, and the rest of what is not desired goes last.
pub(crate) fn diff(desired: &Desired, actual: &Actual, state: &State) -> Vec<Change> {
    let mut changes = links(desired, actual);
    let (in_the_way, last) = addresses_to_remove(desired, actual, state);
    changes.extend(in_the_way);
    changes.extend(addresses_to_add(desired, actual));
    changes.extend(nat_to_set(desired, actual, state));
    changes.extend(sysctls(desired, actual));
    changes.extend(rules_to_remove(desired, actual));
    changes.extend(routes_to_remove(desired, actual));
    changes.extend(routes(desired, actual));
    changes.extend(rules_to_add(desired, actual));
    changes.extend(sysctls_to_restore(desired, actual, state));
    changes.extend((desired.nat.is_empty() && actual.nat.is_some()).then_some(Change::RemoveNat));
    changes.extend(last);
    changes.extend(links_to_restore(desired, actual, state));
    changes
}

fn links(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let missing = |link: &Link| {
        let Some(actual) = actual.link(&link.name) else { return Some(link.clone()) };
        let mtu = link.mtu.filter(|&mtu| mtu != actual.mtu);
        let up = link.up && !actual.up;
        (up || mtu.is_some()).then(|| Link { up: link.up || actual.up, ..link.clone() })
    };
    desired.links.iter().filter_map(missing).map(Change::SetLink).collect()
}

fn links_to_restore(desired: &Desired, actual: &Actual, state: &State) -> Vec<Change> {
    let restore = |(name, saved): (&String, &crate::state::SavedLink)| {
        let link = actual.link(name)?;
        let ours = link.index == saved.index && (link.up, link.mtu) == saved.written;
        let wanted = desired.links.iter().any(|link| link.name == *name);
        let (up, mtu) = saved.before;
        (ours && !wanted && saved.before != saved.written)
            .then(|| Change::RestoreLink(Link { name: name.clone(), up, mtu: Some(mtu) }))
    };
    state.links.iter().filter_map(restore).collect()
}

fn addresses_to_add(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let there = |address: &Address| actual.addresses.iter().any(|(there, _)| there == address);
    let missing = desired.addresses.iter().filter(|address| !there(address));
    missing.cloned().map(Change::AddAddress).collect()
}

/// Addresses of ours that are not desired: those that a desired one replaces, and the others.
fn addresses_to_remove(
    desired: &Desired,
    actual: &Actual,
    state: &State,
) -> (Vec<Change>, Vec<Change>) {
    let ours = actual
        .addresses
        .iter()
        .filter(|(address, tagged)| *tagged || state.addresses.contains(address))
        .map(|(address, _)| address)
        .filter(|address| !desired.addresses.contains(address));
    let replaced = |address: &&Address| {
        let same = |other: &Address| other.address.addr() == address.address.addr();
        desired.addresses.iter().any(same)
    };
    let (first, last): (Vec<_>, Vec<_>) = ours.partition(replaced);
    let remove = |addresses: Vec<&Address>| {
        addresses.into_iter().cloned().map(Change::RemoveAddress).collect()
    };
    (remove(first), remove(last))
}

fn nat_to_set(desired: &Desired, actual: &Actual, state: &State) -> Option<Change> {
    let as_left = state.nat.as_ref().is_some_and(|saved| {
        saved.wanted == desired.nat && actual.nat.as_ref() == Some(&saved.listing)
    });
    (!desired.nat.is_empty() && !as_left).then(|| Change::SetNat(desired.nat.clone()))
}

fn sysctls(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let missing = |(key, to): (&String, &String)| {
        let from = actual.sysctls.get(key).cloned().unwrap_or_default();
        let to = sysctl::normal(to);
        (from != to).then(|| Change::SetSysctl { key: key.clone(), from, to })
    };
    desired.sysctls.iter().filter_map(missing).collect()
}

/// Parameters that we set and nobody wants any more. What somebody else set meanwhile stays.
fn sysctls_to_restore(desired: &Desired, actual: &Actual, state: &State) -> Vec<Change> {
    let dropped = state.sysctls.iter().filter(|(key, _)| !desired.sysctls.contains_key(*key));
    let ours = dropped.filter(|(key, saved)| actual.sysctls.get(*key) == Some(&saved.written));
    let changed = ours.filter(|(_, saved)| saved.before != saved.written);
    changed
        .map(|(key, saved)| Change::RestoreSysctl { key: key.clone(), to: saved.before.clone() })
        .collect()
}

fn routes(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let change = |route: &Route| {
        let mut there = actual.routes.iter().filter(|there| there.key() == route.key());
        let Some(first) = there.next() else { return Some(Change::AddRoute(route.clone())) };
        (!route.is_met_by(first))
            .then(|| Change::ReplaceRoute { from: first.clone(), to: route.clone() })
    };
    desired.routes.iter().filter_map(change).collect()
}

fn routes_to_remove(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let wanted = |there: &Route| desired.routes.iter().any(|route| route.key() == there.key());
    let unwanted = actual.routes.iter().filter(|there| !wanted(there));
    unwanted.cloned().map(Change::RemoveRoute).collect()
}

fn rules_to_add(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let missing = desired.rules.iter().filter(|rule| !actual.rules.contains(rule));
    missing.cloned().map(Change::AddRule).collect()
}

fn rules_to_remove(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let unwanted = actual.rules.iter().filter(|rule| !desired.rules.contains(rule));
    unwanted.cloned().map(Change::RemoveRule).collect()
}
