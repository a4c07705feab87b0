//! What a packet is to look like when it leaves.

use std::net::IpAddr;

use isthmus_driver::NatKind;
use isthmus_kernel::{Road, Translation};

use crate::config::{Egress, Tenant};

/// What is to become of a packet that passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// Whether it is for this machine.
    pub(super) local: bool,
    /// The link that it leaves by.
    pub(super) link: Option<String>,
    /// Its source then.
    pub(super) source: SourceSeen,
    /// Its destination then; none for a packet that goes nowhere.
    pub(super) destination: Option<IpAddr>,
}

/// With which source a packet leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum SourceSeen {
    /// That address.
    Fixed(IpAddr),
    /// That address, which is its own outside.
    OneToOne(IpAddr),
    /// An address of the link that it leaves by; any other than its own where that link has none.
    OfLink(Vec<IpAddr>),
    /// Its own address.
    Own,
    /// Its own address, to this destination.
    OwnToThere,
    /// One of these.
    Range(IpAddr, IpAddr),
    /// Nobody knows: no egress leads there.
    #[default]
    Unknown,
}

impl SourceSeen {
    /// In words, for a packet that leaves by `link`.
    pub(super) fn told(&self, link: &str) -> String {
        match self {
            Self::Fixed(address) => format!("it leaves with the address {address}"),
            Self::OneToOne(address) => {
                format!("it leaves with the address {address}, which is its own outside")
            }
            Self::OfLink(_) => format!("it leaves with the address of {link}"),
            Self::Own => String::from("none: it leaves with its own address"),
            Self::OwnToThere => String::from("none to there: it leaves with its own address"),
            Self::Range(first, last) => format!("it leaves with one of {first}-{last}"),
            Self::Unknown => String::from("none known of: no egress leads there"),
        }
    }

    /// Whether a packet of `own` that left with `seen` left as it was to.
    pub(super) fn fits(&self, own: IpAddr, seen: IpAddr) -> bool {
        match self {
            Self::Fixed(address) | Self::OneToOne(address) => seen == *address,
            Self::OfLink(addresses) if addresses.is_empty() => seen != own,
            Self::OfLink(addresses) => addresses.contains(&seen),
            Self::Own | Self::OwnToThere => seen == own,
            Self::Range(first, last) => (*first..=*last).contains(&seen),
            Self::Unknown => true,
        }
    }
}

/// With which source a packet to `to` leaves by an egress: translations of the tenant come first.
pub(super) fn source_seen(
    tenant: &Tenant,
    egress: &Egress,
    (source, to): (IpAddr, IpAddr),
    road: &Road,
) -> SourceSeen {
    let one_to_one = tenant.nat.iter().find_map(|nat| match nat.kind {
        NatKind::OneToOne { inside, outside } => {
            let meant = inside == source && !nat.except.iter().any(|net| net.contains(&to));
            (meant && (nat.by.is_empty() || nat.by.contains(&egress.name))).then_some(outside)
        }
        NatKind::Forward { .. } | NatKind::Map { .. } => None,
    });
    if let Some(outside) = one_to_one {
        return SourceSeen::OneToOne(outside);
    }
    let kept = egress.nat_except.iter().any(|net| net.contains(&to));
    match if to.is_ipv4() { egress.nat } else { egress.nat6 } {
        _ if kept => SourceSeen::OwnToThere,
        Translation::Keep | Translation::Network(_) => SourceSeen::Own,
        Translation::Address(address) => SourceSeen::Fixed(address),
        Translation::Masquerade => SourceSeen::OfLink(road.addresses.clone()),
        Translation::Range(first, last) => SourceSeen::Range(first, last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_fits_what_it_was_to_be() {
        let [own, first, last, other] =
            ["10.64.0.9", "192.0.2.7", "192.0.2.9", "192.0.2.10"].map(|a| a.parse().unwrap());
        for (expected, fits, does_not) in [
            (SourceSeen::Own, own, other),
            (SourceSeen::OwnToThere, own, other),
            (SourceSeen::Fixed(first), first, own),
            (SourceSeen::OneToOne(first), first, last),
            (SourceSeen::OfLink(Vec::new()), other, own),
            (SourceSeen::OfLink(vec![first, last]), last, other),
            (SourceSeen::Range(first, last), last, other),
        ] {
            assert!(expected.fits(own, fits) && !expected.fits(own, does_not), "{expected:?}");
        }
        assert!(SourceSeen::Unknown.fits(own, own) && SourceSeen::Unknown.fits(own, other));
    }
}
