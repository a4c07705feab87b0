//! The peer's frames: which are taken in which phase, and what they do.

use alloc::vec::Vec;

use isthmus_core::Instant;
use isthmus_wire::{DecodeError, Fault, Reader};

use super::{IDENTIFICATIONS_MAX, Link, Login, Phase};
use crate::config::AuthProtocol;
use crate::error::{DownReason, NegotiationFailure, Rejected, Stage};
use crate::frame::Frame;
use crate::iana::{Code, Protocol};
use crate::packet::{CONTROL_MAX, HEADER_LEN, Packet};
use crate::text::Text;
use crate::{authenticatee, authenticator, eap, negotiation};

/// Proof that a frame may change the link; only [`Link::admit`] makes one.
#[derive(Debug)]
pub(super) struct Accepted(Input);

#[derive(Debug)]
enum Input {
    /// To a request for a network protocol that is our habit.
    Answer {
        protocol: Protocol,
        code: Code,
    },
    ClientLogin(authenticatee::Accepted),
    EapPeer(eap::peer::Accepted),
    EapServer(eap::server::Accepted),
    EchoRequest {
        id: u8,
        data: Vec<u8>,
    },
    Goodbye(negotiation::Accepted, Text),
    Identification(Text),
    Ipcp(negotiation::Accepted),
    Ipv6cp(negotiation::Accepted),
    Lcp(negotiation::Accepted),
    /// Heard, and nothing to do.
    Noted,
    ProtocolReject(Protocol),
    ServerLogin(authenticator::Accepted),
    /// The peer ends a protocol that never began.
    StrayGoodbye {
        protocol: Protocol,
        id: u8,
    },
    Unknown {
        protocol: Protocol,
        body: Vec<u8>,
    },
}

impl Link {
    /// Whether the frame may be taken, and as what. Changes nothing.
    pub(super) fn admit(&self, bytes: &[u8], now: Instant) -> Result<Accepted, Rejected> {
        let frame = Frame::read(bytes)?;
        match self.phase {
            Phase::Down(_) => return Err(Rejected::LinkDown),
            Phase::Dead => return Err(Rejected::OutOfPhase),
            Phase::Authenticate(_) | Phase::Establish | Phase::Network(_) | Phase::Terminate(_) => {
            }
        }
        let input = match frame.protocol {
            Protocol::LCP => self.admit_lcp(&Packet::read(frame.body)?)?,
            Protocol::IPCP => self.admit_ipcp(frame.body)?,
            Protocol::IPV6CP if !self.has_asked(Protocol::IPV6CP) => {
                self.admit_ipv6cp(frame.body, now)?
            }
            Protocol::PAP | Protocol::CHAP => self.admit_login(&frame)?,
            Protocol::EAP if self.speaks_eap() => self.admit_login(&frame)?,
            Protocol::IPV4 | Protocol::IPV6 => return Err(Rejected::NetworkData),
            protocol if self.has_asked(protocol) && is_answer(frame.body) => {
                Input::Answer { protocol, code: Packet::read(frame.body)?.code }
            }
            protocol => self.admit_unknown(protocol, frame.body, now)?,
        };
        Ok(Accepted(input))
    }

