//! Configuration files as people write them: what is understood, and what is said about mistakes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod common;

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::config::{LEAST, load, load_in, refused, tenant_with, valid, warned, write};
use isthmus::config::{self, AuthProtocol, Changes, Environment};
use isthmus_core::SecretBytes;
use isthmus_driver::Translation;

#[test]
fn the_least_configuration_gets_every_default() {
    let (config, warnings) = load(LEAST).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!((config.gateway.ike_port, config.gateway.nat_t_port), (500, 4500));
    assert_eq!(config.gateway.listen.len(), 2);
    assert!(config.gateway.listen_is_default);
    assert_eq!(config.gateway.control_socket, Path::new("/run/isthmus/control.sock"));
    assert_eq!(config.ipsec.ike_lifetime, Duration::from_hours(8));
    assert_eq!(config.l2tp.host_name, config.gateway.name);
    assert_eq!(config.ppp.auth, [AuthProtocol::MsChapV2]);
    let tenant = &config.tenants[0];
    assert_eq!(tenant.gateway_address, Ipv4Addr::new(10, 64, 0, 1));
    assert_eq!(tenant.interface, "ist-acme");
    assert!(tenant.psk.as_ref().unwrap().ct_eq(b"correct horse battery"));
    assert!(tenant.users.named("alice").is_some());
}

#[test]
fn written_defaults_change_nothing() {
    let written = format!(
        "[gateway]\nname = \"{}\"\nlisten = [\"0.0.0.0\", \"::\"]\nike_port = 500\nnat_t_port = 4500\n\
         control_socket = \"/run/isthmus/control.sock\"\nlog = {{ format = \"text\", level = \"info\" }}\n\
         [l2tp]\nhello_interval = \"60s\"\n[ppp]\nauth = [\"mschapv2\"]\nmru = 1400\necho_interval = \"30s\"\n{}",
        valid(LEAST).gateway.name,
        LEAST.replace(
            "battery\"\n",
            "battery\"\nlegacy = false\nike_lifetime = \"8h\"\nchild_lifetime = \"1h\"\n\
             dpd_interval = \"30s\"\nforce_encap = false\nfragment_size = 1280\n"
        ),
    );
    let mut config = valid(&written);
    assert!(!config.gateway.listen_is_default);
    config.gateway.listen_is_default = true;
    assert_eq!(config, valid(LEAST));
}

#[test]
fn every_key_of_a_tenant_is_understood() {
    let config = valid(&tenant_with(
        "netns = \"blue\"\npsk = \"another long secret\"\ngateway_address = \"10.64.0.2\"\ndns = [\"10.64.0.1\"]\n\
         routes = [\"10.0.0.0/8\"]\ninterface = \"vpn0\"\n[[tenant.egress]]\nname = \"internet\"\n\
         via = { interface = \"eth1\", gateway = \"192.0.2.1\" }\nnat = \"masquerade\"\n[[tenant.egress]]\n\
         name = \"azure\"\nmatch = { to = [\"172.20.0.0/14\"] }\nvia = { gateway = \"192.0.2.2\" }",
    ));
    let tenant = &config.tenants[0];
    assert_eq!(tenant.netns.as_deref(), Some("blue"));
    assert!(tenant.psk.as_ref().unwrap().ct_eq(b"another long secret"));
    assert_eq!(tenant.gateway_address, Ipv4Addr::new(10, 64, 0, 2));
    assert_eq!(tenant.advice.routes[0].to_string(), "10.0.0.0/8");
    assert_eq!(tenant.interface, "vpn0");
    let [internet, azure] = &tenant.egress[..] else { panic!("{:?}", tenant.egress) };
    assert_eq!(
        (internet.to[0].to_string().as_str(), internet.nat),
        ("0.0.0.0/0", Translation::Masquerade)
    );
    assert_eq!(internet.way.interface(), Some("eth1"));
    assert_eq!((azure.way.interface(), azure.nat), (None, Translation::Keep));
}

#[test]
fn all_mistakes_are_named_at_once_in_their_order() {
    let text = "[gateway]\nik_port = 500\nlisten = [\"here\"]\n[ipsec]\npsk = 7\nesp = [\"aes256-sha2\"]\n\
                [[tenant]]\nname = \"a b\"\npool = [\"10.0.0.1/24\"]\n";
    let report = load(text).unwrap_err();
    let lines: Vec<_> = report.view().iter().filter_map(|p| p.line).collect();
    assert_eq!(lines, [2, 3, 5, 6, 7, 8, 9], "{report}");
}

