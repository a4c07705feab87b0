//! Filters on the real kernel: what passes and what is refused, and whose packets are of which class.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../../net/tests/support/mod.rs"]
mod support;

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use ipnet::IpNet;
use isthmus_kernel::{
    Change, Desired, Entries, Filter, Firewall, Guard, List, Member, NextHop, Options, Ports,
    Reconciler, Route, Verdict,
};
use support::Space;

/// A gateway between two tenants' devices, `acme` and `blue`, and an uplink, `out`.
struct Site {
    gate: Space,
    acme: Space,
    blue: Space,
    server: Space,
    state: PathBuf,
    listeners: Vec<Child>,
}

/// What becomes of an attempt to open a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was opened.
    Passed,
    /// It was refused on the way.
    Refused,
    /// Nothing came back.
    Silence,
}

impl Site {
    fn new(role: &str) -> Self {
        let [gate, acme, blue, server] =
            ["gate", "acme", "blue", "server"].map(|end| Space::new(&format!("{role}-{end}")));
        for (end, device, own, theirs) in [
            (&acme, "acme", "10.64.0.1", "10.64.0.2"),
            (&blue, "blue", "10.65.0.1", "10.65.0.2"),
            (&server, "out", "10.9.0.1", "10.9.0.2"),
        ] {
            let name = end.namespace().name().to_owned();
            gate.ip(&format!("link add {device} type veth peer name eth0 netns {name}"));
            gate.ip(&format!("link set {device} up"));
            gate.ip(&format!("address add {own}/16 dev {device}"));
            end.ip("link set eth0 up");
            end.ip("link set lo up");
            end.ip(&format!("address add {theirs}/16 dev eth0"));
            end.ip(&format!("route add default via {own}"));
            let six = |address: &str| format!("fd{}::", address.split('.').nth(1).unwrap());
            gate.ip(&format!("address add {}1/64 dev {device} nodad", six(own)));
            // A real device of a tenant knows no neighbours; here their packets would be filtered too.
            let hardware = end.run("cat", &["/sys/class/net/eth0/address"]);
            gate.ip(&format!("neigh add {}2 lladdr {} dev {device}", six(own), hardware.trim()));
            let hardware = gate.run("cat", &[&format!("/sys/class/net/{device}/address")]);
            end.ip(&format!("neigh add {}1 lladdr {} dev eth0", six(own), hardware.trim()));
            end.ip(&format!("address add {}2/64 dev eth0 nodad", six(own)));
            end.ip(&format!("-6 route add default via {}1", six(own)));
        }
        acme.ip("address add 10.64.0.3/16 dev eth0");
        for address in ["10.9.0.3/16", "169.254.169.254/32"] {
            server.ip(&format!("address add {address} dev eth0"));
        }
        gate.ip("route add 169.254.169.254 via 10.9.0.2");
        gate.ip("-6 route add fd00:ec2::254 via fd9::2");
        for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            gate.run("sh", &["-c", &format!("echo 1 > /proc/sys/net/{key}")]);
        }
        let folder = format!("isthmus-filter-{}-{role}", std::process::id());
        let listeners = [&gate, &acme, &blue, &server].map(listen).into();
        Self { gate, acme, blue, server, state: std::env::temp_dir().join(folder), listeners }
    }

    fn reconciler(&self) -> Reconciler {
        let options = Options {
            namespace: Some(self.gate.namespace()),
            state_folder: self.state.clone(),
            ..Options::named("gate")
        };
        Reconciler::new(options).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for listener in &mut self.listeners {
            // It ends with its namespace at the latest.
            let _ = listener.kill();
            let _ = listener.wait();
        }
    }
}

/// Listens on every port that tests try, so that a refusal comes from the way and not from the end.
fn listen(space: &Space) -> Child {
    let script = "import select, socket
ends = [socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True) for port in PORTS]
print('ready', flush=True)
while True:
    for end in select.select(ends, [], [])[0]:
        end.accept()[0].close()";
    let script = script.replace("PORTS", &format!("{PORTS:?}"));
    let mut command = space.command("python3", &["-c", &script]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    child
}

