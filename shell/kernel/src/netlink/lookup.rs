//! The kernel's own answer to where a packet goes.

use std::io;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType,
};

use super::{Netlink, family};
use crate::{Lookup, Road};

impl Netlink {
    /// Where a packet goes that comes in by the link of index `input`.
    pub(crate) fn look_up(&mut self, lookup: &Lookup, input: u32) -> io::Result<Road> {
        let mut request = RouteMessage::default();
        let header = &mut request.header;
        let is_ipv4 = lookup.to.is_ipv4();
        header.address_family = family(is_ipv4);
        header.destination_prefix_length = if is_ipv4 { 32 } else { 128 };
        header.source_prefix_length = header.destination_prefix_length;
        // Asked like that, IPv6 refuses the question; it names the table in any case.
        if is_ipv4 {
            header.flags = RouteFlags::LookupTable;
        }
        request.attributes = vec![
            RouteAttribute::Destination(lookup.to.into()),
            RouteAttribute::Source(lookup.from.into()),
            RouteAttribute::Iif(input),
            RouteAttribute::Mark(lookup.mark),
        ];
        let answer = match self.get(RouteNetlinkMessage::GetRoute(request)) {
            Ok(answer) => answer,
            Err(error) => return no_road(error),
        };
        let RouteNetlinkMessage::NewRoute(answer) = answer else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let links = self.links()?;
        // Whose they are is of no interest.
        let addresses = self.addresses(&links, 0)?;
        let mut road = Road { table: u32::from(answer.header.table), ..Road::default() };
        road.local = answer.header.kind == RouteType::Local;
        for attribute in &answer.attributes {
            if let RouteAttribute::Table(table) = attribute {
                road.table = *table;
            } else if let RouteAttribute::Gateway(gateway) = attribute {
                road.gateway = address(gateway);
            } else if let RouteAttribute::Oif(index) = attribute {
                let link = links.iter().find(|link| link.index == *index);
                road.link = link.map(|link| link.name.clone());
                road.mtu = link.map(|link| link.mtu);
            }
        }
        let of_link = addresses.iter().filter(|(own, _)| Some(&own.link) == road.link.as_ref());
        let own = of_link.map(|(own, _)| own.address.addr());
        let leaves = |own: &IpAddr| match own {
            IpAddr::V4(own) => is_ipv4 && !own.is_link_local(),
            IpAddr::V6(own) => !is_ipv4 && !own.is_unicast_link_local(),
        };
        road.addresses = own.filter(leaves).collect();
        Ok(road)
    }
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    if let RouteAddress::Inet(address) = address {
        Some(IpAddr::V4(*address))
    } else if let RouteAddress::Inet6(address) = address {
        Some(IpAddr::V6(*address))
    } else {
        None
    }
}

/// Some errors are answers.
fn no_road(error: io::Error) -> io::Result<Road> {
    let refusal = match error.raw_os_error() {
        Some(EACCES) => "prohibited",
        Some(EINVAL) => "dropped by a blackhole route",
        Some(EXDEV) => "dropped, because answers would go out by another device (rp_filter)",
        Some(EHOSTUNREACH) => "unreachable",
        Some(ENETUNREACH) => "no route leads there",
        _ => return Err(error),
    };
    Ok(Road { refusal: Some(refusal.to_owned()), ..Road::default() })
}

const EACCES: i32 = 13;
const EXDEV: i32 = 18;
const EINVAL: i32 = 22;
const ENETUNREACH: i32 = 101;
const EHOSTUNREACH: i32 = 113;
