//! The reconciler on the real kernel, in network namespaces of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../../net/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, panic};

use isthmus_kernel::{
    Address, Change, Changes, Desired, Firewall, IpVersion, KernelError, Link, MAIN_TABLE, Nat,
    NextHop, Options, Owner, Reconciler, Route, Rule, RuleAction, Translation, Watch,
};
use support::{CapabilitySet, Space, without};

/// A namespace with two links, addresses, routes, a rule and a firewall of somebody else's.
struct Machine {
    space: Space,
    state: PathBuf,
}

impl Machine {
    fn new(role: &str) -> Self {
        let space = Space::new(role);
        for link in ["eth0", "eth1"] {
            space.ip(&format!("link add {link} type veth peer name {link}p"));
            for end in [link.to_owned(), format!("{link}p")] {
                // An address that the kernel gives comes at its own time, and is tentative at first.
                space.ip(&format!("link set {end} addrgenmode none"));
                space.ip(&format!("link set {end} up"));
            }
        }
        wait_for_links(&space);
        space.ip("address add 192.0.2.2/24 dev eth0");
        space.ip("address add 2001:db8::2/64 dev eth0 nodad");
        space.ip("route add 203.0.113.0/24 via 192.0.2.1 proto static");
        space.ip("route add blackhole 198.51.100.0/24 table 77");
        space.ip("-6 route add 2001:db8:ff::/48 via 2001:db8::1");
        space.ip("rule add priority 1000 from 192.0.2.2 lookup 77");
        space.ip("rule add priority 17350 from 192.0.2.9 lookup 77");
        space.run("nft", &["add table inet filter"]);
        space.run("nft", &["add table ip isthmus_gate"]);
        space.run("nft", &["add table inet isthmus_other"]);
        space.run("sh", &["-c", "echo 1 > /proc/sys/net/ipv4/conf/eth1/forwarding"]);
        space.run("sh", &["-c", "echo 0 > /proc/sys/net/ipv4/conf/all/accept_redirects"]);
        let folder = format!("isthmus-kernel-{}-{role}", std::process::id());
        Self { space, state: std::env::temp_dir().join(folder) }
    }

    fn options(&self) -> Options {
        Options {
            namespace: Some(self.space.namespace()),
            state_folder: self.state.clone(),
            ..Options::named("gate")
        }
    }

    fn reconciler(&self) -> Reconciler {
        Reconciler::new(self.options()).unwrap()
    }

    /// A reconciler that leaves everything behind, like a process that is killed.
    fn doomed(&self) -> Reconciler {
        Reconciler::new(Options { keep_on_drop: true, ..self.options() }).unwrap()
    }

    /// Everything about the namespace that a reconciler could have touched.
    fn snapshot(&self) -> String {
        let mut text = String::new();
        for words in [
            "-d address show",
            "-4 -d route show table all",
            "-6 -d route show table all",
            "-4 rule show",
            "-6 rule show",
        ] {
            text += &self.space.ip(words);
        }
        text += &self.space.run("nft", &["list", "ruleset"]);
        let all = "grep -rs . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf \
                   /proc/sys/net/ipv6/conf | sort";
        text + &self.space.run("sh", &["-c", all])
    }

    fn sysctl(&self, key: &str) -> String {
        self.space.run("cat", &[&format!("/proc/sys/{key}")]).trim().to_owned()
    }

