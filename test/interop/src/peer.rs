//! The client side of a scenario: a machine with a real L2TP/IPsec stack, behind its NAT.
//!
//! Each function runs one step of the scenario's `steps/peer` and checks what it reports. They are
//! the same for the gateway under test and for the reference server that proves the lab.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::error::LabError;
use crate::lab::{
    Access, DIRECT_PEER, INTERNET_ROUTER, LAN_PEER, LAN_ROUTER, LAN_SECOND_PEER, Lab,
};
use crate::ping::PingRun;
use crate::scenario::Scenario;
use crate::vm::{Nic, Vm, VmSpec, fact};

/// A client in a virtual machine.
#[derive(Debug)]
pub struct Peer {
    name: &'static str,
    vm: Vm,
}

impl Peer {
    /// Starts the machine `peer` of `scenario` where `lab` has its clients; see
    /// [`Peer::wait_ready`].
    pub fn start(lab: &Lab, scenario: &Scenario) -> Result<Self, LabError> {
        let address = match lab.access() {
            Access::Direct => DIRECT_PEER,
            Access::Nat | Access::NatRewritingPorts => LAN_PEER,
        };
        Self::boot(lab, scenario, "peer", address)
    }

    /// Starts the machine `second` of `scenario` beside the first, behind the same NAT.
    pub fn start_second(lab: &Lab, scenario: &Scenario) -> Result<Self, LabError> {
        scenario.twin("second")?;
        Self::boot(lab, scenario, "second", LAN_SECOND_PEER)
    }

    fn boot(
        lab: &Lab,
        scenario: &Scenario,
        name: &'static str,
        address: Ipv4Addr,
    ) -> Result<Self, LabError> {
        let (namespace, bridge) = lab.peer_segment();
        let router = match lab.access() {
            Access::Direct => INTERNET_ROUTER,
            Access::Nat | Access::NatRewritingPorts => LAN_ROUTER,
        };
        let nics = [Nic { bridge, address }];
        let spec = VmSpec { name, namespace, nics: &nics, router, scenario: scenario.folder() };
        Ok(Self { name, vm: Vm::start(lab, &spec)? })
    }

    /// Waits for the end of the boot and starts the client's daemons.
    pub fn wait_ready(&mut self, lab: &Lab) -> Result<(), LabError> {
        self.vm.wait_ready(lab)?;
        self.step(lab, "10-start").map(drop)
    }

    /// Takes the files of the scenario that stands in the machine's folder, and becomes its client; it
    /// must have hung up.
    pub fn turn(&mut self, lab: &Lab) -> Result<(), LabError> {
        self.step(lab, "12-turn").map(drop)
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
        self.note(lab, &format!("{address} after {} s", fact(&log, "seconds")?));
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
        self.note(lab, &format!("{octets} octets in {seconds} s"));
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

    /// Waits, under a running ping, until the lifetimes in its configuration have replaced the IKE
    /// SA once and the CHILD SA twice.
    ///
    /// # Errors
    /// More than [`LOST_PER_REKEY_MAX`] pings were lost per replacement.
    pub fn rekey_by_time(&mut self, lab: &Lab) -> Result<PingRun, LabError> {
        let log = self.step(lab, "55-rekey-by-time")?;
        let replaced: usize = fact(&log, "replaced")?
            .parse()
            .map_err(|_| LabError::unexpected("`replaced` is no number".to_owned()))?;
        let run = PingRun::parse(&self.vm.result("rekey-by-time.ping")?)?;
        let (sent, lost) = (run.sent, run.lost.len());
        self.note(lab, &format!("{replaced} SAs replaced by time, {lost} of {sent} pings lost"));
        if replaced < 3 || lost > LOST_PER_REKEY_MAX * replaced {
            return Err(LabError::unexpected(format!("{replaced} SAs, lost pings {:?}", run.lost)));
        }
        Ok(run)
    }

    /// Pings the cloud host for some seconds.
    ///
    /// # Errors
    /// A ping was lost.
    pub fn ping(&mut self, lab: &Lab) -> Result<(), LabError> {
        self.step(lab, "30-ping").map(drop)
    }

    /// Hangs up: PPP, L2TP, then IPsec.
    pub fn disconnect(&mut self, lab: &Lab) -> Result<(), LabError> {
        self.step(lab, "90-disconnect").map(drop)
    }

    /// Ends the client's daemons.
    pub fn stop(&mut self, lab: &Lab) -> Result<(), LabError> {
        let log = self.step(lab, "99-stop")?;
        let leaks = fact(&log, "leaks")?;
        self.note(lab, &format!("{leaks} clear L2TP packets of its own held back"));
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
        self.note(lab, &format!("{old} became {new}, {lost} of {sent} pings lost"));
        if lost > LOST_PER_REKEY_MAX {
            return Err(LabError::unexpected(format!("{step}: lost pings {:?}", run.lost)));
        }
        Ok(run)
    }

    fn note(&self, lab: &Lab, text: &str) {
        lab.evidence().note(&format!("{}: {text}", self.name));
    }

    fn step(&mut self, lab: &Lab, name: &str) -> Result<String, LabError> {
        self.vm.run(lab, &format!("steps/peer/{name}.sh"), STEP_LIMIT)
    }
}

/// Pings, at two a second, that the replacement of an SA may cost.
pub const LOST_PER_REKEY_MAX: usize = 1;
/// How long a step may take. The steps have tighter limits of their own for what they wait for.
const STEP_LIMIT: Duration = Duration::from_mins(3);
