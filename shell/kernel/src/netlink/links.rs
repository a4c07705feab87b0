//! Links: what they are called and how they are set.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::Netlink;
use crate::Veth;

/// A link as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActualLink {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) up: bool,
    /// Up, and packets can leave by it: there is somebody at the other end.
    pub(crate) running: bool,
    pub(crate) mtu: u32,
    /// Which group it is in; nobody's is 0.
    pub(crate) group: u32,
    /// Its alias.
    pub(crate) label: String,
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

    /// Makes a pair of devices, the end here in a group from its first moment and then with a label: the
    /// kernel gives no label to what it makes.
    pub(crate) fn add_veth(&mut self, veth: &Veth, group: u32, label: &str) -> io::Result<()> {
        let other = File::open(veth.namespace().path())?;
        let end = || {
            let mut end = LinkMessage::default();
            end.attributes.push(LinkAttribute::IfName(veth.name.clone()));
            end.attributes.push(LinkAttribute::Mtu(veth.mtu));
            end
        };
        let (mut here, mut there) = (end(), end());
        there.attributes.push(LinkAttribute::NetNsFd(other.as_raw_fd()));
        here.attributes.push(LinkAttribute::Group(group));
        here.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(there))),
        ]));
        self.change(RouteNetlinkMessage::NewLink(here), NLM_F_CREATE | NLM_F_EXCL)?;
        let mut labelled = LinkMessage::default();
        labelled.attributes.push(LinkAttribute::IfName(veth.name.clone()));
        labelled.attributes.push(LinkAttribute::IfAlias(label.to_owned()));
        self.change(RouteNetlinkMessage::SetLink(labelled), 0)
    }

    /// Removes the link of that index.
    pub(crate) fn remove_link(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.change(RouteNetlinkMessage::DelLink(message), 0)
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
        group: 0,
        label: String::new(),
    };
    for attribute in message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name = name;
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            link.mtu = mtu;
        } else if let LinkAttribute::Group(group) = attribute {
            link.group = group;
        } else if let LinkAttribute::IfAlias(label) = attribute {
            link.label = label;
        }
    }
    Some(link)
}
