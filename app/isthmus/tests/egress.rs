//! Ways out and translations as people write them, and what is said about mistakes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod common;

use common::config::{refused, tenant_with, valid, warned};
use isthmus::config::Way;
use isthmus_driver::{NatKind, Target, Translation, Transport};

#[test]
fn ways_out_are_checked() {
    let egress = |lines: &str| tenant_with(&format!("[[tenant.egress]]\n{lines}"));
    refused(&egress("name = \"a\""), 6, "`via` is missing", "interface");
    refused(&egress("name = \"a\"\nvia = {}"), 8, "names no way", "both");
    refused(&egress("via = { interface = \"eth0\" }"), 6, "`name` is missing", "add `name");
    refused(
        &egress("name = \"a\"\nvia = { interface = \"a/b\" }"),
        8,
        "not an interface name",
        "15",
    );
    refused(
        &egress("name = \"a\"\nvia = { gateway = \"192.0.2.1\" }\nnat = \"masquerade\""),
        9,
        "needs to know the interface",
        "add `interface`",
    );
    refused(
        &egress("name = \"a\"\nvia = { interface = \"e\" }\nnat = \"snat\""),
        9,
        "`snat` is not known",
        "masquerade",
    );
    let matching = |keys: &str| {
        egress(&format!("name = \"a\"\nmatch = {{ {keys} }}\nvia = {{ interface = \"e\" }}"))
    };
    refused(&matching(""), 8, "`match` has no condition", "write `to`");
    refused(&matching("to = []"), 8, "a network is missing", "at least one");
    refused(&matching("mark = \"0x10/0x0f\""), 8, "no packet has the mark", "bits of the mark");
    refused(&matching("mark = \"0x1000\""), 8, "not a mark of 12 bits", "above 0xfff");
    let sources: Vec<_> = (0..65).map(|n| format!("\"10.64.{n}.0/24\"")).collect();
    let many = format!("from = [{}]", sources.join(", "));
    refused(&matching(&many), 8, "more than 64 sources", "wider");
    let via = |keys: &str| egress(&format!("name = \"a\"\nvia = {{ {keys} }}"));
    refused(
        &via("gateway = [\"192.0.2.1\", \"192.0.2.2\"]"),
        8,
        "of this IP version already",
        "first that is up",
    );
    refused(&via("gateway = []"), 8, "a next hop is missing", "at least one");
    refused(&via("gateway = \"fe80::1\""), 8, "on every link", "add `interface`");
    let six =
        "name = \"a\"\nmatch = { to = [\"2001:db8::/32\"] }\nvia = { gateway = \"192.0.2.1\" }";
    refused(&egress(six), 8, "no IPv6 next hop to 2001:db8::/32", "add an IPv6 address");
    let both = "name = \"a\"\ndeny = true\nvia = { interface = \"e\" }";
    refused(&egress(both), 9, "goes nowhere", ":8");
    let one = "name = \"a\"\nvia = { interface = \"e\" }\n[[tenant.egress]]\n";
    refused(
        &egress(&format!(
            "{one}name = \"a\"\nvia = {{ interface = \"f\" }}\nmatch = {{ to = [\"10.0.0.0/8\"] }}"
        )),
        9,
        "`a` exists twice",
        ":6",
    );
    valid(&egress(&format!("{one}name = \"b\"\nvia = {{ interface = \"f\" }}")));
    let denied = "name = \"no\"\ndeny = true\n[[tenant.egress]]\nname = \"late\"\nvia = { interface = \"e\" }";
    warned(&egress(denied), "nothing ever leaves by `late`: `no` denies it");
}

