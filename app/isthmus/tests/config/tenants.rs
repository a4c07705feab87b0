//! Tenants, networks and users, checked against each other.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::common::config::{LEAST, load, refused, tenant_with, valid, warned};

#[test]
fn networks_and_addresses_are_checked_against_each_other() {
    let pool = |pool: &str| LEAST.replace("\"10.64.0.0/20\"", pool);
    refused(&pool("\"10.64.0.1/20\""), 5, "bits set after its prefix", "\"10.64.0.0/20\"");
    refused(&pool("\"10.64.0.0\""), 5, "has no prefix length", "/32");
    refused(&pool("\"10.64/20\""), 5, "is not a network", "\"10.64.0.0/20\"");
    refused(&pool("\"2001:db8::/64\""), 5, "IPv6 is not yet supported", "IPv4");
    refused(&pool(""), 5, "list is empty", "at least one");
    refused(
        &pool("\"10.64.0.0/20\", \"10.64.8.0/24\""),
        5,
        "10.64.8.0/24 overlaps 10.64.0.0/20",
        "remove one",
    );
    refused(
        &tenant_with("gateway_address = \"10.64.0.0\""),
        6,
        "network or broadcast",
        "use 10.64.0.1",
    );
    refused(
        &tenant_with("gateway_address = \"0.0.0.0\""),
        6,
        "not an address of a host",
        "another",
    );
    refused(&tenant_with("dns = [\"one\"]"), 6, "not an IP address", "192.0.2.1");
    refused(&tenant_with("routes = [\"10.0.0.0/8\", \"10.0.0.0/8\"]"), 6, "twice", "remove one");
    warned(
        &tenant_with("gateway_address = \"192.0.2.9\""),
        "192.0.2.9 is not in the tenant's pool",
    );
}

#[test]
fn users_must_fit_the_tenant_and_each_other() {
    let alice = |line: &str| format!("{LEAST}{line}\n");
    refused(
        &alice("address = \"10.99.0.1\""),
        8,
        "not in the tenant's pool",
        "inside 10.64.0.0/20",
    );
    refused(&alice("address = \"10.64.0.1\""), 8, "gateway's own", "another");
    refused(&alice("address = \"10.64.15.255\""), 8, "broadcast", "another");
    refused(&alice("networks = [\"10.64.3.0/24\"]"), 8, "overlaps the tenant's pool", "elsewhere");
    refused(&alice("nt_hash = \"0123456789abcdef0123456789abcdef\""), 8, "has both", "keep one");
    refused(&alice("pasword = \"x\""), 8, "unknown key `pasword`", "`password`");
    let bob = |lines: &str| {
        alice(&format!(
            "address = \"10.64.0.9\"\nnetworks = [\"192.168.1.0/24\"]\n[tenant.users.bob]\n{lines}"
        ))
    };
    refused(&bob("password = \"b\"\naddress = \"10.64.0.9\""), 12, "also belongs to `alice`", ":8");
    refused(
        &bob("password = \"b\"\nnetworks = [\"192.168.0.0/16\"]"),
        12,
        "overlaps 192.168.1.0/24 of `alice`",
        "one user",
    );
    refused(&bob("group = \"x\""), 10, "has neither `password` nor `nt_hash`", "user add bob");
    refused(&bob("nt_hash = \"012345\""), 11, "not an NT hash", "32 hexadecimal");
    refused(&bob("password = \"\""), 11, "secret is empty", "between the quotes");
    refused(&format!("{LEAST}[tenant.users.\"\"]\npassword = \"x\"\n"), 8, "user name", "1 to 255");
}

