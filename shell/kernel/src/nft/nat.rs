//! Translation of addresses in the words of `nft`.

use serde_json::{Value, json};

use super::{field, matches, meta, prefix};
use crate::{Nat, Translation};

/// The chain of source translation and its rules; none without a rule.
pub(super) fn commands(table: &str, nat: &[Nat]) -> Vec<Value> {
    if nat.is_empty() {
        return Vec::new();
    }
    let chain = json!({ "add": { "chain": {
        "family": "inet", "table": table, "name": CHAIN,
        "type": "nat", "hook": "postrouting", "prio": SRCNAT, "policy": "accept",
    }}});
    std::iter::once(chain).chain(nat.iter().map(|nat| rule(table, nat))).collect()
}

/// Where source addresses are translated.
const CHAIN: &str = "postrouting";
/// The priority at which that is done.
const SRCNAT: i32 = 100;

fn rule(table: &str, nat: &Nat) -> Value {
    let ip = if nat.source.addr().is_ipv4() { "ip" } else { "ip6" };
    let mut expr = vec![matches("==", field(ip, "saddr"), prefix(&nat.source))];
    if let Some(egress) = &nat.egress {
        expr.push(matches("==", meta("oifname"), json!(egress)));
    }
    for except in &nat.except {
        expr.push(matches("!=", field(ip, "daddr"), prefix(except)));
    }
    expr.push(match nat.to {
        Translation::Address(to) => json!({ "snat": { "family": ip, "addr": to } }),
        Translation::Masquerade => json!({ "masquerade": null }),
    });
    json!({ "add": { "rule": {
        "family": "inet", "table": table, "chain": CHAIN, "expr": expr,
    }}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_source_egress_exceptions_and_what_to_do() {
        let nat = Nat {
            source: "10.64.0.0/20".parse().unwrap(),
            egress: Some("eth1".to_owned()),
            except: vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()],
            to: Translation::Masquerade,
        };
        let rule = rule("t", &nat);
        let expr = &rule["add"]["rule"]["expr"];
        assert_eq!(expr[0]["match"]["right"]["prefix"], json!({ "addr": "10.64.0.0", "len": 20 }));
        assert_eq!(expr[1]["match"]["right"], "eth1");
        assert_eq!(expr[2]["match"]["op"], "!=");
        assert_eq!(expr[3]["match"]["right"], "192.0.2.1");
        assert_eq!(expr[4], json!({ "masquerade": null }));
    }
}
