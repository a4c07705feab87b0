//! Stateless `DHCPv6` (RFC 8415 §18.2.6, RFC 3646): how clients without RFC 8106 learn name servers.
//!
//! An Information-Request is answered with a Reply; there are no leases and no delegated prefixes, and no
//! other message is understood.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use crate::InterfaceId;
use crate::dhcp::{Domain, SEARCH_MAX};
use crate::ipv6_packet::{read_udp, write_udp};

/// A client's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InformationRequest {
    /// Who asks.
    pub from: Ipv6Addr,
    /// What the answer must repeat: 24 bits of it.
    xid: [u8; 3],
    /// Who the client is, which the answer repeats.
    client: Option<Vec<u8>>,
    /// The server it means; any when there is none.
    server: Option<Vec<u8>>,
    /// Codes of the options asked for.
    wanted: Vec<u16>,
}

impl InformationRequest {
    /// Reads an IPv6 packet.
    ///
    /// # Errors
    /// It is anything else than an undamaged Information-Request.
    pub fn read(packet: &[u8]) -> Result<Self, DecodeError> {
        let carried = read_udp(packet, CLIENT_PORT, SERVER_PORT)?;
        let mut reader = Reader::new(carried.payload);
        if reader.u8("message type")? != INFORMATION_REQUEST {
            return Err(DecodeError::illegal("message type"));
        }
        let xid = reader.array("transaction id")?;
        let mut request =
            Self { from: carried.source, xid, client: None, server: None, wanted: Vec::new() };
        let mut count = 0;
        while reader.any_left() {
            count += 1;
            if count > DHCP6_OPTIONS_MAX {
                return Err(DecodeError::new("options", Fault::TooMany));
            }
            let code = reader.u16("option code")?;
            let len = usize::from(reader.u16("option length")?);
            request.take_option(code, reader.take("option", len)?)?;
        }
        Ok(request)
    }

    fn take_option(&mut self, code: u16, value: &[u8]) -> Result<(), DecodeError> {
        match code {
            // RFC 8415 §16.12: addresses and prefixes are nothing to be informed about.
            IA_NA | IA_TA | IA_PD => return Err(DecodeError::illegal("option code")),
            CLIENT_ID | SERVER_ID if value.len() > DUID_MAX => {
                return Err(DecodeError::new("DUID", Fault::TooLong));
            }
            CLIENT_ID => self.client = Some(value.to_vec()),
            SERVER_ID => self.server = Some(value.to_vec()),
            OPTION_REQUEST => {
                let (codes, rest) = value.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(DecodeError::illegal("option request"));
                }
                self.wanted = codes.iter().map(|code| u16::from_be_bytes(*code)).collect();
            }
            _ => {}
        }
        Ok(())
    }
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Name servers; the first [`DNS6_MAX`] are written.
    pub dns: Vec<Ipv6Addr>,
    /// The search list; the first [`SEARCH_MAX`] are written.
    pub search: Vec<Domain>,
}

impl Reply {
    /// The IPv6 packet from the server with this identifier; none when another server is meant. Of the
    /// options only those asked for are in it.
    pub fn write(&self, server: InterfaceId, request: &InformationRequest) -> Option<Vec<u8>> {
        let own = duid(server);
        if request.server.as_ref().is_some_and(|meant| *meant != own) {
            return None;
        }
        let mut writer = Writer::new();
        writer.u8(REPLY);
        writer.bytes(&request.xid);
        option(&mut writer, SERVER_ID, &own);
        if let Some(client) = &request.client {
            option(&mut writer, CLIENT_ID, client);
        }
        let servers: Vec<u8> = self.dns.iter().take(DNS6_MAX).flat_map(Ipv6Addr::octets).collect();
        let names: Vec<u8> = self.search.iter().take(SEARCH_MAX).flat_map(Domain::labels).collect();
        for (code, value) in [(NAME_SERVERS, servers), (SEARCH, names)] {
            if request.wanted.contains(&code) && !value.is_empty() {
                option(&mut writer, code, &value);
            }
        }
        let from = (server.link_local(), SERVER_PORT);
        Some(write_udp(from, (request.from, CLIENT_PORT), writer.as_slice()))
    }
}

