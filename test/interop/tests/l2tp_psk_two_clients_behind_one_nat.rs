//! The scenario `scenarios/l2tp-psk-two-clients-behind-one-nat`: its README says what must hold.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, Gateway, KernelState, Lab, LabError, Peer, Scenario};

#[test]
fn two_clients_behind_one_nat_are_served_at_once() -> Result<(), LabError> {
    let mut lab = Lab::around_a_host("l2tp-psk-two-clients", Access::Nat)?;
    let scenario = Scenario::assemble(&lab, "l2tp-psk-two-clients-behind-one-nat")?;
    let before = KernelState::read(lab.gateway())?;
    let mut gateway = Gateway::start(&lab, &scenario.gateway())?;
    let mut first = Peer::start(&lab, &scenario)?;
    let mut second = Peer::start_second(&lab, &scenario)?;
    first.wait_ready(&lab)?;
    second.wait_ready(&lab)?;

    let one = first.connect(&lab, POOL)?;
    first.ping(&lab)?;
    let two = second.connect(&lab, POOL)?;
    assert_ne!(one, two);
    gateway.wait_count("sessions", 2, STATUS_LIMIT)?;
    first.use_tunnel(&lab)?;
    second.use_tunnel(&lab)?;

    first.rekey_child(&lab)?;
    second.ping(&lab)?;
    first.disconnect(&lab)?;
    gateway.wait_count("sessions", 1, STATUS_LIMIT)?;
    second.ping(&lab)?;
    first.connect(&lab, POOL)?;
    first.ping(&lab)?;
    second.ping(&lab)?;
    let status = gateway.status()?;
    assert_eq!((status.count("peers")?, status.count("sessions")?), (2, 2), "{status}");

    for peer in [&mut first, &mut second] {
        peer.disconnect(&lab)?;
        peer.stop(&lab)?;
    }
    gateway.wait_count("peers", 0, STATUS_LIMIT)?;
    assert!(gateway.stop(&lab)?.success());
    before.refuse_leftovers(&KernelState::read(lab.gateway())?)?;

    let wire = lab.stop_capture()?;
    wire.refuse_clear_l2tp()?;
    assert!(wire.esp_in_udp > 0 && wire.esp_octets > 2 * DOWNLOAD_OCTETS, "{wire:?}");
    assert_eq!(wire.esp_plain, 0, "behind a NAT all ESP is in UDP");
    lab.passed();
    Ok(())
}

/// The pool in gateway.toml.
const POOL: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// How long the gateway's own view may lag behind the clients'.
const STATUS_LIMIT: Duration = Duration::from_secs(10);
/// The file is 10 MiB of random octets, which nothing can make shorter.
const DOWNLOAD_OCTETS: u64 = 10 << 20;
