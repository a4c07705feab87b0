//! What the kernel tells of nftables without the program `nft`.

use std::io;

use netlink_packet_netfilter::nftables::{
    GenAttribute, GenMessage, NfTablesMessage, TableAttribute, TableMessage,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};

use super::Netlink;

/// The rules of the namespace it was opened in.
pub(crate) struct Ruleset(Netlink<NetfilterMessage>);

impl Ruleset {
    /// Opens a socket to them.
    pub(crate) fn open() -> io::Result<Self> {
        Netlink::open_netfilter().map(Self)
    }

    /// The number of the state that all tables are in: each transaction, whoever makes it, makes another.
    pub(crate) fn generation(&mut self) -> io::Result<u32> {
        let question = NfTablesMessage::GetGen(GenMessage { attributes: Vec::new() });
        let answer = self.0.get(message(question))?;
        let NetfilterMessageInner::NfTables(NfTablesMessage::NewGen(about)) = answer.inner else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let number = about.attributes.iter().find_map(|attribute| {
            if let GenAttribute::Id(number) = attribute { Some(*number) } else { None }
        });
        number.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The tables there are, each as `nft` names it: `inet filter`.
    pub(crate) fn tables(&mut self) -> io::Result<Vec<String>> {
        let question = NfTablesMessage::GetTable(TableMessage { attributes: Vec::new() });
        self.0.dump_some(&message(question), |answer| {
            let family = family(answer.header.family)?;
            let NetfilterMessageInner::NfTables(NfTablesMessage::NewTable(table)) = answer.inner
            else {
                return None;
            };
            table.attributes.into_iter().find_map(|attribute| {
                let TableAttribute::Name(name) = attribute else { return None };
                Some(format!("{family} {name}"))
            })
        })
    }
}

fn message(about: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0), about)
}

/// The word `nft` has for a family.
fn family(family: NetfilterProtoFamily) -> Option<&'static str> {
    let known = FAMILIES.iter().find(|(number, _)| *number == family);
    known.map(|(_, word)| *word)
}

const FAMILIES: [(NetfilterProtoFamily, &str); 6] = [
    (NetfilterProtoFamily::ARP, "arp"),
    (NetfilterProtoFamily::Bridge, "bridge"),
    (NetfilterProtoFamily::IPv4, "ip"),
    (NetfilterProtoFamily::IPv6, "ip6"),
    (NetfilterProtoFamily::Inet, "inet"),
    (NetfilterProtoFamily::NetDev, "netdev"),
];