#[test]
fn ways_into_other_namespaces_are_checked() {
    let via =
        |keys: &str| tenant_with(&format!("[[tenant.egress]]\nname = \"a\"\nvia = {{ {keys} }}"));
    let way =
        valid(&via("netns = \"transit\", link = \"192.0.2.0/31\"")).tenants[0].egress[0].clone();
    let Way::Passage(passage) = &way.way else { panic!("{way:?}") };
    assert_eq!((passage.into.as_deref(), &*passage.interface), (Some("transit"), "isv-acme"));
    assert_eq!((passage.link, passage.link6), ("192.0.2.0/31".parse().ok(), None));
    assert_eq!(way.to.len(), 2, "both IP versions");
    refused(&via("netns = \"host\""), 4, "leads to where the tenant is", "another namespace");
    refused(&via("netns = \"/proc/1/ns/net\""), 8, "name cannot be used", "letters");
    refused(&via("netns = \"b\", gateway = \"192.0.2.1\""), 8, "the other end", "remove `gateway`");
    refused(&via("interface = \"e\", link = \"192.0.2.0/31\""), 8, "no link for them", "`netns`");
    refused(&via("netns = \"b\", link = \"192.0.2.1/32\""), 8, "no room for two", "/31");
    refused(
        &via("netns = \"b\", link = [\"192.0.2.0/31\", \"192.0.2.4/31\"]"),
        8,
        "of this IP version already",
        "one of each",
    );
    refused(
        &via("netns = \"b\", interface = \"ist-acme\""),
        4,
        "`ist-acme` of `a` is there twice",
        ":4",
    );
    let one = |n: usize| {
        format!(
            "[[tenant.egress]]\nname = \"w{n}\"\nmatch = {{ to = [\"10.{n}.0.0/16\"] }}\n\
             via = {{ netns = \"b\", interface = \"b{n}\" }}\n"
        )
    };
    let many = (0..9).map(one).collect::<Vec<_>>().concat();
    refused(&tenant_with(&many), 38, "more than 8 ways into namespaces", "share a way");
}

#[test]
fn clients_of_two_tenants_with_the_same_address_are_not_shown_to_one_namespace() {
    let both = |nat: &str, interface: &str, netns: &str| {
        let way = "[[tenant.egress]]\nname = \"out\"\nvia = { netns = \"transit\"";
        let first = tenant_with(&format!("netns = \"blue\"\n{way} }}"));
        format!(
            "{first}[[tenant]]\nname = \"red\"\nnetns = \"{netns}\"\npsk = \"incorrect battery\"\n\
             pool = [\"10.64.1.0/24\"]\n{way}{interface} }}\n{nat}\n[tenant.users.bob]\npassword = \"b\"\n"
        )
    };
    valid(&both("nat = \"masquerade\"\nnat6 = \"masquerade\"", "", "red"));
    let meets = "10.64.1.0/24 of `red` meets 10.64.0.0/20 of `acme` in namespace transit";
    refused(&both("", "", "red"), 13, meets, "masquerade");
    let hidden = "nat = \"masquerade\"";
    let named = ", interface = \"isv-acme\"";
    refused(&both(hidden, named, "red"), 13, "`isv-acme` of `out` is there twice", ":4");
    let meets = "10.64.0.0/20 of `acme` meets 10.64.1.0/24 of `red` in namespace transit";
    let there = both("", "", "transit").replace(
        "via = { netns = \"transit\" }\n\n[tenant.users.bob]",
        "via = { interface = \"e\" }\n\n[tenant.users.bob]",
    );
    refused(&there, 4, meets, "masquerade");
}

#[test]
fn ways_out_have_a_number_of_conditions_and_of_themselves_that_can_be_counted() {
    let ways = |count: usize, condition: &dyn Fn(usize) -> String| {
        let each = (1..=count).map(|n| {
            let matching = condition(n);
            format!(
                "[[tenant.egress]]\nname = \"w{n}\"\n{matching}\nvia = {{ interface = \"e\" }}\n"
            )
        });
        tenant_with(&each.collect::<String>())
    };
    let marked = |n: usize| format!("match = {{ mark = \"{n}\" }}");
    valid(&ways(32, &marked));
    refused(&ways(33, &marked), 134, "more than 32 different conditions", "use fewer");
    let plain = |_: usize| String::from("nat = \"none\"");
    valid(&ways(256, &plain));
    refused(&ways(257, &plain), 1030, "more than 256 ways out", "same next hop");
}

#[test]
fn what_a_way_out_does_to_addresses_is_checked() {
    let out = "[[tenant.egress]]\nname = \"a\"\nvia = { interface = \"e\", gateway = [\"192.0.2.1\", \"fe80::1\"] }\n";
    let egress = |line: &str| tenant_with(&format!("{out}{line}"));
    let kept = |line: &str| valid(&egress(line)).tenants[0].egress[0].clone();
    let (first, last) = ("192.0.2.7".parse().unwrap(), "192.0.2.9".parse().unwrap());
    assert_eq!(kept("nat = \"192.0.2.7\"").nat, Translation::Address(first));
    assert_eq!(kept("nat = \"192.0.2.7-192.0.2.9\"").nat, Translation::Range(first, last));
    assert_eq!(kept("nat6 = \"masquerade\"").nat6, Translation::Masquerade);
    assert_eq!(kept("nat_except = [\"10.0.0.0/8\"]\nmss_clamp = true").nat_except.len(), 1);
    refused(&egress("nat = \"2001:db8::7\""), 9, "is not an IPv4 address", "`nat6`");
    refused(&egress("nat6 = \"192.0.2.7\""), 9, "is not an IPv6 address", "`nat`");
    refused(&egress("nat = \"192.0.2.9-192.0.2.7\""), 9, "not a range of addresses", "lower");
}

