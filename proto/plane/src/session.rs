//! One session: its numbers, its headers and its counters.

use alloc::boxed::Box;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::Range;

use ipnet::IpNet;
use isthmus_core::{Buf, Instant, Path};
use isthmus_l2tp::data::Header;
use isthmus_ppp::{DataHeader, IpVersion, split_ip};
use isthmus_wire::Checksum;
use isthmus_wire::ip::{Ip, Ipv4, Ipv6, Udp, protocol};

use crate::on_link::{is_for_control, stays_on_link};
use crate::order::Order;
use crate::pulse::Pulse;
use crate::rate::Police;
use crate::stats::SessionCounters;
use crate::{Device, Direction, DropReason, SessionParams};

/// What a data message holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Something that control must see.
    Control,
    /// An inner packet.
    Packet {
        version: IpVersion,
        /// Where it stands in the L2TP packet.
        at: Range<usize>,
    },
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) params: SessionParams,
    pub(crate) counters: SessionCounters,
    /// Whether it has a device to itself.
    pub(crate) has_device: bool,
    police: Option<Box<Police>>,
    ppp_v4: DataHeader,
    ppp_v6: DataHeader,
    /// The Ns of the next data message, when we number them.
    next_ns: Option<u16>,
    /// The order of those that come.
    pub(crate) order: Order,
    pub(crate) pulse: Pulse,
}

impl Session {
    pub(crate) fn new(params: SessionParams) -> Self {
        Self {
            counters: SessionCounters::default(),
            has_device: false,
            ppp_v4: DataHeader::new(IpVersion::V4, params.acfc, params.pfc),
            ppp_v6: DataHeader::new(IpVersion::V6, params.acfc, params.pfc),
            next_ns: params.sequence,
            order: Order::default(),
            pulse: Pulse::default(),
            police: Police::of(params.rates),
            params,
        }
    }

    /// The same session opened with other parameters: its device, counters, sequence numbers and rates go on, and so
    /// does what waits for its turn.
    pub(crate) fn reopened(&mut self, params: SessionParams) -> Self {
        let next_ns = params.sequence.map(|first| self.next_ns.unwrap_or(first));
        let mut session = Self::new(params);
        session.counters = self.counters;
        session.has_device = self.has_device;
        session.next_ns = next_ns;
        if let (Some(police), Some(before)) = (&mut session.police, &self.police) {
            police.go_on(before);
        }
        session.order = core::mem::take(&mut self.order);
        session
    }

    /// Where its packets enter the kernel.
    pub(crate) fn device(&self) -> Device {
        let session = self.has_device.then_some(self.params.session);
        Device { tun: self.params.tun, session }
    }

    /// Whether messages that come early wait for those before them.
    pub(crate) const fn keeps_order(&self) -> bool {
        self.params.sequence.is_some()
    }

    /// Lets an inner packet pass, if its way is within its rate.
    pub(crate) fn pass(
        &mut self,
        way: Direction,
        len: usize,
        now: Instant,
    ) -> Result<(), DropReason> {
        self.police.as_mut().map_or(Ok(()), |police| police.pass(way, len, now))
    }

    /// Checks a data message, all of it in `l2tp` and its PPP frame at `frame`.
    pub(crate) fn admit(&self, l2tp: &[u8], frame: Range<usize>) -> Result<Data, DropReason> {
        let end = frame.end;
        let Some((version, packet)) = split_ip(l2tp.get(frame).unwrap_or_default()) else {
            return Ok(Data::Control);
        };
        let ip = read_ip(version, packet).ok_or(DropReason::BadInner)?;
        if let (Ip::V6(ip), Some(link)) = (&ip, &self.params.ipv6_link)
            && stays_on_link(ip)
        {
            let known = link.is_from_peer(ip) || self.may_send_from(IpAddr::V6(ip.source()));
            return match (known, is_for_control(ip)) {
                (false, _) => Err(DropReason::SourceNotAllowed),
                (true, true) => Ok(Data::Control),
                (true, false) => Err(DropReason::OnLink),
            };
        }
        if !self.may_send_from(ip.source()) {
            return Err(DropReason::SourceNotAllowed);
        }
        if self.params.dhcp && is_dhcp(&ip, self.params.gateway_v4) {
            return Ok(Data::Control);
        }
        // The frame ends with the packet, which may be followed by padding (RFC 1661 §2).
        let start = end.saturating_sub(packet.len());
        Ok(Data::Packet { version, at: start..start + ip.total_len() })
    }

    /// The version of an inner packet that the peer might have sent.
    pub(crate) fn admit_inner(&self, packet: &[u8]) -> Result<IpVersion, DropReason> {
        let ip = Ip::new(packet).map_err(|_| DropReason::BadInner)?;
        if !self.may_send_from(ip.source()) {
            return Err(DropReason::SourceNotAllowed);
        }
        Ok(match ip {
            Ip::V4(_) => IpVersion::V4,
            Ip::V6(_) => IpVersion::V6,
        })
    }

    /// Whether the peer may send from this address.
    fn may_send_from(&self, source: IpAddr) -> bool {
        self.params.sources.iter().any(|prefix: &IpNet| prefix.contains(&source))
    }

    /// Longest inner packet to the peer.
    pub(crate) fn mtu(&self, version: IpVersion) -> u16 {
        match version {
            IpVersion::V4 => self.params.mtu,
            IpVersion::V6 => self.params.mtu.max(IPV6_MTU_MIN),
        }
    }

    /// The largest TCP segment that fits.
    pub(crate) fn mss(&self, version: IpVersion) -> u16 {
        match version {
            IpVersion::V4 => isthmus_wire::mss::for_mtu_v4(self.mtu(version)),
            IpVersion::V6 => isthmus_wire::mss::for_mtu_v6(self.mtu(version)),
        }
    }

