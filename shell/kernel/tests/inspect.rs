//! What is in force beside what is wanted, on the real kernel.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../../net/tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use isthmus_kernel::{
    Desired, Entries, Entry, Filter, Firewall, Found, Guard, Inspection, Interest, IpVersion, List,
    MAIN_TABLE, Nat, NextHop, Options, Reconciler, Route, Rule, RuleAction, Standing, Translation,
    Verdict,
};
use support::Space;

struct Machine {
    space: Space,
    gateway: Reconciler,
    state: PathBuf,
}

impl Machine {
    fn new(role: &str) -> Self {
        let space = Space::new(role);
        space.ip("link set lo up");
        let folder = format!("isthmus-inspect-{}-{role}", std::process::id());
        let state = std::env::temp_dir().join(folder);
        let options = options(&space, &state);
        Self { gateway: Reconciler::new(options).unwrap(), space, state }
    }

    /// What another process sees.
    async fn inspect(&self, desired: &Desired) -> Inspection {
        let beside =
            Options { beside: true, keep_on_drop: true, ..options(&self.space, &self.state) };
        let interest =
            Interest { inside: vec!["10.0.0.0/8".parse().unwrap()], outside: Vec::new() };
        Reconciler::new(beside).unwrap().inspect(desired, interest).await.unwrap()
    }
}

fn options(space: &Space, state: &std::path::Path) -> Options {
    let namespace = Some(space.namespace());
    Options { namespace, state_folder: state.to_owned(), ..Options::named("gate") }
}

fn blackhole(to: &str) -> Route {
    let destination = to.parse().unwrap();
    Route { destination, table: MAIN_TABLE, metric: None, next: NextHop::Blackhole, source: None }
}

fn rule(priority: u32) -> Rule {
    let (from, to, input, output, mark) = (None, None, Some("lo".to_owned()), None, None);
    let (version, action) = (IpVersion::V4, RuleAction::Lookup(MAIN_TABLE));
    Rule { priority, version, from, to, input, output, mark, action }
}

fn wanted() -> Desired {
    let entries = Entries {
        name: "web".to_owned(),
        verdict: Verdict::Allow,
        from: Vec::new(),
        nets: vec!["10.9.0.0/16".parse().unwrap(), "10.8.0.0/16".parse().unwrap()],
        ports: Vec::new(),
    };
    let guard = Guard {
        device: "tun9".to_owned(),
        own: vec!["10.64.0.1".parse().unwrap()],
        forbidden: vec!["169.254.169.254/32".parse().unwrap()],
        reaches: Vec::new(),
        inbound: Verdict::Deny,
        lists: vec![List { class: None, entries: vec![0], default: Verdict::Deny }],
    };
    let nat = ["10.64.0.0/20", "10.65.0.0/20"]
        .map(|source| Nat::new(source.parse().unwrap(), Translation::Masquerade));
    Desired {
        routes: vec![blackhole("10.64.0.0/20"), blackhole("10.65.0.0/20")],
        rules: vec![rule(17_300), rule(17_301)],
        firewall: Firewall {
            nat: nat.into(),
            filter: Filter { guards: vec![guard], entries: vec![entries] },
            ..Firewall::default()
        },
        ..Desired::default()
    }
}

fn amiss<T: ToString>(found: &[Found<T>]) -> Vec<(String, Standing)> {
    let amiss = found.iter().filter(|one| one.standing != Standing::AsWanted);
    amiss.map(|one| (one.what.to_string(), one.standing)).collect()
}

#[tokio::test]
async fn everything_is_as_wanted_until_somebody_changes_it() {
    let (mut machine, wanted) = (Machine::new("inspect"), wanted());
    let before = machine.inspect(&wanted).await;
    assert!(before.firewall.iter().all(|one| one.standing == Standing::Missing));
    machine.gateway.apply(&wanted).await.unwrap();
    let whole = machine.inspect(&wanted).await;
    assert_eq!((whole.routes.len(), whole.rules.len(), whole.firewall.len()), (2, 2, 7));
    assert_eq!((amiss(&whole.routes), amiss(&whole.rules)), (vec![], vec![]));
    assert_eq!(amiss(&whole.firewall), []);
    let counted = whole.firewall.iter().find(|one| matches!(one.what, Entry::Entries { .. }));
    assert_eq!(counted.unwrap().packets, Some(0));

    let space = &machine.space;
    space.ip("route delete blackhole 10.64.0.0/20");
    space.ip("route add blackhole 10.66.0.0/20 proto static");
    space.ip("rule delete priority 17301");
    space.ip("rule add priority 900 from 10.1.0.0/16 lookup 77");
    for command in [
        "add table ip theirs",
        "insert rule inet isthmus_gate postrouting ip saddr 10.64.0.7 accept",
        "delete element inet isthmus_gate nets_ip_0 { 10.8.0.0/16 }",
        "flush chain inet isthmus_gate list_0",
    ] {
        space.run("nft", &[command]);
    }
    let found = machine.inspect(&wanted).await;
    let [gone, ..] = &wanted.routes[..] else { unreachable!() };
    assert_eq!(amiss(&found.routes), [(gone.to_string(), Standing::Missing)]);
    assert_eq!(amiss(&found.rules), [(rule(17_301).to_string(), Standing::Missing)]);
    let theirs = "10.66.0.0/20".parse().unwrap();
    assert!(found.other_routes.iter().any(|(_, route)| route.destination == theirs));
    assert!(found.other_rules.iter().any(|rule| rule.priority == 900));
    assert_eq!(found.tables, ["ip theirs"]);
    let rule = "rule web of tun9: allow 10.9.0.0/16, 10.8.0.0/16";
    let strange = "rule in chain postrouting: ip saddr 10.64.0.7 accept";
    let expected = [
        (rule.to_owned(), Standing::Altered),
        ("deny everything else from tun9".to_owned(), Standing::Missing),
        (strange.to_owned(), Standing::Foreign),
    ];
    assert_eq!(amiss(&found.firewall), expected);
    let altered = found.firewall.iter().find(|one| one.standing == Standing::Altered).unwrap();
    assert_eq!(altered.differs, ["-10.8.0.0/16"]);

    machine.gateway.apply(&wanted).await.unwrap();
    assert_eq!(amiss(&machine.inspect(&wanted).await.firewall), []);
    machine.gateway.remove_all().await.unwrap();
}

#[tokio::test]
async fn another_configuration_changes_entries_one_by_one() {
    let (mut machine, wanted) = (Machine::new("entries"), wanted());
    machine.gateway.apply(&wanted).await.unwrap();
    let mut other = wanted.clone();
    other.firewall.nat.remove(0);
    other.firewall.filter.entries[0].nets.push("10.7.0.0/16".parse().unwrap());
    other.firewall.filter.guards[0].forbidden.clear();
    let options =
        Options { beside: true, keep_on_drop: true, ..options(&machine.space, &machine.state) };
    let found = Reconciler::new(options).unwrap().firewall_changes(&other).await.unwrap();
    let expected = [
        ("rule web of tun9: allow 10.9.0.0/16, 10.8.0.0/16, 10.7.0.0/16", Standing::Altered),
        ("deny 169.254.169.254/32 from tun9", Standing::Unwanted),
        ("translate 10.64.0.0/20 to the link's own address", Standing::Unwanted),
    ];
    assert_eq!(amiss(&found), expected.map(|(what, standing)| (what.to_owned(), standing)));
    assert_eq!(found[0].differs, ["+10.7.0.0/16"]);
    machine.gateway.remove_all().await.unwrap();
}