#[test]
fn translations_beside_the_ways_out_are_checked() {
    let out = "[[tenant.egress]]\nname = \"a\"\nvia = { interface = \"e\", gateway = [\"192.0.2.1\", \"fe80::1\"] }\n";
    let nat = |lines: &str| tenant_with(&format!("{out}[[tenant.nat]]\n{lines}"));
    let kind = |lines: &str| valid(&nat(lines)).tenants[0].nat[0].clone();
    let (inside, outside) = ("10.64.0.9".parse().unwrap(), "192.0.2.9".parse().unwrap());
    let service = Some((Transport::Tcp, 443));
    assert_eq!(
        kind("dnat = { address = \"192.0.2.9\", protocol = \"tcp\", port = 443, to = \"10.64.0.9\", to_port = 8443 }").kind,
        NatKind::Forward { outside, service, inside, port: Some(8443) }
    );
    let both =
        kind("one_to_one = { inside = \"10.64.0.9\", outside = \"192.0.2.9\" }\negress = \"a\"");
    assert_eq!(
        (both.kind, &both.by[..]),
        (NatKind::OneToOne { inside, outside }, &["a".to_owned()][..])
    );
    let map = "netmap = { inside = \"10.201.0.0/16\", outside = \"10.1.0.0/16\" }";
    let (a, b) = ("10.201.0.0/16".parse().unwrap(), "10.1.0.0/16".parse().unwrap());
    assert_eq!(kind(map).kind, NatKind::Map { inside: a, outside: b });

    refused(&nat("except = [\"10.0.0.0/8\"]"), 9, "translates nothing", "`netmap`");
    refused(&nat(&format!("{map}\negress = \"b\"")), 11, "no egress `b`", "one of: a");
    refused(&nat(&format!("{map}\n[[tenant.nat]]\n{map}")), 11, "translated already", ":9");
    let pair = |what: &str, inside: &str, outside: &str| {
        nat(&format!("{what} = {{ inside = \"{inside}\", outside = \"{outside}\" }}"))
    };
    refused(
        &pair("netmap", "10.201.0.0/16", "10.1.0.0/17"),
        10,
        "does not fit onto",
        "same prefix length",
    );
    refused(
        &pair("netmap", "10.64.0.0/25", "10.1.0.0/25"),
        10,
        "what clients have themselves",
        "no client",
    );
    refused(
        &pair("one_to_one", "10.99.0.1", "192.0.2.9"),
        10,
        "not in the tenant's pool",
        "always gets",
    );
    refused(
        &pair("one_to_one", "10.64.0.9", "2001:db8::9"),
        10,
        "cannot be 2001:db8::9",
        "same IP version",
    );
    let dnat = |keys: &str| {
        nat(&format!("dnat = {{ address = \"192.0.2.9\", to = \"10.64.0.9\", {keys} }}"))
    };
    refused(&dnat("port = 443"), 10, "`protocol` and `port` go together", "both");
    refused(&dnat("to_port = 443"), 10, "`to_port` needs a `port`", "write `protocol`");
    let mapped = |count: usize| {
        let one = |n: usize| {
            format!(
                "[[tenant.nat]]\nnetmap = {{ inside = \"10.{n}.0.0/16\", outside = \"10.1.0.0/16\" }}\negress = \"a\"\n"
            )
        };
        tenant_with(&format!("{out}{}", (101..101 + count).map(one).collect::<String>()))
    };
    valid(&mapped(15));
    refused(&mapped(16), 54, "more than 15 `netmap`", "leave `egress` out");
}