#[test]
fn a_mistake_is_drawn_with_its_line_and_its_remedy() {
    let text = LEAST.replace("pool =", "pol =");
    let report = load(&text).unwrap_err().to_string();
    assert!(report.contains("error: unknown key `pol` in [[tenant]]\n"), "{report}");
    assert!(report.contains("isthmus.toml:5:1\n"), "{report}");
    assert!(report.contains("5 | pol = …\n  | ^^^\n  = help: did you mean `pool`?\n"), "{report}");
}

#[test]
fn unknown_keys_are_refused_with_a_suggestion() {
    refused(&format!("[gatewy]\n{LEAST}"), 1, "unknown key `gatewy`", "did you mean `gateway`?");
    refused(&tenant_with("mru = 1400"), 6, "unknown key `mru` in [[tenant]]", "belongs in [ppp]");
    refused(&tenant_with("colour = 1"), 6, "unknown key `colour`", "known keys: name, netns");
}

#[test]
fn what_is_kept_for_later_is_refused_not_ignored() {
    for text in ["[[radius]]\nname = \"corp\"\n", "[bgp]\n", "[[bgp.peer]]\n", "[overlay.a]\n"] {
        refused(&format!("{text}{LEAST}"), 1, "not yet supported", "later version");
    }
    refused(
        &tenant_with("radius = \"corp\""),
        6,
        "`radius` in [[tenant]] is not yet",
        "users_file",
    );
    let via = "[[tenant.egress]]\nname = \"a\"\nvia = { overlay = \"x\" }";
    refused(&tenant_with(via), 8, "`overlay` in [tenant.egress.via] is not yet", "next hop");
}

#[test]
fn wrong_kinds_and_ranges_say_what_to_write() {
    let gateway = |line: &str| format!("[gateway]\n{line}\n{LEAST}");
    refused(&gateway("ike_port = \"500\""), 2, "expected a number, found text", "1 to 65535");
    refused(&gateway("ike_port = 0"), 2, "out of range", "1 to 65535");
    refused(&gateway("ike_port = 99999999999999999999"), 2, "out of range", "1 to 65535");
    refused(&gateway("ike_port = 4500"), 2, "are the same", "its own");
    refused(&gateway("name = \"\""), 2, "name cannot be used", "1 to 64");
    refused(&gateway("listen = []"), 2, "list is empty", "default");
    refused(&gateway("listen = [\"::\", \"::\"]"), 2, "twice", "remove one");
    refused(
        &gateway("public_address = \"vpn.example.org\""),
        2,
        "is not an IP address",
        "192.0.2.1",
    );
    refused(&gateway("public_address = \"0.0.0.0\""), 2, "nobody can dial", "connect to");
    refused(&gateway("log = { level = \"inof\" }"), 2, "`inof` is not known", "\"info\"");
    refused(&gateway("log = \"info\""), 2, "is a table, not text", "[gateway.log]");
    refused(&format!("[ppp]\nmru = 9000\n{LEAST}"), 2, "out of range", "576 to 1500");
    refused(&format!("[ppp]\nauth = [\"eap\"]\n{LEAST}"), 2, "`eap` is not known", "pap");
    refused(&format!("ppp = 7\n{LEAST}"), 1, "[ppp] is a table, not a number", "line of its own");
    refused(&format!("[l2tp]\nhello_interval = 60\n{LEAST}"), 2, "expected a duration", "\"30s\"");
    refused(&format!("[l2tp]\nhello_interval = \"soon\"\n{LEAST}"), 2, "not a duration", "\"8h\"");
    refused(&format!("[l2tp]\nhello_interval = \"0s\"\n{LEAST}"), 2, "too short", "1s to 1d");
}

#[test]
fn proposals_are_checked_part_by_part() {
    let ipsec = |line: &str| LEAST.replace("[ipsec]\n", &format!("[ipsec]\n{line}\n"));
    refused(
        &ipsec("ike = [\"aes256-sha265-modp2048\"]"),
        2,
        "not an IKE proposal",
        "`sha265` is not a hash",
    );
    refused(&ipsec("ike = [\"aes256-sha1-modp1024\"]"), 2, "this is weak", "legacy = true");
    refused(&ipsec("esp = [\"3des-sha1\"]"), 2, "this is weak", "legacy = true");
    refused(&ipsec("esp = [\"aes256-sha255\"]"), 2, "is not known", "\"aes256-sha256\"");
    refused(&ipsec("esp = []"), 2, "list is empty", "default");
    let config =
        valid(&ipsec("legacy = true\nike = [\"3des-sha1-modp1024\"]\nesp = [\"3des-sha1\"]"));
    assert_eq!(config.ipsec.ike[0].to_string(), "3des-sha1-modp1024");
}

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

