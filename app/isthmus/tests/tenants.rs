//! What tenants and groups give their users, as people write it, and what is said about mistakes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::config::{LEAST, load, load_in, refused, tenant_with, valid, warned, write};
use isthmus::config::Environment;

#[test]
fn a_domain_and_a_search_list_are_told_to_clients_and_a_user_may_have_others() {
    let text =
        tenant_with("domain = \"corp.example\"\nsearch = [\"corp.example\", \"lab.example\"]");
    let own = "password = \"a\"\ndomain = \"branch.example.\"\nsearch = [\"branch.example\"]";
    let config = valid(&text.replace("password = \"a\"", own));
    let tenant = &config.tenants[0];
    assert_eq!(tenant.advice.domain.as_ref().unwrap().as_str(), "corp.example");
    let search: Vec<_> =
        tenant.advice.search.iter().map(isthmus_ppp::dhcp::Domain::as_str).collect();
    assert_eq!(search, ["corp.example", "lab.example"]);
    let alice = tenant.users.named("alice").unwrap();
    assert_eq!(alice.advice.domain.as_ref().unwrap().as_str(), "branch.example");
    assert_eq!(alice.advice.search.len(), 1);
    refused(&tenant_with("domain = \"a b\""), 6, "not a domain name", "corp.example");
    let many: Vec<_> = (0..9).map(|n| format!("\"d{n}.example\"")).collect();
    let text = tenant_with(&format!("search = [{}]", many.join(", ")));
    refused(&text, 6, "no more than 8 domains", "remove");
}

#[test]
fn time_servers_are_told_to_clients_and_a_user_may_have_others() {
    let text = tenant_with("ntp = [\"10.64.0.1\", \"192.0.2.123\"]");
    let config = valid(&text.replace("password = \"a\"", "password = \"a\"\nntp = [\"10.1.0.1\"]"));
    let tenant = &config.tenants[0];
    assert_eq!(tenant.advice.ntp, [[10, 64, 0, 1], [192, 0, 2, 123]].map(Ipv4Addr::from));
    let alice = tenant.users.named("alice").unwrap();
    assert_eq!(alice.advice.or(&tenant.advice).ntp, [Ipv4Addr::new(10, 1, 0, 1)]);
    let five: Vec<_> = (1..=5).map(|n| format!("\"10.64.0.{n}\"")).collect();
    let text = tenant_with(&format!("ntp = [{}]", five.join(", ")));
    refused(&text, 6, "no more than 4 time servers", "remove");
}

#[test]
fn more_routes_than_a_client_is_told_are_warned_about() {
    let routes = |count: u8| {
        let all: Vec<_> = (0..count).map(|n| format!("\"10.9.{n}.0/24\"")).collect();
        format!("routes = [{}]", all.join(", "))
    };
    let (_, report) = load(&tenant_with(&routes(50))).unwrap();
    assert!(report.is_empty(), "{report}");
    warned(&tenant_with(&routes(51)), "the first 50 of these 51 routes");
    let user = LEAST.replace("password = \"a\"", &format!("password = \"a\"\n{}", routes(51)));
    warned(&user, "the first 50 of these 51 routes");
}

#[test]
fn groups_lead_to_their_tenant_with_a_key_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "field.psk", "the long random key of the field\n");
    let head = "[[tenant]]\nname = \"acme\"\npool = [\"10.64.0.0/24\"]\n";
    let inline = "group = [{ name = \"sales\", psk = \"the long random key of sales\" }]\n";
    let listed = "[[tenant.group]]\nname = \"field@acme.example\"\npsk_file = \"field.psk\"\n";
    for (lines, name) in [(inline, "sales"), (listed, "field@acme.example")] {
        write(dir.path(), "isthmus.toml", &format!("{head}{lines}"));
        let (config, warnings) = load_in(dir.path(), &Environment::default()).unwrap();
        let tenant = &config.tenants[0];
        assert_eq!(tenant.groups[0].name, name);
        assert!(
            tenant.groups[0].psk.as_ref().unwrap().expose().starts_with(b"the long random key")
        );
        assert!(tenant.psk.is_none(), "a group is enough");
        assert!(!warnings.to_string().contains("guessed"), "{warnings}");
    }
}