/// The ports that tests try.
const PORTS: [u16; 5] = [24, 25, 80, 443, 444];

/// Opens a connection from an address, where one is given.
fn connect(from: &Space, source: Option<&str>, to: &str, port: u16) -> Outcome {
    let script = "import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[2] else socket.AF_INET
end = socket.socket(family)
end.settimeout(1)
if sys.argv[1]:
    end.bind((sys.argv[1], 0))
try:
    end.connect((sys.argv[2], int(sys.argv[3])))
    print('open')
except ConnectionRefusedError:
    print('refused')
except TimeoutError:
    print('silence')";
    let port = port.to_string();
    let told = from.run("python3", &["-c", script, source.unwrap_or_default(), to, &port]);
    match told.trim() {
        "open" => Outcome::Passed,
        "refused" => Outcome::Refused,
        "silence" => Outcome::Silence,
        other => panic!("{to} {port}: {other}"),
    }
}

fn nets(text: &str) -> Vec<IpNet> {
    text.split_whitespace().map(|net| net.parse().unwrap()).collect()
}

fn entries(verdict: Verdict, to: &str) -> Entries {
    let (from, ports) = (Vec::new(), Vec::new());
    Entries { name: to.to_owned(), verdict, from, nets: nets(to), ports }
}

fn ports(to: &str, protocol: u8, ports: std::ops::RangeInclusive<u16>) -> Ports {
    Ports { to: to.parse().unwrap(), protocol, ports }
}

fn guard(device: &str, own: &str, lists: Vec<List>) -> Guard {
    Guard {
        device: device.to_owned(),
        own: own.split_whitespace().map(|own| own.parse().unwrap()).collect(),
        forbidden: nets("169.254.169.254/32 fd00:ec2::254/128"),
        reaches: Vec::new(),
        inbound: Verdict::Allow,
        lists,
    }
}

/// Both tenants, the first with these lists.
fn guarded(lists: Vec<List>, entries: Vec<Entries>) -> Desired {
    let guards = vec![
        guard("acme", "10.64.0.1 fd64::1", lists),
        guard("blue", "10.65.0.1 fd65::1", Vec::new()),
    ];
    let firewall = Firewall { filter: Filter { guards, entries }, ..Firewall::default() };
    Desired { firewall, ..Desired::default() }
}

#[tokio::test]
async fn tenants_reach_neither_each_other_nor_the_metadata_of_the_cloud() {
    let site = Site::new("apart");
    let mut reconciler = site.reconciler();
    assert_eq!(connect(&site.acme, None, "10.65.0.2", 80), Outcome::Passed, "before");
    let mut desired = guarded(Vec::new(), Vec::new());
    reconciler.apply(&desired).await.unwrap();
    assert!(reconciler.plan(&desired).await.unwrap().is_empty());
    for (to, outcome) in [
        ("10.9.0.2", Outcome::Passed),
        ("fd9::2", Outcome::Passed),
        ("10.64.0.1", Outcome::Passed),
        ("fd64::1", Outcome::Passed),
        ("10.65.0.2", Outcome::Refused),
        ("fd65::2", Outcome::Refused),
        ("10.65.0.1", Outcome::Refused),
        ("fd65::1", Outcome::Refused),
        ("169.254.169.254", Outcome::Refused),
        ("fd00:ec2::254", Outcome::Refused),
    ] {
        assert_eq!(connect(&site.acme, None, to, 80), outcome, "{to}");
    }
    assert_eq!(connect(&site.server, None, "10.64.0.2", 80), Outcome::Passed, "from outside");

    desired.firewall.filter.guards[0].reaches = vec!["blue".to_owned()];
    desired.firewall.filter.guards[1].inbound = Verdict::Deny;
    reconciler.apply(&desired).await.unwrap();
    assert_eq!(connect(&site.acme, None, "10.65.0.2", 80), Outcome::Passed, "now allowed");
    assert_eq!(connect(&site.blue, None, "10.64.0.2", 80), Outcome::Refused, "one way only");
    assert_eq!(connect(&site.server, None, "10.65.0.2", 80), Outcome::Refused, "closed");
    assert_eq!(connect(&site.server, None, "10.64.0.2", 80), Outcome::Passed, "open");
    assert_eq!(connect(&site.blue, None, "10.9.0.2", 80), Outcome::Passed, "answers come back");
}

