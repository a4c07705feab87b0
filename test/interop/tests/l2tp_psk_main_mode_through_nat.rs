//! The scenario `scenarios/l2tp-psk-main-mode-through-nat`: its README says what must hold.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, Gateway, KernelState, Lab, LabError, Peer, Scenario};

#[test]
fn a_strongswan_and_xl2tpd_client_behind_a_nat_is_served() -> Result<(), LabError> {
    let mut lab = Lab::around_a_host("l2tp-psk-main-mode-through-nat", Access::NatRewritingPorts)?;
    let scenario = Scenario::assemble(&lab, "l2tp-psk-main-mode-through-nat")?;
    let before = KernelState::read(lab.gateway())?;
    let mut gateway = Gateway::start(&lab, &scenario.gateway())?;
    let mut peer = Peer::start(&lab, &scenario)?;
    peer.wait_ready(&lab)?;

    let address = peer.connect(&lab, POOL)?;
    let status = gateway.wait_count("sessions", 1, STATUS_LIMIT)?;
    assert_eq!(status.count("peers")?, 1, "{status}");
    let sessions = gateway.sessions()?;
    assert!(sessions.mentions("alice") && sessions.mentions(&address.to_string()), "{sessions}");
    peer.use_tunnel(&lab)?;

    peer.rekey_ike(&lab)?;
    peer.rekey_child(&lab)?;
    let status = gateway.status()?;
    assert_eq!((status.count("peers")?, status.count("sessions")?), (1, 1), "{status}");

    peer.disconnect(&lab)?;
    gateway.wait_count("sessions", 0, STATUS_LIMIT)?;
    gateway.wait_count("peers", 0, STATUS_LIMIT)?;
    peer.stop(&lab)?;
    let exit = gateway.stop(&lab)?;
    assert!(exit.success(), "isthmus run ended with {exit}");
    before.refuse_leftovers(&KernelState::read(lab.gateway())?)?;

    let wire = lab.stop_capture()?;
    wire.refuse_clear_l2tp()?;
    assert!(wire.ike > 0 && wire.esp_in_udp > 0 && wire.esp_octets > DOWNLOAD_OCTETS, "{wire:?}");
    assert_eq!(wire.esp_plain, 0, "behind a NAT all ESP is in UDP");
    lab.passed();
    Ok(())
}

/// The pool in gateway.toml.
const POOL: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// How long the gateway's own view may lag behind the client's.
const STATUS_LIMIT: Duration = Duration::from_secs(10);
/// The file is 10 MiB of random octets, which nothing can make shorter.
const DOWNLOAD_OCTETS: u64 = 10 << 20;
