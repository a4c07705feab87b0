//! Which servers may be loaded without further ado.

use std::net::{IpAddr, Ipv6Addr};

/// Whether an address is this machine's or of a network that nobody else has: loopback, link-local and
/// private addresses. Any other server is somebody's on the internet.
pub fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => is_near_v6(v6),
    }
}

const fn is_near_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_else_has_is_near() {
        let near =
            ["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.31.0.1", "192.168.0.1", "169.254.7.7"];
        let near_v6 = ["::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"];
        for address in near.iter().chain(&near_v6) {
            assert!(is_near(address.parse().unwrap()), "{address}");
        }
        let far = ["203.0.113.10", "8.8.8.8", "172.32.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"];
        let far_v6 = ["2001:db8::1", "::", "ff02::1", "::ffff:8.8.8.8"];
        for address in far.iter().chain(&far_v6) {
            assert!(!is_near(address.parse().unwrap()), "{address}");
        }
    }
}
