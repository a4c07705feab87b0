//! One negotiation: the automaton with its counters, its restart timer and its packets.
//!
//! LCP and IPCP are the same machine over different [`Options`]. A packet is first *admitted*, which
//! changes nothing, and then *committed*, which cannot fail; what has to happen comes out of
//! [`Negotiation::poll_effect`] in order.
//!
//! Three rules go beyond the table of RFC 1661:
//! * An Ack, Nak or Reject counts only while it answers the outstanding request, byte for byte. A
//!   duplicate is therefore never taken for a crossed connection.
//! * A repetition of exactly the request that was acknowledged last (same identifier, same options)
//!   is answered with the same Ack and changes nothing, because it means that our Ack was lost or
//!   the network duplicated the request. A peer that wants to negotiate again must use a new
//!   identifier (RFC 1661 §5.1).
//! * A peer that answers [`ROUNDS_MAX`] requests in a row with Nak or Reject has failed.

use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Outbox};
use isthmus_wire::Reader;

use crate::automaton::{Do, Event, State, Step, step};
use crate::config::Timing;
use crate::error::{NegotiationFailure, Rejected};
use crate::iana::Code;
use crate::option::{RawOption, read_all, write_all};
use crate::packet::{CONTROL_MAX, HEADER_LEN, Packet};

/// What is negotiated: the values, their defaults and their limits.
pub(crate) trait Options {
    /// What we ask for now.
    fn request(&self) -> Vec<RawOption>;

    /// What we think of one option of the peer's request.
    fn judge(&self, option: &RawOption) -> Judgement;

    /// Options that the peer's request must have and has not, with the value to suggest.
    fn missing(&self, request: &[RawOption]) -> Vec<RawOption>;

    /// Whether the negotiation is pointless when we cannot agree on this option of the peer's.
    fn is_required(&self, kind: u8) -> bool;

    /// The suggestion that answers a request as a whole, whatever its options: for LCP, when the
    /// request may be our own.
    fn suspect(&self, request: &[RawOption]) -> Option<RawOption>;

    /// Looks at a request before it is answered; for LCP's loop detection.
    fn note_request(&mut self, request: &[RawOption]) -> Result<(), NegotiationFailure>;

    /// We acknowledge the peer's request.
    fn agree(&mut self, request: &[RawOption]);

    /// The peer acknowledges ours.
    fn agreed(&mut self) -> Result<(), NegotiationFailure>;

    /// The peer suggests other values.
    fn naked(&mut self, suggestion: &[RawOption]) -> Result<(), NegotiationFailure>;

    /// The peer refuses options of ours.
    fn refused(&mut self, options: &[RawOption]) -> Result<(), NegotiationFailure>;

    /// What was agreed no longer holds; for LCP, when it was agreed with somebody else.
    fn begin_anew(&mut self) {}
}

/// What we think of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Take it.
    Ack,
    /// Suggest this instead.
    Nak(RawOption),
    /// Refuse to talk about it.
    Reject,
}

/// Something the owner has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Both sides are agreed.
    Up,
    /// They were, and no longer are.
    Down,
    /// No agreement is possible; the owner closes.
    Failed(NegotiationFailure),
    /// Nothing further will happen.
    Finished(Finish),
    /// Send a packet of this protocol.
    Send(Vec<u8>),
}

/// Why a negotiation is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The peer does not know the protocol, or a code it must know.
    ProtocolRefused,
    /// Both sides said goodbye, or we did and nobody answered.
    Terminated,
    /// The peer never agreed.
    TimedOut,
}

/// Proof that a packet may change the state; only [`Negotiation::admit`] makes one.
#[derive(Debug)]
pub(crate) struct Accepted(Input);

#[derive(Debug)]
enum Input {
    Ack,
    CodeReject { fatal: bool },
    Nak(Vec<RawOption>),
    Reject(Vec<RawOption>),
    RepeatAck(Vec<u8>),
    Request { id: u8, data: Vec<u8>, options: Vec<RawOption>, answer: Answer },
    TerminateAck,
    TerminateRequest { id: u8 },
    UnknownCode(Vec<u8>),
}

