//! Clouds behind the gateway: each a router on a link of its own, and a host behind that.
//!
//! ```text
//!   a tenant's namespace            cloud NAME
//!   LINK 198.18.N.1/24   ----  .2  router  .1  ----  .2  host      (PREFIX of the cloud, a /24)
//!        2001:db8:a0N::1/64    ::2         ::1       ::2           (2001:db8:b0N::/64)
//! ```
//!
//! Two clouds may have the same prefix, as long as their numbers differ. A second tenant's namespace can be
//! joined to one of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use isthmus_interop::{Lab, LabError, Namespace, cable};

use crate::look::Datagrams;

/// A cloud.
#[derive(Debug)]
pub struct CloudSite {
    /// Its router.
    pub router: Namespace,
    /// A host in it.
    pub host: Namespace,
    number: u8,
    prefix: [u8; 3],
}

impl CloudSite {
    /// Builds cloud `number` with the network `prefix`.0/24 and joins it to `inside`, a tenant's
    /// namespace.
    pub fn build(
        lab: &Lab,
        inside: &Namespace,
        number: u8,
        prefix: [u8; 3],
    ) -> Result<Self, LabError> {
        let router = lab.namespace(&format!("r{number}"))?;
        let host = lab.namespace(&format!("h{number}"))?;
        let site = Self { router, host, number, prefix };
        let (link, [a, b, c]) = (site.link(), prefix);
        cable(inside, &link, &site.router, "wan")?;
        cable(&site.router, "lan", &site.host, "eth0")?;
        inside.ip(&format!("address add 198.18.{number}.1/24 dev {link}"))?;
        inside.ip(&format!("address add {}/64 dev {link} nodad", site.wan6(1)))?;
        site.router.ip(&format!("address add {}/24 dev wan", site.next_hop()))?;
        site.router.ip(&format!("address add {}/64 dev wan nodad", site.next_hop6()))?;
        site.router.ip(&format!("address add {a}.{b}.{c}.1/24 dev lan"))?;
        site.router.ip(&format!("address add {}/64 dev lan nodad", site.lan6(1)))?;
        site.router.sysctl("net/ipv4/ip_forward", "1")?;
        site.router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        site.host.ip(&format!("address add {}/24 dev eth0", site.address()))?;
        site.host.ip(&format!("address add {}/64 dev eth0 nodad", site.address6()))?;
        site.host.ip(&format!("route add default via {a}.{b}.{c}.1"))?;
        site.host.ip(&format!("-6 route add default via {}", site.lan6(1)))?;
        Ok(site)
    }

    /// Joins it to one more tenant's namespace, on a link of its own: LINK has 198.18.(100 + N).1/24
    /// there, the router .2.
    pub fn join(&self, inside: &Namespace) -> Result<(), LabError> {
        let (link, number) = (self.link(), self.number + SECOND);
        cable(inside, &link, &self.router, "wan2")?;
        inside.ip(&format!("address add 198.18.{number}.1/24 dev {link}"))?;
        self.router.ip(&format!("address add 198.18.{number}.2/24 dev wan2")).map(drop)
    }

    /// The address of the second tenant's namespace on its link here.
    pub fn second_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number + SECOND, 1)
    }

    /// The device that leads here, in the tenant's namespace.
    pub fn link(&self) -> String {
        format!("cloud{}", self.number)
    }

    /// The router's address on it.
    pub fn next_hop(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 2)
    }

    /// The router's IPv6 address on it.
    pub fn next_hop6(&self) -> Ipv6Addr {
        self.wan6(2)
    }

    /// The IPv6 address of the tenant's namespace on it.
    pub fn our_address6(&self) -> Ipv6Addr {
        self.wan6(1)
    }

    /// The address of the tenant's namespace on it.
    pub fn our_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 1)
    }

    /// The host's address.
    pub fn address(&self) -> Ipv4Addr {
        let [a, b, c] = self.prefix;
        Ipv4Addr::new(a, b, c, 2)
    }

    /// The host's IPv6 address.
    pub fn address6(&self) -> Ipv6Addr {
        self.lan6(2)
    }

    /// Gives the host one more address, which its router knows the way to.
    pub fn add_address(&self, address: impl Into<IpAddr>) -> Result<(), LabError> {
        let address = IpNet::from(address.into());
        let via = if address.addr().is_ipv4() {
            format!("-4 route replace {address} via {}", self.address())
        } else {
            format!("-6 route replace {address} via {}", self.address6())
        };
        self.host.ip(&format!("address replace {address} dev lo"))?;
        self.router.ip(&via).map(drop)
    }

    /// Tells the cloud the way back to `network`.
    pub fn know_the_way_to(&self, network: &str) -> Result<(), LabError> {
        let version = if network.contains(':') { "-6" } else { "-4" };
        let back = if network.contains(':') {
            self.wan6(1).to_string()
        } else {
            self.our_address().to_string()
        };
        self.router.ip(&format!("{version} route add {network} via {back}")).map(drop)
    }

    /// Listens on every address of the host, to see who comes.
    pub fn listen(&self) -> Result<Datagrams, LabError> {
        Datagrams::open(&self.host, Ipv4Addr::UNSPECIFIED)
    }

    fn wan6(&self, host: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0xa00 + u16::from(self.number), 0, 0, 0, 0, host)
    }

    fn lan6(&self, host: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0xb00 + u16::from(self.number), 0, 0, 0, 0, host)
    }
}

/// What tells the link of a second tenant from that of the first.
const SECOND: u8 = 100;
