//! IPv6 of sessions: a /64 each, advertised by us, and answers to what clients ask on their link.
//!
//! ```text
//!   login: lease of a /64 --> IPV6CP --> advertisements at 0, 16 and 32 s, then every 400 to 600 s
//!                                    --> Router Solicitation: an advertisement, at most one a second
//!                                    --> Neighbor Solicitation for us: Neighbor Advertisement
//!                                    --> `DHCPv6` Information-Request: name servers, search list
//! ```

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use isthmus_core::{Duration, Instant, Rng};
use isthmus_l2tp::SessionRef;
use isthmus_plane::PeerRef;
use isthmus_ppp::dhcp6::{InformationRequest, Reply};
use isthmus_ppp::iana::Protocol;
use isthmus_ppp::nd::{self, Question, RouterAdvertisement};
use isthmus_ppp::{Frame, IpVersion, Ipv6Up, split_ip};

use crate::machine::Gateway;
use crate::session::{Lease, Session};

/// IPv6 of a session whose IPV6CP is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ipv6Session {
    pub(crate) up: Ipv6Up,
    pub(crate) router: Router,
}

/// When the next advertisement is due.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Router {
    /// Unsolicited ones so far.
    sent: u8,
    /// None while the network is not up.
    due: Option<Instant>,
    /// When a solicitation was last answered.
    answered: Option<Instant>,
}

impl Router {
    /// When to send the next one.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// One is sent unasked.
    fn advertised(&mut self, rng: &mut Rng, now: Instant) {
        self.sent = self.sent.saturating_add(1);
        let wait = if self.sent < INITIAL_ADVERTISEMENTS {
            INITIAL_INTERVAL
        } else {
            INTERVAL_MIN + Duration::from_secs(u64::from(rng.below(INTERVAL_SPREAD)))
        };
        self.due = Some(now + wait);
    }

    /// Whether a solicitation is answered: a client cannot make us talk without end.
    fn may_answer(&mut self, now: Instant) -> bool {
        let may = self.answered.is_none_or(|at| now.since(at) >= ANSWER_INTERVAL);
        if may {
            self.answered = Some(now);
        }
        may
    }
}

/// The packet of a frame that may belong to the IPv6 link.
pub(crate) fn ipv6_packet(frame: &[u8]) -> Option<&[u8]> {
    match split_ip(frame) {
        Some((IpVersion::V6, packet)) => Some(packet),
        Some((IpVersion::V4, _)) | None => None,
    }
}

impl Gateway {
    /// Interface identifiers are agreed.
    pub(crate) fn ipv6_up(&mut self, peer: PeerRef, at: SessionRef, up: Ipv6Up, now: Instant) {
        let Some(session) = self.session_mut(peer, at) else { return };
        session.ipv6 = Some(Ipv6Session { up, router: Router::default() });
        if let Some(network) = session.network.clone() {
            self.publish(peer, at, &network);
            self.start_advertising(peer, at, now);
        }
    }

    /// IPv6 is taken back, and what there was with it.
    pub(crate) fn ipv6_down(&mut self, peer: PeerRef, at: SessionRef) {
        let Some(session) = self.session_mut(peer, at) else { return };
        session.ipv6 = None;
        if let Some(network) = session.network.clone() {
            self.publish(peer, at, &network);
        }
    }

    /// The network is up: a client that has IPv6 gets to know its prefix.
    pub(crate) fn start_advertising(&mut self, peer: PeerRef, at: SessionRef, now: Instant) {
        if let Some(ipv6) = self.session_mut(peer, at).and_then(|s| s.ipv6.as_mut()) {
            ipv6.router = Router { due: Some(now), ..Router::default() };
            self.advertise_due(peer, now);
        }
    }