#[test]
fn a_tenant_is_complete() {
    refused(
        "[ipsec]\npsk = \"correct horse battery\"\n",
        0,
        "there is no [[tenant]]",
        "quickstart",
    );
    refused(&LEAST.replace("name = \"acme\"\n", ""), 3, "`name` is missing", "add `name");
    refused(&LEAST.replace("pool = [\"10.64.0.0/20\"]\n", ""), 3, "`pool` is missing", "add `pool");
    refused(&LEAST.replace("[[tenant]]", "[tenant]"), 3, "may be several", "[[tenant]]");
    refused(
        &LEAST.replace("psk = \"correct horse battery\"\n", ""),
        3,
        "no pre-shared key",
        "ISTHMUS_PSK",
    );
    warned(&LEAST.replace("[tenant.users.alice]\npassword = \"a\"\n", ""), "nobody can log in");
}

#[test]
fn a_file_that_is_not_toml_is_shown_where_it_breaks() {
    refused("[gateway\nname = \"x\"\n", 1, "not TOML", "toml.io");
    let dir = tempfile::tempdir().unwrap();
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(report.contains("cannot read") && report.contains("isthmus quickstart"), "{report}");
}

#[test]
fn secrets_come_from_files_and_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "isthmus.toml",
        &LEAST.replace("psk = \"correct horse battery\"", "psk_file = \"key\""),
    );
    let load = |environment| load_in(dir.path(), &environment);
    let none = load(Environment::default()).unwrap_err().to_string();
    assert!(none.contains("cannot read") && none.contains("alone on one line"), "{none}");
    write(dir.path(), "key", "from the file here\r\n");
    let (config, warnings) = load(Environment::default()).unwrap();
    assert!(config.tenants[0].psk.as_ref().unwrap().ct_eq(b"from the file here"));
    assert!(warnings.is_empty(), "{warnings}");
    let psk = Some(SecretBytes::copy_of(b"from the environment"));
    assert!(
        load(Environment { psk }).unwrap().0.tenants[0]
            .psk
            .as_ref()
            .unwrap()
            .ct_eq(b"from the environment")
    );
    for (content, message) in
        [("", "is empty"), ("\n", "is empty"), ("a\nb\n", "more than one line")]
    {
        write(dir.path(), "key", content);
        let report = load(Environment::default()).unwrap_err().to_string();
        assert!(report.contains(message), "{report}");
    }
    write(dir.path(), "key", "with a space at the end \n");
    let (_, warnings) = load(Environment::default()).unwrap();
    assert!(warnings.to_string().contains("begins or ends with a space"), "{warnings}");
}

#[test]
fn files_that_never_end_are_refused() {
    let without_key = LEAST.replace("psk = \"correct horse battery\"\n", "");
    for (key, text) in [
        ("psk_file", without_key.replace("[ipsec]\n", "[ipsec]\npsk_file = \"/dev/zero\"\n")),
        ("users_file", tenant_with("users_file = \"/dev/zero\"")),
        ("secret_file", format!("[l2tp]\nsecret_file = \"/dev/zero\"\n{LEAST}")),
    ] {
        let report = load(&text).unwrap_err().to_string();
        assert!(report.contains("`/dev/zero`: it is longer than "), "{key}: {report}");
    }
    let certificates = "certificate_file = \"/dev/zero\"\nkey_file = \"/dev/zero\"\n\
                        ca_file = \"/dev/zero\"";
    let report = load(&LEAST.replace("psk = \"correct horse battery\"", certificates));
    let report = report.unwrap_err().to_string();
    assert_eq!(report.matches("it is longer than 16777216 bytes").count(), 2, "{report}");
    let dir = tempfile::tempdir().unwrap();
    let text = without_key.replace("[ipsec]\n", "[ipsec]\npsk_file = \"psk\"\n");
    write(dir.path(), "isthmus.toml", &text);
    write(dir.path(), "psk", &"x".repeat(4096));
    assert!(load_in(dir.path(), &Environment::default()).is_ok());
    write(dir.path(), "psk", &"x".repeat(4097));
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(report.contains("it is longer than 4096 bytes"), "{report}");
}