    /// Does what the admitted frame demands.
    pub(super) fn commit(&mut self, accepted: Accepted, now: Instant) {
        match accepted.0 {
            Input::Answer { protocol, code } => {
                self.asked_and_answered(protocol, code != Code::CONFIGURE_ACK);
            }
            Input::ClientLogin(accepted) => {
                if let Some(Login::Client(client)) = login_of(&mut self.phase) {
                    client.commit(accepted, &mut self.rng, now);
                }
            }
            Input::EapPeer(accepted) => {
                if let Some(Login::EapPeer(peer)) = login_of(&mut self.phase) {
                    peer.commit(accepted, &mut self.rng, now);
                }
            }
            Input::EapServer(accepted) => {
                if let Some(Login::EapServer(server)) = login_of(&mut self.phase) {
                    server.commit(accepted, &mut self.rng, now);
                }
            }
            Input::EchoRequest { id, data } => self.echo_back(id, &data),
            Input::Goodbye(accepted, text) => self.part(accepted, text, now),
            Input::Identification(text) => {
                if self.identifications.len() < IDENTIFICATIONS_MAX {
                    self.identifications.push(text);
                }
            }
            Input::Ipcp(accepted) => {
                if let Phase::Network(network) = &mut self.phase {
                    network.heard = true;
                    network.ipcp.commit(accepted, now);
                }
            }
            Input::Ipv6cp(accepted) => {
                if let Phase::Network(network) = &mut self.phase
                    && let Some(ipv6) = &mut network.ipv6
                {
                    ipv6.cp.commit(accepted, now);
                }
            }
            Input::Lcp(accepted) => self.lcp.commit(accepted, now),
            Input::Noted => {}
            Input::ProtocolReject(protocol) => self.commit_protocol_reject(protocol, now),
            Input::ServerLogin(accepted) => {
                if let Some(Login::Server(server)) = login_of(&mut self.phase) {
                    server.commit(accepted, now);
                }
            }
            Input::StrayGoodbye { protocol, id } => {
                self.rejects.count(now);
                let packet = Packet { code: Code::TERMINATE_ACK, id, data: &[] };
                self.transmit(protocol, &packet.write());
            }
            Input::Unknown { protocol, body } => {
                self.rejects.count(now);
                self.reject_protocol(protocol, &body);
            }
        }
    }

    /// Whether it is our habit to ask for the protocol, and we did.
    fn has_asked(&self, protocol: Protocol) -> bool {
        match &self.phase {
            Phase::Network(network) => network.asked.iter().any(|a| a.protocol() == protocol),
            Phase::Authenticate(_)
            | Phase::Dead
            | Phase::Down(_)
            | Phase::Establish
            | Phase::Terminate(_) => false,
        }
    }

    fn admit_lcp(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        match packet.code {
            Code::TERMINATE_REQUEST => {
                Ok(Input::Goodbye(self.lcp.admit(packet)?, Text::new(packet.data)))
            }
            Code::PROTOCOL_REJECT => {
                self.require_lcp_open()?;
                let protocol = Reader::new(packet.data).u16("rejected-protocol")?;
                Ok(Input::ProtocolReject(Protocol(protocol)))
            }
            Code::ECHO_REQUEST => {
                self.admit_magic(packet)?;
                Ok(Input::EchoRequest { id: packet.id, data: packet.data.to_vec() })
            }
            Code::ECHO_REPLY | Code::DISCARD_REQUEST => {
                self.admit_magic(packet)?;
                Ok(Input::Noted)
            }
            Code::IDENTIFICATION => {
                let mut reader = Reader::new(packet.data);
                reader.u32("magic-number")?;
                Ok(Input::Identification(Text::new(reader.rest())))
            }
            Code::TIME_REMAINING => Ok(Input::Noted),
            _ => Ok(Input::Lcp(self.lcp.admit(packet)?)),
        }
    }

    /// Echo and discard: only while LCP is open (RFC 1661 §5.8), and not from ourselves.
    fn admit_magic(&self, packet: &Packet<'_>) -> Result<(), Rejected> {
        self.require_lcp_open()?;
        let magic = Reader::new(packet.data).u32("magic-number")?;
        if self.lcp.options.is_our_magic(magic) { Err(Rejected::LoopedBack) } else { Ok(()) }
    }

    fn require_lcp_open(&self) -> Result<(), Rejected> {
        if self.is_lcp_open() { Ok(()) } else { Err(Rejected::OutOfPhase) }
    }

