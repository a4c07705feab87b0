//! DHCPINFORM over PPP (RFC 2131 §3.4): how clients of Windows and Apple learn routes.
//!
//! A client that has its address from IPCP broadcasts an [`Inform`] into the link; the gateway says an
//! [`Answer`] with the options asked for. Both are complete IPv4 packets, because that is what the
//! packet path takes and gives. There are no leases here, and no other DHCP message is understood.

mod domain;
#[cfg(test)]
mod independent;
mod message;
mod options;
mod packet;
mod routes;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;
use isthmus_wire::{DecodeError, Fault};

use message::{Hardware, Message};
use options::{Options, code};

pub use domain::{DOMAIN_MAX, Domain, LABEL_MAX};
pub use options::DHCP_OPTIONS_MAX;
pub use packet::is_for_server;

/// Most routes in an answer. An answer without a domain then still fits into 1280 bytes.
pub const ROUTES_MAX: usize = 50;
/// Most name servers in an answer.
pub const NAME_SERVERS_MAX: usize = 8;
/// Most time servers in an answer.
pub const TIME_SERVERS_MAX: usize = 4;
/// Most domains of a search list in an answer.
pub const SEARCH_MAX: usize = 8;

/// A client's question (DHCPINFORM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inform {
    /// The address the client says it has (`ciaddr`).
    pub address: Ipv4Addr,
    /// What the answer must repeat.
    pub xid: u32,
    flags: u16,
    hardware: Hardware,
    /// Codes of the options asked for (RFC 2132 §9.8).
    wanted: Vec<u8>,
}

impl Inform {
    /// A question of ours: subnet mask, name servers, domain and routes. `xid` should be random.
    pub fn new(address: Ipv4Addr, xid: u32) -> Self {
        Self::asking(address, xid, &WANTED)
    }

    /// A question for the options with these codes.
    pub fn asking(address: Ipv4Addr, xid: u32, wanted: &[u8]) -> Self {
        let wanted = wanted.to_vec();
        Self { address, xid, flags: 0, hardware: Hardware::of(address), wanted }
    }

    /// Reads an IPv4 packet.
    ///
    /// # Errors
    /// It is anything else than a whole, undamaged DHCPINFORM from port 68 to port 67.
    pub fn read(packet: &[u8]) -> Result<Self, DecodeError> {
        let message = Message::read(packet::read(packet, CLIENT_PORT, SERVER_PORT)?)?;
        if message.op != BOOTREQUEST {
            return Err(DecodeError::illegal("op"));
        }
        message.expect_type(INFORM)?;
        if message.ciaddr.is_unspecified() {
            return Err(DecodeError::illegal("ciaddr"));
        }
        let wanted = message.options.find(code::PARAMETERS).unwrap_or_default().to_vec();
        Ok(Self {
            address: message.ciaddr,
            xid: message.xid,
            flags: message.flags,
            hardware: message.hardware,
            wanted,
        })
    }

    /// The IPv4 packet, from our address to everyone.
    pub fn write(&self) -> Vec<u8> {
        let mut options = Options::default();
        options.append(code::MESSAGE_TYPE, &[INFORM]);
        options.append(code::PARAMETERS, &self.wanted);
        packet::write(
            SocketAddrV4::new(self.address, CLIENT_PORT),
            SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT),
            &self.message(BOOTREQUEST, options).write(),
        )
    }

    fn wants(&self, code: u8) -> bool {
        self.wanted.contains(&code)
    }

    /// A message that carries what question and answer have in common.
    fn message(&self, op: u8, options: Options) -> Message {
        Message {
            op,
            hardware: self.hardware,
            xid: self.xid,
            flags: self.flags,
            ciaddr: self.address,
            options,
        }
    }
}

/// The gateway's answer (DHCPACK without an address).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The gateway's address on the link; also the router of every route.
    pub server: Ipv4Addr,
    /// What lies behind the gateway; the first [`ROUTES_MAX`] are written.
    pub routes: Vec<Ipv4Net>,
    /// Name servers; the first [`NAME_SERVERS_MAX`] are written.
    pub dns: Vec<Ipv4Addr>,
    /// Time servers (RFC 2132 §8.3); the first [`TIME_SERVERS_MAX`] are written. Not read from an answer
    /// to us, because our questions do not ask for it.
    pub ntp: Vec<Ipv4Addr>,
    /// The domain the client is in.
    pub domain: Option<Domain>,
    /// Domains that short names are looked up in; the first [`SEARCH_MAX`] are written. Not read from
    /// an answer to us, because our questions do not ask for it.
    pub search: Vec<Domain>,
}

