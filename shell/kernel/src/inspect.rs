//! What is in force, beside what is wanted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::{Entry, Part, entries};
use crate::nft::{Listed, words};
use crate::state::SavedFirewall;
use crate::{Firewall, OtherRoute, Route, Rule};

/// How something in the kernel stands to what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Ours, and not as it is wanted.
    Altered,
    /// Ours, as it is wanted.
    AsWanted,
    /// Somebody else's.
    Foreign,
    /// Wanted, and not there.
    Missing,
    /// Ours, and wanted no more.
    Unwanted,
}

/// Something that is there, or is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// What it is: as it is wanted, where it is.
    pub what: T,
    /// How it stands.
    pub standing: Standing,
    /// Packets that it has counted; none where nothing counts.
    pub packets: Option<u64>,
    /// How it differs from what is wanted, in words.
    pub differs: Vec<String>,
}

/// What is in force in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Our routes, and those that are wanted.
    pub routes: Vec<Found<Route>>,
    /// Routes of others, with their tables: the main one, and ours.
    pub other_routes: Vec<(u32, OtherRoute)>,
    /// Our rules, and those that are wanted.
    pub rules: Vec<Found<Rule>>,
    /// Rules of others.
    pub other_rules: Vec<Rule>,
    /// What our nftables table does and is to do.
    pub firewall: Vec<Found<Entry>>,
    /// The nftables tables of others, as `nft` names them.
    pub tables: Vec<String>,
}

impl<T> Found<T> {
    fn new(what: T, standing: Standing) -> Self {
        Self { what, standing, packets: None, differs: Vec::new() }
    }
}

/// Our routes beside those that are wanted, in the order of tables. Those on links that `comes_and_goes` are
/// as wanted while they are there.
pub(crate) fn routes(
    wanted: &[Route],
    actual: &[Route],
    comes_and_goes: impl Fn(&str) -> bool,
) -> Vec<Found<Route>> {
    let passing = |route: &Route| route.next.link().is_some_and(&comes_and_goes);
    let there: BTreeMap<_, &Route> = actual.iter().map(|there| (there.key(), there)).collect();
    let mut found: Vec<_> = wanted
        .iter()
        .map(|route| match there.get(&route.key()) {
            None => Found::new(route.clone(), Standing::Missing),
            Some(&there) if route.is_met_by(there) || passing(there) => {
                Found::new(there.clone(), Standing::AsWanted)
            }
            Some(there) => Found {
                differs: vec![format!("it is {there}")],
                ..Found::new(route.clone(), Standing::Altered)
            },
        })
        .collect();
    let unwanted = actual.iter().filter(|there| !wanted.iter().any(|r| r.key() == there.key()));
    found.extend(unwanted.map(|route| {
        let standing = if passing(route) { Standing::AsWanted } else { Standing::Unwanted };
        Found::new(route.clone(), standing)
    }));
    found.sort_by_key(|found| {
        let Route { table, destination, metric, .. } = found.what;
        (table, destination, metric)
    });
    found
}

/// Our rules beside those that are wanted, in the order they are asked in.
pub(crate) fn rules(wanted: &[Rule], actual: &[Rule]) -> Vec<Found<Rule>> {
    let standing = |rule: &Rule| {
        if actual.contains(rule) { Standing::AsWanted } else { Standing::Missing }
    };
    let mut found: Vec<_> =
        wanted.iter().map(|rule| Found::new(rule.clone(), standing(rule))).collect();
    let unwanted = actual.iter().filter(|rule| !wanted.contains(rule));
    found.extend(unwanted.map(|rule| Found::new(rule.clone(), Standing::Unwanted)));
    found.sort_by(|a, b| {
        let key = |one: &Found<Rule>| (one.what.version, one.what.priority);
        key(a).cmp(&key(b)).then_with(|| a.what.cmp(&b.what))
    });
    found
}

/// What the table does beside what it is to do. `saved` says how `nft` lists what it was made of.
pub(crate) fn firewall(
    wanted: &Firewall,
    saved: Option<&SavedFirewall>,
    listing: Option<&str>,
) -> Vec<Found<Entry>> {
    let now = listing.map(Listed::of).unwrap_or_default();
    let made = saved.map(|saved| entries(&saved.wanted)).unwrap_or_default();
    let old = saved.map(|saved| Listed::of(&saved.listing)).unwrap_or_default();
    let mut left = made;
    let mut found = Vec::new();
    for (entry, _) in entries(wanted) {
        match left.iter().position(|(made, _)| *made == entry) {
            Some(at) => {
                let (entry, parts) = left.remove(at);
                found.push(compare(entry, &parts, &old, &now));
            }
            None => found.push(Found::new(entry, Standing::Missing)),
        }
    }
    let unwanted = left.into_iter().map(|(entry, parts)| compare(entry, &parts, &old, &now));
    let there = unwanted.filter(|found| found.standing != Standing::Missing);
    found.extend(there.map(|found| Found { standing: Standing::Unwanted, ..found }));
    pair(&mut found);
    found.extend(strange(&old, &now));
    found
}