    fn set_sysctl(&self, key: &str, value: &str) {
        self.space.run("sh", &["-c", &format!("echo {value} > /proc/sys/{key}")]);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Not there when the test went well.
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// Waits until the kernel has noticed that the links have found each other: only then they are up, and
/// have their routes for multicast.
fn wait_for_links(space: &Space) {
    let ends = ["eth0", "eth0p", "eth1", "eth1p"];
    for _ in 0..200 {
        let links = space.ip("-o link show");
        let routes = space.ip("-6 route show table local type multicast");
        let settled = |end: &&&str| {
            let up = links
                .lines()
                .any(|line| line.contains(&format!(" {end}@")) && line.contains(" state UP "));
            up && routes.contains(&format!("dev {end} "))
        };
        if ends.iter().filter(settled).count() == ends.len() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the links do not come up");
}

/// Waits until the kernel has noticed that a link has lost its other end; it does so by and by.
fn wait_until_down(space: &Space, link: &str) {
    let down = || space.ip(&format!("-o link show dev {link}")).contains("NO-CARRIER");
    let noticed = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        down()
    });
    assert!(noticed, "{link} stays up");
}

/// Demands that the namespace is as in the snapshot `before`, and tells the lines that differ.
fn assert_unchanged(machine: &Machine, before: &str) {
    let after = machine.snapshot();
    let gone = before.lines().filter(|line| !after.contains(line)).map(|line| format!("-{line}"));
    let come = after.lines().filter(|line| !before.contains(line)).map(|line| format!("+{line}"));
    let differing: Vec<String> = gone.chain(come).collect();
    assert!(after == before, "{differing:#?}");
}

fn route(destination: &str, next: NextHop) -> Route {
    let destination = destination.parse().unwrap();
    Route { destination, table: MAIN_TABLE, metric: None, next, source: None }
}

fn via(gateway: &str) -> NextHop {
    NextHop::Gateway { gateway: gateway.parse().unwrap(), link: None, on_link: false }
}

fn rule(version: IpVersion, priority: u32, action: RuleAction) -> Rule {
    let (from, to, input, output, mark) = (None, None, None, None, None);
    Rule { priority, version, from, to, input, output, mark, action }
}

fn address(link: &str, address: &str) -> Address {
    Address { link: link.to_owned(), address: address.parse().unwrap(), peer: None }
}

fn masquerade(source: &str, egress: &str) -> Nat {
    Nat {
        egress: Some(egress.to_owned()),
        ..Nat::new(source.parse().unwrap(), Translation::Masquerade)
    }
}

fn routes() -> Vec<Route> {
    let gateway = |gateway: &str, link: &str, on_link| NextHop::Gateway {
        gateway: gateway.parse().unwrap(),
        link: Some(link.to_owned()),
        on_link,
    };
    vec![
        route("10.64.0.0/20", NextHop::Link("eth1".to_owned())),
        route("10.65.0.0/16", via("192.0.2.1")),
        route("10.66.0.0/16", gateway("192.0.2.1", "eth0", false)),
        route("10.67.0.0/16", gateway("100.64.0.1", "eth1", true)),
        Route { metric: Some(50), ..route("10.68.0.7/16", NextHop::Blackhole) },
        Route { metric: Some(60), ..route("10.68.0.0/16", NextHop::Unreachable) },
        Route { table: 70_000, ..route("0.0.0.0/0", via("192.0.2.1")) },
        Route { table: 120, ..route("10.0.0.0/8", NextHop::Prohibit) },
        Route {
            source: Some("192.0.2.2".parse().unwrap()),
            ..route("10.69.0.0/16", NextHop::Link("eth0".to_owned()))
        },
        route("fd64::/48", NextHop::Link("eth1".to_owned())),
        route("fd65::/48", via("2001:db8::1")),
        Route { metric: Some(7), ..route("fd66::/48", gateway("2001:db8::1", "eth0", false)) },
        Route { table: 120, ..route("::/0", NextHop::Blackhole) },
        route("fd67::/48", NextHop::Unreachable),
        route("fd68::/48", NextHop::Prohibit),
    ]
}

fn rules() -> Vec<Rule> {
    vec![
        Rule {
            from: Some("10.64.0.9/20".parse().unwrap()),
            to: Some("0.0.0.0/0".parse().unwrap()),
            ..rule(IpVersion::V4, 17_300, RuleAction::Lookup(70_000))
        },
        Rule {
            input: Some("eth1".to_owned()),
            mark: Some((0x10, 0xff)),
            ..rule(IpVersion::V4, 17_301, RuleAction::Lookup(120))
        },
        Rule {
            to: Some("10.70.0.0/16".parse().unwrap()),
            ..rule(IpVersion::V4, 17_302, RuleAction::Unreachable)
        },
        Rule {
            input: Some("eth1".to_owned()),
            ..rule(IpVersion::V4, 17_305, RuleAction::LookupSpecific(254))
        },
        Rule {
            from: Some("fd64::/48".parse().unwrap()),
            output: Some("eth0".to_owned()),
            ..rule(IpVersion::V6, 17_300, RuleAction::Lookup(120))
        },
        Rule {
            to: Some("fd70::/48".parse().unwrap()),
            ..rule(IpVersion::V6, 17_303, RuleAction::Blackhole)
        },
        Rule {
            to: Some("fd71::/48".parse().unwrap()),
            ..rule(IpVersion::V6, 17_304, RuleAction::Prohibit)
        },
    ]
}

/// Something of everything.
fn everything() -> Desired {
    let sysctl = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let peer = Some("10.64.15.2".parse().unwrap());
    Desired {
        links: vec![Link { name: "eth1".to_owned(), up: true, mtu: Some(1400) }],
        addresses: vec![
            address("eth1", "10.64.0.1/32"),
            address("eth1", "fd64::1/64"),
            address("lo", "203.0.113.10/32"),
            Address { peer, ..address("eth1", "10.64.15.1/32") },
        ],
        routes: routes(),
        rules: rules(),
        sysctls: [
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv6/conf/all/forwarding", "1"),
            ("net/ipv4/conf/eth1/rp_filter", "2"),
            ("net/ipv4/tcp_rmem", "4096 131072\t6291456"),
        ]
        .map(sysctl)
        .into(),
        firewall: Firewall {
            nat: vec![
                masquerade("10.64.0.0/20", "eth0"),
                Nat {
                    except: vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.7/32".parse().unwrap()],
                    to: Translation::Address("192.0.2.2".parse().unwrap()),
                    ..masquerade("10.64.16.0/20", "eth0")
                },
                Nat { egress: None, ..masquerade("fd64::/48", "") },
            ],
            ..Firewall::default()
        },
        ..Desired::default()
    }
}

fn nothing() -> Changes {
    Changes::default()
}

#[tokio::test]
async fn applying_twice_changes_nothing_the_second_time() {
    let machine = Machine::new("twice");
    let mut reconciler = machine.reconciler();
    let made = reconciler.apply(&everything()).await.unwrap();
    assert!(made.len() > 30, "{made}");
    assert_eq!(reconciler.apply(&everything()).await.unwrap(), nothing());
    assert_eq!(reconciler.plan(&everything()).await.unwrap(), nothing());

    let table = machine.space.ip("route show table 70000");
    assert!(table.contains("default via 192.0.2.1 dev eth0 proto 173"), "{table}");
    let rules = machine.space.ip("rule show");
    assert!(rules.contains("17300:\tfrom 10.64.0.0/20 lookup 70000 proto 173"), "{rules}");
    assert!(machine.space.ip("link show eth1").contains("mtu 1400"));
    assert_eq!(machine.sysctl("net/ipv4/ip_forward"), "1");
    let nft = machine.space.run("nft", &["list", "table", "inet", "isthmus_gate"]);
    assert!(nft.contains("ip saddr 10.64.0.0/20 oifname \"eth0\" masquerade"), "{nft}");
    assert!(nft.contains("ip daddr != 192.0.2.7 snat ip to 192.0.2.2"), "{nft}");
}

#[tokio::test]
async fn a_link_that_listens_to_routers_goes_on_while_the_machine_forwards() {
    let machine = Machine::new("listens");
    machine.space.run("sh", &["-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra"]);
    machine.space.run("sh", &["-c", "echo 0 > /proc/sys/net/ipv6/conf/eth1/accept_ra"]);
    let mut reconciler = machine.reconciler();
    reconciler.apply(&everything()).await.unwrap();
    let accepts = |link: &str| machine.sysctl(&format!("net/ipv6/conf/{link}/accept_ra"));
    assert_eq!((accepts("eth0").as_str(), accepts("eth1").as_str()), ("2", "0"));
    reconciler.remove_all().await.unwrap();
    assert_eq!((accepts("eth0").as_str(), accepts("eth1").as_str()), ("1", "0"));
}

#[tokio::test]
async fn removing_leaves_no_trace() {
    let machine = Machine::new("trace");
    let before = machine.snapshot();
    let mut reconciler = machine.reconciler();
    reconciler.apply(&everything()).await.unwrap();
    assert_ne!(machine.snapshot(), before);
    assert!(machine.state.exists());
    let removed = reconciler.remove_all().await.unwrap();
    assert!(removed.len() > 30, "{removed}");
    assert_unchanged(&machine, &before);
    assert!(!machine.state.exists(), "nor on disk");
    assert_eq!(reconciler.remove_all().await.unwrap(), nothing());
}

#[tokio::test]
async fn a_plan_is_what_is_applied_and_changes_nothing() {
    let machine = Machine::new("plan");
    let before = machine.snapshot();
    let mut reconciler = machine.reconciler();
    let planned = reconciler.plan(&everything()).await.unwrap();
    assert_unchanged(&machine, &before);
    assert!(!machine.state.exists());
    assert_eq!(reconciler.apply(&everything()).await.unwrap(), planned);
}

#[tokio::test]
async fn only_what_differs_is_changed() {
    let machine = Machine::new("differs");
    let mut reconciler = machine.reconciler();
    let mut desired = everything();
    reconciler.apply(&desired).await.unwrap();
    let from = desired.routes[1].clone();
    desired.routes[1].next = via("192.0.2.3");
    desired.rules.remove(0);
    desired.firewall.nat.pop();
    desired.sysctls.remove("net/ipv4/conf/eth1/rp_filter");
    desired.links.clear();
    desired.addresses.pop();
    let changes = reconciler.apply(&desired).await.unwrap();
    let kinds: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        kinds,
        [
            format!(
                "set the nftables table: {}; {};",
                desired.firewall.nat[0], desired.firewall.nat[1]
            ),
            "remove rule 17300 for IPv4 from 10.64.0.0/20 lookup 70000".to_owned(),
            format!("replace {from} on eth0 by {}", desired.routes[1]),
            "restore net/ipv4/conf/eth1/rp_filter to 0".to_owned(),
            "remove address 10.64.15.1/32 on eth1 peer 10.64.15.2".to_owned(),
            "restore link eth1 up mtu 1500".to_owned(),
        ]
    );
    assert!(machine.space.ip("route show 10.65.0.0/16").contains("via 192.0.2.3"));
    assert_eq!(reconciler.plan(&desired).await.unwrap(), nothing());
}

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

