//! Routes of one protocol.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::{ActualLink, Netlink, family};
use crate::{NextHop, Route};

impl Netlink {
    /// All routes of the protocol `tag`.
    pub(crate) fn routes(&mut self, links: &[ActualLink], tag: u8) -> io::Result<Vec<Route>> {
        let mut routes = Vec::new();
        for is_ipv4 in [true, false] {
            let mut request = RouteMessage::default();
            request.header.address_family = family(is_ipv4);
            request.header.protocol = RouteProtocol::from(tag);
            let answers = self.dump(&RouteNetlinkMessage::GetRoute(request))?;
            routes.extend(answers.into_iter().filter_map(|answer| read(answer, links, tag)));
        }
        Ok(routes)
    }

    /// Adds a route where there is none to that destination in that table with that metric. `index` is
    /// that of the link its next hop names.
    pub(crate) fn add_route(
        &mut self,
        route: &Route,
        index: Option<u32>,
        tag: u8,
    ) -> io::Result<()> {
        let message = write(route, index, tag);
        self.change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Puts a route in the place of the one to that destination in that table with that metric.
    pub(crate) fn replace_route(
        &mut self,
        route: &Route,
        index: Option<u32>,
        tag: u8,
    ) -> io::Result<()> {
        let message = write(route, index, tag);
        self.change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Whether all routes to that destination in that table with that metric are of the protocol `tag`.
    pub(crate) fn is_alone(&mut self, route: &Route, tag: u8) -> io::Result<bool> {
        let mut request = RouteMessage::default();
        request.header.address_family = family(route.destination.addr().is_ipv4());
        request.attributes.push(RouteAttribute::Table(route.table));
        let answers = self.dump(&RouteNetlinkMessage::GetRoute(request))?;
        let mut others = answers.into_iter().filter_map(|answer| {
            let RouteNetlinkMessage::NewRoute(message) = answer else { return None };
            let protocol = u8::from(message.header.protocol);
            (protocol != tag)
                .then(|| read(RouteNetlinkMessage::NewRoute(message), &[], protocol))?
        });
        Ok(!others.any(|other| other.key() == route.key()))
    }

    /// Removes the route of the protocol `tag` to that destination in that table with that metric.
    pub(crate) fn remove_route(&mut self, route: &Route, tag: u8) -> io::Result<()> {
        let mut message = base(route, tag);
        // Any type and scope: the protocol says that it is ours.
        message.header.scope = RouteScope::NoWhere;
        self.change(RouteNetlinkMessage::DelRoute(message), 0)
    }
}

/// What identifies a route.
fn base(route: &Route, tag: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    let destination = route.destination;
    message.header.address_family = family(destination.addr().is_ipv4());
    message.header.destination_prefix_length = destination.prefix_len();
    message.header.protocol = RouteProtocol::from(tag);
    if destination.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(destination.addr().into()));
    }
    message.attributes.push(RouteAttribute::Table(route.table));
    message.attributes.extend(route.metric.map(RouteAttribute::Priority));
    message
}

fn write(route: &Route, index: Option<u32>, tag: u8) -> RouteMessage {
    let mut message = base(route, tag);
    message.header.kind = RouteType::Unicast;
    match &route.next {
        NextHop::Altered | NextHop::Blackhole => message.header.kind = RouteType::BlackHole,
        NextHop::Gateway { gateway, on_link, .. } => {
            message.attributes.push(RouteAttribute::Gateway((*gateway).into()));
            if *on_link {
                message.header.flags |= RouteFlags::Onlink;
            }
        }
        NextHop::Link(_) => message.header.scope = RouteScope::Link,
        NextHop::Prohibit => message.header.kind = RouteType::Prohibit,
        NextHop::Unreachable => message.header.kind = RouteType::Unreachable,
    }
    message.attributes.extend(index.map(RouteAttribute::Oif));
    message.attributes.extend(route.source.map(|ip| RouteAttribute::PrefSource(ip.into())));
    message
}

/// The attributes of a route that we set ourselves.
#[derive(Default)]
struct Attributes {
    destination: Option<IpAddr>,
    gateway: Option<IpAddr>,
    source: Option<IpAddr>,
    table: Option<u32>,
    metric: Option<u32>,
    link: Option<u32>,
    multipath: bool,
}

impl Attributes {
    fn read(attributes: Vec<RouteAttribute>) -> Self {
        let mut found = Self::default();
        for attribute in attributes {
            if let RouteAttribute::Destination(address) = attribute {
                found.destination = ip(&address);
            } else if let RouteAttribute::Gateway(address) = attribute {
                found.gateway = ip(&address);
            } else if let RouteAttribute::PrefSource(address) = attribute {
                found.source = ip(&address);
            } else if let RouteAttribute::Table(table) = attribute {
                found.table = Some(table);
            } else if let RouteAttribute::Priority(metric) = attribute {
                found.metric = Some(metric);
            } else if let RouteAttribute::Oif(index) = attribute {
                found.link = Some(index);
            } else if let RouteAttribute::MultiPath(_) = attribute {
                found.multipath = true;
            }
        }
        found
    }
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

fn read(message: RouteNetlinkMessage, links: &[ActualLink], tag: u8) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    let header = message.header;
    if u8::from(header.protocol) != tag || header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let attributes = Attributes::read(message.attributes);
    let any = if header.address_family == family(true) {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let destination = attributes.destination.unwrap_or(any);
    let destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    let name = |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
    let link = attributes.link.and_then(name);
    let next = if attributes.multipath {
        NextHop::Altered
    } else if header.kind == RouteType::BlackHole {
        NextHop::Blackhole
    } else if header.kind == RouteType::Prohibit {
        NextHop::Prohibit
    } else if header.kind == RouteType::Unreachable {
        NextHop::Unreachable
    } else if let Some(gateway) = attributes.gateway {
        NextHop::Gateway { gateway, link, on_link: header.flags.contains(RouteFlags::Onlink) }
    } else {
        link.map_or(NextHop::Altered, NextHop::Link)
    };
    let table = attributes.table.unwrap_or(header.table.into());
    let metric = Some(attributes.metric.unwrap_or(0));
    Some(Route { destination, table, metric, next, source: attributes.source })
}
