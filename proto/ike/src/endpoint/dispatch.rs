//! From a datagram or a result to the exchange that it belongs to, and from a long message to its pieces.

use alloc::vec::Vec;

use isthmus_core::{Instant, Key, Path};
use isthmus_crypto::{CryptoError, DhOutput, JobOutput};

use super::{Endpoint, Owner};
use crate::action::Action;
use crate::codec::{Fragment, Header, Message};
use crate::error::Rejected;
use crate::fragmentation;
use crate::iana::{ExchangeType, PayloadType};
use crate::sa::{Role, Sent, State};

impl Endpoint {
    /// A datagram: a message, or a piece of one.
    pub(super) fn receive(
        &mut self,
        path: Path,
        marked: bool,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), Rejected> {
        let message = Message::read(bytes)?;
        if message.header.first != PayloadType::FRAGMENT {
            return self.dispatch(path, marked, &message, now);
        }
        let Some(whole) = self.take_piece(path, &message, now)? else { return Ok(()) };
        let whole = Message::read(&whole)?;
        // A message of another SA, or a piece of a piece, has no business in there.
        let cookies = message.header.cookies;
        if whole.header.first == PayloadType::FRAGMENT || whole.header.cookies != cookies {
            return Err(Rejected::UnknownCookies);
        }
        self.dispatch(path, marked, &whole, now)
    }

