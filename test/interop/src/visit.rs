//! A client's visit as every scenario has it: it comes, uses the tunnel, and leaves no trace.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::error::LabError;
use crate::gateway::Gateway;
use crate::lab::{Access, Lab};
use crate::pcap::WireSummary;
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
    before: KernelState,
    lab: Lab,
}

impl Visit {
    /// Builds the networks of the scenario `name`, starts its gateway and boots its client.
    pub fn begin(name: &str, access: Access) -> Result<Self, LabError> {
        Self::begin_with(name, access, |_, _| Ok(()))
    }

    /// Does the same, with files that `furnish` adds to the scenario.
    pub fn begin_with(
        name: &str,
        access: Access,
        furnish: impl FnOnce(&Lab, &Scenario) -> Result<(), LabError>,
    ) -> Result<Self, LabError> {
        let lab = Lab::around_a_host(name, access)?;
        let scenario = Scenario::assemble(&lab, name)?;
        furnish(&lab, &scenario)?;
        let before = KernelState::read(lab.gateway())?;
        let gateway = Gateway::start(&lab, &scenario.gateway())?;
        let mut peer = Peer::start(&lab, &scenario)?;
        peer.wait_ready(&lab)?;
        Ok(Self { peer, gateway, before, lab })
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

    /// Hangs up and ends the gateway, then the lab.
    ///
    /// # Errors
    /// Something of the client is left on the gateway or in its kernel, L2TP was on the wire in the
    /// clear, or ESP was not in UDP behind a NAT, or was without one.
    pub fn end(mut self) -> Result<WireSummary, LabError> {
        self.peer.disconnect(&self.lab)?;
        for key in ["sessions", "peers"] {
            self.gateway.wait_count(key, 0, STATUS_LIMIT)?;
        }
        self.peer.stop(&self.lab)?;
        let Self { peer, gateway, before, mut lab } = self;
        let exit = gateway.stop(&lab)?;
        if !exit.success() {
            return Err(LabError::unexpected(format!("isthmus run ended with {exit}")));
        }
        before.refuse_leftovers(&KernelState::read(lab.gateway())?)?;
        drop(peer);
        let wire = lab.stop_capture()?;
        wire.refuse_clear_l2tp()?;
        let (carried, other) = match lab.access() {
            Access::Direct => (wire.esp_plain, wire.esp_in_udp),
            Access::Nat | Access::NatRewritingPorts => (wire.esp_in_udp, wire.esp_plain),
        };
        if wire.ike == 0 || carried == 0 || other != 0 || wire.esp_octets < DOWNLOAD_OCTETS {
            return Err(LabError::unexpected(format!("an odd capture: {wire:?}")));
        }
        lab.passed();
        Ok(wire)
    }

    /// # Errors
    /// There is somebody else than the one client.
    fn refuse_others(&self) -> Result<(), LabError> {
        let status = self.gateway.status()?;
        if (status.count("peers")?, status.count("sessions")?) == (1, 1) {
            return Ok(());
        }
        Err(LabError::unexpected(format!("not one peer with one session: {status}")))
    }
}

/// The pool in gateway.toml.
const POOL: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// How long the gateway's own view may lag behind the client's.
const STATUS_LIMIT: Duration = Duration::from_secs(10);
/// The file is 10 MiB of random octets, which nothing can make shorter.
const DOWNLOAD_OCTETS: u64 = 10 << 20;
