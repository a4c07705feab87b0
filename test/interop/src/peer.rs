//! The client side of a scenario: a machine with a real L2TP/IPsec stack, behind its NAT.
//!
//! Each function runs one step of the scenario's `steps/peer` and checks what it reports. They are
//! the same for the gateway under test and for the reference server that proves the lab.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::LabError;
use crate::lab::{Access, DIRECT_PEER, INTERNET_ROUTER, LAN_PEER, LAN_ROUTER, Lab};
use crate::ping::PingRun;
use crate::vm::{Nic, Vm, VmSpec, fact};

/// A client in a virtual machine.
#[derive(Debug)]
pub struct Peer {
    vm: Vm,
}

impl Peer {
    /// Starts the machine `peer` of `scenario` where `lab` has its clients; see
    /// [`Peer::wait_ready`].
    pub fn start(lab: &Lab, scenario: &Path) -> Result<Self, LabError> {
        let (namespace, bridge) = lab.peer_segment();
        let (address, router) = match lab.access() {
            Access::Direct => (DIRECT_PEER, INTERNET_ROUTER),
            Access::Nat | Access::NatRewritingPorts => (LAN_PEER, LAN_ROUTER),
        };
        let nics = [Nic { bridge, address }];
        let spec = VmSpec { name: "peer", namespace, nics: &nics, router, scenario };
        Ok(Self { vm: Vm::start(lab, &spec)? })
    }

    /// Waits for the end of the boot and starts the client's daemons.
    pub fn wait_ready(&mut self, lab: &Lab) -> Result<(), LabError> {
        self.vm.wait_ready(lab)?;
        self.step(lab, "10-start").map(drop)
    }

    /// Connects and answers the address that PPP was given.
    ///
    /// # Errors
    /// No connection, or an address outside `pool` (24 bits of prefix).
    pub fn connect(&mut self, lab: &Lab, pool: Ipv4Addr) -> Result<Ipv4Addr, LabError> {
        let log = self.step(lab, "20-connect")?;
        let text = fact(&log, "address")?;
        let address: Ipv4Addr =
            text.parse().map_err(|_| LabError::unexpected(format!("PPP's address is `{text}`")))?;
        lab.evidence().note(&format!("peer: {address} after {} s", fact(&log, "seconds")?));
        if address.octets().starts_with(pool.octets().split_last().map_or(&[], |(_, net)| net)) {
            Ok(address)
        } else {
            Err(LabError::unexpected(format!("{address} is not of the pool {pool}/24")))
        }
    }

    /// Pings the cloud host, and fetches its file and compares the digest.
    pub fn use_tunnel(&mut self, lab: &Lab) -> Result<(), LabError> {
        self.step(lab, "30-ping")?;
        let log = self.step(lab, "40-download")?;
        let (octets, seconds) = (fact(&log, "octets")?, fact(&log, "seconds")?);
        lab.evidence().note(&format!("peer: {octets} octets in {seconds} s"));
        let (got, want) = (fact(&log, "sha256")?, lab.cloud().sha256());
        if got == want {
            Ok(())
        } else {
            Err(LabError::unexpected(format!("the file arrived as {got}, it is {want}")))
        }
    }

    /// Replaces the IKE SA under a running ping.
    ///
    /// # Errors
    /// More than [`LOST_PER_REKEY_MAX`] pings were lost.
    pub fn rekey_ike(&mut self, lab: &Lab) -> Result<PingRun, LabError> {
        self.rekey(lab, "50-rekey-ike", "rekey-ike.ping")
    }

    /// Replaces the CHILD SA under a running ping.
    ///
    /// # Errors
    /// More than [`LOST_PER_REKEY_MAX`] pings were lost.
    pub fn rekey_child(&mut self, lab: &Lab) -> Result<PingRun, LabError> {
        self.rekey(lab, "60-rekey-child", "rekey-child.ping")
    }

    /// Hangs up: PPP, L2TP, then IPsec.
    pub fn disconnect(&mut self, lab: &Lab) -> Result<(), LabError> {
        self.step(lab, "90-disconnect").map(drop)
    }

    /// Ends the client's daemons.
    pub fn stop(&mut self, lab: &Lab) -> Result<(), LabError> {
        let log = self.step(lab, "99-stop")?;
        let leaks = fact(&log, "leaks")?;
        lab.evidence().note(&format!("peer: {leaks} clear L2TP packets of its own held back"));
        Ok(())
    }

    fn rekey(&mut self, lab: &Lab, step: &str, ping: &str) -> Result<PingRun, LabError> {
        let log = self.step(lab, step)?;
        let (old, new) = (fact(&log, "old")?, fact(&log, "new")?);
        if old == new {
            return Err(LabError::unexpected(format!("{step}: still the SA {old}")));
        }
        let run = PingRun::parse(&self.vm.result(ping)?)?;
        let (sent, lost) = (run.sent, run.lost.len());
        lab.evidence().note(&format!("peer: {old} became {new}, {lost} of {sent} pings lost"));
        if lost > LOST_PER_REKEY_MAX {
            return Err(LabError::unexpected(format!("{step}: lost pings {:?}", run.lost)));
        }
        Ok(run)
    }

    fn step(&mut self, lab: &Lab, name: &str) -> Result<String, LabError> {
        self.vm.run(lab, &format!("steps/peer/{name}.sh"), STEP_LIMIT)
    }
}

/// The folder `scenarios/<name>` of this crate.
pub fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name)
}

/// Pings, at two a second, that the replacement of an SA may cost.
pub const LOST_PER_REKEY_MAX: usize = 1;
/// How long a step may take. The steps have tighter limits of their own for what they wait for.
const STEP_LIMIT: Duration = Duration::from_mins(3);
