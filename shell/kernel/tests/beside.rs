//! Planning beside a gateway that runs, on the real kernel.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../net/tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::PathBuf;

use isthmus_kernel::{
    Change, Desired, Firewall, Guard, List, Member, Nat, Options, Reconciler, Translation, Verdict,
};
use support::Space;

/// A namespace, and where its gateway keeps what it has to.
struct Machine {
    space: Space,
    state: PathBuf,
}

impl Machine {
    fn new(role: &str) -> Self {
        let folder = format!("isthmus-beside-{}-{role}", std::process::id());
        Self { space: Space::new(role), state: std::env::temp_dir().join(folder) }
    }

    fn options(&self) -> Options {
        Options {
            namespace: Some(self.space.namespace()),
            state_folder: self.state.clone(),
            ..Options::named("gate")
        }
    }

    /// What a process beside the gateway would change.
    async fn plan(&self, desired: &Desired) -> Vec<Change> {
        let options = Options { beside: true, keep_on_drop: true, ..self.options() };
        Reconciler::new(options).unwrap().plan(desired).await.unwrap().0
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.state).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn translation() -> Desired {
    let nat = Nat::new("10.64.0.0/20".parse().unwrap(), Translation::Masquerade);
    let firewall = Firewall { nat: vec![nat], ..Firewall::default() };
    Desired { firewall, ..Desired::default() }
}

fn classes() -> Desired {
    let list = List { class: Some(7), entries: Vec::new(), default: Verdict::Deny };
    let guard = Guard {
        device: "tun9".to_owned(),
        own: Vec::new(),
        forbidden: Vec::new(),
        reaches: Vec::new(),
        inbound: Verdict::Allow,
        lists: vec![list],
    };
    let mut desired = translation();
    desired.firewall.filter.guards.push(guard);
    desired
}

#[tokio::test]
async fn what_the_gateway_noted_holds_until_somebody_changes_a_table() {
    let (machine, wanted) = (Machine::new("note"), translation());
    let mut gateway = Reconciler::new(machine.options()).unwrap();
    gateway.apply(&wanted).await.unwrap();
    let name = machine.space.namespace().name().to_owned();
    let files = ["generation", "json"].map(|kind| format!("gate@{name}.{kind}"));
    assert_eq!(machine.files(), files);
    assert_eq!(machine.plan(&wanted).await, []);

    // What is noted is all that is looked at: with a listing that no table has, nothing is found.
    let file = machine.state.join(format!("gate@{name}.json"));
    let kept = fs::read_to_string(&file).unwrap();
    let other = kept.replace(r#"\"masquerade\""#, r#"\"accept\""#);
    assert_ne!(other, kept);
    fs::write(&file, other).unwrap();
    assert_eq!(machine.plan(&wanted).await, []);
    fs::write(&file, kept).unwrap();

    machine.space.run("nft", &["add table ip somebody"]);
    assert_eq!(machine.plan(&wanted).await, [], "it is read again, and is as it was");
    machine.space.run("nft", &["flush chain inet isthmus_gate postrouting"]);
    let found = machine.plan(&wanted).await;
    assert!(matches!(found[..], [Change::SetFirewall(_)]), "{found:?}");
    assert_eq!(gateway.apply(&wanted).await.unwrap().len(), 1);
    assert_eq!(machine.plan(&wanted).await, []);

    gateway.remove_all().await.unwrap();
    assert!(!machine.state.exists(), "no note stays");
    machine.space.run("nft", &["delete table ip somebody"]);
}

#[tokio::test]
async fn members_that_come_and_go_leave_the_rest_as_it_was() {
    let (machine, mut wanted) = (Machine::new("members"), classes());
    let mut gateway = Reconciler::new(machine.options()).unwrap();
    gateway.apply(&wanted).await.unwrap();
    let member = |n: u8| Member { source: format!("10.64.0.{n}/32").parse().unwrap(), class: 7 };
    gateway.exchange(Vec::new(), vec![member(2), member(1)]).await.unwrap();
    gateway.exchange(vec![member(2)], vec![member(3)]).await.unwrap();
    assert_eq!(machine.plan(&wanted).await, [], "whose members they are is not its affair");
    wanted.firewall.members = vec![member(3), member(1)];
    assert!(gateway.apply(&wanted).await.unwrap().is_empty());

    // Somebody else's change comes between two of ours.
    let element = "{ 10.64.0.1 }";
    machine.space.run("nft", &[&format!("delete element inet isthmus_gate sessions_ip {element}")]);
    gateway.exchange(Vec::new(), vec![member(4)]).await.unwrap();
    wanted.firewall.members.push(member(4));
    let made = gateway.apply(&wanted).await.unwrap();
    let missing = Change::SetMembers { remove: Vec::new(), add: vec![member(1)] };
    assert_eq!(made.0, [missing]);
    gateway.remove_all().await.unwrap();
}
