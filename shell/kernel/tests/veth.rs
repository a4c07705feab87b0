//! Devices that lead from one network namespace into another, on the real kernel.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../../net/tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use isthmus_kernel::{Desired, Link, Options, Reconciler, Veth};
use support::Space;

/// A namespace, another one, and what leads from the first into the second.
struct Pair {
    near: Space,
    far: Space,
    state: PathBuf,
    desired: Desired,
}

impl Pair {
    fn new(role: &str) -> Self {
        let (near, far) = (Space::new(role), Space::new(role));
        let folder = format!("isthmus-veth-{}-{role}", std::process::id());
        let into = Some(far.namespace().name().to_owned());
        let veth = Veth { name: "isv0".to_owned(), into, mtu: 1600 };
        let links = vec![Link { name: "isv0".to_owned(), up: true, mtu: Some(1600) }];
        let desired = Desired { veths: vec![veth], links, ..Desired::default() };
        Self { near, far, state: std::env::temp_dir().join(folder), desired }
    }

    fn reconciler(&self, name: &str) -> Reconciler {
        let namespace = Some(self.near.namespace());
        let state_folder = self.state.clone();
        // Like a process that is killed.
        let keep_on_drop = true;
        Reconciler::new(Options { namespace, state_folder, keep_on_drop, ..Options::named(name) })
            .unwrap()
    }
}

fn index(space: &Space) -> String {
    let shown = space.ip("-o link show isv0");
    shown.split(':').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_pair_is_made_once_taken_over_repaired_and_removed_at_both_ends() {
    let pair = Pair::new("pair");
    let mut first = pair.reconciler("gate");
    let made = first.apply(&pair.desired).await.unwrap().to_string();
    assert!(made.starts_with("add devices isv0 here and in namespace isu"), "{made}");
    for space in [&pair.near, &pair.far] {
        assert!(space.ip("link show isv0").contains("mtu 1600"));
    }
    let made_first = index(&pair.near);
    assert!(first.apply(&pair.desired).await.unwrap().is_empty());
    drop(first);

    let mut second = pair.reconciler("gate");
    assert!(second.apply(&pair.desired).await.unwrap().is_empty(), "it was taken over");
    assert_eq!(index(&pair.near), made_first);
    pair.far.ip("link delete isv0");
    let plan = second.plan(&pair.desired).await.unwrap().to_string();
    assert!(plan.ends_with("add link isv0 up mtu 1600"), "{plan}");
    assert_eq!(second.apply(&pair.desired).await.unwrap().len(), 2);
    // One without a label is what a crash leaves while it is made.
    pair.near.run("ip", &["link", "set", "isv0", "alias", ""]);
    assert_eq!(second.apply(&pair.desired).await.unwrap().len(), 3, "removed, made, brought up");
    let gone = second.remove_all().await.unwrap();
    assert_eq!(gone.to_string(), "remove device isv0 and its other end");
    for space in [&pair.near, &pair.far] {
        assert_eq!(space.ip("-o link show type veth"), "");
    }
}

#[tokio::test]
async fn a_namespace_that_is_away_or_made_anew_is_followed() {
    let mut pair = Pair::new("away");
    let mut reconciler = pair.reconciler("gate");
    reconciler.apply(&pair.desired).await.unwrap();
    let veth = Veth { into: Some("isthmus-none".to_owned()), ..pair.desired.veths[0].clone() };
    pair.desired.veths = vec![veth];
    let made = reconciler.apply(&pair.desired).await.unwrap();
    assert_eq!(made.to_string(), "remove device isv0 and its other end");
    assert!(reconciler.apply(&pair.desired).await.unwrap().is_empty(), "nothing can be had");
    assert_eq!(pair.far.ip("-o link show type veth"), "");
}

#[tokio::test]
async fn devices_of_others_stay() {
    let pair = Pair::new("others");
    pair.near.ip("link add theirs group 173 type veth peer name theirsp");
    pair.near.run("ip", &["link", "set", "theirs", "alias", "isthmus other: into b (7)"]);
    pair.near.ip("link add own type veth peer name ownp");
    pair.near.run("ip", &["link", "set", "own", "alias", "isthmus gate: into b (7)"]);
    let before = pair.near.ip("-d link show");
    let mut reconciler = pair.reconciler("gate");
    reconciler.apply(&pair.desired).await.unwrap();
    reconciler.remove_all().await.unwrap();
    assert_eq!(pair.near.ip("-d link show"), before);
    // Somebody else's device has the name.
    pair.near.ip("link add isv0 type veth peer name isv0p");
    let refused = reconciler.apply(&pair.desired).await.unwrap_err().to_string();
    assert!(refused.contains("somebody else has one that differs"), "{refused}");
}
