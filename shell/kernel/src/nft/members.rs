//! Members of classes: maps from a packet's source to the chain that marks it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::filter::VERSIONS;
use super::links::{Links, Side};
use super::{add, field, jump, matches, meta, prefix};
use crate::Firewall;
use crate::desired::{CLASS_MASK, Guard, Member, class_mark};

/// The maps with these members, and the chains that look into them; nothing where no device has classes.
pub(super) fn commands(table: &str, firewall: &Firewall) -> Vec<Value> {
    let Firewall { filter, members, .. } = firewall;
    let guards = filter.guards.iter().filter(|guard| has_classes(guard));
    let devices: Vec<_> = guards.map(|guard| &*guard.device).collect();
    if devices.is_empty() {
        return Vec::new();
    }
    let add = |what: &str, about: Value| add(table, what, about);
    let rule = |chain: &str, expr: Value| add("rule", json!({ "chain": chain, "expr": expr }));
    let mut commands = Vec::new();
    for class in filter.classes().collect::<BTreeSet<_>>() {
        let chain = chain_of(class);
        let kept = json!({ "&": [meta("mark"), !CLASS_MASK] });
        let mark = json!({ "|": [kept, class_mark(class)] });
        commands.push(add("chain", json!({ "name": chain })));
        let set = json!({ "mangle": { "key": meta("mark"), "value": mark } });
        commands.push(rule(&chain, json!([set, { "return": null }])));
    }
    commands.push(add("chain", json!({ "name": CHAIN })));
    for (map, kind, intervals) in MAPS {
        let flags: &[&str] = if intervals { &["interval"] } else { &[] };
        let about = json!({ "name": map, "type": kind, "map": "verdict", "flags": flags });
        commands.push(add("map", about));
        let key = json!({ "vmap": { "key": key(map), "data": format!("@{map}") } });
        commands.push(rule(CHAIN, json!([key])));
    }
    let nobody = matches("==", json!({ "&": [meta("mark"), CLASS_MASK] }), json!(0));
    commands.push(rule(CHAIN, json!([nobody, { "counter": null }, { "drop": null }])));
    let base = json!({
        "name": HOOK, "type": "filter", "hook": HOOK, "prio": MANGLE, "policy": "accept",
    });
    commands.push(add("chain", base));
    let check = Links::of(firewall).compare("==", Side::In, &devices);
    commands.push(rule(HOOK, json!([check, jump(CHAIN)])));
    commands.extend(change("add", table, members));
    commands
}

/// Adds or deletes members.
pub(super) fn change(verb: &str, table: &str, members: &[Member]) -> Vec<Value> {
    let of_map = |map: &str| {
        let own = members.iter().filter(|member| map_of(&member.source) == map);
        let elements: Vec<_> = own.map(element).collect();
        let about = json!({ "family": "inet", "table": table, "name": map, "elem": elements });
        (!elements.is_empty()).then(|| json!({ verb: { "element": about } }))
    };
    MAPS.iter().filter_map(|(map, ..)| of_map(map)).collect()
}

/// Takes the members out of a listing of the table and answers them in order.
pub(super) fn take(listing: &mut Value) -> Vec<Member> {
    let mut members = Vec::new();
    let objects = listing.get_mut("nftables").and_then(Value::as_array_mut);
    for object in objects.into_iter().flatten() {
        let Some(map) = object.get_mut("map").and_then(Value::as_object_mut) else { continue };
        let Some((name, ..)) = MAPS.iter().find(|(name, ..)| map["name"] == *name) else {
            continue;
        };
        let elements = map.remove("elem");
        let elements = elements.as_ref().and_then(Value::as_array);
        members.extend(elements.into_iter().flatten().filter_map(|element| read(name, element)));
    }
    members.sort_unstable();
    members
}

fn has_classes(guard: &Guard) -> bool {
    guard.lists.iter().any(|list| list.class.is_some())
}

fn element(member: &Member) -> Value {
    let source = &member.source;
    let key = if map_of(source) == SESSIONS_V6 { json!(source.network()) } else { prefix(source) };
    json!([key, jump(&chain_of(member.class))])
}

fn read(map: &str, element: &Value) -> Option<Member> {
    let (key, verdict) = (element.get(0)?, element.get(1)?);
    let class = verdict.pointer("/jump/target")?.as_str()?.strip_prefix(CLASS)?.parse().ok()?;
    let (address, len) = match key.get("prefix") {
        Some(prefix) => (prefix.get("addr")?, prefix.get("len")?.as_u64()),
        None => (key, None),
    };
    let address: IpAddr = address.as_str()?.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let len = if map == SESSIONS_V6 { Some(u64::from(SESSION_BITS)) } else { len };
    let source = IpNet::new(address, u8::try_from(len.unwrap_or(whole)).ok()?).ok()?;
    Some(Member { source, class })
}

/// What is looked up in a map.
fn key(map: &str) -> Value {
    match map {
        SESSIONS_V6 => json!({ "&": [field("ip6", "saddr"), SESSION_MASK] }),
        SESSIONS_V4 | NETS_V4 => field("ip", "saddr"),
        _ => field("ip6", "saddr"),
    }
}

fn map_of(source: &IpNet) -> &'static str {
    match source {
        IpNet::V4(net) if net.prefix_len() == net.max_prefix_len() => SESSIONS_V4,
        IpNet::V4(_) => NETS_V4,
        IpNet::V6(net) if net.prefix_len() == SESSION_BITS => SESSIONS_V6,
        IpNet::V6(_) => NETS_V6,
    }
}

fn chain_of(class: u16) -> String {
    format!("{CLASS}{class}")
}

/// Each map, its type, and whether its keys are intervals. Sessions are found by hash, and adding one
/// does not make `nft` read the others.
const MAPS: [(&str, &str, bool); 4] = [
    (SESSIONS_V4, VERSIONS[0].1, false),
    (SESSIONS_V6, VERSIONS[1].1, false),
    (NETS_V4, VERSIONS[0].1, true),
    (NETS_V6, VERSIONS[1].1, true),
];
const SESSIONS_V4: &str = "sessions_ip";
const SESSIONS_V6: &str = "sessions_ip6";
const NETS_V4: &str = "behind_ip";
const NETS_V6: &str = "behind_ip6";
/// Every session has a /64.
const SESSION_BITS: u8 = 64;
const SESSION_MASK: &str = "ffff:ffff:ffff:ffff::";
/// Chains of classes begin with this.
const CLASS: &str = "class_";
/// The chain that looks up a packet's source.
const CHAIN: &str = "members";
const HOOK: &str = "prerouting";
/// The priority at which packets are marked, before they are routed.
const MANGLE: i32 = -150;