#[tokio::test]
async fn the_first_entries_that_fit_decide() {
    let site = Site::new("list");
    let mut reconciler = site.reconciler();
    let mut first = entries(Verdict::Deny, "10.9.0.3/32");
    first.ports = vec![ports("10.9.0.0/16", 6, 25..=25), ports("::/0", 6, 25..=25)];
    let mut second = entries(Verdict::Allow, "fd9::/16");
    second.ports = vec![
        ports("10.9.0.0/24", 6, 20..=80),
        ports("10.9.0.2/32", 6, 443..=443),
        ports("0.0.0.0/0", 1, 0..=65_535),
    ];
    let mut third = entries(Verdict::Allow, "0.0.0.0/0");
    third.from = nets("10.64.0.3/32");
    let list = List { class: None, entries: vec![0, 1, 2], default: Verdict::Deny };
    let desired = guarded(vec![list], vec![first, second, third]);
    reconciler.apply(&desired).await.unwrap();
    assert!(reconciler.plan(&desired).await.unwrap().is_empty());
    for (source, to, port, outcome) in [
        ("", "10.9.0.3", 80, Outcome::Refused),
        ("", "10.9.0.2", 25, Outcome::Refused),
        ("", "10.9.0.2", 24, Outcome::Passed),
        ("", "10.9.0.2", 443, Outcome::Passed),
        ("", "10.9.0.2", 444, Outcome::Refused),
        ("", "fd9::2", 444, Outcome::Passed),
        ("", "fd9::2", 25, Outcome::Refused),
        ("", "10.64.0.1", 80, Outcome::Refused),
        ("10.64.0.3", "10.9.0.2", 444, Outcome::Passed),
        ("10.64.0.3", "10.9.0.3", 444, Outcome::Refused),
    ] {
        let source = Some(source).filter(|source| !source.is_empty());
        assert_eq!(connect(&site.acme, source, to, port), outcome, "{source:?} {to} {port}");
    }
    site.acme.run("ping", &["-c", "1", "-W", "1", "10.64.0.1"]);
    let pings = |to: &str| {
        let output = site.acme.command("ping", &["-c", "1", "-W", "1", to]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(pings("10.9.0.3").contains("Packet filtered"), "{}", pings("10.9.0.3"));
    assert_eq!(connect(&site.server, None, "10.64.0.2", 80), Outcome::Passed, "answers pass");
}

#[tokio::test]
async fn a_source_has_what_its_class_may_and_nobody_has_nothing() {
    let site = Site::new("class");
    let mut reconciler = site.reconciler();
    let list = |class: u16, entries: Vec<usize>| List {
        class: Some(class),
        entries,
        default: Verdict::Deny,
    };
    let lists = vec![list(7, vec![0]), list(300, vec![1, 0])];
    let shared = vec![
        entries(Verdict::Allow, "10.9.0.2/32 fd9::2/128"),
        entries(Verdict::Deny, "10.9.0.2/32"),
    ];
    let mut desired = guarded(lists, shared);
    let member = |source: &str, class| Member { source: source.parse().unwrap(), class };
    desired.firewall.members = vec![member("10.64.0.2/32", 7), member("fd64::/64", 7)];
    let made = reconciler.apply(&desired).await.unwrap();
    assert!(matches!(made.0[..], [Change::SetFirewall(_)]), "{made}");
    let from = |source: &str, to: &str| connect(&site.acme, Some(source), to, 80);
    assert_eq!(from("10.64.0.2", "10.9.0.2"), Outcome::Passed);
    assert_eq!(from("fd64::2", "fd9::2"), Outcome::Passed);
    assert_eq!(from("10.64.0.2", "10.9.0.3"), Outcome::Refused);
    assert_eq!(from("10.64.0.3", "10.9.0.2"), Outcome::Silence, "of no class");

    // Who comes, goes or changes class costs no new table.
    desired.firewall.members[0].class = 300;
    desired.firewall.members.push(member("10.64.0.3/32", 7));
    desired.firewall.members.push(member("192.168.40.0/24", 300));
    let made = reconciler.apply(&desired).await.unwrap();
    assert!(matches!(made.0[..], [Change::SetMembers { .. }]), "{made}");
    assert_eq!(from("10.64.0.2", "10.9.0.2"), Outcome::Refused, "of another class");
    assert_eq!(from("10.64.0.3", "10.9.0.2"), Outcome::Passed);
    assert!(reconciler.plan(&desired).await.unwrap().is_empty());

    let gone = desired.firewall.members.remove(2);
    reconciler.exchange(vec![gone.clone()], Vec::new()).await.unwrap();
    assert!(reconciler.plan(&desired).await.unwrap().is_empty());
    assert_eq!(from("10.64.0.3", "10.9.0.2"), Outcome::Silence, "gone");
    reconciler.exchange(vec![gone], Vec::new()).await.unwrap_err();

    // What somebody else does to members is seen and mended.
    site.gate.run("nft", &["flush", "map", "inet", "isthmus_gate", "sessions_ip"]);
    let made = reconciler.apply(&desired).await.unwrap();
    assert!(matches!(made.0[..], [Change::SetMembers { .. }]), "{made}");
    assert_eq!(from("10.64.0.2", "10.9.0.2"), Outcome::Refused);
}

#[tokio::test]
async fn ten_thousand_entries_are_written_at_once() {
    let site = Site::new("many");
    let mut reconciler = site.reconciler();
    let mut many = entries(Verdict::Allow, "");
    many.nets = (0..5_000u32)
        .map(|n| IpNet::new(std::net::Ipv4Addr::from(0x0b00_0000 + 2 * n).into(), 32).unwrap())
        .collect();
    many.ports = (0..5_000u32)
        .map(|n| {
            let to =
                IpNet::new(std::net::Ipv4Addr::from(0x0c00_0000 + n * 256).into(), 24).unwrap();
            Ports { to, protocol: 6, ports: 1..=u16::try_from(n + 1).unwrap() }
        })
        .collect();
    many.nets.extend(nets("10.9.0.2/32"));
    let list = List { class: None, entries: vec![0], default: Verdict::Deny };
    let desired = guarded(vec![list], vec![many]);
    reconciler.apply(&desired).await.unwrap();
    assert!(reconciler.plan(&desired).await.unwrap().is_empty());
    assert_eq!(connect(&site.acme, None, "10.9.0.2", 80), Outcome::Passed);
    assert_eq!(connect(&site.acme, None, "10.9.0.3", 80), Outcome::Refused);
}

#[tokio::test]
async fn packets_of_other_devices_are_not_looked_at() {
    let site = Site::new("others");
    let mut reconciler = site.reconciler();
    let list = List { class: None, entries: Vec::new(), default: Verdict::Deny };
    let mut desired = guarded(vec![list], Vec::new());
    desired.firewall.filter.guards.remove(1);
    let link = NextHop::Link("blue".to_owned());
    let destination = "10.77.0.0/16".parse().unwrap();
    desired.routes.push(Route { destination, table: 254, metric: None, next: link, source: None });
    reconciler.apply(&desired).await.unwrap();
    assert_eq!(connect(&site.acme, None, "10.9.0.2", 80), Outcome::Refused);
    assert_eq!(connect(&site.blue, None, "10.9.0.2", 80), Outcome::Passed);
    assert_eq!(connect(&site.server, None, "10.65.0.2", 80), Outcome::Passed);
}