#[test]
fn two_places_for_one_secret_are_one_too_many() {
    let text = LEAST.replace("[ipsec]\n", "[ipsec]\npsk_file = \"key\"\n");
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "isthmus.toml", &text);
    write(dir.path(), "key", "from the file\n");
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(report.contains("`psk` and `psk_file` are both set"), "{report}");
}

#[test]
fn no_report_shows_a_secret() {
    for text in [
        LEAST.replace("psk =", "pks ="),
        LEAST.replace("psk = \"correct horse battery\"", "psk = [\"correct horse battery\"]"),
        LEAST.replace("psk = \"correct horse battery\"", "psk = \"correct horse battery"),
        LEAST.replace("psk = \"correct horse battery\"", "psk \"correct horse battery\""),
        LEAST.replace("[ipsec]", "[ipsce]"),
    ] {
        let report = load(&text).unwrap_err();
        assert!(!report.to_string().contains("battery"), "{report}");
        assert!(!serde_json::to_string(&report.view()).unwrap().contains("battery"), "{report}");
    }
    assert!(!format!("{:?}", valid(LEAST)).contains("battery"));
}

#[test]
fn files_with_secrets_that_everybody_reads_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "isthmus.toml", LEAST);
    let open = |mode| {
        let path = dir.path().join("isthmus.toml");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        load_in(dir.path(), &Environment::default()).unwrap().1.to_string()
    };
    assert!(open(0o644).contains("everybody may read"));
    assert!(open(0o602).contains("everybody may change"));
    assert!(open(0o644).contains("chmod 600"));
    assert_eq!(open(0o640), "");
}

#[test]
fn conf_d_joins_tables_and_refuses_contradictions() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "isthmus.toml", LEAST);
    write(
        dir.path(),
        "conf.d/10-ports.toml",
        "[gateway]\nike_port = 501\n[ipsec]\nforce_encap = true\n",
    );
    write(
        dir.path(),
        "conf.d/20-beta.toml",
        "[[tenant]]\nname = \"beta\"\npool = [\"10.65.0.0/20\"]\npsk_file = \"beta.psk\"\nusers_file = \"beta.toml\"\n",
    );
    write(dir.path(), "conf.d/beta.psk", "another long secret\n");
    write(dir.path(), "conf.d/beta.toml.users", "not read");
    write(dir.path(), "conf.d/README", "not read");
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(
        report.contains("cannot read users from") && report.contains("20-beta.toml:5:"),
        "{report}"
    );
    write(
        dir.path(),
        "conf.d/20-beta.toml",
        "[[tenant]]\nname = \"beta\"\npool = [\"10.65.0.0/20\"]\npsk_file = \"beta.psk\"\n",
    );
    let (config, _) = load_in(dir.path(), &Environment::default()).unwrap();
    assert_eq!((config.gateway.ike_port, config.ipsec.force_encap), (501, true));
    let names: Vec<_> = config.tenants.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["acme", "beta"]);
    write(dir.path(), "conf.d/30-twice.toml", "[gateway]\nike_port = 502\n");
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(report.contains("`ike_port` is set twice"), "{report}");
    assert!(report.contains("30-twice.toml:2:1") && report.contains("10-ports.toml:2"), "{report}");
}

#[test]
fn users_are_read_again_with_the_same_checks() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "isthmus.toml", &tenant_with("users_file = \"users.toml\""));
    write(dir.path(), "users.toml", "[users.bob]\npassword = \"b\"\n");
    let (config, _) = load_in(dir.path(), &Environment::default()).unwrap();
    let tenant = &config.tenants[0];
    assert_eq!(tenant.users.len(), 2);
    let again = || config::reload_users(tenant, &config.ppp.auth);
    assert_eq!(again().unwrap().0, tenant.users);
    for (text, message) in [
        ("[users.alice]\npassword = \"b\"\n", "also in the configuration"),
        ("[users.bob]\npassword = \"b\"\naddress = \"10.1.1.1\"\n", "not in the tenant's pool"),
        ("[users.bob\n", "users.toml:1:"),
        ("[user.bob]\npassword = \"b\"\n", "unknown table `user`"),
    ] {
        write(dir.path(), "users.toml", text);
        let report = again().unwrap_err().to_string();
        assert!(report.contains(message), "{report}");
        let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
        assert!(report.contains("users.toml:"), "{report}");
    }
    write(dir.path(), "users.toml", "[users.carol]\npassword = \"c\"\n");
    let (users, _) = again().unwrap();
    assert!(users.named("carol").is_some() && users.named("alice").is_some());
    assert!(users.named("bob").is_none());
}

