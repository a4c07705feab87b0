//! Policies as people write them, what is said about mistakes, and tests inside the configuration.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod common;

use common::config::{LEAST, load, refused, valid, warned};
use isthmus::config::judge;
use isthmus_policy::{Flow, Protocol, Verdict};

/// A tenant `acme` with a policy, of users `alice` of the group `staff` and `ivan` of `interns`, and a
/// tenant `blue` beside it. The policy begins at line 6.
fn with(policy: &str, tests: &str) -> String {
    let users = "[tenant.users.alice]\npassword = \"a\"\ngroup = \"staff\"\n\
                 [tenant.users.ivan]\npassword = \"i\"\ngroup = \"interns\"\naddress = \"10.64.0.9\"\n\
                 [[tenant]]\nname = \"blue\"\npsk = \"another long enough\"\npool = [\"10.65.0.0/20\"]\n\
                 [tenant.users.bob]\npassword = \"b\"\n";
    LEAST.replace("[tenant.users.alice]\npassword = \"a\"\n", &format!("{policy}\n{users}{tests}"))
}

const POLICY: &str = "[tenant.policy]
default = \"deny\"
[[tenant.policy.rule]]
name = \"no-finance\"
action = \"deny\"
group = \"interns\"
to = \"10.9.0.0/16\"
[[tenant.policy.rule]]
name = \"inside\"
action = \"allow\"
to = [\"10.0.0.0/8\", \"2001:db8::/32\"]
service = [\"tcp/443\", \"udp/8000-8999\", \"icmp\"]";

#[test]
fn a_policy_is_read_whole() {
    let config = valid(&with(POLICY, ""));
    let access = &config.tenants[0].access;
    assert_eq!((access.cloud_metadata, access.inbound), (false, Verdict::Allow));
    assert_eq!(access.policy.default, Verdict::Deny);
    let rules: Vec<_> = access.policy.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(rules, ["no-finance", "inside"]);
    let services: Vec<_> =
        access.policy.rules[1].services.iter().map(ToString::to_string).collect();
    assert_eq!(services, ["tcp/443", "udp/8000-8999", "icmp"]);
    assert_eq!(config.tenants[1].access.policy.default, Verdict::Allow, "blue has none");
}

#[test]
fn the_configuration_alone_says_what_becomes_of_a_packet() {
    let config = valid(&with(POLICY, ""));
    let judged = |user: &str, group: &str, to: &str, port: u16| {
        let flow = Flow {
            user,
            group: Some(group),
            source: "10.64.0.9".parse().unwrap(),
            destination: to.parse().unwrap(),
            protocol: Protocol::TCP,
            port,
        };
        let judgement = judge(&config, &config.tenants[0], &flow);
        (judgement.verdict, judgement.why)
    };
    for (group, to, port, verdict, why) in [
        ("interns", "10.9.1.1", 443, Verdict::Deny, "the rule `no-finance` denies it"),
        ("staff", "10.9.1.1", 443, Verdict::Allow, "the rule `inside` allows it"),
        ("staff", "10.9.1.1", 80, Verdict::Deny, "no rule fits, and the default is to deny"),
        (
            "staff",
            "169.254.169.254",
            80,
            Verdict::Deny,
            "169.254.169.254 is a cloud's metadata service (`cloud_metadata` is false)",
        ),
        (
            "staff",
            "10.65.0.7",
            443,
            Verdict::Deny,
            "10.65.0.7 is of tenant `blue`, which is not in `reaches`",
        ),
        (
            "staff",
            "10.65.0.1",
            443,
            Verdict::Deny,
            "10.65.0.1 is the gateway's own address for tenant `blue`",
        ),
    ] {
        assert_eq!(judged("x", group, to, port), (verdict, why.to_owned()), "{to}");
    }
    let config =
        valid(&with(&POLICY.replace("\"deny\"\n[[", "\"deny\"\nreaches = [\"blue\"]\n[["), ""));
    let tenant = &config.tenants[0];
    assert_eq!(tenant.access.reaches, ["blue"]);
}

#[test]
fn tests_in_the_configuration_hold_or_are_errors() {
    let test = |lines: &str| with(POLICY, &format!("[[test]]\n{lines}\n"));
    for holds in [
        "tenant = \"acme\"\nuser = \"alice\"\nto = \"10.9.1.1:443\"\nexpect = \"allow\"",
        "tenant = \"acme\"\nuser = \"ivan\"\nto = \"10.9.1.1:443\"\nexpect = \"deny\"",
        "tenant = \"acme\"\nuser = \"ivan\"\nto = \"10.8.1.1\"\nexpect = \"allow\"",
        "tenant = \"acme\"\nuser = \"ivan\"\nto = \"10.8.1.1:8080\"\nprotocol = \"udp\"\nexpect = \"allow\"",
        "tenant = \"blue\"\nuser = \"bob\"\nto = \"192.0.2.1:22\"\nexpect = \"allow\"",
    ] {
        valid(&test(holds));
    }
    refused(
        &test("tenant = \"acme\"\nuser = \"ivan\"\nto = \"10.9.1.1:443\"\nexpect = \"allow\""),
        35,
        "the test fails: `ivan` may not reach 10.9.1.1:443 by tcp: the rule `no-finance` denies it",
        "allow it by a rule further up, or expect \"deny\"",
    );
    refused(
        &test("tenant = \"acme\"\nuser = \"alice\"\nto = \"10.9.1.1\"\nexpect = \"deny\""),
        35,
        "the test fails: `alice` may reach 10.9.1.1 by icmp: the rule `inside` allows it",
        "deny it by a rule further up, or expect \"allow\"",
    );
    refused(
        &test("user = \"alice\"\nto = \"10.9.1.1\"\nexpect = \"deny\""),
        31,
        "`tenant` is missing",
        "say whose user it is: there are several tenants",
    );
    refused(
        &test("tenant = \"acme\"\nuser = \"zoe\"\nto = \"10.9.1.1\"\nexpect = \"deny\""),
        33,
        "there is no user `zoe` in tenant `acme`",
        "name one there is",
    );
    refused(
        &test("tenant = \"acme\"\nuser = \"alice\"\nto = \"2001:db8::1\"\nexpect = \"allow\""),
        31,
        "`alice` has no address from which 2001:db8::1 can be reached",
        "name one of the same IP version in `from`",
    );
    refused(
        &test(
            "tenant = \"acme\"\nuser = \"alice\"\nto = \"10.9.1.1:1\"\nprotocol = \"icmp\"\nexpect = \"deny\"",
        ),
        35,
        "`icmp` has no ports",
        "take the port out of `to`",
    );
}

#[test]
fn tests_know_the_way_that_packets_take() {
    let ways = "[[tenant.egress]]\nname = \"azure\"\nmatch = { to = [\"172.20.0.0/14\", \"10.0.0.0/8\"] }\n\
                via = { gateway = \"192.0.2.1\" }\n\
                [[tenant.egress]]\nname = \"backup\"\nmatch = { to = [\"172.20.0.0/14\"] }\n\
                via = { gateway = \"192.0.2.2\" }\n\
                [[tenant.egress]]\nname = \"interns\"\nmatch = { group = \"interns\" }\n\
                via = { gateway = \"192.0.2.3\" }\n\
                [[tenant.egress]]\nname = \"no\"\nmatch = { to = [\"10.99.0.0/16\"] }\ndeny = true\n\
                [[tenant.egress]]\nname = \"rest\"\nvia = { gateway = \"192.0.2.4\" }";
    let test = |user: &str, to: &str, expect: &str| {
        let lines =
            format!("tenant = \"acme\"\nuser = \"{user}\"\nto = \"{to}\"\nexpect = \"{expect}\"");
        with(ways, &format!("[[test]]\n{lines}\n"))
    };
    for (user, to, expect) in [
        ("alice", "172.21.0.1", "allow via azure"),
        ("ivan", "172.21.0.1", "allow via azure"),
        ("alice", "10.3.0.1:443", "allow via azure"),
        ("alice", "10.99.0.1:443", "deny"),
        ("ivan", "198.51.100.1", "allow via interns"),
        ("alice", "198.51.100.1", "allow via rest"),
        ("alice", "10.64.0.77", "allow"),
    ] {
        valid(&test(user, to, expect));
    }
    let remedy = "change `match` or the order of the egresses, or the test";
    let wrong = test("alice", "172.21.0.1", "allow via backup");
    refused(&wrong, 42, "the test fails: `alice` takes the egress `azure` to 172.21.0.1", remedy);
    let wrong = test("alice", "10.64.0.77", "allow via rest");
    refused(&wrong, 42, "the test fails: `alice` takes no egress to 10.64.0.77", remedy);
    let wrong = test("alice", "10.99.0.1", "allow");
    refused(&wrong, 42, "the egress `no` denies it", "expect \"deny\"");
    let remedy = "write \"allow\", \"deny\" or \"allow via NAME\" with the name of an egress";
    refused(
        &test("alice", "10.3.0.1", "deny via no"),
        42,
        "`deny via no` is nothing to expect",
        remedy,
    );
}

#[test]
fn tests_follow_a_mapped_network_to_where_it_is() {
    let ways = "[[tenant.egress]]\nname = \"one\"\nmatch = { to = [\"10.1.0.0/16\"] }\n\
                via = { gateway = \"192.0.2.1\" }\n\
                [[tenant.egress]]\nname = \"twin\"\nmatch = { to = [\"10.201.0.0/16\"] }\n\
                via = { gateway = \"192.0.2.2\" }\n\
                [[tenant.nat]]\negress = [\"twin\"]\n\
                netmap = { inside = \"10.201.0.0/16\", outside = \"10.1.0.0/16\" }\n\
                [tenant.policy]\ndefault = \"deny\"\n[[tenant.policy.rule]]\nname = \"some\"\n\
                action = \"allow\"\nto = \"10.1.0.0/24\"";
    for (to, expect) in [
        ("10.1.0.9", "allow via one"),
        ("10.201.0.9", "allow via twin"),
        ("10.201.1.9", "deny"),
        ("10.1.1.9", "deny"),
    ] {
        let lines =
            format!("tenant = \"acme\"\nuser = \"alice\"\nto = \"{to}\"\nexpect = \"{expect}\"");
        valid(&with(ways, &format!("[[test]]\n{lines}\n")));
    }
}

#[test]
fn pools_of_groups_are_of_the_tenant_too() {
    let group = "[[tenant.group]]\nname = \"staff\"\npool = [\"10.70.0.0/24\"]\n\
                 [[tenant.group]]\nname = \"interns\"\n\
                 [tenant.policy]\ndefault = \"deny\"\n[[tenant.policy.rule]]\nname = \"staff\"\n\
                 action = \"allow\"\nfrom = \"10.70.0.0/24\"";
    let test = |tenant: &str, user: &str, to: &str, expect: &str| {
        let lines = format!(
            "tenant = \"{tenant}\"\nuser = \"{user}\"\nto = \"{to}\"\nexpect = \"{expect}\""
        );
        with(group, &format!("[[test]]\n{lines}\n"))
    };
    valid(&test("acme", "alice", "192.0.2.1", "allow"));
    valid(&test("acme", "ivan", "192.0.2.1", "deny"));
    valid(&test("blue", "bob", "10.70.0.9", "deny"));
}

#[test]
fn mistakes_in_a_policy_say_what_to_write() {
    let rule = |lines: &str| with(&format!("[[tenant.policy.rule]]\nname = \"a\"\n{lines}"), "");
    refused(
        &rule("action = \"allow\"\nservice = \"https\""),
        9,
        "`https` is not a protocol",
        "write it like \"tcp/443\", \"udp/8000-8999\" or \"icmp\"",
    );
    refused(&rule("to = \"10.0.0.0/8\""), 6, "`action` is missing", "add `action = …` here");
    refused(
        &rule("action = \"allow\"\n[[tenant.policy.rule]]\nname = \"a\"\naction = \"deny\""),
        10,
        "the rule `a` exists twice",
        "rename one; the other is at ",
    );
    refused(
        &with("[tenant.policy]\nreaches = [\"green\"]", ""),
        7,
        "there is no tenant `green`",
        "remove it from `reaches`",
    );
    refused(
        &with("[tenant.policy]\nreaches = [\"acme\"]", ""),
        7,
        "`acme` is this tenant itself",
        "remove it: its users reach each other as far as the rules let",
    );
    warned(&rule("action = \"allow\"\nuser = [\"alice\", \"zoe\"]"), "there is no user `zoe`");
    warned(&rule("action = \"allow\"\ngroup = \"sales\""), "no user is in the group `sales`");
    assert!(load(&rule("action = \"allow\"\nuser = \"ivan\"")).unwrap().1.is_empty());
}
