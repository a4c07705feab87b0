//! A lab with the product serving in it, and what every test demands at its end.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use isthmus_interop::{
    Access, DIRECT_PEER, Gateway, INTERNET_ROUTER, KernelState, LAN_PEER, Lab, LabError, Namespace,
    WireSummary, wait_for,
};
use serde_json::Value;

use crate::config::{Config, PASSWORD, PSK};

/// A lab whose gateway runs. Dropping it ends the gateway and keeps the evidence.
#[derive(Debug)]
pub struct Site {
    // Dropped in this order.
    gateway: Gateway,
    before: KernelState,
    complaint: Option<String>,
    lab: Lab,
}

impl Site {
    /// Builds the networks and starts the gateway; the kernel of the gateway's namespace does not
    /// forward, so that the gateway has to see to it.
    pub fn open(test: &str, access: Access, config: Config<'_>) -> Result<Self, LabError> {
        let lab = Self::lab_for(test, access)?;
        Self::serve(lab, config)
    }

    /// Builds the networks only, for a test that has something to add before [`Site::serve`].
    pub fn lab_for(test: &str, access: Access) -> Result<Lab, LabError> {
        let lab = Lab::without_machines(&format!("netns-{test}"), access)?;
        lab.gateway().sysctl("net/ipv4/ip_forward", "0")?;
        Ok(lab)
    }

    /// Starts the gateway in `lab`.
    pub fn serve(lab: Lab, config: Config<'_>) -> Result<Self, LabError> {
        let configuration = config.write(lab.evidence())?;
        let before = KernelState::read(lab.gateway())?;
        let gateway = Gateway::start(&lab, &configuration)?;
        Ok(Self { gateway, before, complaint: None, lab })
    }

    /// The networks.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The running gateway.
    pub fn gateway(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    /// The binary at both ends.
    pub fn binary(&self) -> &Path {
        self.gateway.binary()
    }

    /// A host for one client, where the lab has its peers.
    pub fn client_host(&self) -> Result<Namespace, LabError> {
        let host = self.lab.namespace("client")?;
        let address = if self.lab.access() == Access::Direct { DIRECT_PEER } else { LAN_PEER };
        self.lab.plug_in(&host, "eth0", address)?;
        Ok(host)
    }

    /// The NAT in front of the clients.
    ///
    /// # Errors
    /// The lab has none.
    pub fn nat(&self) -> Result<&Namespace, LabError> {
        self.lab.nat().ok_or_else(|| LabError::unexpected("this lab has no NAT"))
    }

    /// Takes the NAT's address away, and with it every mapping, and gives it `address`.
    ///
    /// # Errors
    /// The lab has no NAT.
    pub fn rebind_nat(&self, address: Ipv4Addr) -> Result<(), LabError> {
        let nat = self.nat()?;
        nat.ip("address flush dev outside")?;
        nat.ip(&format!("address add {address}/24 dev outside"))?;
        nat.ip(&format!("route add default via {INTERNET_ROUTER}")).map(drop)
    }

    /// Lets the gateway's log have errors that contain `text`: the test gives it reason to complain.
    pub fn expect_complaint(&mut self, text: &str) {
        self.complaint = Some(text.to_owned());
    }

    /// Kills the gateway and starts it again.
    pub fn kill_gateway(&mut self) -> Result<(), LabError> {
        self.gateway.kill_and_start(&self.lab)
    }

    /// Waits until the gateway lists a failure with `cause`, of the client at `from` if that is given.
    ///
    /// # Errors
    /// It lists none to the end of `limit`.
    pub fn wait_failure(
        &mut self,
        cause: &str,
        from: Option<Ipv4Addr>,
        limit: Duration,
    ) -> Result<Value, LabError> {
        let mut last = String::new();
        let (gateway, from) = (&self.gateway, from.map(|address| format!("{address}:")));
        let found = wait_for(&format!("the failure {cause} of {from:?}"), limit, || {
            let status = gateway.status()?;
            last = status.to_string();
            let failures = status.at("/failures")?.as_array().cloned().unwrap_or_default();
            let meant = |failure: &Value| {
                let at = failure["from"].as_str().unwrap_or_default();
                failure["cause"] == cause && from.as_ref().is_none_or(|from| at.starts_with(from))
            };
            Ok(failures.into_iter().find(meant))
        });
        found.map_err(|error| LabError::unexpected(format!("{error}; status: {last}")))
    }

    /// Waits until the gateway holds nothing of any client.
    pub fn wait_idle(&mut self, limit: Duration) -> Result<(), LabError> {
        for key in ["sessions", "sessions_starting", "peers"] {
            self.gateway.wait_count(key, 0, limit)?;
        }
        let status = self.gateway.status()?;
        let used = status.at("/tenants/0/pool_used")?;
        if used == &Value::from(0) && self.gateway.sessions()?.at("/0").is_err() {
            return Ok(());
        }
        Err(LabError::unexpected(format!("addresses or sessions are left: {status}")))
    }

    /// Ends the gateway as a service manager does.
    ///
    /// # Errors
    /// It does not end well, leaves traces in the kernel, or its log has complaints or secrets.
    pub fn stop(self) -> Result<Stopped, LabError> {
        let Self { gateway, before, complaint, lab } = self;
        let log_path = gateway.folder().join("daemon.log");
        let exit = gateway.stop(&lab)?;
        if !exit.success() {
            return Err(LabError::unexpected(format!("isthmus run ended with {exit}")));
        }
        before.refuse_leftovers(&KernelState::read(lab.gateway())?)?;
        let log =
            std::fs::read_to_string(&log_path).map_err(|source| LabError::io(&log_path, source))?;
        refuse_complaints(&log, complaint.as_deref())?;
        Ok(Stopped { lab, log })
    }

    /// Demands that nobody is left, ends the gateway, and demands a clean wire.
    pub fn close(mut self) -> Result<Closed, LabError> {
        self.wait_idle(IDLE_LIMIT)?;
        self.stop()?.close()
    }
}

/// A lab whose gateway has ended well.
#[derive(Debug)]
pub struct Stopped {
    lab: Lab,
    log: String,
}

impl Stopped {
    /// Ends the capture.
    ///
    /// # Errors
    /// L2TP was on the wire in the clear, or nothing at all was there.
    pub fn close(mut self) -> Result<Closed, LabError> {
        let wire = self.lab.stop_capture()?;
        wire.refuse_clear_l2tp()?;
        if wire.ike == 0 {
            return Err(LabError::unexpected(format!("the capture has no IKE: {wire:?}")));
        }
        Ok(Closed { lab: self.lab, log: self.log, wire })
    }

