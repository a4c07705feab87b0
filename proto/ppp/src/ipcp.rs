//! What IPCP negotiates: addresses, and name servers for the client (RFC 1332, RFC 1877).

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use crate::action::NetworkUp;
use crate::error::NegotiationFailure;
use crate::habits::{IpcpItem, kept};
use crate::iana::ipcp_option;
use crate::negotiation::{Judgement, Options};
use crate::option::RawOption;

/// IPCP's side of a [`Negotiation`](crate::negotiation::Negotiation).
#[derive(Debug)]
pub(crate) enum IpcpOptions {
    /// We ask for an address.
    Client(ClientAddresses),
    /// We give one.
    Server(ServerAddresses),
}

/// The addresses a server negotiates.
#[derive(Clone, Debug)]
pub(crate) struct ServerAddresses {
    /// Ours.
    pub(crate) local: Ipv4Addr,
    /// What the peer must take.
    pub(crate) remote: Ipv4Addr,
    /// Told to a peer that asks.
    pub(crate) dns: Vec<Ipv4Addr>,
    /// Whether the peer wants to know our address.
    tell_local: bool,
}

/// The addresses a client negotiates.
#[derive(Clone, Debug)]
pub(crate) struct ClientAddresses {
    /// Ours: what we would like, then what the server says.
    pub(crate) local: Ipv4Addr,
    /// The server's; 0.0.0.0 when it does not tell.
    pub(crate) remote: Ipv4Addr,
    /// The two name servers; none when not asked for or not available.
    dns: [Option<Ipv4Addr>; 2],
    /// What is asked for, in order; none for our own list.
    items: Option<Vec<IpcpItem>>,
    /// Kinds that the peer has rejected.
    rejected: Vec<u8>,
}

impl ServerAddresses {
    /// A server that gives `remote` and the first two of `dns`.
    pub(crate) fn new(local: Ipv4Addr, remote: Ipv4Addr, dns: &[Ipv4Addr]) -> Self {
        let dns = dns.iter().copied().take(DNS_MAX).collect();
        Self { local, remote, dns, tell_local: true }
    }

    fn judge(&self, option: &RawOption) -> Judgement {
        let given = match option.kind {
            ipcp_option::ADDRESS => Some(&self.remote),
            ipcp_option::DNS1 => self.dns.first(),
            ipcp_option::DNS2 => self.dns.get(1),
            // NBNS, Van Jacobson compression, the deprecated IP-Addresses.
            _ => None,
        };
        match given {
            Some(given) if option.value() == given.octets() => Judgement::Ack,
            Some(given) => Judgement::Nak(address_option(option.kind, *given)),
            None => Judgement::Reject,
        }
    }
}

impl ClientAddresses {
    /// A client that would like `address` and perhaps name servers, or the `items` of a habit.
    pub(crate) fn new(
        address: Option<Ipv4Addr>,
        request_dns: bool,
        items: Option<Vec<IpcpItem>>,
    ) -> Self {
        let dns = if request_dns { Some(Ipv4Addr::UNSPECIFIED) } else { None };
        let local = match address {
            Some(address) => address,
            None => Ipv4Addr::UNSPECIFIED,
        };
        let (remote, rejected) = (Ipv4Addr::UNSPECIFIED, Vec::new());
        Self { local, remote, dns: [dns, dns], items, rejected }
    }

    /// A client whose network was up.
    pub(crate) fn restore(network: &NetworkUp) -> Self {
        let mut dns = network.dns.iter().copied();
        let dns = [dns.next(), dns.next()];
        let (local, remote) = (network.local, network.remote);
        Self { local, remote, dns, items: None, rejected: Vec::new() }
    }

    fn item(&self, item: &IpcpItem) -> Option<RawOption> {
        let dns = |index: usize, kind| {
            self.dns.get(index).copied().flatten().map(|address| address_option(kind, address))
        };
        match item {
            IpcpItem::Address => Some(address_option(ipcp_option::ADDRESS, self.local)),
            IpcpItem::Dns1 => dns(0, ipcp_option::DNS1),
            IpcpItem::Dns2 => dns(1, ipcp_option::DNS2),
            IpcpItem::Other(kind, value) => kept(*kind, value, &self.rejected),
        }
    }

    fn request(&self) -> Vec<RawOption> {
        if let Some(items) = &self.items {
            return items.iter().filter_map(|item| self.item(item)).collect();
        }
        let mut options = alloc::vec![address_option(ipcp_option::ADDRESS, self.local)];
        for (kind, address) in DNS_KINDS.into_iter().zip(self.dns) {
            options.extend(address.map(|address| address_option(kind, address)));
        }
        options
    }

    fn judge(option: &RawOption) -> Judgement {
        match (option.kind, option.array().map(Ipv4Addr::from)) {
            (ipcp_option::ADDRESS, Some(address)) if is_host(address) => Judgement::Ack,
            // A server without an address of its own asks us for one; we have none to give.
            _ => Judgement::Reject,
        }
    }

