//! A listing of our table, taken apart: rules by chain, elements by set, and what rules have counted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{members, strip};

/// What a table has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    /// The rules of each chain, in order.
    pub(crate) chains: BTreeMap<String, Vec<ListedRule>>,
    /// The elements of each set, as `nft` lists them.
    pub(crate) sets: BTreeMap<String, BTreeSet<String>>,
}

/// A rule, without what differs between equal ones.
#[derive(Clone, Debug)]
pub(crate) struct ListedRule {
    pub(crate) expr: Value,
    /// Packets it has counted; none where it does not count.
    pub(crate) packets: Option<u64>,
}

impl Listed {
    /// Of the listing in JSON; what is not one has nothing.
    pub(crate) fn of(text: &str) -> Self {
        let mut listing: Value = serde_json::from_str(text).unwrap_or_default();
        let _who_comes_and_goes = members::take(&mut listing);
        let mut listed = Self::default();
        let objects = listing.get("nftables").and_then(Value::as_array);
        for object in objects.into_iter().flatten() {
            listed.take(object);
        }
        listed
    }

    fn take(&mut self, object: &Value) {
        let name = |about: &Value, key: &str| about.get(key)?.as_str().map(str::to_owned);
        if let Some(chain) = object.get("chain").and_then(|chain| name(chain, "name")) {
            self.chains.entry(chain).or_default();
        } else if let Some(rule) = object.get("rule")
            && let Some(chain) = name(rule, "chain")
        {
            let mut expr = rule.get("expr").cloned().unwrap_or_default();
            let packets = packets(&expr);
            strip(&mut expr);
            self.chains.entry(chain).or_default().push(ListedRule { expr, packets });
        } else if let Some(set) = object.get("set").or_else(|| object.get("map"))
            && let Some(set_name) = name(set, "name")
        {
            let elements = set.get("elem").and_then(Value::as_array);
            let elements = elements.into_iter().flatten().map(words).collect();
            self.sets.insert(set_name, elements);
        }
    }
}

fn packets(expr: &Value) -> Option<u64> {
    let counters = expr.as_array()?.iter().filter_map(|part| part.pointer("/counter/packets"));
    counters.filter_map(Value::as_u64).reduce(u64::saturating_add)
}

/// What `nft` says in JSON, nearly as it says it to people; what this does not know stays JSON.
pub(crate) fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(words).collect::<Vec<_>>().join(" "),
        Value::Object(object) => match object.iter().next() {
            Some((key, about)) if object.len() == 1 => {
                one(key, about).unwrap_or_else(|| value.to_string())
            }
            Some(_) | None => value.to_string(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn one(key: &str, about: &Value) -> Option<String> {
    let part = |name: &str| about.get(name).map(words);
    let each = |between: &str| {
        let all = about.as_array()?.iter().map(words);
        Some(all.collect::<Vec<_>>().join(between))
    };
    Some(match key {
        "accept" | "drop" | "return" | "masquerade" | "counter" => key.to_owned(),
        "jump" | "goto" => format!("{key} {}", part("target")?),
        "match" => {
            let op = part("op").filter(|op| op != "==" && op != "in");
            let op = op.map_or(String::new(), |op| format!(" {op}"));
            format!("{}{op} {}", part("left")?, part("right")?)
        }
        "payload" => format!("{} {}", part("protocol")?, part("field")?),
        "meta" => part("key")?,
        "ct" => format!("ct {}", part("key")?),
        "prefix" => format!("{}/{}", part("addr")?, part("len")?),
        "range" => each("-")?,
        "concat" => each(" . ")?,
        "set" => format!("{{ {} }}", each(", ")?),
        "&" | "|" => each(&format!(" {key} "))?,
        "snat" | "dnat" => {
            let service = part("port").map_or(String::new(), |number| format!(" port {number}"));
            format!("{key} to {}{service}", part("addr")?)
        }
        "mangle" => format!("{} set {}", part("key")?, part("value")?),
        "vmap" | "map" => format!("{} {key} {}", part("key")?, part("data")?),
        "reject" => "reject".to_owned(),
        "elem" => part("val")?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_told_nearly_as_people_write_them() {
        let expr = json!([
            { "match": { "op": "==", "left": { "meta": { "key": "iifname" } }, "right": "eth0" } },
            { "match": { "op": "!=", "left": { "payload": { "protocol": "ip", "field": "daddr" } },
              "right": { "set": [{ "prefix": { "addr": "10.0.0.0", "len": 8 } }, "192.0.2.1"] } } },
            { "counter": null },
            { "dnat": { "addr": "10.64.0.9", "port": 8443 } },
            { "dup": { "addr": 1 } },
        ]);
        let text = "iifname eth0 ip daddr != { 10.0.0.0/8, 192.0.2.1 } counter dnat to 10.64.0.9 \
                    port 8443 {\"dup\":{\"addr\":1}}";
        assert_eq!(words(&expr), text);
    }

    #[test]
    fn a_listing_is_taken_apart_with_what_was_counted() {
        let listing = json!({ "nftables": [
            { "chain": { "name": "c" } },
            { "rule": { "chain": "c", "handle": 3, "expr": [
                { "counter": { "packets": 5, "bytes": 9 } }, { "accept": null }] } },
            { "set": { "name": "s", "elem": ["10.0.0.1", { "range": ["10.0.0.3", "10.0.0.5"] }] } },
        ]});
        let listed = Listed::of(&listing.to_string());
        let rule = &listed.chains["c"][0];
        assert_eq!((rule.packets, words(&rule.expr)), (Some(5), "counter accept".to_owned()));
        let elements: Vec<_> = listed.sets["s"].iter().cloned().collect();
        assert_eq!(elements, ["10.0.0.1", "10.0.0.3-10.0.0.5"]);
        assert!(Listed::of("no listing").chains.is_empty());
    }
}
