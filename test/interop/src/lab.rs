//! The networks of one test: four segments, a gateway between two of them, nothing beyond.
//!
//! ```text
//! 192.168.77.0/24          203.0.113.0/24                   10.0.0.0/24
//! peer .2 -- .1 nat .77 -- internet .1 (bridge) -- .10 gateway .1 -- .2 cloud
//!            `- not there with Access::Direct: the peer is .50 on the internet's bridge
//! ```

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::FlockOperation;

use crate::capture::Capture;
use crate::cloud::Cloud;
use crate::error::LabError;
use crate::evidence::Evidence;
use crate::netns::{Namespace, cable, prefix, sweep_orphans};
use crate::pcap::WireSummary;
use crate::{image, pcap};

/// How the peer reaches the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its own public address: IKE finds no NAT and ESP goes as IP protocol 50.
    Direct,
    /// A NAT that keeps source ports while it can, like a home router with one client.
    Nat,
    /// A NAT that gives every flow a random source port, like a carrier's: 500 and 4500 of the peer
    /// arrive as anything.
    NatRewritingPorts,
}

/// A running test network. Dropping it ends its processes and deletes its namespaces.
#[derive(Debug)]
pub struct Lab {
    // Fields are dropped in this order: processes before the namespaces they run in.
    capture: Option<Capture>,
    cloud: Cloud,
    gateway: Namespace,
    internet: Namespace,
    lan: Option<Namespace>,
    nat: Option<Namespace>,
    image: Option<PathBuf>,
    access: Access,
    prefix: String,
    evidence: Evidence,
    _turn: File,
}

impl Lab {
    /// Builds the networks around a gateway that runs in the namespace [`Lab::gateway`], with the
    /// links `eth0` (internet) and `eth1` (cloud) addressed and forwarding on.
    pub fn around_a_host(test: &str, access: Access) -> Result<Self, LabError> {
        let lab = Self::build(test, access, Machines::Emulated)?;
        lab.furnish_host()?;
        Ok(lab)
    }

    /// The same as [`Lab::around_a_host`] for a test without virtual machines: it needs no image,
    /// and several such labs may be up at once.
    pub fn without_machines(test: &str, access: Access) -> Result<Self, LabError> {
        let lab = Self::build(test, access, Machines::None)?;
        lab.furnish_host()?;
        Ok(lab)
    }

    /// Builds the networks around a gateway that is a virtual machine: the namespace
    /// [`Lab::gateway`] only has the bridges `outside` and `inside` to put its taps on.
    pub fn around_a_guest(test: &str, access: Access) -> Result<Self, LabError> {
        let lab = Self::build(test, access, Machines::Emulated)?;
        for (bridge, link) in [("outside", "eth0"), ("inside", "eth1")] {
            add_bridge(&lab.gateway, bridge)?;
            lab.gateway.ip(&format!("link set {link} master {bridge}"))?;
        }
        Ok(lab)
    }

    /// The folder for logs and results.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The namespace the gateway runs in.
    pub fn gateway(&self) -> &Namespace {
        &self.gateway
    }

    /// What the peer can reach through the gateway.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The NAT in front of the peers, if there is one.
    pub fn nat(&self) -> Option<&Namespace> {
        self.nat.as_ref()
    }

    /// Makes one more namespace of this lab.
    pub fn namespace(&self, role: &str) -> Result<Namespace, LabError> {
        Namespace::create(&self.prefix, role)
    }

    /// Plugs a new link `link` of `host` into the segment that the peers are on, with `address` (24
    /// bits of prefix) and the default route.
    pub fn plug_in(&self, host: &Namespace, link: &str, address: Ipv4Addr) -> Result<(), LabError> {
        let (segment, bridge) = self.peer_segment();
        let role = host.name().rsplit('-').next().unwrap_or_default();
        cable(host, link, segment, role)?;
        segment.ip(&format!("link set {role} master {bridge}"))?;
        host.ip(&format!("address add {address}/24 dev {link}"))?;
        let router = if self.lan.is_some() { LAN_ROUTER } else { INTERNET_ROUTER };
        host.ip(&format!("route add default via {router}")).map(drop)
    }

    /// The namespace and the bridge that the peer's tap belongs on.
    pub fn peer_segment(&self) -> (&Namespace, &'static str) {
        (self.lan.as_ref().unwrap_or(&self.internet), BRIDGE)
    }

    /// How the peer reaches the internet.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The folder of the virtual machine's kernel and disk.
    ///
    /// # Errors
    /// The lab was built without machines.
    pub(crate) fn image(&self) -> Result<&Path, LabError> {
        self.image.as_deref().ok_or_else(|| LabError::unexpected("this lab is without machines"))
    }

    /// What the capture on the internet segment has seen so far. The last packet may be cut off while
    /// it is being written; then there is no answer yet.
    pub fn peek_capture(&self) -> Option<WireSummary> {
        pcap::summarize(&self.evidence.path(CAPTURE)).ok()
    }

    /// Stops the capture on the internet segment and says what was seen there since its start.
    ///
    /// # Errors
    /// The capture died, dropped packets, or is not readable; or it is stopped already.
    pub fn stop_capture(&mut self) -> Result<WireSummary, LabError> {
        let capture =
            self.capture.take().ok_or_else(|| LabError::unexpected("the capture is stopped"))?;
        pcap::summarize(&capture.stop()?)
    }

    /// Starts a new capture in place of one that was stopped, whose file is kept beside it.
    pub fn start_capture(&mut self) -> Result<(), LabError> {
        self.evidence.set_aside(CAPTURE)?;
        let file = self.evidence.path(CAPTURE);
        self.capture = Some(Capture::start(&self.internet, BRIDGE, UNUSED, &file)?);
        Ok(())
    }