    fn naked(&mut self, suggestion: &[RawOption]) {
        for option in suggestion {
            let Some(address) = option.array().map(Ipv4Addr::from) else { continue };
            match option.kind {
                ipcp_option::ADDRESS if is_host(address) => self.local = address,
                ipcp_option::DNS1 => replace(&mut self.dns, 0, address),
                ipcp_option::DNS2 => replace(&mut self.dns, 1, address),
                _ => {}
            }
        }
    }

    fn refused(&mut self, options: &[RawOption]) -> Result<(), NegotiationFailure> {
        for option in options {
            match option.kind {
                ipcp_option::ADDRESS => return Err(NegotiationFailure::NoAddress),
                ipcp_option::DNS1 => self.dns = [None, self.dns[1]],
                ipcp_option::DNS2 => self.dns = [self.dns[0], None],
                // Only what we sent can be rejected, so this is bounded by the habit.
                kind => self.rejected.push(kind),
            }
        }
        Ok(())
    }
}

impl IpcpOptions {
    /// Our address.
    pub(crate) const fn local(&self) -> Ipv4Addr {
        match self {
            Self::Client(client) => client.local,
            Self::Server(server) => server.local,
        }
    }

    /// The peer's address.
    pub(crate) const fn remote(&self) -> Ipv4Addr {
        match self {
            Self::Client(client) => client.remote,
            Self::Server(server) => server.remote,
        }
    }

    /// Name servers told by us or to us.
    pub(crate) fn dns(&self) -> Vec<Ipv4Addr> {
        match self {
            Self::Client(client) => {
                client.dns.into_iter().flatten().filter(|address| is_host(*address)).collect()
            }
            Self::Server(server) => server.dns.clone(),
        }
    }
}

impl Options for IpcpOptions {
    fn request(&self) -> Vec<RawOption> {
        match self {
            Self::Client(client) => client.request(),
            Self::Server(server) if server.tell_local => {
                alloc::vec![address_option(ipcp_option::ADDRESS, server.local)]
            }
            Self::Server(_) => Vec::new(),
        }
    }

    fn judge(&self, option: &RawOption) -> Judgement {
        match self {
            Self::Client(_) => ClientAddresses::judge(option),
            Self::Server(server) => server.judge(option),
        }
    }

    fn missing(&self, request: &[RawOption]) -> Vec<RawOption> {
        let has_address = request.iter().any(|option| option.kind == ipcp_option::ADDRESS);
        match self {
            Self::Server(server) if !has_address => {
                alloc::vec![address_option(ipcp_option::ADDRESS, server.remote)]
            }
            Self::Server(_) | Self::Client(_) => Vec::new(),
        }
    }

    fn is_required(&self, kind: u8) -> bool {
        match self {
            Self::Client(_) => false,
            Self::Server(_) => kind == ipcp_option::ADDRESS,
        }
    }

    fn suspect(&self, _request: &[RawOption]) -> Option<RawOption> {
        None
    }

    fn note_request(&mut self, _request: &[RawOption]) -> Result<(), NegotiationFailure> {
        Ok(())
    }

    fn agree(&mut self, request: &[RawOption]) {
        match self {
            Self::Client(client) => {
                let address = request.iter().find(|option| option.kind == ipcp_option::ADDRESS);
                client.remote = address
                    .and_then(RawOption::array)
                    .map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
            }
            // The only request we acknowledge is the one with the values we gave.
            Self::Server(_) => {}
        }
    }

    fn agreed(&mut self) -> Result<(), NegotiationFailure> {
        match self {
            Self::Client(client) if !is_host(client.local) => Err(NegotiationFailure::NoAddress),
            Self::Client(_) | Self::Server(_) => Ok(()),
        }
    }

    fn naked(&mut self, suggestion: &[RawOption]) -> Result<(), NegotiationFailure> {
        match self {
            Self::Client(client) => client.naked(suggestion),
            // Our address is not the peer's to choose.
            Self::Server(_) => {}
        }
        Ok(())
    }

    fn refused(&mut self, options: &[RawOption]) -> Result<(), NegotiationFailure> {
        match self {
            Self::Client(client) => client.refused(options),
            Self::Server(server) => {
                server.tell_local = false;
                Ok(())
            }
        }
    }
}

fn address_option(kind: u8, address: Ipv4Addr) -> RawOption {
    RawOption::new(kind, address.octets())
}

/// Whether an address can belong to a host.
pub(crate) const fn is_host(address: Ipv4Addr) -> bool {
    !address.is_unspecified()
        && !address.is_multicast()
        && !address.is_broadcast()
        && !address.is_loopback()
}

fn replace(dns: &mut [Option<Ipv4Addr>; 2], index: usize, address: Ipv4Addr) {
    if let Some(slot) = dns.get_mut(index).filter(|slot| slot.is_some()) {
        *slot = Some(address);
    }
}

const DNS_KINDS: [u8; DNS_MAX] = [ipcp_option::DNS1, ipcp_option::DNS2];
/// Name servers IPCP can tell.
pub const DNS_MAX: usize = 2;