#[derive(Debug)]
enum Answer {
    Ack,
    GiveUp(u8),
    Nak(Vec<RawOption>),
    Reject(Vec<RawOption>),
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Negotiation<O> {
    /// The values.
    pub(crate) options: O,
    state: State,
    timing: Timing,
    /// When the restart timer runs out.
    restart_at: Option<Instant>,
    /// How often it may still run out.
    restarts_left: u8,
    last_id: u8,
    /// Our request that has no answer yet.
    outstanding: Option<Sent>,
    /// The peer's request we acknowledged last.
    acknowledged: Option<Sent>,
    /// Data of our Terminate-Request.
    farewell: Vec<u8>,
    /// The peer has refused the protocol, or a code that it must know.
    refused: bool,
    /// Naks since the last Ack of ours.
    naks_sent: u8,
    /// Naks and Rejects of the peer since its last Ack.
    rounds: u8,
    effects: Outbox<Effect>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    id: u8,
    data: Vec<u8>,
}

impl<O: Options> Negotiation<O> {
    /// A negotiation whose lower layer is down.
    pub(crate) fn new(options: O, timing: Timing) -> Self {
        Self {
            options,
            state: State::Initial,
            timing,
            restart_at: None,
            restarts_left: 0,
            last_id: 0,
            outstanding: None,
            acknowledged: None,
            farewell: Vec::new(),
            refused: false,
            naks_sent: 0,
            rounds: 0,
            effects: Outbox::new(),
        }
    }

    /// A negotiation that was open when it was recorded.
    pub(crate) fn restore(options: O, timing: Timing, last_id: u8) -> Self {
        Self { state: State::Opened, last_id, ..Self::new(options, timing) }
    }

    /// A negotiation that somebody else has brought to its end, `request` being what the peer asked for
    /// last.
    ///
    /// # Errors
    /// The kind of an option of the peer's that we would not have acknowledged.
    pub(crate) fn adopt(
        options: O,
        timing: Timing,
        last_id: u8,
        request: &[RawOption],
    ) -> Result<Self, u8> {
        let mut adopted = Self::restore(options, timing, last_id);
        match adopted.answer(request) {
            Answer::Ack => adopted.options.agree(request),
            Answer::GiveUp(kind) => return Err(kind),
            Answer::Nak(disputed) | Answer::Reject(disputed) => {
                return Err(disputed.first().map_or(0, |option| option.kind));
            }
        }
        Ok(adopted)
    }

    /// Whether the packet may be taken, and as what. Changes nothing.
    pub(crate) fn admit(&self, packet: &Packet<'_>) -> Result<Accepted, Rejected> {
        if matches!(self.state, State::Initial | State::Starting) {
            return Err(Rejected::OutOfPhase);
        }
        let input = match packet.code {
            Code::CONFIGURE_REQUEST => self.admit_request(packet)?,
            Code::CONFIGURE_ACK => self.admit_ack(packet)?,
            Code::CONFIGURE_NAK => self.admit_nak(packet)?,
            Code::CONFIGURE_REJECT => self.admit_reject(packet)?,
            Code::TERMINATE_REQUEST => Input::TerminateRequest { id: packet.id },
            Code::TERMINATE_ACK => Input::TerminateAck,
            Code::CODE_REJECT => {
                let code = Code(Reader::new(packet.data).u8("rejected code")?);
                Input::CodeReject { fatal: code.is_essential() }
            }
            _ => Input::UnknownCode(packet.write()),
        };
        Ok(Accepted(input))
    }

    /// Does what the admitted packet demands.
    pub(crate) fn commit(&mut self, accepted: Accepted, now: Instant) {
        match accepted.0 {
            Input::Ack => self.commit_ack(now),
            Input::CodeReject { fatal: true } => self.run(Event::FatalReject, None, now),
            Input::CodeReject { fatal: false } => self.run(Event::MildReject, None, now),
            Input::Nak(options) => {
                let outcome = self.options.naked(&options);
                self.commit_refusal(outcome, now);
            }
            Input::Reject(options) => {
                let outcome = self.options.refused(&options);
                self.commit_refusal(outcome, now);
            }
            Input::RepeatAck(packet) => self.effects.push(Effect::Send(packet)),
            Input::Request { id, data, options, answer } => {
                self.commit_request(Sent { id, data }, &options, &answer, now);
            }
            Input::TerminateAck => self.run(Event::TerminateAck, None, now),
            Input::TerminateRequest { id } => {
                let reply = Packet { code: Code::TERMINATE_ACK, id, data: &[] };
                self.run(Event::TerminateRequest, Some(reply), now);
            }
            Input::UnknownCode(packet) => {
                let copied = packet.get(..CONTROL_MAX - HEADER_LEN).unwrap_or(&packet);
                let id = self.fresh_id();
                let reply = Packet { code: Code::CODE_REJECT, id, data: copied };
                self.run(Event::UnknownCode, Some(reply), now);
            }
        }
    }

