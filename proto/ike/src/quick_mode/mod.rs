//! Quick mode (RFC 2409 §5.5): three messages that make a child, both roles.
//!
//! ```text
//! initiator                                        responder
//!   1  {HASH(1), SA, Ni, [KE], [IDci, IDcr]} ->        choose; [generate and agree (offloaded)]
//!                                                      install inbound, then
//!      [agree (offloaded)]                   <-   2  {HASH(2), SA, Nr, [KE], [IDci, IDcr]}
//!      install both directions
//!   3  {HASH(3)}                             ->        install outbound
//! ```
//!
//! The responder repeats message 2 until message 3 or a first packet confirms it; the initiator
//! repeats message 3 when message 2 comes again. Windows numbers its message ids 1, 2, 3.

pub(crate) mod initiator;
pub(crate) mod responder;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use isthmus_core::{Duration, Instant, Key, Path};
use isthmus_crypto::{CryptoError, DhOutput};

use crate::action::{DownReason, Failure, FailureCause, PeerId, Stage};
use crate::child::Selectors;
use crate::codec::{IdBody, Message};
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::habits::Selector;
use crate::iana::{IdType, PROTOCOL_UDP};
use crate::sa::{SaTimer, Window};

/// One quick mode under an IKE SA.
pub(crate) struct Quick {
    pub(crate) state: QuickState,
    /// We sent message 1.
    pub(crate) ours: bool,
    /// IV of the next message in either direction.
    pub(crate) iv: Vec<u8>,
    pub(crate) window: Window,
}

/// What a quick mode waits for.
pub(crate) enum QuickState {
    // Responder.
    AgreeingAsResponder(Box<responder::AcceptedQm1>),
    AwaitQm3(Box<responder::AwaitQm3>),
    // Initiator.
    Generating(Box<initiator::Generating>),
    AwaitQm2(Box<initiator::AwaitQm2>),
    AgreeingAsInitiator(Box<initiator::AcceptedQm2>),
    // Both.
    /// Over; kept for a while to answer duplicates.
    Done,
}

impl Quick {
    /// The SPI that a quick mode of ours offered and that has no child.
    pub(crate) fn offered_spi(&self) -> Option<u32> {
        match &self.state {
            QuickState::Generating(state) => Some(state.spi),
            QuickState::AwaitQm2(state) => Some(state.spi),
            QuickState::AgreeingAsInitiator(state) => Some(state.offer.spi),
            QuickState::AgreeingAsResponder(_) | QuickState::AwaitQm3(_) | QuickState::Done => None,
        }
    }

    /// Whether this quick mode of ours makes a successor for a child with these selectors.
    pub(crate) fn renews(&self, selectors: &Selectors) -> bool {
        match &self.state {
            QuickState::Generating(state) => state.selectors == *selectors,
            QuickState::AwaitQm2(state) => state.selectors == *selectors,
            QuickState::AgreeingAsInitiator(state) => state.offer.selectors == *selectors,
            QuickState::AgreeingAsResponder(_) | QuickState::AwaitQm3(_) | QuickState::Done => {
                false
            }
        }
    }

    /// Our SPI in a quick mode that is not over.
    pub(crate) fn pending_spi(&self) -> Option<u32> {
        self.offered_spi().or_else(|| self.half_child())
    }

    /// The half-installed child of a quick mode of the peer.
    pub(crate) fn half_child(&self) -> Option<u32> {
        match &self.state {
            QuickState::AwaitQm3(state) => Some(state.spi),
            QuickState::AgreeingAsResponder(_)
            | QuickState::Generating(_)
            | QuickState::AwaitQm2(_)
            | QuickState::AgreeingAsInitiator(_)
            | QuickState::Done => None,
        }
    }
}

