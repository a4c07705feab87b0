//! The machine that the reconciler looks after, and everything that can be desired of it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use isthmus_kernel::{
    Address, Changes, Desired, Firewall, IpVersion, Link, MAIN_TABLE, Nat, NextHop, Options,
    Reconciler, Route, Rule, RuleAction, Translation,
};

use crate::support::Space;

/// A namespace with two links, addresses, routes, a rule and a firewall of somebody else's.
pub(crate) struct Machine {
    pub(crate) space: Space,
    pub(crate) state: PathBuf,
}

impl Machine {
    pub(crate) fn new(role: &str) -> Self {
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

    pub(crate) fn options(&self) -> Options {
        Options {
            namespace: Some(self.space.namespace()),
            state_folder: self.state.clone(),
            ..Options::named("gate")
        }
    }

    pub(crate) fn reconciler(&self) -> Reconciler {
        Reconciler::new(self.options()).unwrap()
    }

    /// A reconciler that leaves everything behind, like a process that is killed.
    pub(crate) fn doomed(&self) -> Reconciler {
        Reconciler::new(Options { keep_on_drop: true, ..self.options() }).unwrap()
    }

    /// Everything about the namespace that a reconciler could have touched.
    pub(crate) fn snapshot(&self) -> String {
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

    pub(crate) fn sysctl(&self, key: &str) -> String {
        self.space.run("cat", &[&format!("/proc/sys/{key}")]).trim().to_owned()
    }

    pub(crate) fn set_sysctl(&self, key: &str, value: &str) {
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
pub(crate) fn wait_for_links(space: &Space) {
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
pub(crate) fn wait_until_down(space: &Space, link: &str) {
    let down = || space.ip(&format!("-o link show dev {link}")).contains("NO-CARRIER");
    let noticed = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        down()
    });
    assert!(noticed, "{link} stays up");
}

/// Demands that the namespace is as in the snapshot `before`, and tells the lines that differ.
pub(crate) fn assert_unchanged(machine: &Machine, before: &str) {
    let after = machine.snapshot();
    let gone = before.lines().filter(|line| !after.contains(line)).map(|line| format!("-{line}"));
    let come = after.lines().filter(|line| !before.contains(line)).map(|line| format!("+{line}"));
    let differing: Vec<String> = gone.chain(come).collect();
    assert!(after == before, "{differing:#?}");
}

pub(crate) fn route(destination: &str, next: NextHop) -> Route {
    let destination = destination.parse().unwrap();
    Route { destination, table: MAIN_TABLE, metric: None, next, source: None }
}

pub(crate) fn via(gateway: &str) -> NextHop {
    NextHop::Gateway { gateway: gateway.parse().unwrap(), link: None, on_link: false }
}

pub(crate) fn rule(version: IpVersion, priority: u32, action: RuleAction) -> Rule {
    let (from, to, input, output, mark) = (None, None, None, None, None);
    Rule { priority, version, from, to, input, output, mark, action }
}

pub(crate) fn address(link: &str, address: &str) -> Address {
    Address { link: link.to_owned(), address: address.parse().unwrap(), peer: None }
}

pub(crate) fn masquerade(source: &str, egress: &str) -> Nat {
    Nat {
        egress: Some(egress.to_owned()),
        ..Nat::new(source.parse().unwrap(), Translation::Masquerade)
    }
}

pub(crate) fn routes() -> Vec<Route> {
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

pub(crate) fn rules() -> Vec<Rule> {
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
pub(crate) fn everything() -> Desired {
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

pub(crate) fn nothing() -> Changes {
    Changes::default()
}