/// What has gone for something of its kind to come is one that is altered.
fn pair(found: &mut Vec<Found<Entry>>) {
    let mut at = 0;
    while let Some(one) = found.get(at) {
        let kind = |other: &Found<Entry>| {
            other.standing == Standing::Unwanted && one.what.is_kind_of(&other.what)
        };
        let before =
            if one.standing == Standing::Missing { found.iter().position(kind) } else { None };
        if let Some(before) = before {
            let before = found.remove(before);
            // What is unwanted stands behind all that is wanted.
            if let Some(one) = found.get_mut(at) {
                one.standing = Standing::Altered;
                one.packets = before.packets;
                one.differs = changed(&before.what, &one.what);
            }
        }
        at += 1;
    }
}

/// How one entry becomes another of its kind.
fn changed(before: &Entry, after: &Entry) -> Vec<String> {
    let elements = |entry: &Entry| match entry {
        Entry::Entries { entries, .. } => entries.elements(),
        Entry::Forbidden { nets, .. } => nets.iter().map(ToString::to_string).collect(),
        Entry::Frame { devices, .. } => devices.clone(),
        Entry::Others { own, reaches, .. } => {
            own.iter().map(ToString::to_string).chain(reaches.iter().cloned()).collect()
        }
        Entry::Clamp(_)
        | Entry::Default { .. }
        | Entry::Nat(_)
        | Entry::Redirect(_)
        | Entry::Strange { .. } => Vec::new(),
    };
    let (old, new) = (elements(before), elements(after));
    let mut all = lacking("-", &old, &new);
    all.extend(lacking("+", &new, &old));
    if all.is_empty() { vec![format!("it is: {before}")] } else { all }
}

/// The first few of those that the others lack, each with a sign, and how many there are besides.
fn lacking(sign: &str, these: &[String], others: &[String]) -> Vec<String> {
    let lacking: Vec<_> = these.iter().filter(|one| !others.contains(one)).collect();
    let told = lacking.iter().take(ELEMENTS_MAX).map(|one| format!("{sign}{one}"));
    let more = lacking.len().saturating_sub(ELEMENTS_MAX);
    told.chain((more > 0).then(|| format!("{sign}{more} more"))).collect()
}

/// Looks for the parts of an entry, as they were listed when they were made.
fn compare(entry: Entry, parts: &[Part], old: &Listed, now: &Listed) -> Found<Entry> {
    let (mut here, mut gone, mut packets) = (0, Vec::new(), None::<u64>);
    let mut differs = Vec::new();
    for part in parts {
        let (chain, only) = match part {
            Part::Chain(chain) => (chain, None),
            Part::Rule(chain, index) => (chain, Some(*index)),
            Part::Set(set) => {
                let elements = |listed: &Listed| -> Vec<String> {
                    listed.sets.get(set).into_iter().flatten().cloned().collect()
                };
                let (before, after) = (elements(old), elements(now));
                differs.extend(lacking("-", &before, &after));
                differs.extend(lacking("+", &after, &before));
                continue;
            }
        };
        let rules = old.chains.get(chain).into_iter().flatten().enumerate();
        for (_, rule) in rules.filter(|(at, _)| only.is_none_or(|only| only == *at)) {
            let there = now.chains.get(chain).into_iter().flatten();
            match there.into_iter().find(|there| there.expr == rule.expr) {
                Some(there) => {
                    here += 1;
                    packets = packets.map_or(there.packets, |sum| {
                        Some(sum.saturating_add(there.packets.unwrap_or_default()))
                    });
                }
                None => gone.push(format!("gone: {}", words(&rule.expr))),
            }
        }
    }
    let standing = match (here, gone.is_empty() && differs.is_empty()) {
        (_, true) => Standing::AsWanted,
        (0, false) if !gone.is_empty() => Standing::Missing,
        (_, false) => Standing::Altered,
    };
    gone.truncate(ELEMENTS_MAX);
    match standing {
        Standing::Altered => drop(differs.splice(0..0, gone)),
        Standing::Missing => differs = vec!["somebody else removed it".to_owned()],
        Standing::AsWanted | Standing::Foreign | Standing::Unwanted => differs.clear(),
    }
    Found { what: entry, standing, packets, differs }
}

/// Rules that nobody of us made.
fn strange(old: &Listed, now: &Listed) -> Vec<Found<Entry>> {
    let mut found = Vec::new();
    for (chain, rules) in &now.chains {
        let known = old.chains.get(chain);
        let mut known: Vec<&Value> = known.into_iter().flatten().map(|rule| &rule.expr).collect();
        for rule in rules {
            if let Some(at) = known.iter().position(|known| **known == rule.expr) {
                known.remove(at);
                continue;
            }
            let entry = Entry::Strange { chain: chain.clone(), rule: words(&rule.expr) };
            found.push(Found { packets: rule.packets, ..Found::new(entry, Standing::Foreign) });
        }
    }
    found.truncate(STRANGE_MAX);
    found
}

