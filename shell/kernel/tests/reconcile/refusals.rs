//! What cannot be done is named, and the rest is done.

use isthmus_kernel::{Desired, KernelError, NextHop, Options, Reconciler, RuleAction, Translation};

use crate::machine::{Machine, assert_unchanged, everything, route, via};
use crate::support::{CapabilitySet, without};

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