    /// Ends the capture of a lab in which `plain` hosts speak to the gateway without IPsec.
    ///
    /// # Errors
    /// Somebody else did without, or nobody did.
    pub fn close_with_lacs(mut self, plain: &[IpAddr]) -> Result<Closed, LabError> {
        let wire = self.lab.stop_capture()?;
        let allowed = |ip: &IpAddr| plain.contains(ip);
        let mut l2tp = wire.clear_l2tp.iter();
        let other = l2tp.find(|p| !allowed(&p.source.0) && !allowed(&p.destination.0));
        if let Some(packet) = other {
            return Err(LabError::unexpected(format!("L2TP in the clear: {packet:?}")));
        }
        if wire.clear_l2tp.is_empty() {
            return Err(LabError::unexpected("the capture has no L2TP"));
        }
        Ok(Closed { lab: self.lab, log: self.log, wire })
    }
}

/// A lab at its end.
#[derive(Debug)]
pub struct Closed {
    lab: Lab,
    log: String,
    wire: WireSummary,
}

impl Closed {
    /// What an observer on the internet saw.
    pub fn wire(&self) -> &WireSummary {
        &self.wire
    }

    /// The gateway's whole log.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Removes the evidence: everything that the test demands holds.
    pub fn passed(self) {
        self.lab.passed();
    }
}

/// # Errors
/// The log has an error, a panic or a secret.
fn refuse_complaints(log: &str, expected: Option<&str>) -> Result<(), LabError> {
    let is_bad = |line: &&str| {
        let head: String = line.chars().take(HEAD_CHARS).collect();
        let expected = expected.is_some_and(|text| line.contains(text));
        (head.contains("ERROR") && !expected)
            || [PSK, PASSWORD, "panicked at"].iter().any(|bad| line.contains(bad))
    };
    let bad: Vec<&str> = log.lines().filter(is_bad).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(LabError::unexpected(format!("the gateway's log has:\n{}", bad.join("\n"))))
}

/// Time stamp and level stand in the first characters of a log line.
const HEAD_CHARS: usize = 48;
/// How long the gateway's own view may lag behind a client that has ended.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_panics_and_secrets_in_a_log_are_complaints() {
        assert!(refuse_complaints("2026-01-01T00:00:00Z  INFO ready\n", None).is_ok());
        assert!(
            refuse_complaints("2026-01-01T00:00:00Z ERROR in my.users", Some("my.users")).is_ok()
        );
        for bad in [
            "2026-01-01T00:00:00Z ERROR stopped",
            "thread 'main' panicked at src/x.rs:1:2",
            "2026-01-01T00:00:00Z  INFO alice came with wonder land",
        ] {
            assert!(refuse_complaints(bad, Some("my.users")).is_err(), "{bad}");
        }
    }
}