impl Endpoint {
    /// A quick mode message on an established SA.
    pub(crate) fn quick_mode(
        &mut self,
        key: Key,
        from: (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let id = message.header.message_id;
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        if sa.awaits_am3() {
            return Err(self.miss_third(key, message));
        }
        let Some(established) = sa.established() else { return Err(Rejected::IncorrectState) };
        if !message.header.flags.is_encrypted() {
            return Err(Rejected::Plain);
        }
        if id == 0 {
            return Err(Rejected::MessageId);
        }
        let Some(quick) = established.quick.get(&id) else {
            if established.seen.contains(id) {
                return Err(Rejected::Duplicate);
            }
            return self.quick_mode_first(key, from, message, digest, now);
        };
        if quick.window.received == Some(digest) {
            return self.repeat_quick_mode(key, id);
        }
        match &quick.state {
            QuickState::AwaitQm2(_) => self.quick_mode_second(key, from, message, digest, now),
            QuickState::AwaitQm3(_) => self.quick_mode_third(key, from, message, digest, now),
            QuickState::AgreeingAsResponder(_)
            | QuickState::AgreeingAsInitiator(_)
            | QuickState::Generating(_) => Err(Rejected::Busy),
            QuickState::Done => Err(Rejected::Duplicate),
        }
    }

    /// The last message was received before: the answer to it was lost.
    fn repeat_quick_mode(&mut self, key: Key, id: u32) -> Result<(), Rejected> {
        let sa = self.sas.get_mut(key);
        let quick = sa.and_then(|sa| sa.established_mut()?.quick.get(&id));
        let Some(sent) = quick.and_then(|quick| quick.window.sent.clone()) else {
            return Err(Rejected::Duplicate);
        };
        self.ctx.stats.replies_repeated += 1;
        self.ctx.transmit(sent.path, sent.marked, sent.bytes);
        Ok(())
    }

    /// A job of a quick mode is done.
    pub(crate) fn quick_mode_job(
        &mut self,
        key: Key,
        id: u32,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        let Some(established) = self.sas.get_mut(key).and_then(|sa| sa.established_mut()) else {
            return;
        };
        let Some(quick) = established.quick.get_mut(&id) else { return };
        match core::mem::replace(&mut quick.state, QuickState::Done) {
            QuickState::AgreeingAsResponder(accepted) => {
                self.quick_responder_agreed(key, id, &accepted, result, now);
            }
            QuickState::Generating(state) => {
                self.quick_initiator_generated(key, id, *state, result, now);
            }
            QuickState::AgreeingAsInitiator(accepted) => {
                self.quick_initiator_agreed(key, id, *accepted, result, now);
            }
            other @ (QuickState::AwaitQm2(_) | QuickState::AwaitQm3(_) | QuickState::Done) => {
                quick.state = other;
            }
        }
    }

    /// The timer of a quick mode: repeat its message, give up, or forget it.
    pub(crate) fn quick_mode_timer(&mut self, key: Key, id: u32, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        let Some(established) = sa.established_mut() else { return };
        let Some(quick) = established.quick.get_mut(&id) else { return };
        if matches!(quick.state, QuickState::Done) {
            established.quick.remove(&id);
            return;
        }
        quick.window.tries += 1;
        let (wait, sent) = (quick.window.backoff(), quick.window.sent.clone());
        let (Some(wait), Some(sent)) = (wait, sent) else {
            return self.fail_quick_mode(key, id, FailureCause::Timeout);
        };
        sa.timers.set(SaTimer::Quick(id), now + wait);
        self.ctx.stats.requests_repeated += 1;
        self.ctx.transmit(sent.path, sent.marked, sent.bytes);
    }

    /// Gives a quick mode up, with what it reserved or half installed.
    pub(crate) fn fail_quick_mode(&mut self, key: Key, id: u32, cause: FailureCause) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        let (peer, path, facts) = (sa.peer, sa.path, sa.facts());
        sa.timers.clear(SaTimer::Quick(id));
        let Some(quick) = sa.established_mut().and_then(|e| e.quick.remove(&id)) else { return };
        self.touch(Owner::Sa(key));
        if let Some(spi) = quick.offered_spi() {
            self.release_spi(spi);
        }
        if let (Some(peer), Some(spi)) = (peer, quick.half_child()) {
            // The peer may have installed its side, and must not send into the void.
            self.delete_children(peer, &[spi]);
        }
        let (stage, initiator) = (Stage::QuickMode, quick.ours);
        self.ctx.fail(Failure { peer, path, stage, cause, initiator, facts });
        if let Some(peer) = peer.filter(|_| initiator) {
            self.quick_mode_of_ours_failed(peer);
        }
    }

    /// Without a child a connection of ours is of no use.
    fn quick_mode_of_ours_failed(&mut self, peer_id: PeerId) {
        let Some(peer) = self.peers.get(peer_id.0) else { return };
        if peer.children.is_empty() && peer.connect.is_some() {
            for key in peer.sas.clone() {
                self.delete_sa(key);
            }
            self.remove_peer(peer_id, DownReason::QuickModeFailed);
        }
    }

    /// Marks a quick mode as over and remembers its id.
    pub(crate) fn confirm_quick_mode(&mut self, key: Key, id: u32, now: Instant) {
        self.third_arrived(key);
        let Some(sa) = self.sas.get_mut(key) else { return };
        let Some(established) = sa.established_mut() else { return };
        established.seen.insert(id);
        if let Some(quick) = established.quick.get_mut(&id) {
            quick.state = QuickState::Done;
            sa.timers.set(SaTimer::Quick(id), now + DONE_MEMORY);
        }
        self.touch(Owner::Sa(key));
    }

    /// Makes room for one more quick mode; those that are over go first.
    pub(crate) fn admit_quick_mode(&mut self, key: Key) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let Some(established) = sa.established_mut() else { return Err(Rejected::IncorrectState) };
        if established.quick.len() < QUICK_MODES_MAX {
            return Ok(());
        }
        let done = |(_, quick): &(&u32, &Quick)| matches!(quick.state, QuickState::Done);
        let Some(id) = established.quick.iter().find(done).map(|(id, _)| *id) else {
            return Err(Rejected::QuickModeLimit);
        };
        established.quick.remove(&id);
        sa.timers.clear(SaTimer::Quick(id));
        Ok(())
    }
}