/// How long nothing must be told until nothing was.
const QUIET: Duration = Duration::from_millis(200);

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
async fn an_address_changes_its_prefix() {
    let machine = Machine::new("prefix");
    let mut reconciler = machine.reconciler();
    for address in
        [address("eth1", "fd64::1/64"), address("eth1", "fd64::1/80"), address("lo", "fd64::1/128")]
    {
        let desired = Desired { addresses: vec![address], ..Desired::default() };
        assert!(!reconciler.apply(&desired).await.unwrap().is_empty());
        assert_eq!(reconciler.plan(&desired).await.unwrap(), nothing());
    }
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
async fn dropping_leaves_no_trace() {
    let machine = Machine::new("drop");
    let before = machine.snapshot();
    let mut reconciler = machine.reconciler();
    reconciler.apply(&everything()).await.unwrap();
    drop(reconciler);
    assert_unchanged(&machine, &before);
}

#[test]
fn a_panic_leaves_no_trace() {
    let machine = Machine::new("panic");
    let before = machine.snapshot();
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut reconciler = machine.reconciler();
        runtime.block_on(reconciler.apply(&everything())).unwrap();
        // As a panic without its message on the terminal.
        panic::resume_unwind(Box::new("on purpose"));
    };
    assert!(panic::catch_unwind(panic::AssertUnwindSafe(run)).is_err());
    assert_unchanged(&machine, &before);
}