#[test]
fn tenants_must_differ() {
    let second =
        |lines: &str| format!("{LEAST}[[tenant]]\n{lines}\n[tenant.users.u]\npassword = \"u\"\n");
    let psk = "psk = \"another long secret\"";
    refused(
        &second(&format!("name = \"acme\"\npool = [\"10.65.0.0/20\"]\n{psk}\ninterface = \"x\"")),
        9,
        "`acme` exists twice",
        ":4",
    );
    refused(
        &second(&format!("name = \"b\"\npool = [\"10.64.4.0/24\"]\n{psk}")),
        10,
        "overlaps 10.64.0.0/20 of `acme`",
        "netns",
    );
    refused(
        &second(&format!(
            "name = \"b\"\npool = [\"10.65.0.0/20\"]\n{psk}\ninterface = \"ist-acme\""
        )),
        12,
        "used twice",
        ":4",
    );
    refused(
        &second("name = \"b\"\npool = [\"10.65.0.0/20\"]\npsk = \"correct horse battery\""),
        11,
        "`b` has the same pre-shared key as `acme`, and nothing tells them apart",
        "set `realm`, `identity` or `listen`",
    );
    let netns =
        second(&format!("name = \"b\"\npool = [\"10.64.4.0/24\"]\nnetns = \"blue\"\n{psk}"));
    assert_eq!(valid(&netns).tenants.len(), 2);
    refused(
        &second("name = \"b\"\npool = [\"10.65.0.0/20\"]"),
        9,
        "`b` has the same pre-shared key as `acme`",
        "the other is at",
    );
    let two_long = second(&format!(
        "name = \"acme-production-a\"\npool = [\"10.65.0.0/20\"]\n{psk}\n[tenant.users.v]\npassword = \"v\"\n[[tenant]]\nname = \"acme-production-b\"\npool = [\"10.66.0.0/20\"]\npsk = \"a third long secret\""
    ));
    refused(&two_long, 15, "`ist-acme-produc` is used twice", "set `interface`");
}

#[test]
fn devices_of_sessions_need_room_for_a_number_and_names_of_their_own() {
    let each = |interface: &str, more: &str| {
        let keys = format!("device_per_session = true\ninterface = \"{interface}\"\n{more}");
        LEAST.replace("[tenant.users.alice]", &format!("{keys}\n[tenant.users.alice]"))
    };
    assert!(valid(&each("tencharact", "")).tenants[0].device_per_session);
    assert!(!valid(LEAST).tenants[0].device_per_session);
    refused(&each("elevenchars", ""), 7, "leaves no room", "at most 10 characters");
    let second = "[[tenant]]\nname = \"b\"\npool = [\"10.65.0.0/20\"]\npsk = \"another long secret\"\n\
                  interface = \"vpn.7\"\n[tenant.users.u]\npassword = \"u\"\n";
    let text = format!("{}{second}", each("vpn", ""));
    refused(&text, 7, "`vpn.7` looks like the device of a session of `vpn`", "another name");
    let elsewhere = text.replace("interface = \"vpn.7\"", "interface = \"vpn.7\"\nnetns = \"b\"");
    assert_eq!(valid(&elsewhere).tenants.len(), 2);
}

