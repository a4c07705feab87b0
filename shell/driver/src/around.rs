//! What namespaces have that is not ours: whoever knows the configuration sees what is in the way.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use isthmus_kernel::{Around, Interest};
use isthmus_net::Namespace;

use crate::inside::Placed;
use crate::wanted::{NatKind, Way, inside};

/// What each namespace has that is not ours; `None` is the gateway's own.
pub type Surroundings = BTreeMap<Option<Namespace>, Around>;

/// What is of interest to these tenants.
pub(crate) fn interest<'a>(tenants: impl IntoIterator<Item = &'a Placed>) -> Interest {
    let mut interest = Interest::default();
    for placed in tenants {
        interest.inside.extend(inside(placed));
        for egress in &placed.tenant.egress {
            interest.outside.extend(&egress.to);
            if let Way::Gateway { gateway, gateway6, .. } = &egress.way {
                let hops = gateway.map(IpAddr::V4).into_iter().chain(gateway6.map(IpAddr::V6));
                interest.outside.extend(hops.map(IpNet::from));
            }
        }
        let mapped = placed.tenant.nat.iter().filter_map(|nat| match nat.kind {
            NatKind::Map { outside, .. } => Some(outside),
            NatKind::Forward { .. } | NatKind::OneToOne { .. } => None,
        });
        interest.outside.extend(mapped);
    }
    interest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wanted::NatNetwork;
    use crate::wanted::tests::{placed, via, way};

    #[test]
    fn what_is_inside_and_where_packets_go_is_of_interest() {
        let mut placed = placed(vec![way("azure", &["10.201.0.0/16"], via("eth1", "192.0.2.1"))]);
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let kind = NatKind::Map { inside: net("10.201.0.0/16"), outside: net("10.1.0.0/16") };
        placed.tenant.nat = vec![NatNetwork { kind, by: Vec::new(), except: Vec::new() }];
        placed.networks = vec!["192.168.40.0/24".parse().unwrap()];
        let found = interest([&placed]);
        assert_eq!(found.inside, [net("10.64.0.0/20"), net("192.168.40.0/24")]);
        let outside = ["10.201.0.0/16", "192.0.2.1/32", "10.1.0.0/16"].map(net);
        assert_eq!(found.outside, outside);
    }
}
