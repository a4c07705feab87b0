//! What others do to what is ours, and what of theirs stays.

use std::time::Duration;

use isthmus_kernel::{
    Change, Desired, Firewall, IpVersion, KernelError, Options, Owner, Reconciler, Route,
    RuleAction, Watch,
};

use crate::machine::{
    Machine, address, assert_unchanged, everything, masquerade, nothing, route, rule, via,
};

#[tokio::test]
async fn what_others_undo_is_done_again() {
    let machine = Machine::new("undone");
    let mut reconciler = machine.reconciler();
    reconciler.apply(&everything()).await.unwrap();
    let done = machine.snapshot();
    machine.space.ip("route delete 10.65.0.0/16");
    machine.space.ip("-6 route replace fd65::/48 via 2001:db8::7 proto 173");
    machine.space.ip("rule delete priority 17301");
    machine.space.ip("address delete 203.0.113.10/32 dev lo");
    machine.space.ip("link set eth1 mtu 1480");
    machine.space.run("nft", &["flush", "table", "inet", "isthmus_gate"]);
    machine.set_sysctl("net/ipv4/ip_forward", "0");
    let again = reconciler.apply(&everything()).await.unwrap();
    assert_eq!(again.len(), 7, "{again}");
    assert_unchanged(&machine, &done);

    // A link that goes down takes its routes along.
    machine.space.ip("link set eth1 down");
    let again = reconciler.apply(&everything()).await.unwrap();
    assert!(again.iter().any(|change| matches!(change, Change::AddRoute(_))), "{again}");
    assert_eq!(reconciler.apply(&everything()).await.unwrap(), nothing());
}

/// Whether a watch tells of something in time.
async fn tells(watch: &mut Watch, time: Duration) -> bool {
    tokio::time::timeout(time, watch.disturbed()).await.is_ok_and(|told| {
        told.unwrap();
        true
    })
}

#[tokio::test]
async fn whatever_others_undo_is_told_and_what_they_do_to_their_own_is_not() {
    let machine = Machine::new("watched");
    let mut reconciler = machine.reconciler();
    let mut watch = reconciler.watch().await.unwrap();
    reconciler.apply(&everything()).await.unwrap();
    while tells(&mut watch, QUIET).await {}
    machine.space.ip("route add 203.0.112.0/24 via 192.0.2.1 proto bird");
    machine.space.ip("route delete 203.0.112.0/24");
    machine.space.ip("rule delete priority 1000");
    machine.space.run("nft", &["flush", "table", "inet", "isthmus_other"]);
    machine.space.run("nft", &["delete", "table", "inet", "filter"]);
    assert!(!tells(&mut watch, QUIET).await, "what others do to their own");

    let undo: [(&str, &[&str]); 7] = [
        ("ip", &["route", "flush", "proto", "173"]),
        ("ip", &["-6", "rule", "delete", "priority", "17303"]),
        ("ip", &["rule", "delete", "priority", "17301"]),
        ("ip", &["address", "delete", "203.0.113.10/32", "dev", "lo"]),
        ("ip", &["link", "set", "eth1", "down"]),
        ("nft", &["delete", "table", "inet", "isthmus_gate"]),
        ("sh", &["-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"]),
    ];
    for (program, words) in undo {
        machine.space.run(program, words);
        assert!(tells(&mut watch, Duration::from_secs(10)).await, "{program} {words:?}");
        assert_ne!(reconciler.apply(&everything()).await.unwrap(), nothing(), "{words:?}");
        while tells(&mut watch, QUIET).await {}
    }
}

#[tokio::test]
async fn what_others_made_is_a_conflict_and_stays() {
    let machine = Machine::new("conflict");
    let mut reconciler = machine.reconciler();
    machine.space.ip("route add 10.65.0.0/16 via 192.0.2.9");
    machine.space.ip("address add 10.64.0.1/32 dev eth1");
    let before = machine.snapshot();
    let desired = Desired {
        addresses: vec![address("eth1", "10.64.0.1/32")],
        routes: vec![
            route("10.65.0.0/16", via("192.0.2.1")),
            route("10.71.0.0/16", via("192.0.2.1")),
        ],
        ..Desired::default()
    };
    let error = reconciler.apply(&desired).await.unwrap_err();
    assert!(matches!(error, KernelError::Conflict { .. }), "{error}");
    assert!(error.to_string().contains("10.65.0.0/16"), "{error}");
    assert!(machine.space.ip("route show 10.65.0.0/16").contains("via 192.0.2.9"));
    assert!(machine.space.ip("route show 10.71.0.0/16").contains("via 192.0.2.1"), "the rest");
    reconciler.remove_all().await.unwrap();
    assert_unchanged(&machine, &before);
}

#[tokio::test]
async fn replacing_our_route_spares_a_twin_of_somebody_else() {
    let machine = Machine::new("twin");
    let mut reconciler = machine.reconciler();
    let mut desired =
        Desired { routes: vec![route("10.65.0.0/16", via("192.0.2.1"))], ..Desired::default() };
    reconciler.apply(&desired).await.unwrap();
    machine.space.ip("route prepend 10.65.0.0/16 via 192.0.2.9");
    desired.routes[0].next = via("192.0.2.3");
    // With a twin there is no room for ours any more, and that is said.
    let error = reconciler.apply(&desired).await.unwrap_err();
    assert!(matches!(error, KernelError::Conflict { .. }), "{error}");
    assert!(machine.space.ip("route show 10.65.0.0/16").contains("via 192.0.2.9"));
}

#[tokio::test]
async fn two_gateways_in_one_namespace_leave_each_other_alone() {
    let machine = Machine::new("two");
    let before = machine.snapshot();
    let mut first = machine.reconciler();
    let mut owner = Owner::named("second");
    (owner.protocol, owner.rule_priorities) = (174, 17_400..=17_499);
    let mut second = Reconciler::new(Options { owner, ..machine.options() }).unwrap();
    let theirs = Desired {
        routes: vec![Route { metric: Some(9), ..route("10.64.0.0/20", via("192.0.2.1")) }],
        rules: vec![rule(IpVersion::V4, 17_400, RuleAction::Lookup(120))],
        firewall: Firewall { nat: vec![masquerade("10.80.0.0/20", "eth0")], ..Firewall::default() },
        ..Desired::default()
    };
    second.apply(&theirs).await.unwrap();
    first.apply(&everything()).await.unwrap();
    assert_eq!(second.plan(&theirs).await.unwrap(), nothing());
    first.remove_all().await.unwrap();
    assert_eq!(second.plan(&theirs).await.unwrap(), nothing());
    second.remove_all().await.unwrap();
    assert_unchanged(&machine, &before);
}

/// How long nothing must be told until nothing was.
const QUIET: Duration = Duration::from_millis(200);