impl Answer {
    /// The IPv4 packet for the client that asked. Of the options only those asked for are in it; routes
    /// are there twice (121 and 249) when either is.
    pub fn write(&self, inform: &Inform) -> Vec<u8> {
        let mut options = Options::default();
        options.append(code::MESSAGE_TYPE, &[ACK]);
        options.append(code::SERVER, &self.server.octets());
        if inform.wants(code::SUBNET_MASK) {
            // Nobody else is on the link.
            options.append(code::SUBNET_MASK, &Ipv4Addr::BROADCAST.octets());
        }
        if inform.wants(code::NAME_SERVERS) {
            for server in self.dns.iter().take(NAME_SERVERS_MAX) {
                options.append(code::NAME_SERVERS, &server.octets());
            }
        }
        if inform.wants(code::TIME_SERVERS) {
            for server in self.ntp.iter().take(TIME_SERVERS_MAX) {
                options.append(code::TIME_SERVERS, &server.octets());
            }
        }
        if let Some(domain) = self.domain.as_ref().filter(|_| inform.wants(code::DOMAIN)) {
            options.append(code::DOMAIN, domain.as_str().as_bytes());
        }
        if inform.wants(code::SEARCH) {
            for domain in self.search.iter().take(SEARCH_MAX) {
                options.append(code::SEARCH, &domain.labels());
            }
        }
        if inform.wants(code::ROUTES) || inform.wants(code::ROUTES_MS) {
            let routes = routes::write(self.routes.iter().take(ROUTES_MAX), self.server);
            options.append(code::ROUTES, &routes);
            options.append(code::ROUTES_MS, &routes);
        }
        packet::write(
            SocketAddrV4::new(self.server, SERVER_PORT),
            SocketAddrV4::new(inform.address, CLIENT_PORT),
            &inform.message(BOOTREPLY, options).write(),
        )
    }

    /// Reads an IPv4 packet. Routers are not looked at: on this link there is only one.
    ///
    /// # Errors
    /// It is anything else than a whole, undamaged DHCPACK that answers `inform`.
    pub fn read(packet: &[u8], inform: &Inform) -> Result<Self, DecodeError> {
        let message = Message::read(packet::read(packet, SERVER_PORT, CLIENT_PORT)?)?;
        if message.op != BOOTREPLY {
            return Err(DecodeError::illegal("op"));
        }
        message.expect_type(ACK)?;
        if message.xid != inform.xid {
            return Err(DecodeError::illegal("xid"));
        }
        // Servers may leave ciaddr out (RFC 2131 §4.3.1, table 3).
        if message.ciaddr != inform.address && !message.ciaddr.is_unspecified() {
            return Err(DecodeError::illegal("ciaddr"));
        }
        let options = &message.options;
        let routes = options.find(code::ROUTES).or_else(|| options.find(code::ROUTES_MS));
        Ok(Self {
            server: read_server(options)?,
            routes: routes.map(routes::read).transpose()?.unwrap_or_default(),
            dns: read_name_servers(options)?,
            ntp: Vec::new(),
            domain: options.find(code::DOMAIN).map(Domain::read).transpose()?,
            search: Vec::new(),
        })
    }
}

fn read_server(options: &Options) -> Result<Ipv4Addr, DecodeError> {
    let missing = DecodeError::new("server identifier", Fault::Truncated);
    let bytes = options.find(code::SERVER).ok_or(missing)?;
    let octets: [u8; 4] =
        bytes.try_into().map_err(|_| DecodeError::illegal("server identifier"))?;
    Ok(octets.into())
}

fn read_name_servers(options: &Options) -> Result<Vec<Ipv4Addr>, DecodeError> {
    let (servers, rest) = options.find(code::NAME_SERVERS).unwrap_or_default().as_chunks::<4>();
    if !rest.is_empty() {
        return Err(DecodeError::illegal("name servers"));
    }
    if servers.len() > NAME_SERVERS_MAX {
        return Err(DecodeError::new("name servers", Fault::TooMany));
    }
    Ok(servers.iter().map(|octets| Ipv4Addr::from(*octets)).collect())
}

/// What our own questions ask for.
const WANTED: [u8; 5] =
    [code::SUBNET_MASK, code::NAME_SERVERS, code::DOMAIN, code::ROUTES, code::ROUTES_MS];
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const BOOTREQUEST: u8 = 1;
const BOOTREPLY: u8 = 2;
/// DHCP message type DHCPACK (RFC 2132 §9.6).
const ACK: u8 = 5;
/// DHCP message type DHCPINFORM.
const INFORM: u8 = 8;