#[tokio::test]
async fn the_next_run_adopts_what_a_crashed_one_left() {
    let machine = Machine::new("adopt");
    let before = machine.snapshot();
    machine.doomed().apply(&everything()).await.unwrap();
    let left = machine.snapshot();
    let mut next = machine.reconciler();
    assert_eq!(next.apply(&everything()).await.unwrap(), nothing());
    assert_unchanged(&machine, &left);
    next.remove_all().await.unwrap();
    // With the values from before the crash.
    assert_unchanged(&machine, &before);
}

#[tokio::test]
async fn the_next_run_removes_what_a_crashed_one_left_and_it_does_not_want() {
    let machine = Machine::new("leftover");
    let before = machine.snapshot();
    machine.doomed().apply(&everything()).await.unwrap();
    let mut next = machine.reconciler();
    let desired = Desired { routes: routes().split_off(10), ..Desired::default() };
    let changes = next.apply(&desired).await.unwrap();
    assert!(!changes.iter().any(|change| matches!(change, Change::AddRoute(_))), "{changes}");
    next.remove_all().await.unwrap();
    assert_unchanged(&machine, &before);
}

#[tokio::test]
async fn what_is_tagged_is_found_without_the_file() {
    let machine = Machine::new("nofile");
    let before = machine.snapshot();
    let desired = Desired { links: Vec::new(), sysctls: BTreeMap::new(), ..everything() };
    machine.doomed().apply(&desired).await.unwrap();
    fs::remove_dir_all(&machine.state).unwrap();
    machine.reconciler().remove_all().await.unwrap();
    assert_unchanged(&machine, &before);
}

#[tokio::test]
async fn a_namespace_made_again_gets_no_values_of_the_former_one() {
    let first = Machine::new("again");
    first.doomed().apply(&everything()).await.unwrap();
    let second = Machine { space: Space::new("again2"), state: first.state.clone() };
    let names = [&first, &second].map(|machine| machine.space.namespace().name().to_owned());
    let file = |name: &str| first.state.join(format!("gate@{name}.json"));
    fs::copy(file(&names[0]), file(&names[1])).unwrap();
    let before = second.snapshot();
    assert_eq!(second.reconciler().remove_all().await.unwrap(), nothing());
    assert_unchanged(&second, &before);
}