    /// The lower layer is up and we want to talk.
    pub(crate) fn open(&mut self, now: Instant) {
        self.run(Event::Open, None, now);
        self.run(Event::Up, None, now);
    }

    /// Numbers the first request so.
    pub(crate) const fn set_first_id(&mut self, id: u8) {
        self.last_id = id.wrapping_sub(1);
    }

    /// Says this when it says goodbye.
    pub(crate) fn set_farewell(&mut self, data: Vec<u8>) {
        self.farewell = data;
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, now: Instant) {
        self.run(Event::Close, None, now);
    }

    /// Stops the restart timer: nobody is interested any more.
    pub(crate) const fn stop(&mut self) {
        self.restart_at = None;
    }

    /// The peer refuses the whole protocol.
    pub(crate) fn protocol_rejected(&mut self, now: Instant) {
        self.run(Event::FatalReject, None, now);
    }

    /// Lets the restart timer run out when it is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.restart_at.is_none_or(|at| now < at) {
            return;
        }
        let event = if self.restarts_left > 0 { Event::TimeoutAgain } else { Event::TimeoutLast };
        self.run(event, None, now);
    }

    /// The next thing to do.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop()
    }

    /// When to call [`Negotiation::handle_timeout`].
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.restart_at
    }

    /// The state of the automaton.
    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// The identifier used last.
    pub(crate) const fn last_id(&self) -> u8 {
        self.last_id
    }

    /// An identifier for a request of ours.
    pub(crate) const fn fresh_id(&mut self) -> u8 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    fn admit_request(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        let options = read_all(packet.data)?;
        let repeats = self
            .acknowledged
            .as_ref()
            .is_some_and(|last| last.id == packet.id && last.data == packet.data);
        if repeats && self.state == State::Opened {
            let ack = Packet { code: Code::CONFIGURE_ACK, ..*packet };
            return Ok(Input::RepeatAck(ack.write()));
        }
        let answer = self.answer(&options);
        Ok(Input::Request { id: packet.id, data: packet.data.to_vec(), options, answer })
    }

    /// Judges a whole request: a Reject goes before a Nak, and Naks end after `failure_max`
    /// (RFC 1661 §5.3, §5.4 and §4.6).
    fn answer(&self, request: &[RawOption]) -> Answer {
        if let Some(suggestion) = self.options.suspect(request) {
            return Answer::Nak(alloc::vec![suggestion]);
        }
        let (mut naks, mut disputed, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
        for (index, option) in request.iter().enumerate() {
            let is_repeated = request.iter().take(index).any(|other| other.kind == option.kind);
            match self.options.judge(option) {
                Judgement::Reject => rejects.push(option.clone()),
                // RFC 1661 §6: none of our options may be listed more than once.
                Judgement::Ack | Judgement::Nak(_) if is_repeated => rejects.push(option.clone()),
                Judgement::Ack => {}
                Judgement::Nak(suggestion) => {
                    naks.push(suggestion);
                    disputed.push(option.clone());
                }
            }
        }
        if !rejects.is_empty() {
            return Answer::Reject(rejects);
        }
        let missing = self.options.missing(request);
        if naks.is_empty() && missing.is_empty() {
            return Answer::Ack;
        }
        if self.naks_sent < self.timing.failure_max {
            naks.extend(missing);
            return Answer::Nak(naks);
        }
        let required = disputed.iter().find(|option| self.options.is_required(option.kind));
        match required.or(missing.first()) {
            Some(option) => Answer::GiveUp(option.kind),
            None => Answer::Reject(disputed),
        }
    }

    fn admit_ack(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        let sent = self.answered(packet)?;
        if sent.data != packet.data {
            return Err(Rejected::AlteredAck);
        }
        Ok(Input::Ack)
    }

    fn admit_nak(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        self.answered(packet)?;
        Ok(Input::Nak(read_all(packet.data)?))
    }

    fn admit_reject(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        let sent = read_all(&self.answered(packet)?.data)?;
        let options = read_all(packet.data)?;
        // RFC 1661 §5.4: a proper subset of what we sent, unmodified.
        if options.is_empty() || options.iter().any(|option| !sent.contains(option)) {
            return Err(Rejected::AlteredReject);
        }
        Ok(Input::Reject(options))
    }

    /// The outstanding request, when the packet answers it.
    fn answered(&self, packet: &Packet<'_>) -> Result<&Sent, Rejected> {
        self.outstanding.as_ref().filter(|s| s.id == packet.id).ok_or(Rejected::UnexpectedId)
    }

    fn commit_ack(&mut self, now: Instant) {
        self.outstanding = None;
        self.rounds = 0;
        match self.options.agreed() {
            Ok(()) => self.run(Event::Ack, None, now),
            Err(failure) => self.effects.push(Effect::Failed(failure)),
        }
    }

    fn commit_refusal(&mut self, outcome: Result<(), NegotiationFailure>, now: Instant) {
        self.outstanding = None;
        self.rounds = self.rounds.saturating_add(1);
        match outcome {
            Ok(()) if self.rounds < ROUNDS_MAX => self.run(Event::NakOrReject, None, now),
            Ok(()) => self.effects.push(Effect::Failed(NegotiationFailure::NotConverging)),
            Err(failure) => self.effects.push(Effect::Failed(failure)),
        }
    }

    fn commit_request(
        &mut self,
        request: Sent,
        options: &[RawOption],
        answer: &Answer,
        now: Instant,
    ) {
        if matches!(self.state, State::Closed | State::Closing | State::Stopping) {
            let reply = Packet { code: Code::TERMINATE_ACK, id: request.id, data: &[] };
            return self.run(Event::BadRequest, Some(reply), now);
        }
        if let Err(failure) = self.options.note_request(options) {
            return self.effects.push(Effect::Failed(failure));
        }
        let (code, data) = match answer {
            Answer::Ack => (Code::CONFIGURE_ACK, request.data.clone()),
            Answer::GiveUp(kind) => {
                let failure = NegotiationFailure::OptionRequired(*kind);
                return self.effects.push(Effect::Failed(failure));
            }
            Answer::Nak(options) => (Code::CONFIGURE_NAK, write_all(options)),
            Answer::Reject(options) => (Code::CONFIGURE_REJECT, write_all(options)),
        };
        let reply = Packet { code, id: request.id, data: &data };
        if code == Code::CONFIGURE_ACK {
            self.options.agree(options);
            self.naks_sent = 0;
            self.acknowledged = Some(request);
            self.run(Event::GoodRequest, Some(reply), now);
        } else {
            self.naks_sent = self.naks_sent.saturating_add(u8::from(code == Code::CONFIGURE_NAK));
            self.acknowledged = None;
            self.run(Event::BadRequest, Some(reply), now);
        }
    }

    /// Runs one event through the table. `reply` is what the sending actions other than requests
    /// of our own send.
    fn run(&mut self, event: Event, reply: Option<Packet<'_>>, now: Instant) {
        let Some(Step { does, next }) = step(self.state, event) else { return };
        self.refused |= event == Event::FatalReject;
        for action in does {
            match action {
                Do::Irc if does.contains(&Do::Str) => {
                    self.restarts_left = self.timing.terminate_max;
                }
                Do::Irc => self.restarts_left = self.timing.configure_max,
                Do::Sca | Do::Scj | Do::Scn | Do::Sta => self.send_reply(reply),
                // Echo is answered by the link, which knows the magic numbers.
                Do::Ser | Do::Tls => {}
                Do::Scr => self.send_request(now),
                Do::Str => self.send_terminate(now),
                Do::Tld => {
                    self.options.begin_anew();
                    self.effects.push(Effect::Down);
                }
                Do::Tlf => self.effects.push(Effect::Finished(self.finish(event))),
                Do::Tlu => self.effects.push(Effect::Up),
                Do::Zrc => {
                    self.restarts_left = 0;
                    self.restart_at = Some(now + self.timing.restart);
                }
            }
        }
        self.state = next;
        if !next.is_timed() {
            self.restart_at = None;
        }
    }

    /// What This-Layer-Finished means after this event.
    fn finish(&self, event: Event) -> Finish {
        let was_leaving = matches!(self.state, State::Closing | State::Stopping);
        if self.refused {
            Finish::ProtocolRefused
        } else if event == Event::TimeoutLast && !was_leaving {
            Finish::TimedOut
        } else {
            Finish::Terminated
        }
    }

    fn send_reply(&mut self, reply: Option<Packet<'_>>) {
        if let Some(packet) = reply {
            self.effects.push(Effect::Send(packet.write()));
        }
    }

    /// Sends our request; a repetition keeps its identifier, so that a late Ack still counts.
    fn send_request(&mut self, now: Instant) {
        let data = write_all(&self.options.request());
        let id = match &self.outstanding {
            Some(sent) if sent.data == data => sent.id,
            Some(_) | None => self.fresh_id(),
        };
        let packet = Packet { code: Code::CONFIGURE_REQUEST, id, data: &data };
        self.effects.push(Effect::Send(packet.write()));
        self.outstanding = Some(Sent { id, data });
        self.start_timer(now);
    }

    fn send_terminate(&mut self, now: Instant) {
        let id = self.fresh_id();
        let packet = Packet { code: Code::TERMINATE_REQUEST, id, data: &self.farewell };
        self.effects.push(Effect::Send(packet.write()));
        self.outstanding = None;
        self.acknowledged = None;
        self.start_timer(now);
    }

    fn start_timer(&mut self, now: Instant) {
        self.restarts_left = self.restarts_left.saturating_sub(1);
        self.restart_at = Some(now + self.timing.restart.max(RESTART_MIN));
    }
}