#[test]
fn short_keys_of_groups_and_names_used_twice_are_found() {
    let group =
        |name: &str, psk: &str| format!("[[tenant.group]]\nname = \"{name}\"\npsk = \"{psk}\"\n");
    let short = "twenty characters ok";
    warned(&tenant_with(&group("sales", short)), "aggressive mode lets anybody try");
    let aggressive = LEAST.replace("[ipsec]\n", "[ipsec]\naggressive = true\n");
    warned(&aggressive, "aggressive mode lets anybody try");
    let two = format!(
        "{aggressive}[[tenant]]\nname = \"b\"\npool = [\"10.65.0.0/20\"]\npsk = \"another long secret\"\n"
    );
    warned(&two, "serves none");
    let twice = [group("sales", short), group("sales", "another long secret")].concat();
    refused(&tenant_with(&twice), 10, "the group `sales` exists twice", "the other is at");
    refused(&tenant_with(&group("", short)), 7, "empty or too long", "1 to 128");
    refused(&tenant_with(&group(&"g".repeat(129), short)), 7, "empty or too long", "1 to 128");
}

#[test]
fn a_user_whose_realm_is_written_otherwise_than_the_tenants_is_warned_about() {
    let with = |name: &str| {
        tenant_with("realm = \"blue\"\nstrip_realm = false")
            .replace("[tenant.users.alice]", &format!("[tenant.users.\"{name}\"]"))
    };
    warned(&with("alice@Blue"), "the realm is written `blue` in the tenant");
    let (_, report) = load(&with("alice@blue")).unwrap();
    assert!(report.is_empty(), "{report}");
}

/// A tenant with groups, and alice in the first of them.
fn with_groups(groups: &str) -> String {
    let group = |text: &str| format!("[[tenant.group]]\nname = \"staff\"\n{text}\n");
    LEAST.replace("[tenant.users.alice]", &(group(groups) + "[tenant.users.alice]"))
        + "group = \"staff\"\n"
}

#[test]
fn a_group_has_what_its_users_have_in_common_and_needs_no_key() {
    use isthmus_gateway::Limits;
    let text = "pool = [\"10.64.1.0/24\", \"10.70.0.0/24\"]\npool6 = [\"2001:db8:7::/56\"]\n\
        dns = [\"10.1.0.53\"]\nntp = [\"10.1.0.1\"]\nroutes = [\"10.1.0.0/16\"]\nsessions = 9\n\
        sessions_per_user = 2\nsession_timeout = \"1h\"";
    let tenant = valid(&with_groups(text)).tenants.remove(0);
    let group = &tenant.groups[0];
    assert!(group.psk.is_none() && tenant.psk.is_some(), "the tenant's own leads to it");
    assert_eq!((group.advice.dns.len(), group.advice.ntp.len(), group.sessions), (1, 1, Some(9)));
    let hour = Some(Duration::from_hours(1));
    let limits = Limits { sessions_per_user: Some(2), session_timeout: hour, ..Limits::default() };
    assert_eq!(group.limits, limits);
    let all: Vec<_> = tenant.all_pools().iter().map(ToString::to_string).collect();
    assert_eq!(all, ["10.64.0.0/20", "10.70.0.0/24"], "a part of the tenant's is in it already");
    assert_eq!(tenant.all_pools6().len(), 1);
    let own = with_groups("pool = [\"10.70.0.0/24\"]") + "address = \"10.70.0.9\"\n";
    assert_eq!(valid(&own).tenants[0].users.len(), 1);
}

#[test]
fn unknown_groups_and_pools_of_two_are_refused() {
    let free = LEAST.to_owned() + "group = \"anything\"\n";
    assert_eq!(valid(&free).tenants[0].users.len(), 1, "without groups the name is free");
    let unknown = with_groups("").replace("group = \"staff\"", "group = \"stuff\"");
    refused(&unknown, 9, "in the group `stuff`, which the tenant does not have", "one of `staff`");
    refused(&with_groups("pool = [\"10.64.0.0/16\"]"), 8, "overlaps 10.64.0.0/20 of `acme`", "at");
    let second = "[[tenant.group]]\nname = \"b\"\npool = [\"10.70.0.0/25\"]";
    let two = with_groups(&format!("pool = [\"10.70.0.0/24\"]\n{second}"));
    refused(&two, 11, "10.70.0.0/25 overlaps 10.70.0.0/24 of `staff`", "the other is at");
    refused(
        &with_groups("[[tenant.group]]\nname = \"staff\""),
        9,
        "`staff` exists twice",
        "rename",
    );
    refused(&with_groups("sessions = 0"), 8, "out of range", "1 to 1000000");
    let elsewhere = with_groups("pool = [\"10.70.0.0/24\"]") + "address = \"10.71.0.9\"\n";
    refused(&elsewhere, 12, "10.71.0.9 is not in the tenant's pool", "10.70.0.0/24");
}

