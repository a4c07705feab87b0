//! How a run may end, and what the next one finds.

use std::collections::BTreeMap;
use std::{fs, panic};

use isthmus_kernel::{Change, Desired, Link};

use crate::machine::{Machine, assert_unchanged, everything, nothing, routes};
use crate::support::Space;

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
