//! Addresses on links.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol,
};

use super::{ActualLink, Netlink, family};
use crate::Address;

impl Netlink {
    /// All addresses on `links`, each with whether it carries `tag` (which Linux keeps since 5.18).
    pub(crate) fn addresses(
        &mut self,
        links: &[ActualLink],
        tag: u8,
    ) -> io::Result<Vec<(Address, bool)>> {
        let answers = self.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        Ok(answers.into_iter().filter_map(|answer| read(answer, links, tag)).collect())
    }

    /// Adds an address to the link of that index.
    pub(crate) fn add_address(&mut self, address: &Address, index: u32, tag: u8) -> io::Result<()> {
        let mut message = write(address, index);
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(tag)));
        // Our addresses are given out by us, or moved here on purpose: nobody else is asked.
        message.header.flags = AddressHeaderFlags::Nodad;
        self.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Removes an address from the link of that index.
    pub(crate) fn remove_address(&mut self, address: &Address, index: u32) -> io::Result<()> {
        self.change(RouteNetlinkMessage::DelAddress(write(address, index)), 0)
    }
}

fn write(address: &Address, index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    let local = address.address.addr();
    message.header.family = family(local.is_ipv4());
    message.header.prefix_len = address.address.prefix_len();
    message.header.index = index;
    // On a point-to-point link the "address" is that of the peer.
    message.attributes.push(AddressAttribute::Local(local));
    message.attributes.push(AddressAttribute::Address(address.peer.unwrap_or(local)));
    message
}

fn read(message: RouteNetlinkMessage, links: &[ActualLink], tag: u8) -> Option<(Address, bool)> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let link = links.iter().find(|link| link.index == message.header.index)?;
    let (mut local, mut remote, mut protocol) = (None::<IpAddr>, None::<IpAddr>, None);
    for attribute in message.attributes {
        if let AddressAttribute::Local(address) = attribute {
            local = Some(address);
        } else if let AddressAttribute::Address(address) = attribute {
            remote = Some(address);
        } else if let AddressAttribute::Protocol(number) = attribute {
            protocol = Some(u8::from(number));
        }
    }
    let own = local.or(remote)?;
    let address = IpNet::new(own, message.header.prefix_len).ok()?;
    let peer = remote.filter(|&remote| remote != own);
    Some((Address { link: link.name.clone(), address, peer }, protocol == Some(tag)))
}