#[tokio::test]
async fn a_parameter_that_somebody_else_set_since_stays() {
    let machine = Machine::new("since");
    let key = "net/ipv4/conf/eth1/rp_filter";
    let desired = Desired {
        sysctls: [(key.to_owned(), "2".to_owned())].into(),
        links: vec![Link { name: "eth1".to_owned(), up: true, mtu: Some(1400) }],
        ..Desired::default()
    };
    let mut reconciler = machine.reconciler();
    reconciler.apply(&desired).await.unwrap();
    machine.set_sysctl(key, "1");
    machine.space.ip("link set eth1 mtu 1300");
    reconciler.remove_all().await.unwrap();
    assert_eq!(machine.sysctl(key), "1");
    assert!(machine.space.ip("link show eth1").contains("mtu 1300"));
}

#[tokio::test]
async fn a_missing_link_is_named_and_the_rest_is_done() {
    let machine = Machine::new("nolink");
    let mut reconciler = machine.reconciler();
    let mut desired = everything();
    desired.routes.push(route("10.72.0.0/16", NextHop::Link("isthmus9".to_owned())));
    let error = reconciler.apply(&desired).await.unwrap_err();
    assert!(matches!(&error, KernelError::NoLink(name) if name == "isthmus9"), "{error}");
    assert_eq!(reconciler.plan(&desired).await.unwrap().len(), 1);
    machine.space.ip("link add isthmus9 type veth peer name isthmus9p");
    machine.space.ip("link set isthmus9 up");
    machine.space.ip("link set isthmus9p up");
    assert_eq!(reconciler.apply(&desired).await.unwrap().len(), 1);
    // The link goes, and everything on it goes with it.
    machine.space.ip("link delete isthmus9");
    reconciler.remove_all().await.unwrap();
}

#[tokio::test]
async fn a_missing_parameter_is_an_error_with_its_name() {
    let machine = Machine::new("nosysctl");
    let key = "net/ipv4/conf/isthmus9/rp_filter".to_owned();
    let desired = Desired { sysctls: [(key, "2".to_owned())].into(), ..Desired::default() };
    let error = machine.reconciler().apply(&desired).await.unwrap_err();
    assert!(error.to_string().contains("conf/isthmus9/rp_filter"), "{error}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_changed() {
    let machine = Machine::new("sense");
    let before = machine.snapshot();
    let mut reconciler = machine.reconciler();
    let blackhole = || route("10.0.0.0/8", NextHop::Blackhole);
    let with = |change: fn(&mut Desired)| {
        let mut desired = everything();
        change(&mut desired);
        desired
    };
    for desired in [
        with(|desired| desired.rules[0].priority = 100),
        with(|desired| desired.rules[0].from = Some("fd00::/8".parse().unwrap())),
        with(|desired| desired.rules[0].action = RuleAction::Altered),
        with(|desired| desired.routes[0].next = via("fd00::1")),
        with(|desired| desired.routes[0].next = NextHop::Altered),
        with(|desired| {
            desired.firewall.nat[0].to = Translation::Address("fd00::1".parse().unwrap());
        }),
        with(|desired| drop(desired.sysctls.insert("kernel/panic".to_owned(), "1".to_owned()))),
        Desired { routes: vec![blackhole(), blackhole()], ..everything() },
    ] {
        reconciler.apply(&desired).await.unwrap_err();
        reconciler.plan(&desired).await.unwrap_err();
    }
    assert_unchanged(&machine, &before);
}

#[tokio::test]
async fn changes_survive_being_written_as_json() {
    let machine = Machine::new("json");
    let planned = machine.reconciler().plan(&everything()).await.unwrap();
    let text = serde_json::to_string(&planned).unwrap();
    assert_eq!(serde_json::from_str::<Changes>(&text).unwrap(), planned);
    assert!(text.contains("\"add_route\""), "{text}");
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

#[tokio::test]
async fn without_the_capability_the_error_names_it() {
    let machine = Machine::new("denied");
    let before = machine.snapshot();
    let options = Options { keep_on_drop: true, ..machine.options() };
    let reconciler = without(CapabilitySet::NET_ADMIN, || Reconciler::new(options));
    let desired =
        Desired { routes: vec![route("10.64.0.0/20", NextHop::Blackhole)], ..Desired::default() };
    let error = reconciler.unwrap().apply(&desired).await.unwrap_err();
    assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    assert_unchanged(&machine, &before);
}
