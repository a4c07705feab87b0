//! Links: what they are called and how they are set.

use std::io;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

use super::Netlink;

/// A link as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActualLink {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) up: bool,
    /// Up, and packets can leave by it: there is somebody at the other end.
    pub(crate) running: bool,
    pub(crate) mtu: u32,
}

impl Netlink {
    /// All links.
    pub(crate) fn links(&mut self) -> io::Result<Vec<ActualLink>> {
        let answers = self.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(answers.into_iter().filter_map(read).collect())
    }

    /// The link of that name, if there is one.
    pub(crate) fn link(&mut self, name: &str) -> io::Result<Option<ActualLink>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.get(RouteNetlinkMessage::GetLink(message)) {
            Ok(answer) => Ok(read(answer)),
            Err(error) if error.raw_os_error() == Some(ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Brings the link up or down and sets its MTU.
    pub(crate) fn set_link(&mut self, index: u32, up: bool, mtu: Option<u32>) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        message.attributes.extend(mtu.map(LinkAttribute::Mtu));
        self.change(RouteNetlinkMessage::SetLink(message), 0)
    }
}

const ENODEV: i32 = 19;

fn read(message: RouteNetlinkMessage) -> Option<ActualLink> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let mut link = ActualLink {
        index: message.header.index,
        name: String::new(),
        up: message.header.flags.contains(LinkFlags::Up),
        running: message.header.flags.contains(LinkFlags::Up | LinkFlags::Running),
        mtu: 0,
    };
    for attribute in message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name = name;
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            link.mtu = mtu;
        }
    }
    Some(link)
}