    /// Keeps a piece for cookies that we gave out; gives the message when it is complete.
    fn take_piece(
        &mut self,
        path: Path,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<Option<Vec<u8>>, Rejected> {
        let piece = Fragment::read(message)?;
        let cookies = &message.header.cookies;
        let sa = self.table.find(cookies).and_then(|key| self.sas.get_mut(key));
        let sa = sa.map(|sa| &mut sa.budget);
        let embryo = self.embryos.find(cookies, path.remote).map(|embryo| &mut embryo.budget);
        let budget = sa.or(embryo).ok_or(Rejected::UnknownCookies)?;
        let whole = self.reassembly.add(path.remote, message, &piece, now)?;
        // The data is paid for when the message is looked at, what is around it here.
        budget.earn(message.bytes.len() - piece.data.len());
        self.ctx.stats.fragments_received += 1;
        self.touch(Owner::Fragments);
        Ok(whole)
    }

    /// A whole message.
    fn dispatch(
        &mut self,
        path: Path,
        marked: bool,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Header { cookies, exchange, message_id, .. } = message.header;
        let known = matches!(
            exchange,
            ExchangeType::IDENTITY_PROTECTION
                | ExchangeType::AGGRESSIVE
                | ExchangeType::QUICK_MODE
                | ExchangeType::INFORMATIONAL
        );
        if !known {
            return Err(Rejected::ExchangeUnsupported(exchange));
        }
        let main_mode = exchange == ExchangeType::IDENTITY_PROTECTION;
        let aggressive = exchange == ExchangeType::AGGRESSIVE;
        if (main_mode || aggressive) && message_id != 0 {
            return Err(Rejected::MessageId);
        }
        if main_mode && cookies.is_initial() {
            return self.main_mode_first(path, marked, message, now);
        }
        if aggressive && cookies.is_initial() {
            return self.aggressive_first(path, marked, message, now);
        }
        // Nothing is ever said to cookies that name no SA.
        let key = match self.table.find(&cookies) {
            Some(key) => key,
            None if main_mode => return self.main_mode_hatch((path, marked), message, now),
            None => return Err(Rejected::UnknownCookies),
        };
        self.touch(Owner::Sa(key));
        if exchange != ExchangeType::INFORMATIONAL && self.is_deleted(key) {
            return Err(Rejected::UnknownCookies);
        }
        match exchange {
            ExchangeType::IDENTITY_PROTECTION => self.main_mode(key, (path, marked), message, now),
            ExchangeType::AGGRESSIVE => self.aggressive_mode(key, (path, marked), message, now),
            ExchangeType::QUICK_MODE => self.quick_mode(key, (path, marked), message, now),
            _ => self.informational(key, (path, marked), message, now),
        }
    }

    fn main_mode(
        &mut self,
        key: Key,
        from: (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        if sa.window.received == Some(digest) {
            return self.duplicate_or(key, message, Rejected::Duplicate);
        }
        match &sa.state {
            State::AwaitMm2(_) => self.main_mode_second(key, message),
            State::AwaitMm3(_) => self.main_mode_third(key, from, message),
            State::AwaitMm4(_) => self.main_mode_fourth(key, message),
            State::AwaitMm5(_) => self.main_mode_fifth(key, from, message, now),
            State::AwaitMm6(_) => self.main_mode_sixth(key, from, message, now),
            State::AgreeingAsResponder(_)
            | State::AgreeingAsInitiator(_)
            | State::Generating(_)
            | State::Signature(_) => Err(Rejected::Busy),
            State::Aggressive(_) | State::Established(_) | State::Changing => {
                Err(Rejected::IncorrectState)
            }
        }
    }

    /// Answers the exact repetition of the last message; anything else is `otherwise`.
    pub(crate) fn duplicate_or(
        &mut self,
        key: Key,
        message: &Message<'_>,
        otherwise: Rejected,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        if sa.window.received != Some(digest) {
            return Err(otherwise);
        }
        if sa.role == Role::Initiator {
            return Err(Rejected::Duplicate);
        }
        sa.budget.earn(message.bytes.len());
        if sa.window.sent.is_none() {
            return Err(Rejected::Busy);
        }
        if !sa.resend(&mut self.ctx) {
            return Err(Rejected::AmplificationLimit);
        }
        self.ctx.stats.replies_repeated += 1;
        Ok(())
    }

    pub(super) fn main_mode_job(
        &mut self,
        key: Key,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        match sa.take_state() {
            State::AgreeingAsResponder(state) => self.responder_agreed(key, *state, result),
            State::Generating(state) => self.initiator_generated(key, *state, result, now),
            State::AgreeingAsInitiator(state) => self.initiator_agreed(key, *state, result, now),
            State::Aggressive(state) => self.aggressive_job(key, state, result, now),
            other @ (State::AwaitMm2(_)
            | State::AwaitMm3(_)
            | State::AwaitMm4(_)
            | State::AwaitMm5(_)
            | State::AwaitMm6(_)
            | State::Signature(_)
            | State::Established(_)
            | State::Changing) => sa.state = other,
        }
    }

    pub(super) fn main_mode_signature(
        &mut self,
        key: Key,
        result: Result<JobOutput, CryptoError>,
        now: Instant,
    ) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        match sa.take_state() {
            State::Signature(state) => self.signature_job(key, state, result, now),
            other @ (State::AwaitMm2(_)
            | State::AwaitMm3(_)
            | State::AwaitMm4(_)
            | State::AwaitMm5(_)
            | State::AwaitMm6(_)
            | State::AgreeingAsResponder(_)
            | State::Generating(_)
            | State::AgreeingAsInitiator(_)
            | State::Aggressive(_)
            | State::Established(_)
            | State::Changing) => sa.state = other,
        }
    }

    /// A message that its peer takes in pieces and that is longer than a packet becomes pieces.
    pub(super) fn cut(&mut self, sent: Sent) -> Action {
        let Sent { peer, path, marked, bytes } = sent;
        let room = fragmentation::room(path, marked, self.ctx.config.fragment_size);
        let Some(pieces) = fragmentation::cut(&bytes, room).filter(|_| self.takes_pieces(&bytes))
        else {
            return Action::Transmit { peer, path, marked, bytes };
        };
        self.ctx.stats.messages_cut += 1;
        let transmit = |bytes| Action::Transmit { peer, path, marked, bytes };
        self.pieces.extend(pieces.into_iter().map(transmit));
        self.pieces.pop_front().unwrap_or(Action::Transmit { peer, path, marked, bytes })
    }

    /// Whether the peer of the SA that a message belongs to announced fragmentation.
    fn takes_pieces(&self, bytes: &[u8]) -> bool {
        let cookies = Message::read(bytes).map(|message| message.header.cookies);
        let sa = cookies.ok().and_then(|cookies| self.sas.get(self.table.find(&cookies)?));
        sa.is_some_and(|sa| sa.vendors.fragmentation)
    }
}
