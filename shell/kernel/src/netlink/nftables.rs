//! What the kernel tells of nftables without the program `nft`.

use std::io;

use netlink_packet_netfilter::nftables::{GenAttribute, GenMessage, NfTablesMessage};
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
}

fn message(about: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0), about)
}
