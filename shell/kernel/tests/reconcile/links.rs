//! Links that come and go, and what passes them.

use isthmus_kernel::{Change, Desired, NextHop, Options, Reconciler, Route};

use crate::machine::{
    Machine, assert_unchanged, masquerade, nothing, route, wait_for_links, wait_until_down,
};
use crate::support::Space;

#[tokio::test]
async fn routes_out_of_optional_links_are_there_while_the_links_are_up() {
    let machine = Machine::new("optional");
    let by = |link: &str| NextHop::Link(link.to_owned());
    let desired = Desired {
        routes: vec![
            route("10.1.0.0/16", by("eth1")),
            route("10.2.0.0/16", by("eth9")),
            route("10.3.0.0/16", NextHop::Unreachable),
        ],
        optional_links: ["eth1", "eth9"].map(str::to_owned).into(),
        ..Desired::default()
    };
    let mut reconciler = machine.reconciler();
    let made = reconciler.apply(&desired).await.unwrap();
    assert_eq!(made.len(), 2, "eth9 is not there: {made}");
    machine.space.ip("link set eth1p down");
    wait_until_down(&machine.space, "eth1");
    let made = reconciler.apply(&desired).await.unwrap();
    let gone = Change::RemoveRoute(Route { metric: Some(0), ..desired.routes[0].clone() });
    assert_eq!(made.0, [gone], "nobody is at the other end");
    machine.space.ip("link set eth1p up");
    wait_for_links(&machine.space);
    assert_eq!(reconciler.apply(&desired).await.unwrap().len(), 1);
    reconciler.remove_all().await.unwrap();
    let left = machine.space.ip("route show table all proto 173");
    assert_eq!(left, "", "the kernel puts its own routes back in another order");
}

#[tokio::test]
async fn a_strict_reverse_path_filter_becomes_loose_where_it_has_to_and_a_loose_one_stays() {
    let machine = Machine::new("rp");
    let key = |link: &str| format!("net/ipv4/conf/{link}/rp_filter");
    machine.set_sysctl(&key("all"), "0");
    machine.set_sysctl(&key("eth0"), "1");
    machine.set_sysctl(&key("eth1"), "0");
    let before = machine.snapshot();
    let desired = Desired {
        asymmetric_links: ["eth0", "eth1", "eth9"].map(str::to_owned).into(),
        ..Desired::default()
    };
    let mut reconciler = machine.reconciler();
    let made = reconciler.apply(&desired).await.unwrap();
    assert_eq!(made.to_string(), "set net/ipv4/conf/eth0/rp_filter from 1 to 2");
    assert_eq!(reconciler.apply(&desired).await.unwrap(), nothing());
    assert_eq!((&*machine.sysctl(&key("eth0")), &*machine.sysctl(&key("eth1"))), ("2", "0"));
    machine.set_sysctl(&key("all"), "1");
    let made = reconciler.apply(&desired).await.unwrap();
    assert_eq!(
        made.to_string(),
        "set net/ipv4/conf/eth1/rp_filter from 0 to 2",
        "the greater counts"
    );
    machine.set_sysctl(&key("all"), "0");
    reconciler.remove_all().await.unwrap();
    assert_unchanged(&machine, &before);
}

#[tokio::test]
async fn clients_of_a_pool_reach_a_network_that_knows_no_way_back() {
    let (gate, server) = Space::pair();
    let client = Space::new("client");
    let name = client.namespace().name().to_owned();
    gate.ip(&format!("link add eth1 type veth peer name eth0 netns {name}"));
    client.ip("link set eth0 up");
    client.ip("address add 10.64.0.2/32 dev eth0");
    client.ip("route add default dev eth0");
    gate.ip("link set eth1 up");
    gate.run("sh", &["-c", "echo 1 > /proc/sys/net/ipv4/conf/eth1/proxy_arp"]);
    let pings = || {
        let arguments = ["-c", "1", "-W", "1", "10.9.0.2"];
        client.command("ping", &arguments).output().unwrap().status.success()
    };
    let mut options = Options::named("gate");
    options.namespace = Some(gate.namespace());
    options.state_folder = std::env::temp_dir().join(format!("isthmus-nat-{}", std::process::id()));
    let mut reconciler = Reconciler::new(options).unwrap();
    let mut desired = Desired {
        routes: vec![route("10.64.0.0/20", NextHop::Link("eth1".to_owned()))],
        sysctls: [("net/ipv4/ip_forward".to_owned(), "1".to_owned())].into(),
        ..Desired::default()
    };
    reconciler.apply(&desired).await.unwrap();
    assert!(!pings(), "without translation there is no way back");
    desired.firewall.nat.push(masquerade("10.64.0.0/20", "veth0"));
    reconciler.apply(&desired).await.unwrap();
    assert!(pings());
    desired.firewall.nat[0].except.push("10.9.0.0/24".parse().unwrap());
    reconciler.apply(&desired).await.unwrap();
    assert!(!pings(), "that network is excepted");
    drop(server);
}
