//! A client's visit as every scenario has it: it comes, uses the tunnel, and leaves no trace.
//!
//! A boot takes longer than a visit, so one machine may make several, each as the client of another
//! scenario at a gateway of its own.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::error::LabError;
use crate::gateway::Gateway;
use crate::lab::{Access, DIRECT_PEER, GATEWAY, Lab};
use crate::pcap::{ClearL2tp, WireSummary};
use crate::peer::Peer;
use crate::scenario::Scenario;
use crate::snapshot::KernelState;

/// A gateway and a client, both ready.
#[derive(Debug)]
pub struct Visit {
    // Dropped in this order: the processes before the namespaces they run in.
    /// The client's machine.
    pub peer: Peer,
    /// The daemon.
    pub gateway: Gateway,
    carrier: Carrier,
    before: KernelState,
    lab: Lab,
}

/// What L2TP goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// The client's IPsec; nothing else of L2TP may be on the wire.
    Ipsec,
    /// UDP alone, as of a LAC that is trusted.
    Plain,
}

impl Visit {
    /// Builds the networks of the test `test`, starts the gateway of the scenario `name` and boots its
    /// client.
    pub fn begin(test: &str, name: &str, access: Access) -> Result<Self, LabError> {
        let lab = Lab::around_a_host(test, access)?;
        let scenario = Scenario::assemble(&lab, name)?;
        let before = KernelState::read(lab.gateway())?;
        let gateway = Gateway::start(&lab, &scenario.gateway())?;
        let mut peer = Peer::start(&lab, &scenario)?;
        peer.wait_ready(&lab)?;
        Ok(Self { peer, gateway, carrier: Carrier::Ipsec, before, lab })
    }

    /// Ends this visit as [`Visit::end`] does, except that the machine goes on as the client of the
    /// scenario `name`, whose gateway is started anew.
    ///
    /// # Errors
    /// As of [`Visit::end`].
    pub fn next(self, name: &str) -> Result<Self, LabError> {
        self.next_with(name, Carrier::Ipsec, |_| Ok(()))
    }

    /// Does the same, over `carrier` and with files that `furnish` adds to the scenario.
    ///
    /// # Errors
    /// As of [`Visit::end`].
    pub fn next_with(
        self,
        name: &str,
        carrier: Carrier,
        furnish: impl FnOnce(&Scenario) -> Result<(), LabError>,
    ) -> Result<Self, LabError> {
        let (mut peer, before, mut lab, _) = self.leave()?;
        lab.evidence().note(&format!("next: {name}"));
        let scenario = Scenario::assemble(&lab, name)?;
        furnish(&scenario)?;
        lab.evidence().set_aside("gateway")?;
        lab.start_capture()?;
        let gateway = Gateway::start(&lab, &scenario.gateway())?;
        peer.turn(&lab)?;
        Ok(Self { peer, gateway, carrier, before, lab })
    }

    /// The networks.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Connects and uses the tunnel.
    ///
    /// # Errors
    /// It does not work, or the gateway does not list the user with that address.
    pub fn connect(&mut self) -> Result<Ipv4Addr, LabError> {
        let address = self.peer.connect(&self.lab, POOL)?;
        self.gateway.wait_count("sessions", 1, STATUS_LIMIT)?;
        self.refuse_others()?;
        let sessions = self.gateway.sessions()?;
        if !sessions.mentions("alice") || !sessions.mentions(&address.to_string()) {
            return Err(LabError::unexpected(format!("not alice with {address}: {sessions}")));
        }
        self.peer.use_tunnel(&self.lab)?;
        Ok(address)
    }

    /// Replaces the IKE SA and the CHILD SA, each under a running ping.
    pub fn rekey(&mut self) -> Result<(), LabError> {
        self.peer.rekey_ike(&self.lab)?;
        self.peer.rekey_child(&self.lab)?;
        self.refuse_others()
    }

    /// Waits, under a running ping, until lifetimes have replaced the SAs.
    pub fn rekey_by_time(&mut self) -> Result<(), LabError> {
        self.peer.rekey_by_time(&self.lab)?;
        self.refuse_others()
    }

