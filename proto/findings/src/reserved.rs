//! Networks that somebody else has: what is given to clients or hosts works here and fails at their home or in
//! a cloud.
//!
//! Sources: RFC 6890, and what the documents of the clouds say that they keep for themselves (AWS and all
//! others: 169.254.169.254; Azure: 168.63.129.16; Google: health checks, IAP and private access; Alibaba:
//! 100.64.0.0/10).

use ipnet::Ipv4Net;

/// A network of somebody else's.
#[derive(Clone, Copy, Debug)]
pub struct Reserved {
    net: (u8, u8, u8, u8, u8),
    /// Whose it is.
    pub whose: &'static str,
    /// What happens to clients with such addresses; nothing when no client can have them at all.
    pub happens: Option<&'static str>,
}

impl Reserved {
    /// The network.
    pub fn net(&self) -> Ipv4Net {
        let (a, b, c, d, len) = self.net;
        Ipv4Net::new_assert([a, b, c, d].into(), len)
    }

    /// Whether it is one that many have at home.
    pub fn is_at_home(&self) -> bool {
        self.happens == Some(AT_HOME)
    }
}

const fn never(net: (u8, u8, u8, u8, u8), whose: &'static str) -> Reserved {
    Reserved { net, whose, happens: None }
}

const fn rather_not(
    net: (u8, u8, u8, u8, u8),
    whose: &'static str,
    happens: &'static str,
) -> Reserved {
    Reserved { net, whose, happens: Some(happens) }
}

const AT_HOME: &str = "who has the same network at home reaches one of the two only";
const IN_GOOGLE: &str = "in Google Cloud what is sent to such addresses never comes back";

/// In the order they are looked at: who meets several is told of the first.
pub const RESERVED: [Reserved; 14] = [
    never((0, 0, 0, 0, 8), "addresses of \"this network\" (RFC 6890)"),
    never((127, 0, 0, 0, 8), "loopback addresses (RFC 6890)"),
    never((169, 254, 0, 0, 16), "link-local addresses and every cloud's metadata (RFC 3927)"),
    never((224, 0, 0, 0, 3), "multicast and reserved addresses (RFC 6890)"),
    never((168, 63, 129, 16, 32), "Azure's DHCP, DNS and health probes"),
    rather_not((192, 168, 0, 0, 24), "what many routers give out at home", AT_HOME),
    rather_not((192, 168, 1, 0, 24), "what many routers give out at home", AT_HOME),
    rather_not((10, 0, 0, 0, 24), "what many routers give out at home", AT_HOME),
    rather_not(
        (172, 17, 0, 0, 16),
        "Docker's own network",
        "machines with Docker keep such packets",
    ),
    rather_not(
        (100, 64, 0, 0, 10),
        "providers' addresses behind their NAT (RFC 6598), and services of Alibaba Cloud",
        "clients at such providers, and machines in Alibaba Cloud, reach one of the two only",
    ),
    rather_not((35, 191, 0, 0, 16), "Google's health checks", IN_GOOGLE),
    rather_not((130, 211, 0, 0, 22), "Google's health checks", IN_GOOGLE),
    rather_not((35, 235, 240, 0, 20), "Google's IAP", IN_GOOGLE),
    rather_not((199, 36, 153, 4, 30), "Google's private access", IN_GOOGLE),
];