#[test]
fn tenants_with_one_key_are_told_apart_by_realm_identity_or_address() {
    let two = |first: &str, second: &str| {
        let first =
            LEAST.replace("[tenant.users.alice]", &format!("{first}\n[tenant.users.alice]"));
        format!(
            "{first}[[tenant]]\nname = \"b\"\npool = [\"10.65.0.0/20\"]\n{second}\n\
             [tenant.users.u]\npassword = \"u\"\n"
        )
    };
    for (first, second) in [
        ("realm = \"a\"", "realm = [\"b\", \"b.example\"]"),
        ("", "realm = \"b\""),
        ("listen = \"198.51.100.1\"", ""),
        ("listen = \"198.51.100.1\"\nrealm = \"a\"", "listen = [\"198.51.100.2\"]\nrealm = \"a\""),
        ("identity = \"*.a.example\"", "identity = [\"b.example\", \"192.168.7.7\"]"),
        ("identity = \"x\"\nrealm = \"a\"", "identity = \"x\""),
    ] {
        let config = valid(&two(first, second));
        assert_eq!(config.tenants[0].psk, config.tenants[1].psk, "{first} / {second}");
    }
    let config = valid(&two("realm = \"a\"\nstrip_realm = false", "realm = \"B\""));
    let [a, b] = &config.tenants[..] else { panic!("{:?}", config.tenants) };
    assert_eq!((a.login_name("jo@a"), b.login_name("jo")), ("jo@a".into(), "jo@B".into()));

    refused(
        &two("realm = \"a\"", "realm = [\"b\", \"A\"]"),
        12,
        "`realm = \"A\"` leads to `acme` as well, which has the same pre-shared key",
        "the other is at",
    );
    refused(
        &two("listen = \"::1\"", "listen = \"::1\""),
        12,
        "`listen = \"::1\"` leads to `acme` as well",
        "so that they differ",
    );
    refused(
        &two("identity = \"*.example\"", "identity = \"B.example\""),
        12,
        "`identity = \"B.example\"` leads to `acme`",
        "give one another pre-shared key",
    );
    refused(&two("realm = []", "realm = \"b\""), 6, "the list is empty", "remove the key");
    refused(&two("realm = [\"a\", \"a\"]", "realm = \"b\""), 6, "twice", "remove one");
    refused(&two("realm = \"a b\"", "realm = \"b\""), 6, "name cannot be used", "letters");
    refused(&two("identity = \"a*b\"", "realm = \"b\""), 6, "is not an identity", "*.blue.example");
    refused(&two("listen = \"0.0.0.0\"", "realm = \"b\""), 6, "nobody can dial", "remove the key");
    let elsewhere = format!(
        "[gateway]\nlisten = [\"198.51.100.1\"]\n{}",
        two("listen = \"198.51.100.2\"", "realm = \"b\"")
    );
    refused(&elsewhere, 8, "does not listen on 198.51.100.2", "write one of: 198.51.100.1");
    let named = two("realm = \"a\"", "realm = \"b\"").replace("users.alice", "users.\"alice@A\"");
    warned(&named, "`alice@A` cannot log in: the realm is taken off");
    let kept = named.replace("realm = \"a\"", "realm = \"a\"\nstrip_realm = false");
    warned(&kept, "the realm is written `a` in the tenant");
    assert!(load(&kept.replace("alice@A", "alice@a")).unwrap().1.is_empty());
}

#[test]
fn what_is_excluded_is_read_in_three_ways_and_must_be_of_a_pool() {
    let text = tenant_with(
        "exclude = [\"10.64.0.1\", \"10.64.1.0/24\", \"10.64.2.1-10.64.2.9\", \"2001:db8::/64\"]\n\
         pool6 = [\"2001:db8::/62\"]",
    );
    let tenant = valid(&text).tenants.remove(0);
    let shown: Vec<_> =
        tenant.exclude.iter().map(|r| format!("{}-{}", r.start(), r.end())).collect();
    assert_eq!(
        shown,
        [
            "10.64.0.1-10.64.0.1",
            "10.64.1.0-10.64.1.255",
            "10.64.2.1-10.64.2.9",
            "2001:db8::-2001:db8::ffff:ffff:ffff:ffff"
        ]
    );
    assert_eq!(tenant.gateway_address, Ipv4Addr::new(10, 64, 0, 2));
    assert_eq!(tenant.gateway_address6.unwrap().to_string(), "2001:db8:0:1::1");
    for wrong in ["10.64.0.9-10.64.0.2", "10.64.0.1-::1", "a-b", "10.64.0.1-"] {
        refused(
            &tenant_with(&format!("exclude = [\"{wrong}\"]")),
            6,
            "not a range",
            "lower address first",
        );
    }
    refused(&tenant_with("exclude = [\"x\"]"), 6, "not an IP network", "write it like");
    refused(
        &tenant_with("exclude = [\"10.64.0.0/20\"]"),
        6,
        "nothing is left of the pool",
        "enlarge",
    );
    let six = "exclude = [\"2001:db8::/32\"]\npool6 = [\"2001:db8::/64\"]";
    refused(&tenant_with(six), 7, "nothing is left of `pool6`", "enlarge");
    warned(&tenant_with("exclude = [\"10.65.0.1\"]"), "10.65.0.1 is in no pool of `acme`");
    warned(&tenant_with("exclude = [\"2001:db8::1\"]"), "2001:db8::1 is in no pool");
}

