//! Router Advertisements (RFC 4861 §4.2, RFC 8106).

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use ipnet::Ipv6Net;
use isthmus_wire::{DecodeError, Reader, Writer};

use super::{ROUTER_ADVERTISEMENT, options};
use crate::InterfaceId;
use crate::dhcp::{Domain, SEARCH_MAX};
use crate::ipv6_packet::{read_icmp, write_icmp};

/// What a router says of itself and of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterAdvertisement {
    /// How long it is a default router, in seconds; 0 when it is none (any more).
    pub router_lifetime: u16,
    /// Whether `DHCPv6` knows more, such as name servers (the O flag). The M flag is never set.
    pub other_config: bool,
    /// A /64 that clients make addresses in.
    pub prefix: Option<Ipv6Net>,
    /// How long addresses in it are valid, in seconds; preferred for half as long.
    pub prefix_lifetime: u32,
    /// Largest packet on the link in bytes.
    pub mtu: Option<u32>,
    /// Name servers; the first [`RDNSS_MAX`] are written and read.
    pub dns: Vec<Ipv6Addr>,
    /// The search list; the first [`SEARCH_MAX`] are written. Not read from an advertisement to us.
    pub search: Vec<Domain>,
}

impl RouterAdvertisement {
    /// The IPv6 packet from the router with this identifier.
    pub fn write(&self, router: InterfaceId, to: Ipv6Addr) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(&[ROUTER_ADVERTISEMENT, 0, 0, 0]);
        writer.u8(CUR_HOP_LIMIT);
        writer.u8(if self.other_config { OTHER_CONFIG } else { 0 });
        writer.u16(self.router_lifetime);
        // Reachable time and retransmission timer: unspecified.
        writer.u64(0);
        if let Some(prefix) = self.prefix {
            self.write_prefix(&mut writer, prefix);
        }
        if let Some(mtu) = self.mtu {
            options::write(&mut writer, MTU, &[&[0, 0], &mtu.to_be_bytes()[..]].concat());
        }
        if !self.dns.is_empty() {
            let servers = self.dns.iter().take(RDNSS_MAX).flat_map(Ipv6Addr::octets);
            options::write(&mut writer, RDNSS, &self.with_lifetime(servers));
        }
        if !self.search.is_empty() {
            let names = self.search.iter().take(SEARCH_MAX).flat_map(Domain::labels);
            options::write(&mut writer, DNSSL, &self.with_lifetime(names));
        }
        write_icmp(router.link_local(), to, writer.as_slice())
    }

    fn write_prefix(&self, writer: &mut Writer, prefix: Ipv6Net) {
        let mut value = Vec::with_capacity(30);
        value.extend([prefix.prefix_len(), AUTONOMOUS]);
        value.extend(self.prefix_lifetime.to_be_bytes());
        value.extend((self.prefix_lifetime / 2).to_be_bytes());
        value.extend([0; 4]);
        value.extend(prefix.network().octets());
        options::write(writer, PREFIX, &value);
    }

    /// Reserved bytes and the lifetime, which is that of the router, before the content.
    fn with_lifetime(&self, content: impl Iterator<Item = u8>) -> Vec<u8> {
        let lifetime = u32::from(self.router_lifetime).to_be_bytes();
        [0, 0].into_iter().chain(lifetime).chain(content).collect()
    }

    /// Reads an IPv6 packet: the router's address and what it says. Options that are not known or
    /// not usable here are passed over, as RFC 4861 §6.3.4 and RFC 4862 §5.5.3 say.
    ///
    /// # Errors
    /// It is anything else than a valid advertisement (RFC 4861 §6.1.2).
    pub fn read(packet: &[u8]) -> Result<(Ipv6Addr, Self), DecodeError> {
        let carried = read_icmp(packet)?;
        if !carried.source.is_unicast_link_local() {
            return Err(DecodeError::illegal("source"));
        }
        let mut reader = Reader::new(carried.payload);
        if reader.array::<2>("ICMPv6 type")? != [ROUTER_ADVERTISEMENT, 0] {
            return Err(DecodeError::illegal("ICMPv6 type"));
        }
        let [_, _, _, flags] = reader.array("flags")?;
        let mut read = Self {
            router_lifetime: reader.u16("router lifetime")?,
            other_config: flags & OTHER_CONFIG != 0,
            prefix: None,
            prefix_lifetime: 0,
            mtu: None,
            dns: Vec::new(),
            search: Vec::new(),
        };
        reader.u64("timers")?;
        options::each(&mut reader, |kind, value| read.take_option(kind, value))?;
        Ok((carried.source, read))
    }

    fn take_option(&mut self, kind: u8, value: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(value);
        match kind {
            PREFIX => self.take_prefix(&mut reader)?,
            MTU => {
                reader.u16("reserved")?;
                self.mtu = Some(reader.u32("MTU")?);
            }
            RDNSS => {
                reader.u16("reserved")?;
                let lifetime = reader.u32("lifetime")?;
                let (servers, rest) = reader.rest().as_chunks::<16>();
                if !rest.is_empty() {
                    return Err(DecodeError::illegal("name servers"));
                }
                let room = RDNSS_MAX.saturating_sub(self.dns.len());
                let usable = servers.iter().take(if lifetime == 0 { 0 } else { room });
                self.dns.extend(usable.map(|octets| Ipv6Addr::from(*octets)));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_prefix(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let [len, flags] = reader.array("prefix")?;
        let valid = reader.u32("valid lifetime")?;
        let preferred = reader.u32("preferred lifetime")?;
        reader.u32("reserved")?;
        let prefix = Ipv6Addr::from(reader.array::<16>("prefix")?);
        let usable = len == 64
            && flags & AUTONOMOUS != 0
            && valid > 0
            && preferred <= valid
            && !prefix.is_unicast_link_local()
            && !prefix.is_multicast();
        if usable && self.prefix.is_none() {
            self.prefix = Ipv6Net::new(prefix, len).ok().map(|net| net.trunc());
            self.prefix_lifetime = valid;
        }
        Ok(())
    }
}

/// Most name servers in an advertisement.
pub const RDNSS_MAX: usize = 4;

// Option types (RFC 4861 §4.6, RFC 8106 §5).
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const RDNSS: u8 = 25;
const DNSSL: u8 = 31;
/// The A flag of a prefix: clients make addresses in it. The L flag stays clear (RFC 8273 §4).
const AUTONOMOUS: u8 = 0x40;
/// The O flag.
const OTHER_CONFIG: u8 = 0x40;
/// What clients put into packets, as everywhere.
const CUR_HOP_LIMIT: u8 = 64;