#[test]
fn ipv6_is_off_until_there_is_a_pool_and_then_has_an_address_of_its_own() {
    let tenant = &valid(LEAST).tenants[0];
    assert!(tenant.pool6.is_empty() && tenant.gateway_address6.is_none());
    let text =
        tenant_with("pool6 = [\"2001:db8:64::/48\"]\ndns = [\"10.64.0.53\", \"2001:db8:64::53\"]");
    let own = "password = \"a\"\naddress6 = \"2001:db8:64:9::/64\"\ndns = [\"2001:db8::5\"]";
    let config = valid(&text.replace("password = \"a\"", own));
    let tenant = &config.tenants[0];
    assert_eq!(tenant.gateway_address6, Some("2001:db8:64::1".parse().unwrap()));
    assert_eq!((tenant.advice.dns.len(), tenant.advice.dns6.len()), (1, 1));
    let alice = tenant.users.named("alice").unwrap();
    assert_eq!(alice.address6, Some("2001:db8:64:9::/64".parse().unwrap()));
    assert_eq!((alice.advice.dns.len(), alice.advice.dns6.len()), (0, 1));
}

#[test]
fn mistakes_about_ipv6_are_named() {
    refused(&tenant_with("pool6 = [\"10.0.0.0/8\"]"), 6, "not an IPv6 network", "2001:db8:64::/48");
    refused(&tenant_with("pool6 = [\"2001:db8::/80\"]"), 6, "is not a /32 to /64", "/32 to /64");
    refused(&tenant_with("pool6 = [\"2001:db8::1/48\"]"), 6, "bits set", "2001:db8::/48");
    let outside = "pool6 = [\"2001:db8:64::/48\"]\ngateway_address6 = \"2001:db8::1\"";
    refused(&tenant_with(outside), 7, "not in the tenant's pool6", "remove the key");
    let twice = "pool6 = [\"2001:db8:64::/48\", \"2001:db8:64:9::/64\"]";
    refused(&tenant_with(twice), 6, "overlaps 2001:db8:64::/48", "change one");
    warned(&tenant_with("dns = [\"2001:db8::53\"]"), "names IPv6 name servers");
    let user = |prefix: &str, tenant: &str| {
        let own = format!("password = \"a\"\naddress6 = \"{prefix}\"");
        tenant_with(tenant).replace("password = \"a\"", &own)
    };
    let pool = "pool6 = [\"2001:db8:64::/48\"]";
    refused(&user("2001:db8:64:9::/64", ""), 9, "has no IPv6", "add `pool6`");
    refused(&user("2001:db8:65:9::/64", pool), 9, "not in the tenant's pool6", "2001:db8:64::/48");
    refused(&user("2001:db8:64::/64", pool), 9, "gateway's own address", "another");
    refused(&user("2001:db8:64::/56", pool), 9, "is not a /64", "/64");
}

#[test]
fn pools_in_networks_of_others_are_refused_or_warned_of() {
    let pool = |net: &str| LEAST.replace("10.64.0.0/20", net);
    for (net, whose) in [
        ("0.1.0.0/16", "this network"),
        ("127.1.0.0/16", "loopback"),
        ("169.254.0.0/20", "metadata"),
        ("239.0.0.0/24", "multicast"),
        ("240.0.0.0/24", "reserved"),
        ("168.63.128.0/18", "Azure"),
    ] {
        refused(&pool(net), 5, whose, "such as 10.64.0.0/");
    }
    for (net, whose) in [
        ("192.168.0.128/25", "at home"),
        ("192.168.0.0/16", "at home"),
        ("192.168.1.0/24", "at home"),
        ("10.0.0.0/16", "at home"),
        ("172.16.0.0/12", "Docker"),
        ("100.80.0.0/16", "RFC 6598"),
        ("35.191.4.0/24", "Google"),
        ("130.211.0.0/20", "Google"),
        ("35.235.240.0/24", "IAP"),
        ("199.36.153.0/24", "private access"),
    ] {
        warned(&pool(net), whose);
    }
    let (_, report) = load(&pool("10.1.0.0/16")).unwrap();
    assert!(report.is_empty(), "{report}");
}