    /// Ends the lab and removes its evidence.
    pub fn passed(mut self) {
        self.evidence.discard();
    }

    fn furnish_host(&self) -> Result<(), LabError> {
        let gateway = &self.gateway;
        gateway.ip(&format!("address add {GATEWAY}/24 dev eth0"))?;
        gateway.ip(&format!("address add {CLOUD_ROUTER}/24 dev eth1"))?;
        gateway.ip(&format!("route add default via {INTERNET_ROUTER}"))?;
        gateway.sysctl("net/ipv4/ip_forward", "1")
    }

    fn build(test: &str, access: Access, machines: Machines) -> Result<Self, LabError> {
        let image = match machines {
            Machines::Emulated => Some(image::ensure()?),
            Machines::None => None,
        };
        let turn = take_turn(machines)?;
        sweep_orphans()?;
        let prefix = prefix(std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let evidence = Evidence::create(&format!("{test}-{prefix}"))?;
        evidence.note(&format!("building namespaces {prefix}-* ({access:?})"));

        let internet = Namespace::create(&prefix, "internet")?;
        add_bridge(&internet, BRIDGE)?;
        internet.ip(&format!("address add {INTERNET_ROUTER}/24 dev {BRIDGE}"))?;
        let gateway = Namespace::create(&prefix, "gw")?;
        cable(&gateway, "eth0", &internet, "gw")?;
        internet.ip(&format!("link set gw master {BRIDGE}"))?;
        let cloud = Cloud::start(&prefix, &gateway, &evidence)?;
        let (lan, nat) = match access {
            Access::Direct => (None, None),
            Access::Nat => build_lan(&prefix, &internet, "masquerade")?,
            Access::NatRewritingPorts => {
                build_lan(&prefix, &internet, "masquerade to :20000-60000 random")?
            }
        };
        let capture = Capture::start(&internet, BRIDGE, UNUSED, &evidence.path(CAPTURE))?;
        evidence.note("the networks are up");
        Ok(Self {
            capture: Some(capture),
            cloud,
            gateway,
            internet,
            lan,
            nat,
            image,
            access,
            prefix,
            evidence,
            _turn: turn,
        })
    }
}

/// What the hosts of a lab are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Machines {
    /// Some are virtual machines.
    Emulated,
    /// All are namespaces.
    None,
}

/// Waits until no other lab of this machine runs that has virtual machines, or for those until no
/// other lab runs at all: emulated machines that share the processors would miss the scenarios'
/// deadlines. The turn ends when the file is closed, also by a crash.
fn take_turn(machines: Machines) -> Result<File, LabError> {
    let path = image::cache()?.join("turn");
    let file = File::create(&path).map_err(|source| LabError::io(&path, source))?;
    let lock = match machines {
        Machines::Emulated => FlockOperation::LockExclusive,
        Machines::None => FlockOperation::LockShared,
    };
    rustix::fs::flock(&file, lock).map_err(|error| LabError::io(&path, error.into()))?;
    Ok(file)
}

/// Builds the peer's LAN and the NAT that joins it to `internet`; `udp` is what the NAT does to UDP.
fn build_lan(
    prefix: &str,
    internet: &Namespace,
    udp: &str,
) -> Result<(Option<Namespace>, Option<Namespace>), LabError> {
    let nat = Namespace::create(prefix, "nat")?;
    cable(&nat, "outside", internet, "nat")?;
    internet.ip(&format!("link set nat master {BRIDGE}"))?;
    nat.ip(&format!("address add {NAT}/24 dev outside"))?;
    nat.ip(&format!("route add default via {INTERNET_ROUTER}"))?;
    let lan = Namespace::create(prefix, "lan")?;
    add_bridge(&lan, BRIDGE)?;
    cable(&nat, "inside", &lan, "nat")?;
    lan.ip(&format!("link set nat master {BRIDGE}"))?;
    nat.ip(&format!("address add {LAN_ROUTER}/24 dev inside"))?;
    nat.nft(&format!(
        "table ip nat {{
            chain out {{
                type nat hook postrouting priority srcnat;
                oifname outside meta l4proto udp {udp}
                oifname outside masquerade
            }}
        }}"
    ))?;
    nat.sysctl("net/ipv4/ip_forward", "1")?;
    Ok((Some(lan), Some(nat)))
}

fn add_bridge(namespace: &Namespace, name: &str) -> Result<(), LabError> {
    namespace.ip(&format!("link add {name} type bridge forward_delay 0 mcast_snooping 0"))?;
    namespace.ip(&format!("link set {name} up")).map(drop)
}

/// The labs of this process so far.
static LABS: AtomicU32 = AtomicU32::new(0);
/// The bridge of the internet and of the LAN segment.
const BRIDGE: &str = "br0";
/// The capture's file in the evidence folder.
const CAPTURE: &str = "outside.pcap";
/// An address of the internet segment that nobody has.
const UNUSED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 254);

/// The router of the internet segment (nothing is behind it).
pub const INTERNET_ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The address that peers dial.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The peer's address with [`Access::Direct`].
pub const DIRECT_PEER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 50);
/// The NAT's address on the internet.
pub const NAT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
/// The NAT's address on the peer's LAN.
pub const LAN_ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
/// The peer's address behind a NAT.
pub const LAN_PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 2);
/// The address of a second peer behind the same NAT.
pub const LAN_SECOND_PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 3);
/// The gateway's address in the cloud network.
pub const CLOUD_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The host in the cloud network.
pub const CLOUD_HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
