//! The scenario `scenarios/l2tp-psk-direct-rekey-by-time`: its README says what must hold.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, Gateway, KernelState, Lab, LabError, Peer, Scenario};

#[test]
fn a_client_without_nat_outlives_its_lifetimes_on_plain_esp() -> Result<(), LabError> {
    let mut lab = Lab::around_a_host("l2tp-psk-direct-rekey-by-time", Access::Direct)?;
    let scenario = Scenario::assemble(&lab, "l2tp-psk-direct-rekey-by-time")?;
    let before = KernelState::read(lab.gateway())?;
    let mut gateway = Gateway::start(&lab, &scenario.gateway())?;
    let mut peer = Peer::start(&lab, &scenario)?;
    peer.wait_ready(&lab)?;

    peer.connect(&lab, POOL)?;
    peer.use_tunnel(&lab)?;
    peer.rekey_by_time(&lab)?;
    let status = gateway.status()?;
    assert_eq!((status.count("peers")?, status.count("sessions")?), (1, 1), "{status}");

    peer.disconnect(&lab)?;
    gateway.wait_count("sessions", 0, STATUS_LIMIT)?;
    gateway.wait_count("peers", 0, STATUS_LIMIT)?;
    peer.stop(&lab)?;
    assert!(gateway.stop(&lab)?.success());
    before.refuse_leftovers(&KernelState::read(lab.gateway())?)?;

    let wire = lab.stop_capture()?;
    wire.refuse_clear_l2tp()?;
    assert!(wire.ike > 0 && wire.esp_plain > 0 && wire.esp_octets > DOWNLOAD_OCTETS, "{wire:?}");
    assert_eq!(wire.esp_in_udp, 0, "without a NAT nothing needs UDP around ESP");
    lab.passed();
    Ok(())
}

/// The pool in gateway.toml.
const POOL: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// How long the gateway's own view may lag behind the client's.
const STATUS_LIMIT: Duration = Duration::from_secs(10);
/// The file is 10 MiB of random octets, which nothing can make shorter.
const DOWNLOAD_OCTETS: u64 = 10 << 20;
