//! Routes of others.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteProtocol, RouteType,
};

use super::{ActualLink, Netlink, family};
use crate::around::{Interest, OtherHop, OtherRoute};

impl Netlink {
    /// Routes of a table that are not of the protocol `tag` and that are of interest.
    pub(crate) fn routes_of_others(
        &mut self,
        links: &[ActualLink],
        (table, tag): (u32, u8),
        interest: &Interest,
    ) -> io::Result<Vec<OtherRoute>> {
        let mut routes = Vec::new();
        for is_ipv4 in [true, false] {
            let mut request = RouteMessage::default();
            request.header.address_family = family(is_ipv4);
            request.attributes.push(RouteAttribute::Table(table));
            let found = self.dump_some(&RouteNetlinkMessage::GetRoute(request), |answer| {
                let route = read(answer, links, (table, tag))?;
                interest.concerns(&route).then_some(route)
            });
            match found {
                Ok(found) => routes.extend(found),
                // Nobody has ever put anything into this table.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(routes)
    }
}

fn read(
    message: RouteNetlinkMessage,
    links: &[ActualLink],
    (table, tag): (u32, u8),
) -> Option<OtherRoute> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    let header = &message.header;
    let ours = u8::from(header.protocol) == tag;
    if ours || header.flags.contains(RouteFlags::Cloned) || header.kind == RouteType::Multicast {
        return None;
    }
    let name = |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
    let any = if header.address_family == family(true) {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let (mut to, mut metric, mut hop, mut several) = (any, 0, OtherHop::default(), Vec::new());
    let mut in_table = u32::from(header.table);
    for attribute in &message.attributes {
        if let RouteAttribute::Destination(address) = attribute {
            to = ip(address)?;
        } else if let RouteAttribute::Gateway(address) = attribute {
            hop.gateway = ip(address);
        } else if let RouteAttribute::Table(number) = attribute {
            in_table = *number;
        } else if let RouteAttribute::Priority(number) = attribute {
            metric = *number;
        } else if let RouteAttribute::Oif(index) = attribute {
            hop.link = name(*index);
        } else if let RouteAttribute::MultiPath(hops) = attribute {
            several = hops.iter().map(|one| hop_of(one, name(one.interface_index))).collect();
        }
    }
    let leads = header.kind == RouteType::Unicast;
    let one = || if leads { vec![hop.clone()] } else { Vec::new() };
    (in_table == table).then_some(())?;
    Some(OtherRoute {
        destination: IpNet::new(to, header.destination_prefix_length).ok()?,
        metric,
        hops: if several.is_empty() { one() } else { several },
        connected: header.protocol == RouteProtocol::Kernel,
    })
}

fn hop_of(hop: &RouteNextHop, link: Option<String>) -> OtherHop {
    let gateway = hop.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Gateway(address) = attribute { ip(address) } else { None }
    });
    OtherHop { link, gateway }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    if let RouteAddress::Inet(address) = address {
        return Some(IpAddr::V4(*address));
    }
    if let RouteAddress::Inet6(address) = address {
        return Some(IpAddr::V6(*address));
    }
    None
}
