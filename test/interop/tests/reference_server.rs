//! The lab tests itself: the scenarios' peer against the reference stack as a server.
//!
//! What fails here is the lab's or the peer's fault and not the gateway's.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{
    Access, CLOUD_ROUTER, GATEWAY, INTERNET_ROUTER, Lab, LabError, Nic, Peer, Scenario, Vm, VmSpec,
};

#[test]
fn the_peer_passes_its_scenario_against_the_reference_server() -> Result<(), LabError> {
    let mut lab = Lab::around_a_guest("reference-through-nat", Access::NatRewritingPorts)?;
    let scenario = Scenario::assemble(&lab, "l2tp-psk-main-mode-through-nat")?;
    let (_server, mut peer) = boot(&lab, &scenario)?;
    peer.connect(&lab, POOL)?;
    peer.use_tunnel(&lab)?;
    peer.rekey_ike(&lab)?;
    peer.rekey_child(&lab)?;
    peer.disconnect(&lab)?;
    peer.stop(&lab)?;

    let wire = lab.stop_capture()?;
    wire.refuse_clear_l2tp()?;
    assert!(wire.ike > 0 && wire.esp_in_udp > 0 && wire.esp_octets > DOWNLOAD_OCTETS, "{wire:?}");
    assert_eq!(wire.esp_plain, 0, "behind a NAT all ESP is in UDP");
    lab.passed();
    Ok(())
}

#[test]
fn without_nat_the_peer_and_the_reference_server_use_plain_esp() -> Result<(), LabError> {
    let mut lab = Lab::around_a_guest("reference-direct", Access::Direct)?;
    let scenario = Scenario::assemble(&lab, "l2tp-psk-main-mode-through-nat")?;
    let (_server, mut peer) = boot(&lab, &scenario)?;
    peer.connect(&lab, POOL)?;
    peer.use_tunnel(&lab)?;
    peer.disconnect(&lab)?;
    peer.stop(&lab)?;

    let wire = lab.stop_capture()?;
    wire.refuse_clear_l2tp()?;
    assert!(wire.ike > 0 && wire.esp_plain > 0 && wire.esp_octets > DOWNLOAD_OCTETS, "{wire:?}");
    assert_eq!(wire.esp_in_udp, 0, "without a NAT nothing needs UDP around ESP");
    lab.passed();
    Ok(())
}

/// Boots the reference server in the gateway's place, and the peer, side by side.
fn boot(lab: &Lab, scenario: &Scenario) -> Result<(Vm, Peer), LabError> {
    let spec = VmSpec {
        name: "reference",
        namespace: lab.gateway(),
        nics: &[
            Nic { bridge: "outside", address: GATEWAY },
            Nic { bridge: "inside", address: CLOUD_ROUTER },
        ],
        router: INTERNET_ROUTER,
        scenario: scenario.folder(),
    };
    let mut server = Vm::start(lab, &spec)?;
    let mut peer = Peer::start(lab, scenario)?;
    server.wait_ready(lab)?;
    server.run(lab, "steps/reference/10-serve.sh", START_LIMIT)?;
    peer.wait_ready(lab)?;
    Ok((server, peer))
}

/// The reference server's pool, as in its xl2tpd.conf.
const POOL: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// The file is 10 MiB of random octets, which nothing can make shorter.
const DOWNLOAD_OCTETS: u64 = 10 << 20;
/// How long the server's daemons may take to start.
const START_LIMIT: Duration = Duration::from_mins(1);
