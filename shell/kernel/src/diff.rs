//! The difference between what is desired and what is there: a pure function.

use std::collections::{BTreeMap, BTreeSet};

use crate::netlink::ActualLink;
use crate::nft::Listing;
use crate::state::{SavedLink, State};
use crate::{Address, Change, Desired, Link, Member, Route, Rule, sysctl};

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
    /// The names of devices of ours that lead into other namespaces, each with where it does; the labels of
    /// those that are desired.
    pub(crate) veths: Veths,
    /// How our nftables table is listed.
    pub(crate) firewall: Option<Listing>,
}

/// Devices that lead into other namespaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Veths {
    /// Those of ours that are there, by name, with their labels.
    pub(crate) there: BTreeMap<String, String>,
    /// The labels that those have to have which are desired.
    pub(crate) labels: BTreeMap<String, String>,
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
    let mut changes = veths(desired, actual);
    changes.extend(links(desired, actual));
    let (in_the_way, last) = addresses_to_remove(desired, actual, state);
    changes.extend(in_the_way);
    changes.extend(addresses_to_add(desired, actual));
    changes.extend(firewall_to_set(desired, actual, state));
    changes.extend(sysctls(desired, actual));
    changes.extend(rules_to_remove(desired, actual));
    changes.extend(routes_to_remove(desired, actual));
    changes.extend(routes(desired, actual));
    changes.extend(rules_to_add(desired, actual));
    changes.extend(sysctls_to_restore(desired, actual, state));
    changes.extend(
        (desired.firewall.is_empty() && actual.firewall.is_some())
            .then_some(Change::RemoveFirewall),
    );
    changes.extend(last);
    changes.extend(links_to_restore(desired, actual, state));
    changes
}

/// Devices into other namespaces: those that lead elsewhere go before others take their names.
fn veths(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let Veths { there, labels } = &actual.veths;
    let wanted = |name: &String| desired.veths.iter().any(|veth| veth.name == *name);
    let right =
        |name: &String| labels.get(name).is_some_and(|label| there.get(name) == Some(label));
    let unwanted = there.keys().filter(|name| !(wanted(name) && right(name)));
    let missing = desired.veths.iter().filter(|veth| !right(&veth.name));
    let removed = unwanted.cloned().map(Change::RemoveVeth);
    removed.chain(missing.cloned().map(Change::AddVeth)).collect()
}

fn links(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let missing = |link: &Link| {
        let Some(actual) = actual.link(&link.name) else {
            return Some(Change::AddLink(link.clone()));
        };
        let mtu = link.mtu.filter(|&mtu| mtu != actual.mtu);
        let up = link.up && !actual.up;
        (up || mtu.is_some())
            .then(|| Change::SetLink(Link { up: link.up || actual.up, ..link.clone() }))
    };
    desired.links.iter().filter_map(missing).collect()
}

