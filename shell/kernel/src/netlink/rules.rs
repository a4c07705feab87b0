//! Rules of one protocol.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::{self, RuleAttribute, RuleMessage};

use super::{Netlink, family};
use crate::{IpVersion, Rule, RuleAction};

impl Netlink {
    /// All rules of the protocol `tag`.
    pub(crate) fn rules(&mut self, tag: u8) -> io::Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            let mut request = RuleMessage::default();
            request.header.family = family(version == IpVersion::V4);
            let answers = self.dump(&RouteNetlinkMessage::GetRule(request))?;
            let read = answers.into_iter().filter_map(|answer| read(answer, version));
            rules.extend(read.filter(|(_, protocol)| *protocol == Some(tag)).map(|(rule, _)| rule));
        }
        Ok(rules)
    }

    /// Rules of others that ask no more than where packets come from, where they go and by which link they
    /// came in.
    pub(crate) fn rules_of_others(&mut self, tag: u8) -> io::Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            let mut request = RuleMessage::default();
            request.header.family = family(version == IpVersion::V4);
            let mut answers = self.dump(&RouteNetlinkMessage::GetRule(request))?;
            answers.retain(
                |answer| matches!(answer, RouteNetlinkMessage::NewRule(rule) if is_plain(rule)),
            );
            let read = answers.into_iter().filter_map(|answer| read(answer, version));
            rules.extend(read.filter(|(_, protocol)| *protocol != Some(tag)).map(|(rule, _)| rule));
        }
        Ok(rules)
    }

    /// Adds a rule.
    pub(crate) fn add_rule(&mut self, rule: &Rule, tag: u8) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewRule(write(rule, tag));
        self.change(message, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Removes the rule of the protocol `tag` that says the same.
    pub(crate) fn remove_rule(&mut self, rule: &Rule, tag: u8) -> io::Result<()> {
        self.change(RouteNetlinkMessage::DelRule(write(rule, tag)), 0)
    }
}

/// The length of a default route's prefix.
const DEFAULT_ROUTE_LEN: u32 = 0;
/// What the kernel tells of a rule that suppresses nothing: -1.
const NOTHING_SUPPRESSED: u32 = u32::MAX;

fn write(rule: &Rule, tag: u8) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.version == IpVersion::V4);
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(rule.priority));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(tag)));
    if let Some(from) = rule.from {
        message.header.src_len = from.prefix_len();
        attributes.push(RuleAttribute::Source(from.addr()));
    }
    if let Some(to) = rule.to {
        message.header.dst_len = to.prefix_len();
        attributes.push(RuleAttribute::Destination(to.addr()));
    }
    attributes.extend(rule.input.clone().map(RuleAttribute::Iifname));
    attributes.extend(rule.output.clone().map(RuleAttribute::Oifname));
    if let Some((mark, mask)) = rule.mark {
        attributes.extend([RuleAttribute::FwMark(mark), RuleAttribute::FwMask(mask)]);
    }
    message.header.action = match rule.action {
        // Removing asks for any action; adding never gets here, see `Desired::check`.
        RuleAction::Altered => rule::RuleAction::Unspec,
        RuleAction::Blackhole => rule::RuleAction::Blackhole,
        RuleAction::Lookup(table) => {
            attributes.push(RuleAttribute::Table(table));
            rule::RuleAction::ToTable
        }
        RuleAction::LookupSpecific(table) => {
            attributes.push(RuleAttribute::Table(table));
            attributes.push(RuleAttribute::SuppressPrefixLen(DEFAULT_ROUTE_LEN));
            rule::RuleAction::ToTable
        }
        RuleAction::Prohibit => rule::RuleAction::Prohibit,
        RuleAction::Unreachable => rule::RuleAction::Unreachable,
    };
    message
}

/// Whether it asks for nothing that a [`Rule`] does not know.
fn is_plain(message: &RuleMessage) -> bool {
    let more = |attribute: &RuleAttribute| {
        matches!(
            attribute,
            RuleAttribute::IpProtocol(_)
                | RuleAttribute::SourcePortRange(_)
                | RuleAttribute::DestinationPortRange(_)
                | RuleAttribute::UidRange(_)
                | RuleAttribute::L3MDev(true)
                | RuleAttribute::TunId(_)
        )
    };
    message.header.tos == 0 && !message.attributes.iter().any(more)
}

/// A rule and whose it is.
fn read(message: RouteNetlinkMessage, version: IpVersion) -> Option<(Rule, Option<u8>)> {
    let RouteNetlinkMessage::NewRule(message) = message else { return None };
    let header = message.header;
    let (mut protocol, mut source, mut destination) = (None, None::<IpAddr>, None::<IpAddr>);
    let (mut mark, mut under, mut table) = (None, u32::MAX, u32::from(header.table));
    let (mut priority, mut input, mut output) = (0, None, None);
    let mut suppressed = None;
    for attribute in message.attributes {
        if let RuleAttribute::Protocol(number) = attribute {
            protocol = Some(u8::from(number));
        } else if let RuleAttribute::Priority(number) = attribute {
            priority = number;
        } else if let RuleAttribute::Source(address) = attribute {
            source = Some(address);
        } else if let RuleAttribute::Destination(address) = attribute {
            destination = Some(address);
        } else if let RuleAttribute::Iifname(name) = attribute {
            input = Some(name);
        } else if let RuleAttribute::Oifname(name) = attribute {
            output = Some(name);
        } else if let RuleAttribute::FwMark(number) = attribute {
            mark = Some(number);
        } else if let RuleAttribute::FwMask(number) = attribute {
            under = number;
        } else if let RuleAttribute::Table(number) = attribute {
            table = number;
        } else if let RuleAttribute::SuppressPrefixLen(length) = attribute {
            suppressed = Some(length);
        }
    }
    let action = if header.action == rule::RuleAction::ToTable {
        match suppressed {
            // The kernel always answers with a length; this one stands for none.
            None | Some(NOTHING_SUPPRESSED) => RuleAction::Lookup(table),
            Some(DEFAULT_ROUTE_LEN) => RuleAction::LookupSpecific(table),
            Some(_) => RuleAction::Altered,
        }
    } else if header.action == rule::RuleAction::Blackhole {
        RuleAction::Blackhole
    } else if header.action == rule::RuleAction::Prohibit {
        RuleAction::Prohibit
    } else if header.action == rule::RuleAction::Unreachable {
        RuleAction::Unreachable
    } else {
        RuleAction::Altered
    };
    let (from, to) =
        (net(source, header.src_len, version), net(destination, header.dst_len, version));
    let mark = mark.map(|mark| (mark, under));
    Some((Rule { priority, version, from, to, input, output, mark, action }, protocol))
}

/// The condition on an address; none when any address meets it.
fn net(address: Option<IpAddr>, length: u8, version: IpVersion) -> Option<IpNet> {
    let any = match version {
        IpVersion::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpVersion::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    IpNet::new(address.unwrap_or(any), length).ok().filter(|net| net.prefix_len() > 0)
}
