//! Which host a packet of a user really goes to: networks that exist twice are known to users by other addresses
//! (`netmap`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use isthmus_driver::{NatKind, NatNetwork, bound_marks};

use super::types::Tenant;

/// A translated destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapped<'a> {
    /// The host as it is known where it is.
    pub(crate) address: IpAddr,
    /// The network as users know it.
    pub(crate) inside: IpNet,
    /// The network as it is.
    pub(crate) outside: IpNet,
    /// The egresses that its packets take; those that the destination has when empty.
    pub(crate) by: &'a [String],
    /// What its packets are marked with so that they do, and the bits of the mark.
    pub(crate) mark: Option<(u32, u32)>,
}

impl Tenant {
    /// What becomes of the destination of a user's packet; none where it stays.
    pub(crate) fn mapped(&self, to: IpAddr) -> Option<Mapped<'_>> {
        let marks = bound_marks(&self.nat);
        self.nat.iter().zip(marks).find_map(|(NatNetwork { kind, by, except }, mark)| {
            let NatKind::Map { inside, outside } = *kind else { return None };
            let meant = inside.contains(&to) && !except.iter().any(|net| net.contains(&to));
            let address = meant.then(|| host_of(to, inside, outside)).flatten()?;
            Some(Mapped { address, inside, outside, by, mark })
        })
    }
}

/// The same host of another network of the same size.
fn host_of(address: IpAddr, of: IpNet, other: IpNet) -> Option<IpAddr> {
    match (address, of, other.network()) {
        (IpAddr::V4(address), IpNet::V4(of), IpAddr::V4(other)) => {
            let host = address.to_bits() & of.hostmask().to_bits();
            Some(Ipv4Addr::from_bits(other.to_bits() | host).into())
        }
        (IpAddr::V6(address), IpNet::V6(of), IpAddr::V6(other)) => {
            let host = address.to_bits() & of.hostmask().to_bits();
            Some(Ipv6Addr::from_bits(other.to_bits() | host).into())
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_stays_and_the_network_is_another() {
        let host = |address: &str, of: &str, other: &str| {
            let (of, other) = (of.parse().unwrap(), other.parse().unwrap());
            host_of(address.parse().unwrap(), of, other).map(|host| host.to_string())
        };
        assert_eq!(host("10.201.3.5", "10.201.0.0/16", "10.1.0.0/16").as_deref(), Some("10.1.3.5"));
        let six = host("2001:db8:1::7", "2001:db8:1::/48", "2001:db8:9::/48");
        assert_eq!(six.as_deref(), Some("2001:db8:9::7"));
        assert_eq!(host("10.201.3.5", "10.201.0.0/16", "2001:db8::/112"), None);
    }
}