/// Most requests of ours in a row that the peer may answer with Nak or Reject.
pub const ROUNDS_MAX: u8 = 12;
/// A configured restart timer of zero must not spin.
const RESTART_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use isthmus_core::Rng;

    use super::*;
    use crate::lcp::LcpOptions;
    use crate::tests::pair::server_config;

    fn opened() -> Negotiation<LcpOptions> {
        let config = server_config(&[crate::AuthProtocol::Pap]);
        let options = LcpOptions::new(&config, Rng::new([1; 32]));
        let mut negotiation = Negotiation::new(options, config.timing);
        negotiation.open(Instant::ZERO);
        negotiation
    }

    fn give(negotiation: &mut Negotiation<LcpOptions>, code: Code, id: u8, data: &[u8]) {
        let accepted = negotiation.admit(&Packet { code, id, data }).unwrap();
        negotiation.commit(accepted, Instant::ZERO);
    }

    fn drain(negotiation: &mut Negotiation<LcpOptions>) -> Vec<Effect> {
        core::iter::from_fn(|| negotiation.poll_effect()).collect()
    }

    #[test]
    fn nothing_is_agreed_while_closing() {
        let mut negotiation = opened();
        negotiation.close(Instant::ZERO);
        drain(&mut negotiation);
        give(&mut negotiation, Code::CONFIGURE_REQUEST, 1, &[1, 4, 2, 0]);
        assert_eq!(negotiation.options.peer.mru, crate::MRU_DEFAULT);
        assert_eq!(negotiation.state(), State::Closing);
        assert_eq!(drain(&mut negotiation), []);
        let ack = Packet { code: Code::CONFIGURE_ACK, id: 1, data: &[] };
        assert_eq!(negotiation.admit(&ack).err(), Some(Rejected::UnexpectedId));
    }

    #[test]
    fn once_closed_a_request_is_answered_with_terminate_ack() {
        let mut negotiation = opened();
        negotiation.close(Instant::ZERO);
        drain(&mut negotiation);
        give(&mut negotiation, Code::TERMINATE_ACK, 2, &[]);
        assert_eq!(drain(&mut negotiation), [Effect::Finished(Finish::Terminated)]);
        give(&mut negotiation, Code::CONFIGURE_REQUEST, 7, &[]);
        assert_eq!(drain(&mut negotiation), [Effect::Send(alloc::vec![6, 7, 0, 4])]);
        assert_eq!(negotiation.state(), State::Closed);
    }
}