    /// Puts the PPP and L2TP headers in front of an inner packet; false when they do not fit.
    pub(crate) fn encapsulate(&mut self, buf: &mut Buf, version: IpVersion) -> bool {
        let ppp = match version {
            IpVersion::V4 => &self.ppp_v4,
            IpVersion::V6 => &self.ppp_v6,
        };
        let Some(front) = buf.push_front(ppp.as_slice().len()) else { return false };
        front.copy_from_slice(ppp.as_slice());
        let header = Header {
            sequence: self.number(),
            ..Header::new(self.params.remote_tunnel, self.params.remote_session)
        };
        header.push_onto(buf)
    }

    /// Puts the UDP header of L2TP inside ESP in front; false when it does not fit.
    pub(crate) fn push_udp(&self, buf: &mut Buf, path: &Path) -> bool {
        push_udp(buf, self.params.local_port, self.params.remote_port, path)
    }

    /// Whether data with this header goes to the peer in this session.
    pub(crate) fn sends(&self, header: &Header) -> bool {
        (self.params.remote_tunnel, self.params.remote_session) == (header.tunnel, header.session)
    }

    /// Ns and Nr of the next data message, when we number them; Nr is reserved (RFC 2661 §3.1).
    pub(crate) fn number(&mut self) -> Option<(u16, u16)> {
        let ns = self.next_ns?;
        self.next_ns = Some(ns.wrapping_add(1));
        Some((ns, 0))
    }
}

/// A packet of the version that its PPP header promised.
fn read_ip(version: IpVersion, packet: &[u8]) -> Option<Ip<'_>> {
    match version {
        IpVersion::V4 => Ipv4::new(packet).ok().map(Ip::V4),
        IpVersion::V6 => Ipv6::new(packet).ok().map(Ip::V6),
    }
}

/// Whether a packet is a DHCP message to whoever there is, or to our own address.
fn is_dhcp(ip: &Ip<'_>, own: Option<Ipv4Addr>) -> bool {
    let Ip::V4(ip) = ip else { return false };
    let to_us = ip.destination().is_broadcast() || own == Some(ip.destination());
    to_us
        && ip.protocol() == protocol::UDP
        && ip.fragment_offset() == 0
        && Udp::new(ip.payload()).is_ok_and(|udp| DHCP_PORTS.contains(&udp.destination_port()))
}

/// Puts a UDP header in front of a payload. IPv4 carries no checksum, since ESP protects the packet
/// (RFC 3948 §3.1.2); IPv6 demands one (RFC 8200 §8.1).
pub(crate) fn push_udp(buf: &mut Buf, local_port: u16, remote_port: u16, path: &Path) -> bool {
    let len = buf.len();
    let Some(mut header) = Udp::header(local_port, remote_port, len, 0) else { return false };
    if let (IpAddr::V6(local), IpAddr::V6(remote)) = (path.local.ip(), path.remote.ip()) {
        // `Udp::header` has made sure that the length fits.
        let total = u32::from(u16::from_be_bytes([header[4], header[5]]));
        let sum = Checksum::new().pseudo_v6(local, remote, protocol::UDP, total);
        [header[6], header[7]] = sum.bytes(&header).bytes(buf).finish_udp().to_be_bytes();
    }
    let Some(front) = buf.push_front(header.len()) else { return false };
    front.copy_from_slice(&header);
    true
}

/// Server and client (RFC 2131 §4.1).
const DHCP_PORTS: [u16; 2] = [67, 68];
/// Every IPv6 link carries packets of this length (RFC 8200 §5).
const IPV6_MTU_MIN: u16 = 1280;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::Link;

    #[test]
    fn our_numbers_go_on_over_a_change_of_parameters() {
        let mut params = Link::new(1).gateway_session();
        params.sequence = Some(65_535);
        let mut session = Session::new(params.clone());
        assert_eq!((session.number(), session.number()), (Some((65_535, 0)), Some((0, 0))));
        assert_eq!(session.reopened(params.clone()).number(), Some((1, 0)));
        params.sequence = None;
        assert_eq!(session.reopened(params).number(), None);
    }

    #[test]
    fn udp_over_ipv6_has_a_right_checksum_and_over_ipv4_none() {
        let v4 = Path::new("192.0.2.1:4500".parse().unwrap(), "192.0.2.2:4500".parse().unwrap());
        let v6 =
            Path::new("[2001:db8::1]:4500".parse().unwrap(), "[2001:db8::2]:4500".parse().unwrap());
        for payload in [&b"even"[..], b"uneven!"] {
            let mut buf = Buf::copy_of(payload);
            assert!(push_udp(&mut buf, 1701, 1702, &v4));
            assert_eq!(Udp::new(&buf).unwrap().checksum(), 0);
            let mut buf = Buf::copy_of(payload);
            assert!(push_udp(&mut buf, 1701, 1702, &v6));
            let (a, b) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
            let len = u32::try_from(buf.len()).unwrap();
            assert!(Checksum::new().pseudo_v6(a, b, 17, len).bytes(&buf).is_valid());
            assert_eq!(Udp::new(&buf).unwrap().payload(), payload);
        }
    }

    #[test]
    fn ipv6_is_never_cut_below_its_minimum() {
        let params = SessionParams { mtu: 1000, ..Link::new(1).gateway_session() };
        let session = Session::new(params);
        assert_eq!((session.mtu(IpVersion::V4), session.mtu(IpVersion::V6)), (1000, 1280));
        assert_eq!((session.mss(IpVersion::V4), session.mss(IpVersion::V6)), (960, 1220));
    }
}
