//! IPv6: once interface identifiers are agreed, a router is looked for, and its prefix makes an address.
//!
//! Nothing waits for it: a server without IPv6 refuses IPV6CP, and one that says nothing costs nothing.

use core::net::Ipv6Addr;

use ipnet::IpNet;
use isthmus_core::{Duration, Instant};
use isthmus_plane::{Command, Ipv6Link};
use isthmus_ppp::iana::Protocol;
use isthmus_ppp::nd::{self, RouterAdvertisement};
use isthmus_ppp::{Frame, IpVersion, Ipv6Up, split_ip};

use crate::event::{Event, Ipv6};
use crate::machine::{Client, State, Timer};

/// IPv6 of a link.
#[derive(Debug)]
pub(crate) struct Ipv6State {
    up: Ipv6Up,
    /// Solicitations sent.
    tries: u8,
    /// What was said last.
    told: Option<Ipv6>,
}

/// `MAX_RTR_SOLICITATIONS` and `RTR_SOLICITATION_INTERVAL` (RFC 4861 §10).
const TRIES_MAX: u8 = 3;
const WAIT: Duration = Duration::from_secs(4);

impl Ipv6State {
    /// The addresses of the link, for the pipeline.
    pub(crate) fn link(&self) -> Ipv6Link {
        Ipv6Link { local: self.up.local.link_local(), remote: self.up.remote.link_local() }
    }

    /// What a packet of the router gives us; none when it is something else or nothing new.
    fn learn(&mut self, packet: &[u8]) -> Option<Ipv6> {
        let (router, said) = RouterAdvertisement::read(packet).ok()?;
        // There is only one router on the link, and only one that is not us.
        if router != self.up.remote.link_local() || said.router_lifetime == 0 {
            return None;
        }
        let prefix = said.prefix?;
        let learnt = Ipv6 {
            address: self.up.local.address_in(prefix.network()),
            prefix,
            gateway: router,
            dns: said.dns,
        };
        (self.told.as_ref() != Some(&learnt)).then(|| {
            self.told = Some(learnt.clone());
            learnt
        })
    }
}

impl Client {
    /// Interface identifiers are agreed.
    pub(crate) fn ipv6_up(&mut self, up: Ipv6Up, now: Instant) {
        let State::Linked(_, linked) = &mut self.state else { return };
        linked.ipv6 = Some(Ipv6State { up, tries: 0, told: None });
        self.reopen();
        self.solicit(now);
    }

    /// The server takes IPv6 back.
    pub(crate) fn ipv6_down(&mut self) {
        let State::Linked(_, linked) = &mut self.state else { return };
        let had = linked.ipv6.take().is_some_and(|ipv6| ipv6.told.is_some());
        self.timers.clear(Timer::Solicit);
        self.reopen();
        if had {
            self.event(Event::Ipv6Down);
        }
    }

    /// Asks for a router once more; one that comes later speaks by itself.
    pub(crate) fn solicit(&mut self, now: Instant) {
        let State::Linked(_, linked) = &mut self.state else { return };
        let Some(ipv6) = &mut linked.ipv6 else { return };
        if ipv6.tries == TRIES_MAX || ipv6.told.is_some() {
            return;
        }
        ipv6.tries += 1;
        let packet = nd::router_solicitation(ipv6.up.local);
        self.timers.set(Timer::Solicit, now + WAIT);
        self.send_frame(&Frame { protocol: Protocol::IPV6, body: &packet }.write());
    }

    /// Takes a frame of the IPv6 link; false when it is none.
    pub(crate) fn handle_on_link(&mut self, frame: &[u8]) -> bool {
        let State::Linked(_, linked) = &mut self.state else { return false };
        let Some(ipv6) = &mut linked.ipv6 else { return false };
        let Some((IpVersion::V6, packet)) = split_ip(frame) else { return false };
        let question = nd::Question::read(packet);
        if let Ok(nd::Question::Neighbor { from, target }) = question
            && target == ipv6.up.local.link_local()
        {
            let packet = nd::neighbor_advertisement(ipv6.up.local, from);
            self.send_frame(&Frame { protocol: Protocol::IPV6, body: &packet }.write());
        } else if let Some(learnt) = ipv6.learn(packet) {
            self.timers.clear(Timer::Solicit);
            self.event(Event::Ipv6(learnt));
        }
        true
    }

    /// Tells the pipeline what the session is like by now.
    fn reopen(&mut self) {
        let State::Linked(_, linked) = &mut self.state else { return };
        let Some(params) = &mut linked.params else { return };
        params.ipv6_link = linked.ipv6.as_ref().map(Ipv6State::link);
        params.sources.retain(|net| matches!(net, IpNet::V4(_)));
        if linked.ipv6.is_some() {
            params.sources.push(everything_v6());
        }
        let params = params.clone();
        self.plane(Command::OpenSession(params));
    }
}

/// Whatever lies behind the server may answer.
pub(crate) fn everything_v6() -> IpNet {
    // Zero is a width.
    IpNet::new(Ipv6Addr::UNSPECIFIED.into(), 0).unwrap_or_default()
}
