//! Probes that an operator sends in the name of whoever is connected.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::net::IpAddr;

use isthmus_core::{Duration, Key};
use isthmus_gateway::{Event, PROBES_PER_SECOND_MAX, ProbeRefusal};
use isthmus_sim::{NodeId, World, settings};
use isthmus_wire::ip::Ip;
use isthmus_wire::probe::{Kind, Probe};

const LIMIT: Duration = Duration::from_mins(1);
const CLOUD: &str = "172.16.0.9";

/// A client that is connected, its session and its address.
fn connected() -> (World, NodeId, Key, IpAddr) {
    let (mut world, gateway) = World::around(1, settings::gateway());
    let client = world.dial(settings::client("198.51.100.7", "user1"));
    world.wait_up(client, LIMIT);
    let session = world.gateway(gateway).machine.sessions().remove(0);
    (world, gateway, session.session, session.address.unwrap().into())
}

fn probe(source: IpAddr, to: &str) -> Probe {
    Probe::new(source, to.parse().unwrap(), Kind::Tcp(443), 7).unwrap()
}

/// What becomes of a probe, and the packets that come out of the session for it.
fn send(
    world: &mut World,
    gateway: NodeId,
    session: Key,
    probe: Probe,
) -> (Result<(), ProbeRefusal>, Vec<Vec<u8>>) {
    let mut outcome = Ok(());
    let mut out = Vec::new();
    world.with_gateway(gateway, |host, now| {
        outcome = host.machine.send_probe(session, &probe, now);
        while let Some(action) = host.machine.poll_action() {
            match action {
                isthmus_gateway::Action::Event(event) => host.events.push(event),
                isthmus_gateway::Action::Plane(command) => host.pipeline.apply(command, now),
                isthmus_gateway::Action::Offload { .. } => panic!("a probe needs no arithmetic"),
            }
        }
        out = std::mem::take(&mut host.pipeline.inner)
            .into_iter()
            .map(|(_, packet)| packet)
            .collect();
    });
    (outcome, out)
}

#[test]
fn a_probe_comes_out_of_its_session_and_is_told() {
    let (mut world, gateway, session, own) = connected();
    let probe = probe(own, CLOUD);
    let (outcome, out) = send(&mut world, gateway, session, probe);
    assert_eq!(outcome, Ok(()));
    assert_eq!(out.len(), 1);
    let ip = Ip::new(&out[0]).unwrap();
    assert_eq!((ip.source(), ip.destination()), (own, probe.destination()));
    let told = world.gateway(gateway).events.iter().any(|event| {
        matches!(event, Event::ProbeSent { user, tenant, source, port: Some(443), protocol: 6, .. }
            if user == "user1" && !tenant.is_empty() && *source == own)
    });
    assert!(told);
}

#[test]
fn probes_that_are_no_packets_of_the_session_are_refused() {
    let (mut world, gateway, session, own) = connected();
    let foreign: IpAddr = [10, 99, 0, 1].into();
    let six: IpAddr = "2001:db8::1".parse().unwrap();
    for (session, probe, refusal) in [
        (session, probe(foreign, CLOUD), ProbeRefusal::Source { own: own.to_string() }),
        (session, probe(six, "2001:db8::2"), ProbeRefusal::NotUp),
        (session, probe(own, "224.0.0.5"), ProbeRefusal::Destination),
        (Key::from_raw(77), probe(own, CLOUD), ProbeRefusal::Unknown),
    ] {
        assert_eq!(send(&mut world, gateway, session, probe), (Err(refusal), Vec::new()));
    }
    assert!(
        !world.gateway(gateway).events.iter().any(|event| matches!(event, Event::ProbeSent { .. }))
    );
}

#[test]
fn a_session_that_has_ended_sends_none() {
    let (mut world, gateway, session, own) = connected();
    world.with_gateway(gateway, |host, now| {
        assert!(host.machine.disconnect(session, now));
        host.settle(now);
    });
    world.run_for(Duration::from_secs(10));
    let (outcome, out) = send(&mut world, gateway, session, probe(own, CLOUD));
    assert_eq!((outcome, out), (Err(ProbeRefusal::Unknown), Vec::new()));
}

#[test]
fn more_probes_than_a_second_may_have_are_refused_until_it_is_over() {
    let (mut world, gateway, session, own) = connected();
    for _ in 0..PROBES_PER_SECOND_MAX {
        assert_eq!(send(&mut world, gateway, session, probe(own, CLOUD)).0, Ok(()));
    }
    let (outcome, out) = send(&mut world, gateway, session, probe(own, CLOUD));
    assert_eq!((outcome, out), (Err(ProbeRefusal::TooMany), Vec::new()));
    world.run_for(Duration::from_secs(1));
    assert_eq!(send(&mut world, gateway, session, probe(own, CLOUD)).0, Ok(()));
}