#[test]
fn changes_say_what_needs_a_restart() {
    let old = valid(LEAST);
    assert_eq!(config::compare(&old, &old), Changes::default());
    let new = valid(&format!(
        "[gateway]\nike_port = 501\nlog = {{ level = \"debug\" }}\n[ppp]\nmru = 1300\n{}",
        tenant_with("dns = [\"10.64.0.1\"]\ninterface = \"vpn0\"")
    ));
    let ipv6 = valid(&tenant_with("pool6 = [\"2001:db8:64::/48\"]"));
    let changes = config::compare(&old, &ipv6);
    assert_eq!((changes.applied, changes.needs_restart), (vec!["tenant acme".into()], vec![]));
    assert_eq!(config::effective(&old, &ipv6), ipv6);
    let changes = config::compare(&old, &new);
    assert_eq!(changes.applied, ["gateway.log.level", "ppp", "tenant acme"]);
    assert_eq!(changes.needs_restart, ["gateway.ike_port"]);
    let tenant = changes.differences.iter().find(|one| one.what == "tenant acme").unwrap();
    assert_eq!((tenant.kind, tenant.effect), (config::Kind::Changed, config::Effect::EndsSessions));
    assert_eq!(tenant.keys, ["interface", "dns"]);
}

#[test]
fn a_tenant_that_comes_or_goes_is_named_with_what_becomes_of_sessions() {
    let old = valid(LEAST);
    let renamed = valid(&LEAST.replace("name = \"acme\"", "name = \"apex\""));
    let changes = config::compare(&old, &renamed);
    let told: Vec<_> =
        changes.differences.iter().map(|one| (one.kind, &*one.what, one.effect)).collect();
    assert_eq!(
        told,
        [
            (config::Kind::Added, "tenant apex", config::Effect::SessionsGoOn),
            (config::Kind::Removed, "tenant acme", config::Effect::EndsSessions),
        ]
    );
    assert!(changes.needs_restart.is_empty());
}

#[test]
fn cautions_do_not_stop_anything() {
    warned(&LEAST.replace("correct horse battery", "short"), "short enough to be guessed");
    warned(&format!("[l2tp]\nsecret = \"s\"\n{LEAST}"), "no built-in client can connect");
    warned(&format!("[ppp]\nauth = [\"pap\"]\n{LEAST}"), "PAP hands the password");
    warned(&tenant_with("psk = \"another long secret\""), "serves nobody");
    let hashed =
        LEAST.replace("password = \"a\"", "nt_hash = \"0123456789abcdef0123456789abcdef\"");
    warned(&format!("[ppp]\nauth = [\"mschapv2\", \"chap\"]\n{hashed}"), "cannot log in by CHAP");
}

#[test]
fn there_are_no_more_keys_than_can_be_tried() {
    use std::fmt::Write as _;

    let tenants = |count: usize| {
        (0..count).fold(String::new(), |mut text, n| {
            write!(
                text,
                "[[tenant]]\nname = \"t{n}\"\npool = [\"10.{n}.0.0/24\"]\npsk = \"a long secret, number {n}\"\n\
                 [tenant.users.u]\npassword = \"u\"\n"
            )
            .unwrap();
            text
        })
    };
    assert_eq!(valid(&tenants(16)).tenants.len(), 16);
    refused(&tenants(17), 6 * 16 + 4, "more than 16 pre-shared keys", "another gateway");
    let shared = |count: usize| {
        let each = |n: usize| {
            let (a, b) = (n / 256, n % 256);
            format!(
                "[[tenant]]\nname = \"t{n}\"\nrealm = \"r{n}\"\npool = [\"10.{a}.{b}.0/24\"]\n\
                 [tenant.users.u]\npassword = \"u\"\n"
            )
        };
        let tenants: String = (0..count).map(each).collect();
        format!("[ipsec]\npsk = \"correct horse battery\"\n{tenants}")
    };
    assert_eq!(valid(&shared(1024)).tenants.len(), 1024);
    refused(&shared(1025), 2 + 6 * 1024 + 2, "more than 1024 tenants", "another gateway");
}