#[test]
fn probes_are_checked_and_have_their_defaults() {
    let out = "[[tenant.egress]]\nname = \"a\"\nvia = { gateway = \"192.0.2.1\" }\n";
    let health = |keys: &str| tenant_with(&format!("{out}health = {{ {keys} }}"));
    let target = |keys: &str| valid(&health(keys)).tenants[0].egress[0].health.clone().unwrap();
    let defaults = target("icmp = \"198.51.100.9\"");
    assert_eq!(defaults.target, Target::Icmp("198.51.100.9".parse().unwrap()));
    assert_eq!((defaults.interval.as_millis(), defaults.timeout.as_millis()), (500, 500));
    assert_eq!((defaults.thresholds.fall, defaults.thresholds.rise), (3, 5));
    let all = target(
        "tcp = \"10.0.0.5:443\", interval = \"1s\", timeout = \"200ms\", fall = 1, rise = 9",
    );
    assert_eq!(all.target, Target::Tcp("10.0.0.5:443".parse().unwrap()));
    assert_eq!((all.interval.as_millis(), all.timeout.as_millis()), (1000, 200));
    let (address, path) = ("10.0.0.5:80".parse().unwrap(), String::from("/live?x=1"));
    assert_eq!(
        target("http = \"http://10.0.0.5/live?x=1\"").target,
        Target::Http { address, path }
    );

    refused(&health(""), 9, "`health` asks nobody", "`icmp`");
    refused(&health("icmp = \"10.0.0.5\", tcp = \"10.0.0.5:1\""), 9, "has one probe", "keep one");
    refused(&health("tcp = \"10.0.0.5\""), 9, "not an address with a port", "10.0.0.5:443");
    refused(
        &health("http = \"http://cloud.example/\""),
        9,
        "is not asked for",
        "instead of a name",
    );
    refused(&health("http = \"https://10.0.0.5/\""), 9, "is not asked for", "http://");
    refused(&health("icmp = \"::1\""), 9, "no IPv6 next hop to ::1", "gateway");
    refused(
        &health("icmp = \"10.0.0.5\", timeout = \"2s\""),
        9,
        "longer than `interval`",
        "500ms or less",
    );
    refused(&health("icmp = \"10.0.0.5\", interval = \"10ms\""), 9, "too short", "100ms to 1m");
    refused(&health("icmp = \"10.0.0.5\", fall = 0"), 9, "out of range", "1 to 100");
    let main = "[[tenant.egress]]\nname = \"a\"\nvia = { interface = \"e\" }\nhealth = { icmp = \"10.0.0.5\" }";
    refused(&tenant_with(main), 9, "no next hop to probe", "`gateway`");
    let probed = |count: usize| {
        let one = "via = { gateway = \"192.0.2.1\" }\nhealth = { icmp = \"10.0.0.5\" }\n";
        let each = (1..=count).map(|n| format!("[[tenant.egress]]\nname = \"w{n}\"\n{one}"));
        tenant_with(&each.collect::<String>())
    };
    valid(&probed(32));
    refused(&probed(33), 134, "more than 32 ways out with `health`", "link");
}

#[test]
fn what_a_way_out_is_for_is_everything_it_can_lead_to_unless_it_is_written() {
    let to = |lines: &str| {
        let text = tenant_with(&format!("[[tenant.egress]]\nname = \"a\"\n{lines}"));
        let egress = valid(&text).tenants[0].egress[0].clone();
        let to: Vec<_> = egress.to.iter().map(ToString::to_string).collect();
        (to.join(" "), egress.way)
    };
    let (v4, v6) = ("192.0.2.1".parse().ok(), "2001:db8::1".parse().ok());
    let gateway = |gateway, gateway6| Way::Gateway { interface: None, gateway, gateway6 };
    assert_eq!(to("via = { gateway = \"192.0.2.1\" }"), ("0.0.0.0/0".into(), gateway(v4, None)));
    assert_eq!(
        to("via = { gateway = [\"192.0.2.1\", \"2001:db8::1\"] }"),
        ("0.0.0.0/0 ::/0".into(), gateway(v4, v6))
    );
    assert_eq!(to("via = { interface = \"e\" }"), ("0.0.0.0/0 ::/0".into(), Way::Main("e".into())));
    assert_eq!(
        to("match = { to = [\"10.1.0.0/16\"] }\nvia = { interface = \"e\" }"),
        ("10.1.0.0/16".into(), Way::Interface("e".into()))
    );
    assert_eq!(to("deny = true"), ("0.0.0.0/0 ::/0".into(), Way::Deny));
}