/// Most elements of a set that a difference names; the others are counted.
pub const ELEMENTS_MAX: usize = 8;
/// Most rules of others in our table that are told of.
pub const STRANGE_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Nat, NextHop, Translation};

    fn nat(source: &str, to: Translation) -> Nat {
        Nat::new(source.parse().unwrap(), to)
    }

    fn table(rules: &[&str]) -> String {
        let rules = rules
            .iter()
            .map(|rule| serde_json::json!({ "rule": { "chain": "postrouting", "expr": [rule] } }));
        serde_json::json!({ "nftables": rules.collect::<Vec<_>>() }).to_string()
    }

    fn told(found: &[Found<Entry>]) -> Vec<(String, Standing)> {
        found.iter().map(|one| (one.what.to_string(), one.standing)).collect()
    }

    #[test]
    fn each_entry_is_as_wanted_missing_unwanted_or_somebody_elses() {
        let [a, b, c] = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]
            .map(|source| nat(source, Translation::Masquerade));
        let made = Firewall { nat: vec![a.clone(), b.clone()], ..Firewall::default() };
        let saved = SavedFirewall { wanted: made.clone(), listing: table(&["a", "b"]) };
        let whole = table(&["a", "b"]);
        let found = firewall(&made, Some(&saved), Some(&whole));
        assert!(found.iter().all(|one| one.standing == Standing::AsWanted));

        let wanted = Firewall { nat: vec![a.clone(), c.clone()], ..Firewall::default() };
        let found = firewall(&wanted, Some(&saved), Some(&table(&["x", "b"])));
        let expected = [
            (a.to_string(), Standing::Missing),
            (c.to_string(), Standing::Missing),
            (b.to_string(), Standing::Unwanted),
            ("rule in chain postrouting: x".to_owned(), Standing::Foreign),
        ];
        assert_eq!(told(&found), expected);
        let found = firewall(&wanted, None, None);
        assert!(found.iter().all(|one| one.standing == Standing::Missing));
    }

    #[test]
    fn another_translation_of_the_same_packets_is_one_that_is_altered() {
        let before = nat("10.1.0.0/16", Translation::Masquerade);
        let address = Translation::Address("192.0.2.1".parse().unwrap());
        let after = nat("10.1.0.0/16", address);
        let made = Firewall { nat: vec![before.clone()], ..Firewall::default() };
        let wanted = Firewall { nat: vec![after.clone()], ..Firewall::default() };
        let saved = SavedFirewall { wanted: made, listing: table(&["m"]) };
        let found = firewall(&wanted, Some(&saved), Some(&table(&["m"])));
        assert_eq!(told(&found), [(after.to_string(), Standing::Altered)]);
        assert_eq!(found[0].differs, [format!("it is: {before}")]);
    }

    #[test]
    fn a_difference_of_large_sets_names_a_few_and_counts_the_rest() {
        let all: Vec<_> = (0..ELEMENTS_MAX + 5).map(|n| n.to_string()).collect();
        let told = lacking("+", &all, &[]);
        assert_eq!((told.len(), told[ELEMENTS_MAX].as_str()), (ELEMENTS_MAX + 1, "+5 more"));
        assert_eq!(lacking("+", &all[..ELEMENTS_MAX], &[]).len(), ELEMENTS_MAX);
    }

    #[test]
    fn no_more_rules_of_others_are_told_than_that() {
        let rules: Vec<_> = (0..STRANGE_MAX + 3).map(|n| format!("r{n}")).collect();
        let rules: Vec<_> = rules.iter().map(String::as_str).collect();
        assert_eq!(firewall(&Firewall::default(), None, Some(&table(&rules))).len(), STRANGE_MAX);
    }

    #[test]
    fn routes_are_compared_by_where_they_lead() {
        let route = |to: &str, link: &str| Route {
            destination: to.parse().unwrap(),
            table: 254,
            metric: Some(0),
            next: NextHop::Link(link.to_owned()),
            source: None,
        };
        let wanted = [route("10.1.0.0/16", "a"), route("10.2.0.0/16", "a")];
        let actual = [route("10.1.0.0/16", "b"), route("10.3.0.0/16", "a")];
        let found = routes(&wanted, &actual, |link| link == "acme.0");
        let standings: Vec<_> = found.iter().map(|found| found.standing).collect();
        assert_eq!(standings, [Standing::Altered, Standing::Missing, Standing::Unwanted]);
        assert_eq!(found[0].differs, ["it is route 10.1.0.0/16 on b"]);

        let actual = [route("10.1.0.0/16", "acme.0"), route("10.3.0.0/16", "acme.0")];
        let found = routes(&wanted[..1], &actual, |link| link == "acme.0");
        let all: Vec<_> = found.iter().map(|found| (&found.what, found.standing)).collect();
        let as_wanted = Standing::AsWanted;
        assert_eq!(all, [(&actual[0], as_wanted), (&actual[1], as_wanted)], "a session's");
    }
}