/// Reads a pair of quick mode identities as UDP ports of two hosts: the first payload is the
/// initiator's. Returns both ports, the initiator's first.
///
/// Addresses are not compared with anything: behind NATs they are private, or what the client dialled.
pub(crate) fn read_selectors(bodies: &[&[u8]]) -> Result<Option<(u16, u16)>, Rejected> {
    let [initiator, responder] = bodies else {
        return if bodies.is_empty() { Ok(None) } else { Err(Rejected::Selectors) };
    };
    Ok(Some((selector_port(initiator)?, selector_port(responder)?)))
}

fn selector_port(body: &[u8]) -> Result<u16, Rejected> {
    let id = IdBody::read(body).map_err(|_| Rejected::Selectors)?;
    let host = match id.kind {
        // Windows XP without its NAT-T update sends its name.
        IdType::IPV4_ADDR | IdType::IPV6_ADDR | IdType::FQDN | IdType::USER_FQDN => true,
        IdType::IPV4_ADDR_SUBNET | IdType::IPV6_ADDR_SUBNET => {
            let mask = id.data.get(id.data.len() / 2..).unwrap_or_default();
            mask.iter().all(|byte| *byte == 0xff)
        }
        IdType::IPV4_ADDR_RANGE | IdType::IPV6_ADDR_RANGE => {
            let (first, last) = id.data.split_at(id.data.len() / 2);
            first == last
        }
        _ => false,
    };
    match (host, id.protocol, id.port) {
        (true, PROTOCOL_UDP, port) => Ok(port),
        // Protocol 0 means any, UDP among them; NetworkManager's clients send it.
        (true, 0, 0) => Ok(0),
        _ => Err(Rejected::Selectors),
    }
}

/// Our selectors for a child that we ask for.
pub(crate) fn own_selectors(
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    form: Selector,
) -> Selectors {
    let (protocol, port) = match form {
        Selector::Any => (0, 0),
        Selector::AnyPort => (PROTOCOL_UDP, 0),
        Selector::Port => (PROTOCOL_UDP, local.1),
    };
    let own = IdBody::address(local.0, protocol, port).to_bytes();
    let peers = IdBody::address(remote.0, PROTOCOL_UDP, remote.1).to_bytes();
    Selectors { local_port: port, remote_port: remote.1, bodies: Some((own, peers)) }
}

/// Most quick modes remembered at once on one IKE SA.
pub const QUICK_MODES_MAX: usize = 16;
/// How long a finished quick mode answers duplicates.
pub(crate) const DONE_MEMORY: Duration = Duration::from_secs(30);
/// Length of our nonces.
pub(crate) const NONCE_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(port: u16) -> Vec<u8> {
        IdBody::address("192.168.1.10".parse().unwrap(), 17, port).to_bytes()
    }

    #[test]
    fn every_clients_selectors_are_understood() {
        let server = udp(1701);
        let pair = |body: &[u8]| read_selectors(&[body, &server]);
        assert_eq!(pair(&udp(1701)), Ok(Some((1701, 1701))), "Windows");
        assert_eq!(pair(&udp(56322)), Ok(Some((56322, 1701))), "Apple");
        assert_eq!(pair(&udp(0)), Ok(Some((0, 1701))), "Android");
        assert_eq!(pair(&[1, 0, 0, 0, 10, 0, 0, 1]), Ok(Some((0, 1701))), "NetworkManager");
        assert_eq!(pair(b"\x02\x11\x06\xa5pc"), Ok(Some((1701, 1701))), "Windows XP");
        assert_eq!(read_selectors(&[]), Ok(None));
    }

    #[test]
    fn other_protocols_networks_and_single_identities_are_refused() {
        let good = udp(1701);
        let refused = |body: &[u8]| read_selectors(&[body, &good]) == Err(Rejected::Selectors);
        assert!(refused(&[1, 6, 0, 80, 10, 0, 0, 1]), "TCP");
        assert!(refused(&[1, 0, 0, 80, 10, 0, 0, 1]), "a port of any protocol");
        assert!(refused(&[4, 17, 6, 0xa5, 10, 0, 0, 0, 255, 255, 255, 0]), "a network");
        assert!(refused(&[7, 17, 6, 0xa5, 10, 0, 0, 1, 10, 0, 0, 9]), "a range");
        assert!(refused(&[9, 17, 6, 0xa5, 0x30]), "a distinguished name");
        assert!(refused(&[1, 17, 6]), "a stump");
        assert_eq!(read_selectors(&[&good]), Err(Rejected::Selectors));
        assert_eq!(read_selectors(&[good.as_slice(); 3]), Err(Rejected::Selectors));
        let host = [4, 17, 6, 0xa5, 10, 0, 0, 1, 255, 255, 255, 255];
        assert_eq!(read_selectors(&[&host, &good]), Ok(Some((1701, 1701))));
    }
}
