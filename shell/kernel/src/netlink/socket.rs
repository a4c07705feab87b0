//! A socket to the kernel's netlink: one request, one answer.

use std::io;
use std::marker::PhantomData;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_netfilter::NetfilterMessage;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};

/// A connection to the kernel of the namespace it was opened in, to speak about `M`.
pub(crate) struct Netlink<M = RouteNetlinkMessage> {
    socket: Socket,
    sequence: u32,
    about: PhantomData<fn(M) -> M>,
}

impl Netlink {
    /// To the kernel's routing.
    pub(crate) fn open() -> io::Result<Self> {
        let netlink = Self::connect(NETLINK_ROUTE)?;
        // Lets the kernel filter dumps for us (Linux 4.20); we filter in any case.
        if let Err(error) = netlink.socket.set_netlink_get_strict_chk(true) {
            tracing::debug!(%error, "this kernel does not filter dumps");
        }
        Ok(netlink)
    }
}

impl Netlink<NetfilterMessage> {
    /// To the kernel's packet filter.
    pub(crate) fn open_netfilter() -> io::Result<Self> {
        Self::connect(NETLINK_NETFILTER)
    }
}

impl<M: NetlinkSerializable + NetlinkDeserializable + Clone> Netlink<M> {
    fn connect(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, about: PhantomData })
    }

    /// Asks for a change and waits until it is made or refused.
    pub(super) fn change(&mut self, message: M, flags: u16) -> io::Result<()> {
        self.send(message, NLM_F_ACK | flags)?;
        loop {
            let datagram = self.socket.recv_from_full()?.0;
            for answer in messages::<M>(&datagram) {
                if let NetlinkPayload::Error(error) = &answer.payload
                    && answer.header.sequence_number == self.sequence
                {
                    return error.code.map_or(Ok(()), |_| Err(error.to_io()));
                }
            }
        }
    }

    /// Asks for one thing.
    pub(super) fn get(&mut self, message: M) -> io::Result<M> {
        self.send(message, 0)?;
        loop {
            let datagram = self.socket.recv_from_full()?.0;
            for answer in messages::<M>(&datagram) {
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                if let NetlinkPayload::InnerMessage(message) = answer.payload {
                    return Ok(message);
                } else if let NetlinkPayload::Error(error) = answer.payload {
                    return Err(error.to_io());
                }
            }
        }
    }

    /// Asks for everything `message` stands for.
    pub(super) fn dump(&mut self, message: &M) -> io::Result<Vec<M>> {
        self.dump_some(message, Some)
    }

    /// Asks for everything `message` stands for, and keeps something of some of it.
    pub(super) fn dump_some<T>(
        &mut self,
        message: &M,
        keep: impl Fn(M) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 0..DUMPS_MAX {
            self.send(message.clone(), NLM_F_DUMP)?;
            if let Some(answers) = self.collect(&keep)? {
                return Ok(answers);
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "it changes faster than it can be read"))
    }

    /// Collects the answers of a dump; nothing when they are inconsistent because of a change meanwhile.
    fn collect<T>(&mut self, keep: &impl Fn(M) -> Option<T>) -> io::Result<Option<Vec<T>>> {
        let mut answers = Vec::new();
        let mut consistent = true;
        loop {
            let datagram = self.socket.recv_from_full()?.0;
            for answer in messages::<M>(&datagram) {
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                consistent &= answer.header.flags & NLM_F_DUMP_INTR == 0;
                if let NetlinkPayload::InnerMessage(message) = answer.payload {
                    answers.extend(keep(message));
                } else if let NetlinkPayload::Done(done) = answer.payload {
                    return match done.code {
                        0.. => Ok(consistent.then_some(answers)),
                        code => Err(io::Error::from_raw_os_error(-code)),
                    };
                } else if let NetlinkPayload::Error(error) = answer.payload
                    && error.code.is_some()
                {
                    return Err(error.to_io());
                }
            }
        }
    }

    fn send(&mut self, message: M, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }
}

/// How often a dump is repeated that a change made inconsistent.
const DUMPS_MAX: u32 = 10;

/// The messages in a datagram. What the netlink crates cannot read is nothing we made: it is left out.
fn messages<M: NetlinkDeserializable>(datagram: &[u8]) -> impl Iterator<Item = NetlinkMessage<M>> {
    parts(datagram).filter_map(|message| {
        NetlinkMessage::deserialize(message)
            .inspect_err(|error| tracing::debug!(%error, "unreadable netlink message left out"))
            .ok()
    })
}

/// The bytes of each message in a datagram.
pub(super) fn parts(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = NetlinkBuffer::new_checked(datagram).ok()?.length() as usize;
        let (message, _) = datagram.split_at_checked(length)?;
        // Messages are aligned to four bytes.
        datagram = datagram.get(length.next_multiple_of(4).max(4)..).unwrap_or_default();
        Some(message)
    })
}