#[test]
fn limits_of_a_tenant_and_of_a_user_are_read_and_bounded() {
    use isthmus_gateway::{Limits, OnLimit};
    let text = tenant_with(
        "sessions = 500\nsessions_per_user = 1\non_limit = \"replace\"\nsession_timeout = \"12h\"\n\
         idle_timeout = \"30m\"\nquota = \"10GB\"\n\
         rate_up = \"20Mbit/s\"\nrate_down = \"1Gbit/s\"\nburst = \"1MB\"",
    ) + "sessions = 3\non_limit = \"refuse\"\nrate_up = \"64kbit/s\"\n";
    let tenant = valid(&text).tenants.remove(0);
    assert_eq!(tenant.sessions, Some(500));
    let of_tenant = Limits {
        sessions_per_user: Some(1),
        on_limit: Some(OnLimit::Replace),
        session_timeout: Some(Duration::from_hours(12)),
        idle_timeout: Some(Duration::from_mins(30)),
        quota: Some(10_000_000_000),
        rate_up: Some(20_000_000),
        rate_down: Some(1_000_000_000),
        burst: Some(1_000_000),
    };
    assert_eq!(tenant.limits, of_tenant);
    let of_user = Limits {
        sessions_per_user: Some(3),
        on_limit: Some(OnLimit::Refuse),
        rate_up: Some(64_000),
        ..Limits::NONE
    };
    assert_eq!(tenant.users.named("alice").unwrap().limits, of_user);
    assert_eq!(valid(LEAST).tenants[0].limits, Limits::default());
    refused(&tenant_with("sessions = 0"), 6, "out of range", "1 to 1000000");
    refused(&tenant_with("sessions_per_user = 65536"), 6, "out of range", "1 to 65535");
    refused(&tenant_with("on_limit = \"replac\""), 6, "is not known", "did you mean \"replace\"?");
    refused(&tenant_with("session_timeout = \"5s\""), 6, "too short", "1m to 365d");
    refused(&tenant_with("idle_timeout = \"30s\""), 6, "too short", "1m to 365d");
    refused(&tenant_with("quota = \"10\""), 6, "no number of bytes", "10GB");
    refused(&tenant_with("quota = \"0GB\""), 6, "no number of bytes", "at least 1000000");
    refused(&tenant_with("rate_up = \"20M\""), 6, "is not a rate", "20Mbit/s");
    refused(&tenant_with("rate_down = 20"), 6, "expected a rate", "20Mbit/s");
    refused(&tenant_with("rate_up = \"7kbit/s\""), 6, "too slow", "8kbit/s to 1000Gbit/s");
    refused(&tenant_with("rate_up = \"1001Gbit/s\""), 6, "too fast", "8kbit/s to 1000Gbit/s");
    refused(&tenant_with("burst = \"65kB\""), 6, "no number of bytes", "65536 to 1073741824");
    refused(&tenant_with("burst = \"2GiB\""), 6, "no number of bytes", "65536 to 1073741824");
    warned(&tenant_with("burst = \"1MB\""), "`burst` does nothing in `acme`");
    let short = "rate_up = \"1Gbit/s\"\nburst = \"64KiB\"";
    warned(&tenant_with(short), "a burst of 65536 bytes is less than 1Gbit/s carries in 5 ms");
    refused(&tenant_with("quota = 10"), 6, "expected a number of bytes", "10GB");
    warned(
        &tenant_with("sessions = 1\nsessions_per_user = 2"),
        "less than the 2 that one user may have",
    );
}