fn links_to_restore(desired: &Desired, actual: &Actual, state: &State) -> Vec<Change> {
    let restore = |(name, saved): (&String, &SavedLink)| {
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
    let there: BTreeSet<&Address> = actual.addresses.iter().map(|(address, _)| address).collect();
    let missing = desired.addresses.iter().filter(|address| !there.contains(address));
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

fn firewall_to_set(desired: &Desired, actual: &Actual, state: &State) -> Option<Change> {
    let wanted = &desired.firewall;
    if wanted.is_empty() {
        return None;
    }
    let as_left = |listing: &&Listing| {
        let saved = state.firewall.as_ref();
        saved.is_some_and(|saved| {
            saved.listing == listing.text && saved.wanted == wanted.without_members()
        })
    };
    let Some(listing) = actual.firewall.as_ref().filter(as_left) else {
        return Some(Change::SetFirewall(wanted.clone()));
    };
    let members = listing.members.as_ref()?;
    let lacking = |these: &[Member], others: &[Member]| -> Vec<Member> {
        let others: BTreeSet<_> = others.iter().collect();
        these.iter().filter(|member| !others.contains(member)).cloned().collect()
    };
    let remove = lacking(members, &wanted.members);
    let add = lacking(&wanted.members, members);
    (!remove.is_empty() || !add.is_empty()).then_some(Change::SetMembers { remove, add })
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
    let there: BTreeMap<_, &Route> =
        actual.routes.iter().map(|there| (there.key(), there)).collect();
    let change = |route: &Route| match there.get(&route.key()) {
        None => Some(Change::AddRoute(route.clone())),
        Some(there) if route.is_met_by(there) => None,
        Some(&there) => Some(Change::ReplaceRoute { from: there.clone(), to: route.clone() }),
    };
    desired.routes.iter().filter_map(change).collect()
}

fn routes_to_remove(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let wanted: BTreeSet<_> = desired.routes.iter().map(Route::key).collect();
    let unwanted = actual.routes.iter().filter(|there| !wanted.contains(&there.key()));
    unwanted.cloned().map(Change::RemoveRoute).collect()
}

fn rules_to_add(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let there: BTreeSet<&Rule> = actual.rules.iter().collect();
    let missing = desired.rules.iter().filter(|rule| !there.contains(rule));
    missing.cloned().map(Change::AddRule).collect()
}

fn rules_to_remove(desired: &Desired, actual: &Actual) -> Vec<Change> {
    let wanted: BTreeSet<&Rule> = desired.rules.iter().collect();
    let unwanted = actual.rules.iter().filter(|rule| !wanted.contains(rule));
    unwanted.cloned().map(Change::RemoveRule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::SavedSysctl;
    use crate::{Firewall, Nat, NextHop, Translation, Veth};

    fn address(text: &str) -> Address {
        Address { link: "lo".to_owned(), address: text.parse().unwrap(), peer: None }
    }

    fn forwarding() -> Desired {
        let nat = Nat::new("10.64.0.0/20".parse().unwrap(), Translation::Masquerade);
        let sysctls = [("net/ipv4/ip_forward".to_owned(), "1".to_owned())].into();
        Desired {
            firewall: Firewall { nat: vec![nat], ..Firewall::default() },
            sysctls,
            ..Desired::default()
        }
    }

    #[test]
    fn nothing_desired_and_nothing_there_is_no_change() {
        assert_eq!(diff(&Desired::default(), &Actual::default(), &State::default()), []);
    }

    #[test]
    fn translation_comes_before_forwarding_and_goes_after_it() {
        let mut actual = Actual::default();
        actual.sysctls.insert("net/ipv4/ip_forward".to_owned(), "0".to_owned());
        let there = diff(&forwarding(), &actual, &State::default());
        assert!(
            matches!(there[..], [Change::SetFirewall(_), Change::SetSysctl { .. }]),
            "{there:?}"
        );

        let mut state = State::default();
        let saved = SavedSysctl {
            before: "0".to_owned(),
            written: "1".to_owned(),
            companions: BTreeMap::new(),
        };
        state.sysctls.insert("net/ipv4/ip_forward".to_owned(), saved);
        actual.sysctls.insert("net/ipv4/ip_forward".to_owned(), "1".to_owned());
        actual.firewall = Some(Listing::default());
        let back = diff(&Desired::default(), &actual, &state);
        assert!(
            matches!(back[..], [Change::RestoreSysctl { .. }, Change::RemoveFirewall]),
            "{back:?}"
        );
    }

    #[test]
    fn an_address_without_tag_is_ours_only_when_remembered() {
        let (ours, theirs) = (address("10.0.0.1/32"), address("10.0.0.2/32"));
        let addresses = vec![(ours.clone(), false), (theirs, false)];
        let actual = Actual { addresses, ..Actual::default() };
        let state = State { addresses: [ours.clone()].into(), ..State::default() };
        let changes = diff(&Desired::default(), &actual, &state);
        assert_eq!(changes, [Change::RemoveAddress(ours)]);
    }

    #[test]
    fn a_device_that_leads_elsewhere_is_made_anew_and_one_nobody_wants_goes() {
        let veth = |name: &str| Veth { name: name.to_owned(), into: None, mtu: 1500 };
        let one = |name: &str, label: &str| (name.to_owned(), label.to_owned());
        let veths = Veths {
            there: [one("old", "into c"), one("same", "into b"), one("moved", "")].into(),
            labels: [one("same", "into b"), one("moved", "into b"), one("new", "into b")].into(),
        };
        let actual = Actual { veths, ..Actual::default() };
        let veths = vec![veth("same"), veth("moved"), veth("new")];
        let desired = Desired { veths, ..Desired::default() };
        let changes = diff(&desired, &actual, &State::default());
        let told: Vec<_> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "remove device moved and its other end",
                "remove device old and its other end",
                "add devices moved here and in namespace host mtu 1500",
                "add devices new here and in namespace host mtu 1500",
            ]
        );
    }

    #[test]
    fn an_address_in_the_way_goes_first() {
        let (old, new) = (address("fd00::1/64"), address("fd00::1/80"));
        let actual = Actual { addresses: vec![(old.clone(), true)], ..Actual::default() };
        let desired = Desired { addresses: vec![new.clone()], ..Desired::default() };
        let changes = diff(&desired, &actual, &State::default());
        assert_eq!(changes, [Change::RemoveAddress(old), Change::AddAddress(new)]);
    }

    #[test]
    fn a_gateway_on_any_link_is_met_by_the_one_the_kernel_found() {
        let route = |link: Option<&str>, gateway: &str| Route {
            destination: "10.0.0.0/8".parse().unwrap(),
            table: 254,
            metric: Some(0),
            next: NextHop::Gateway {
                gateway: gateway.parse().unwrap(),
                link: link.map(str::to_owned),
                on_link: false,
            },
            source: None,
        };
        let there = route(Some("eth0"), "192.0.2.1");
        assert!(route(None, "192.0.2.1").is_met_by(&there));
        assert!(route(Some("eth0"), "192.0.2.1").is_met_by(&there));
        assert!(!route(Some("eth1"), "192.0.2.1").is_met_by(&there));
        assert!(!route(None, "192.0.2.2").is_met_by(&there));
    }

    #[test]
    fn a_link_made_again_under_its_name_is_not_restored() {
        let saved = SavedLink { index: 3, before: (true, 1500), written: (true, 1400) };
        let state = State { links: [("eth1".to_owned(), saved)].into(), ..State::default() };
        let (up, running) = (true, true);
        let (name, label) = ("eth1".to_owned(), String::new());
        let link = ActualLink { index: 3, name, up, running, mtu: 1400, group: 0, label };
        let restored = |index| {
            let links = vec![ActualLink { index, ..link.clone() }];
            let actual = Actual { links, ..Actual::default() };
            diff(&Desired::default(), &actual, &state).len()
        };
        assert_eq!((restored(3), restored(4)), (1, 0));
    }
}