    /// Sends the advertisements that are due.
    pub(crate) fn advertise_due(&mut self, peer: PeerRef, now: Instant) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let mut due = Vec::new();
        for (at, session) in state.sessions.iter_mut() {
            let router = session.ipv6.as_mut().map(|ipv6| &mut ipv6.router);
            if let Some(router) = router.filter(|r| r.due.is_some_and(|at| at <= now)) {
                router.advertised(&mut self.rng, now);
                due.push(*at);
            }
        }
        for at in due {
            self.advertise(peer, at, nd::ALL_NODES);
        }
    }

    fn advertise(&mut self, peer: PeerRef, at: SessionRef, to: Ipv6Addr) {
        let mru = self.config.mru;
        let Some(session) = self.session_mut(peer, at) else { return };
        let (Some(lease), Some(ipv6)) = (&session.lease, session.ipv6) else { return };
        let mtu = session.network.as_ref().map_or(mru, |network| network.peer_mru.min(mru));
        let packet = advertisement(lease, mtu).write(ipv6.up.local, to);
        self.send_ipv6(peer, at, &packet);
    }

    /// Takes a packet from a client's IPv6 link; false when it belongs to nobody here.
    pub(crate) fn handle_on_link(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        packet: &[u8],
        now: Instant,
    ) -> bool {
        let Some(session) = self.session_mut(peer, at) else { return false };
        let Some(ipv6) = session.ipv6.as_ref().filter(|_| session.network.is_some()) else {
            return false;
        };
        let local = ipv6.up.local;
        match question(session, packet, now) {
            Ok(Answer::Advertise(to)) => self.advertise(peer, at, to),
            Ok(Answer::Neighbor(asker)) => {
                self.send_ipv6(peer, at, &nd::neighbor_advertisement(local, asker));
            }
            Ok(Answer::Packet(packet)) => self.send_ipv6(peer, at, &packet),
            Ok(Answer::Nothing) => {}
            Err(label) => self.stats.ppp.count(label),
        }
        true
    }

    fn send_ipv6(&mut self, peer: PeerRef, at: SessionRef, packet: &[u8]) {
        let frame = Frame { protocol: Protocol::IPV6, body: packet };
        self.send_frame(peer, at, &frame.write());
    }
}

/// What a client gets for its question.
enum Answer {
    /// A Router Advertisement.
    Advertise(Ipv6Addr),
    /// A Neighbor Advertisement for us.
    Neighbor(Ipv6Addr),
    /// Silence, which is right.
    Nothing,
    /// This packet.
    Packet(Vec<u8>),
}

/// The answer to a packet, or the label it is refused under.
fn question(session: &mut Session, packet: &[u8], now: Instant) -> Result<Answer, &'static str> {
    let (Some(lease), Some(ipv6)) = (&session.lease, &mut session.ipv6) else {
        return Err("ipv6_out_of_phase");
    };
    let local = ipv6.up.local;
    match Question::read(packet) {
        Ok(Question::Router { .. }) if !ipv6.router.may_answer(now) => {
            return Err("router_solicited_often");
        }
        Ok(Question::Router { from }) if from.is_unspecified() => {
            return Ok(Answer::Advertise(nd::ALL_NODES));
        }
        Ok(Question::Router { from }) => return Ok(Answer::Advertise(from)),
        Ok(Question::Neighbor { from, target }) if target == local.link_local() => {
            return Ok(Answer::Neighbor(from));
        }
        // Nobody else is on the link, so nobody else has the client's addresses.
        Ok(Question::Neighbor { .. }) => return Ok(Answer::Nothing),
        Err(_) => {}
    }
    let request = InformationRequest::read(packet).map_err(|_| "ipv6_not_understood")?;
    let reply = Reply { dns: lease.advice.dns6.clone(), search: lease.advice.search.clone() };
    Ok(reply.write(local, &request).map_or(Answer::Nothing, Answer::Packet))
}

fn advertisement(lease: &Lease, mtu: u16) -> RouterAdvertisement {
    RouterAdvertisement {
        router_lifetime: ROUTER_LIFETIME,
        other_config: !lease.advice.dns6.is_empty(),
        prefix: lease.prefix6,
        prefix_lifetime: PREFIX_LIFETIME,
        mtu: Some(u32::from(mtu.max(IPV6_MTU_MIN))),
        dns: lease.advice.dns6.clone(),
        search: lease.advice.search.clone(),
    }
}

/// `MAX_INITIAL_RTR_ADVERTISEMENTS` and `MAX_INITIAL_RTR_ADVERT_INTERVAL` (RFC 4861 §10).
const INITIAL_ADVERTISEMENTS: u8 = 3;
const INITIAL_INTERVAL: Duration = Duration::from_secs(16);
/// `MinRtrAdvInterval`, and how many seconds more it may be: `MaxRtrAdvInterval` is 600 s.
const INTERVAL_MIN: Duration = Duration::from_secs(400);
const INTERVAL_SPREAD: u32 = 200;
/// A client that solicits more often is not answered.
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);
/// Three times `MaxRtrAdvInterval`, in seconds (RFC 4861 §6.2.1).
const ROUTER_LIFETIME: u16 = 1800;
/// Four hours, renewed with every advertisement.
const PREFIX_LIFETIME: u32 = 4 * 3600;
/// Every IPv6 link carries packets of this length (RFC 8200 §5).
const IPV6_MTU_MIN: u16 = 1280;