    fn admit_ipcp(&self, body: &[u8]) -> Result<Input, Rejected> {
        match &self.phase {
            Phase::Network(network) => Ok(Input::Ipcp(network.ipcp.admit(&Packet::read(body)?)?)),
            Phase::Authenticate(_)
            | Phase::Dead
            | Phase::Down(_)
            | Phase::Establish
            | Phase::Terminate(_) => Err(Rejected::OutOfPhase),
        }
    }

    fn admit_ipv6cp(&self, body: &[u8], now: Instant) -> Result<Input, Rejected> {
        let network = match &self.phase {
            Phase::Network(network) => network.ipv6.as_ref(),
            Phase::Authenticate(_)
            | Phase::Dead
            | Phase::Down(_)
            | Phase::Establish
            | Phase::Terminate(_) => None,
        };
        match network {
            Some(ipv6) => Ok(Input::Ipv6cp(ipv6.cp.admit(&Packet::read(body)?)?)),
            None => self.admit_unknown(Protocol::IPV6CP, body, now),
        }
    }

    /// Whether EAP is the authentication protocol agreed on; otherwise it is like any other protocol.
    fn speaks_eap(&self) -> bool {
        let (ours, peer) = (self.lcp.options.ours.auth, self.lcp.options.peer.auth);
        [ours, peer].contains(&Some(AuthProtocol::EapMsChapV2))
    }

    fn admit_login(&self, frame: &Frame<'_>) -> Result<Input, Rejected> {
        let login = match &self.phase {
            Phase::Authenticate(login) => Some(login),
            Phase::Network(network) => network.login.as_ref(),
            Phase::Dead | Phase::Down(_) | Phase::Establish | Phase::Terminate(_) => None,
        };
        let login = login.ok_or(Rejected::OutOfPhase)?;
        let agreed = match login {
            Login::Client(_) | Login::EapPeer(_) => self.lcp.options.peer.auth,
            Login::EapServer(_) | Login::Server(_) => self.lcp.options.ours.auth,
        };
        if agreed.map(AuthProtocol::protocol) != Some(frame.protocol) {
            return Err(Rejected::OutOfPhase);
        }
        let packet = Packet::read(frame.body)?;
        match login {
            Login::EapPeer(peer) => peer.admit(&packet).map(Input::EapPeer),
            Login::EapServer(server) => server.admit(&packet).map(Input::EapServer),
            Login::Client(client) => client.admit(&packet).map(Input::ClientLogin),
            Login::Server(server) => server.admit(&packet).map(Input::ServerLogin),
        }
    }

    /// Before the network phase everything else is discarded in silence (RFC 1661 §3.4, §3.5).
    fn admit_unknown(
        &self,
        protocol: Protocol,
        body: &[u8],
        now: Instant,
    ) -> Result<Input, Rejected> {
        match self.phase {
            Phase::Network(_) if body.len() > CONTROL_MAX => {
                Err(DecodeError::new("packet", Fault::TooLong).into())
            }
            Phase::Network(_) if !self.rejects.may_send(now) => Err(Rejected::RejectedOften),
            Phase::Network(_) => Ok(unknown(protocol, body)),
            Phase::Authenticate(_)
            | Phase::Dead
            | Phase::Down(_)
            | Phase::Establish
            | Phase::Terminate(_) => Err(Rejected::OutOfPhase),
        }
    }

    /// Sends an Echo-Request with so many bytes of data; nothing while the network is not up. The reply,
    /// which carries the same data (RFC 1661 §5.8), is for whoever looks at the peer's frames.
    pub fn echo(&mut self, data_len: u16) {
        if self.network().is_none() {
            return;
        }
        let mut data = self.lcp.options.ours.magic.to_be_bytes().to_vec();
        data.resize(data.len() + usize::from(data_len), 0);
        let packet = Packet { code: Code::ECHO_REQUEST, id: 0, data: &data };
        self.transmit(Protocol::LCP, &packet.write());
    }