    /// Hangs up and ends the gateway, then the machine and the lab.
    ///
    /// # Errors
    /// Something of the client is left on the gateway or in its kernel; or what was on the wire since
    /// the visit began is not what it should be: L2TP in the clear, or ESP that is not in UDP behind a
    /// NAT or is without one; of a trusted LAC, anything but its L2TP.
    pub fn end(self) -> Result<WireSummary, LabError> {
        let (mut peer, _, lab, wire) = self.leave()?;
        peer.stop(&lab)?;
        drop(peer);
        lab.passed();
        Ok(wire)
    }

    /// Hangs up, ends the gateway and looks at what is left and at what was on the wire.
    fn leave(mut self) -> Result<(Peer, KernelState, Lab, WireSummary), LabError> {
        self.peer.disconnect(&self.lab)?;
        for key in ["sessions", "peers"] {
            self.gateway.wait_count(key, 0, STATUS_LIMIT)?;
        }
        let Self { peer, gateway, carrier, before, mut lab } = self;
        let exit = gateway.stop(&lab)?;
        if !exit.success() {
            return Err(LabError::unexpected(format!("isthmus run ended with {exit}")));
        }
        before.refuse_leftovers(&KernelState::read(lab.gateway())?)?;
        let wire = lab.stop_capture()?;
        match carrier {
            Carrier::Ipsec => refuse_clear(&wire, lab.access())?,
            Carrier::Plain => refuse_ipsec(&wire)?,
        }
        Ok((peer, before, lab, wire))
    }

    /// # Errors
    /// There is somebody else than the one client. A LAC is not counted among the peers.
    fn refuse_others(&self) -> Result<(), LabError> {
        let status = self.gateway.status()?;
        let peers = u64::from(self.carrier == Carrier::Ipsec);
        if (status.count("peers")?, status.count("sessions")?) == (peers, 1) {
            return Ok(());
        }
        Err(LabError::unexpected(format!("not {peers} peers with one session: {status}")))
    }
}

/// # Errors
/// Not all L2TP was in ESP of the kind that `access` makes necessary.
fn refuse_clear(wire: &WireSummary, access: Access) -> Result<(), LabError> {
    wire.refuse_clear_l2tp()?;
    let (carried, other) = match access {
        Access::Direct => (wire.esp_plain, wire.esp_in_udp),
        Access::Nat | Access::NatRewritingPorts => (wire.esp_in_udp, wire.esp_plain),
    };
    if wire.ike == 0 || carried == 0 || other != 0 || wire.esp_octets < DOWNLOAD_OCTETS {
        return Err(LabError::unexpected(format!("an odd capture: {wire:?}")));
    }
    Ok(())
}

/// # Errors
/// There was IPsec, or not just L2TP from port 1701 to port 1701 between gateway and LAC.
fn refuse_ipsec(wire: &WireSummary) -> Result<(), LabError> {
    let [gateway, lac] = [GATEWAY, DIRECT_PEER].map(|address| (address.into(), L2TP_PORT));
    let between = |from, to| {
        let way = |packet: &&ClearL2tp| (packet.source, packet.destination) == (from, to);
        wire.clear_l2tp.iter().filter(way).count()
    };
    let (out, back) = (between(gateway, lac), between(lac, gateway));
    let all = out + back == wire.clear_l2tp.len();
    if wire.ike != 0 || wire.esp_octets != 0 || out == 0 || back == 0 || !all {
        return Err(LabError::unexpected(format!("not plain L2TP alone: {wire:?}")));
    }
    Ok(())
}

/// The pool in gateway.toml.
const POOL: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// How long the gateway's own view may lag behind the client's.
const STATUS_LIMIT: Duration = Duration::from_secs(10);
/// The file is 10 MiB of random octets, which nothing can make shorter.
const DOWNLOAD_OCTETS: u64 = 10 << 20;
/// RFC 2661 §8.1.
const L2TP_PORT: u16 = 1701;
