//! The kernel's table of connections (`nf_conntrack`): what is remembered of them, and forgetting some.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::Nla;
use netlink_packet_netfilter::conntrack::{ConntrackAttribute, ConntrackMessage, IPTuple, Tuple};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};

use super::Netlink;
use crate::Flows;

/// The table of the namespace it was opened in.
pub(crate) struct Connections(Netlink<NetfilterMessage>);

impl Connections {
    /// Opens the table.
    pub(crate) fn open() -> io::Result<Self> {
        Netlink::open_netfilter().map(Self)
    }

    /// Forgets the connections that are among `flows`, and answers how many those were. Their next packets
    /// begin them anew.
    pub(crate) fn forget(&mut self, flows: &[Flows]) -> io::Result<usize> {
        let mut forgotten = 0;
        for family in [NetfilterProtoFamily::IPv4, NetfilterProtoFamily::IPv6] {
            let all = message(family, ConntrackMessage::Get(Vec::new()));
            let meant = self.0.dump_some(&all, |answer| key_of(answer, flows))?;
            for key in meant {
                match self.0.change(message(family, ConntrackMessage::Delete(key)), 0) {
                    // It has ended by itself.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    done => done.map(|()| forgotten += 1)?,
                }
            }
        }
        Ok(forgotten)
    }
}

fn message(family: NetfilterProtoFamily, about: ConntrackMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), about)
}

/// What names a connection, if it is one of `flows`.
fn key_of(answer: NetfilterMessage, flows: &[Flows]) -> Option<Vec<ConntrackAttribute>> {
    let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) = answer.inner else {
        return None;
    };
    let begun = attributes.iter().find_map(|attribute| {
        if let ConntrackAttribute::CtaTupleOrig(tuples) = attribute { ends(tuples) } else { None }
    });
    let (from, to) = begun?;
    if !flows.iter().any(|flows| flows.contain(from, to)) {
        return None;
    }
    let names = |attribute: &ConntrackAttribute| {
        let direction = matches!(attribute, ConntrackAttribute::CtaTupleOrig(_));
        direction || matches!(attribute.kind(), CTA_ID | CTA_ZONE)
    };
    Some(attributes.into_iter().filter(names).collect())
}

/// Source and destination.
fn ends(tuples: &[Tuple]) -> Option<(IpAddr, IpAddr)> {
    let ip =
        tuples.iter().find_map(|tuple| if let Tuple::Ip(ip) = tuple { Some(ip) } else { None })?;
    let find = |pick: fn(&IPTuple) -> Option<IpAddr>| ip.iter().find_map(pick);
    let from = find(|end| if let IPTuple::SourceAddress(a) = end { Some(*a) } else { None })?;
    let to = find(|end| if let IPTuple::DestinationAddress(a) = end { Some(*a) } else { None })?;
    Some((from, to))
}

/// `linux/netfilter/nfnetlink_conntrack.h`: the number that the kernel gave a connection.
const CTA_ID: u16 = 12;
/// The zone that a connection is in.
const CTA_ZONE: u16 = 18;