    /// Answers with our magic number and the rest unchanged (RFC 1661 §5.8).
    fn echo_back(&mut self, id: u8, data: &[u8]) {
        let mut reply = self.lcp.options.ours.magic.to_be_bytes().to_vec();
        reply.extend_from_slice(data.get(4..).unwrap_or_default());
        let packet = Packet { code: Code::ECHO_REPLY, id, data: &reply };
        self.transmit(Protocol::LCP, &packet.write());
    }

    /// The peer said goodbye: answers, and is done.
    fn part(&mut self, accepted: negotiation::Accepted, text: Text, now: Instant) {
        let reason = match self.phase {
            Phase::Terminate(reason) => reason,
            Phase::Authenticate(_)
            | Phase::Dead
            | Phase::Down(_)
            | Phase::Establish
            | Phase::Network(_) => DownReason::PeerTerminated(self.stage()),
        };
        self.farewell = Some(text);
        self.phase = Phase::Terminate(reason);
        self.lcp.commit(accepted, now);
        self.settle(now);
        self.finish(reason);
    }

    fn commit_protocol_reject(&mut self, protocol: Protocol, now: Instant) {
        let stage = match (protocol, &mut self.phase) {
            (Protocol::IPV6CP, Phase::Network(network)) if network.ipv6.is_some() => {
                if let Some(ipv6) = &mut network.ipv6 {
                    ipv6.cp.protocol_rejected(now);
                }
                return;
            }
            (Protocol::LCP, _) => return self.lcp.protocol_rejected(now),
            (Protocol::IPCP, Phase::Network(_)) => Stage::Ipcp,
            (Protocol::PAP | Protocol::CHAP | Protocol::EAP, Phase::Authenticate(_)) => {
                Stage::Authenticate
            }
            // The peer cannot do something we do not need, or no longer do.
            _ => return self.asked_and_answered(protocol, true),
        };
        let failure = NegotiationFailure::ProtocolRefused;
        self.terminate(DownReason::NegotiationFailed(stage, failure), now);
    }

    /// Sends a Protocol-Reject with as much of the body as fits (RFC 1661 §5.7).
    fn reject_protocol(&mut self, protocol: Protocol, body: &[u8]) {
        self.stats.protocol_rejects_sent += 1;
        let room = usize::from(self.lcp.options.peer.mru).min(CONTROL_MAX) - HEADER_LEN - 2;
        let mut data = protocol.0.to_be_bytes().to_vec();
        data.extend_from_slice(body.get(..room).unwrap_or(body));
        let id = self.lcp.fresh_id();
        let packet = Packet { code: Code::PROTOCOL_REJECT, id, data: &data };
        self.transmit(Protocol::LCP, &packet.write());
    }
}

/// A protocol that is refused gets a Protocol-Reject. Windows takes back a CCP that was refused with a
/// Terminate-Request, which is answered, so that it is not repeated.
fn unknown(protocol: Protocol, body: &[u8]) -> Input {
    match Packet::read(body) {
        Ok(Packet { code: Code::TERMINATE_REQUEST, id, .. }) if protocol.is_network_control() => {
            Input::StrayGoodbye { protocol, id }
        }
        Ok(_) | Err(_) => Input::Unknown { protocol, body: body.to_vec() },
    }
}

/// Whether a packet answers a request of ours.
fn is_answer(body: &[u8]) -> bool {
    let code = Packet::read(body).map(|packet| packet.code);
    matches!(
        code,
        Ok(Code::CONFIGURE_ACK
            | Code::CONFIGURE_NAK
            | Code::CONFIGURE_REJECT
            | Code::TERMINATE_ACK)
    )
}

fn login_of(phase: &mut Phase) -> Option<&mut Login> {
    match phase {
        Phase::Authenticate(login) => Some(login),
        Phase::Network(network) => network.login.as_mut(),
        Phase::Dead | Phase::Down(_) | Phase::Establish | Phase::Terminate(_) => None,
    }
}