/// Who we are: DUID-LL of an EUI-64 (RFC 8415 §11.4), which is what an interface identifier is.
fn duid(server: InterfaceId) -> Vec<u8> {
    let [high, low] = HARDWARE_EUI64.to_be_bytes();
    [&[0, 3, high, low][..], &server.octets()].concat()
}

fn option(writer: &mut Writer, code: u16, value: &[u8]) {
    writer.u16(code);
    // None is longer: all of them are bounded above.
    writer.u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
    writer.bytes(value);
}

/// Where clients send to (RFC 8415 §7.1).
pub const ALL_DHCP_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// The port of servers.
pub const SERVER_PORT: u16 = 547;
/// Most options in a message we read.
pub const DHCP6_OPTIONS_MAX: usize = 32;
/// Most bytes of a DUID (RFC 8415 §11.1: 128 and a type of two).
pub const DUID_MAX: usize = 130;
/// Most name servers in an answer.
pub const DNS6_MAX: usize = 4;

const CLIENT_PORT: u16 = 546;
/// Hardware type EUI-64 (IANA).
const HARDWARE_EUI64: u16 = 27;
// Message types (RFC 8415 §7.3).
const REPLY: u8 = 7;
const INFORMATION_REQUEST: u8 = 11;
// Option codes (RFC 8415 §21, RFC 3646).
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const IA_NA: u16 = 3;
const IA_TA: u16 = 4;
const OPTION_REQUEST: u16 = 6;
const NAME_SERVERS: u16 = 23;
const SEARCH: u16 = 24;
const IA_PD: u16 = 25;

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec;

    use dhcproto::v6::{self, DhcpOption, MessageType, OptionCode};
    use dhcproto::{Decodable, Encodable};
    use isthmus_wire::ip::{Ipv6, Udp};
    use proptest::prelude::*;

    use super::*;

    const SERVER: u64 = 10;

    fn server() -> InterfaceId {
        InterfaceId::new(SERVER).unwrap()
    }

    fn packet(payload: &[u8]) -> Vec<u8> {
        let from = ("fe80::7".parse().unwrap(), CLIENT_PORT);
        write_udp(from, (ALL_DHCP_SERVERS, SERVER_PORT), payload)
    }

    /// A question as another implementation writes it.
    fn question(server: Option<Vec<u8>>) -> InformationRequest {
        let mut message =
            v6::Message::new_with_id(MessageType::InformationRequest, [0xca, 0xfe, 0xba]);
        let options = message.opts_mut();
        options.insert(DhcpOption::ClientId(vec![0, 1, 0, 1, 1, 2, 3, 4, 5, 6]));
        options.insert(DhcpOption::ElapsedTime(0));
        if let Some(server) = server {
            options.insert(DhcpOption::ServerId(server));
        }
        let opts = vec![OptionCode::DomainNameServers, OptionCode::DomainSearchList];
        options.insert(DhcpOption::ORO(v6::ORO { opts }));
        InformationRequest::read(&packet(&message.to_vec().unwrap())).unwrap()
    }

    fn reply() -> Reply {
        Reply {
            dns: vec!["2001:db8::53".parse().unwrap(), "2001:db8::54".parse().unwrap()],
            search: vec![Domain::new("corp.example").unwrap()],
        }
    }

    #[test]
    fn another_implementation_reads_the_answer() {
        let bytes = reply().write(server(), &question(None)).unwrap();
        let ip = Ipv6::new(&bytes).unwrap();
        assert_eq!(ip.source(), server().link_local());
        assert_eq!(ip.destination().to_string(), "fe80::7");
        let udp = Udp::new(ip.payload()).unwrap();
        assert_eq!((udp.source_port(), udp.destination_port()), (547, 546));
        let message = v6::Message::decode(&mut dhcproto::Decoder::new(udp.payload())).unwrap();
        assert_eq!((message.msg_type(), message.xid()), (MessageType::Reply, [0xca, 0xfe, 0xba]));
        let option = |code| message.opts().get(code).cloned();
        let client = DhcpOption::ClientId(vec![0, 1, 0, 1, 1, 2, 3, 4, 5, 6]);
        assert_eq!(option(OptionCode::ClientId), Some(client));
        let own = DhcpOption::ServerId(vec![0, 3, 0, 27, 0, 0, 0, 0, 0, 0, 0, 10]);
        assert_eq!(option(OptionCode::ServerId), Some(own));
        let servers = DhcpOption::DomainNameServers(reply().dns);
        assert_eq!(option(OptionCode::DomainNameServers), Some(servers));
        let Some(DhcpOption::DomainSearchList(names)) = option(OptionCode::DomainSearchList) else {
            panic!("no search list")
        };
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["corp.example."]);
    }

    #[test]
    fn a_question_to_another_server_is_not_answered() {
        assert!(reply().write(server(), &question(Some(duid(server())))).is_some());
        assert_eq!(reply().write(server(), &question(Some(vec![0, 3, 0, 1, 9]))), None);
    }

    #[test]
    fn other_messages_and_damaged_ones_are_no_question() {
        for kind in (0..=255).filter(|kind| *kind != INFORMATION_REQUEST) {
            let read = InformationRequest::read(&packet(&[kind, 1, 2, 3]));
            assert_eq!(read, Err(DecodeError::illegal("message type")));
        }
        let whole = packet(&[11, 1, 2, 3, 0, 6, 0, 4, 0, 23, 0, 24]);
        assert!(InformationRequest::read(&whole).is_ok());
        for len in 0..whole.len() {
            assert!(InformationRequest::read(&whole[..len]).is_err(), "{len} bytes");
        }
        for at in (0..whole.len()).filter(|at| !(1..4).contains(at) && *at != 7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert!(InformationRequest::read(&damaged).is_err(), "byte {at}");
        }
        for option in [&[0, 6, 0, 1, 0][..], &[0, 3, 0, 0], &[0, 25, 0, 0], &[0, 1, 0, 9, 1]] {
            let message = [&[11, 1, 2, 3], option].concat();
            assert!(InformationRequest::read(&packet(&message)).is_err(), "{option:?}");
        }
    }

    #[test]
    fn bounds_are_kept() {
        let with =
            |options: &[u8]| InformationRequest::read(&packet(&[&[11, 1, 2, 3], options].concat()));
        assert!(with(&[0, 8, 0, 0].repeat(DHCP6_OPTIONS_MAX)).is_ok());
        let too_many = DecodeError::new("options", Fault::TooMany);
        assert_eq!(with(&[0, 8, 0, 0].repeat(DHCP6_OPTIONS_MAX + 1)), Err(too_many));
        assert!(with(&[&[0, 1, 0, 130][..], &[7; DUID_MAX]].concat()).is_ok());
        let too_long = DecodeError::new("DUID", Fault::TooLong);
        assert_eq!(with(&[&[0, 1, 0, 131][..], &[7; DUID_MAX + 1]].concat()), Err(too_long));
        let many = Reply { dns: vec![Ipv6Addr::LOCALHOST; 9], search: Vec::new() };
        let bytes = many.write(server(), &question(None)).unwrap();
        let count = bytes.windows(16).filter(|b| **b == Ipv6Addr::LOCALHOST.octets()).count();
        assert_eq!(count, DNS6_MAX);
    }

    proptest! {
        #[test]
        fn any_options_do_not_panic(options in any::<Vec<u8>>()) {
            if let Ok(request) = InformationRequest::read(&packet(&[&[11, 1, 2, 3], &options[..]].concat())) {
                let _ = reply().write(server(), &request);
                prop_assert_eq!(request.xid, [1, 2, 3]);
            }
        }
    }
}
