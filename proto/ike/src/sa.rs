//! One IKE SA: cookies, path, the state of its main mode, and once established its keys.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;

use isthmus_core::{Duration, Encap, Instant, Path, Timers};

use crate::action::{Facts, FailureCause, PeerId, Stage};
use crate::aggressive_mode;
use crate::codec::Cookies;
use crate::config::Connect;
use crate::context::{Context, Digest};
use crate::error::Rejected;
use crate::fragmentation;
use crate::keys::IkeKeys;
use crate::main_mode::authentication::AwaitMm5;
use crate::main_mode::{initiator, responder, signature};
use crate::quick_mode::Quick;
use crate::table::HALF_OPEN_LIFETIME;
use crate::vendor::Vendors;

/// Who sent the first message of main mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Role {
    Initiator,
    Responder,
}

/// What an IKE SA waits for.
pub(crate) enum State {
    // Responder.
    AwaitMm3(Box<responder::AwaitMm3>),
    AgreeingAsResponder(Box<responder::Agreeing>),
    AwaitMm5(Box<AwaitMm5>),
    // Initiator.
    AwaitMm2(Box<initiator::AwaitMm2>),
    Generating(Box<initiator::Generating>),
    AwaitMm4(Box<initiator::AwaitMm4>),
    AgreeingAsInitiator(Box<initiator::Agreeing>),
    AwaitMm6(Box<initiator::AwaitMm6>),
    // Both.
    Aggressive(aggressive_mode::State),
    Signature(signature::State),
    Established(Box<Established>),
    /// The old state was taken out and the new one is being made.
    Changing,
}

impl State {
    /// How far the attempt is; none once it has succeeded.
    pub(crate) const fn stage(&self) -> Option<Stage> {
        match self {
            Self::AwaitMm2(_) => Some(Stage::Proposal),
            Self::AwaitMm3(_)
            | Self::AgreeingAsResponder(_)
            | Self::Generating(_)
            | Self::AwaitMm4(_) => Some(Stage::KeyExchange),
            Self::AwaitMm5(_) | Self::AgreeingAsInitiator(_) | Self::AwaitMm6(_) => {
                Some(Stage::Authentication)
            }
            Self::Aggressive(state) => Some(state.stage()),
            Self::Signature(state) => Some(state.stage()),
            Self::Established(_) | Self::Changing => None,
        }
    }
}

/// An authenticated IKE SA.
pub(crate) struct Established {
    pub(crate) keys: IkeKeys,
    /// Last ciphertext block of main mode; phase 2 IVs start from it.
    pub(crate) last_block: Vec<u8>,
    /// Quick modes under way or just over, by message id; boxed, since a node of the map has room for
    /// eleven and most SAs have one.
    pub(crate) quick: BTreeMap<u32, Box<Quick>>,
    pub(crate) seen: SeenIds,
    /// Highest sequence number the peer asked with whether we are there.
    pub(crate) dpd_asked: Option<u32>,
}

/// Timers of an IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SaTimer {
    /// The attempt as a whole is over.
    HalfOpen,
    /// The request was not answered.
    Retransmit,
    /// A hint of failure was not refuted.
    GiveUp,
    /// Rekey.
    Soft,
    /// Delete a replaced SA.
    Retire,
    /// The lifetime is over.
    Hard,
    /// Nothing sent before the peer's DELETE can be under way any more.
    Deleted,
    /// The message of a quick mode was not answered, or its memory may go.
    Quick(u32),
}

/// An IKE SA.
pub(crate) struct IkeSa {
    pub(crate) cookies: Cookies,
    pub(crate) role: Role,
    pub(crate) path: Path,
    pub(crate) marked: bool,
    /// Where the first message came from or went to; the path may move.
    pub(crate) origin: SocketAddr,
    pub(crate) created: Instant,
    pub(crate) state: State,
    /// Known when authenticated, and from the start when we connect.
    pub(crate) peer: Option<PeerId>,
    pub(crate) vendors: Vendors,
    pub(crate) window: Window,
    pub(crate) budget: Budget,
    pub(crate) timers: Timers<SaTimer>,
    /// What an unauthenticated message suggested went wrong.
    pub(crate) hint: Option<FailureCause>,
}

impl IkeSa {
    /// An SA that a first message asked for.
    pub(crate) fn answering(
        cookies: Cookies,
        (path, marked): (Path, bool),
        state: State,
        now: Instant,
    ) -> Self {
        let mut timers = Timers::new();
        timers.set(SaTimer::HalfOpen, now + HALF_OPEN_LIFETIME);
        Self {
            cookies,
            role: Role::Responder,
            path,
            marked,
            origin: path.remote,
            created: now,
            state,
            peer: None,
            vendors: Vendors::default(),
            window: Window::default(),
            budget: Budget::default(),
            timers,
            hint: None,
        }
    }

    /// An SA that we ask for.
    pub(crate) fn asking(
        cookies: Cookies,
        from: (Path, bool),
        peer: PeerId,
        state: State,
        now: Instant,
    ) -> Self {
        let asked = Self::answering(cookies, from, state, now);
        Self { role: Role::Initiator, peer: Some(peer), ..asked }
    }

    /// Moves an attempt of ours to the other port when its ESP will travel in UDP (RFC 3947 §4).
    pub(crate) fn float(&mut self, encap: Encap, connect: &Connect) {
        if encap == Encap::Udp && !self.marked {
            self.path = connect.nat_t;
            self.marked = true;
        }
    }

    /// Takes the state out; the caller puts the next one in.
    pub(crate) fn take_state(&mut self) -> State {
        core::mem::replace(&mut self.state, State::Changing)
    }

    /// What is known of the peer, for a failure record.
    pub(crate) const fn facts(&self) -> Facts {
        let nat = match &self.state {
            State::AwaitMm5(state) => Some(state.nat),
            State::AwaitMm3(_)
            | State::AgreeingAsResponder(_)
            | State::AwaitMm2(_)
            | State::Generating(_)
            | State::AwaitMm4(_)
            | State::AgreeingAsInitiator(_)
            | State::AwaitMm6(_)
            | State::Aggressive(_)
            | State::Signature(_)
            | State::Established(_)
            | State::Changing => None,
        };
        Facts { vendors: self.vendors, nat, marked: self.marked }
    }

    pub(crate) fn established(&self) -> Option<&Established> {
        match &self.state {
            State::Established(established) => Some(established),
            State::AwaitMm3(_)
            | State::AgreeingAsResponder(_)
            | State::AwaitMm5(_)
            | State::AwaitMm2(_)
            | State::Generating(_)
            | State::AwaitMm4(_)
            | State::AgreeingAsInitiator(_)
            | State::AwaitMm6(_)
            | State::Aggressive(_)
            | State::Signature(_)
            | State::Changing => None,
        }
    }

    pub(crate) fn established_mut(&mut self) -> Option<&mut Established> {
        match &mut self.state {
            State::Established(established) => Some(established),
            State::AwaitMm3(_)
            | State::AgreeingAsResponder(_)
            | State::AwaitMm5(_)
            | State::AwaitMm2(_)
            | State::Generating(_)
            | State::AwaitMm4(_)
            | State::AgreeingAsInitiator(_)
            | State::AwaitMm6(_)
            | State::Aggressive(_)
            | State::Signature(_)
            | State::Changing => None,
        }
    }

    /// Sends a main mode message and keeps it to send again. Before authentication a responder
    /// never sends more than it received.
    pub(crate) fn send(&mut self, ctx: &mut Context, bytes: Vec<u8>) -> Result<(), Rejected> {
        let sent = Sent { peer: self.peer, path: self.path, marked: self.marked, bytes };
        let len = self.wire_len(ctx, &sent);
        let limited = self.role == Role::Responder && self.established().is_none();
        self.window.tries = 0;
        self.window.sent = Some(sent.clone());
        if limited && !self.budget.spend(len) {
            return Err(Rejected::AmplificationLimit);
        }
        ctx.transmit(sent);
        Ok(())
    }

    /// Sends the last main mode message again; false when there is none or the budget forbids.
    pub(crate) fn resend(&mut self, ctx: &mut Context) -> bool {
        let limited = self.role == Role::Responder && self.established().is_none();
        let Some(sent) = self.window.sent.clone() else { return false };
        let len = self.wire_len(ctx, &sent);
        if limited && !self.budget.spend(len) {
            return false;
        }
        ctx.transmit(sent);
        true
    }

    /// What a message costs once it is cut for a peer that takes pieces.
    fn wire_len(&self, ctx: &Context, sent: &Sent) -> usize {
        if !self.vendors.fragmentation {
            return sent.bytes.len();
        }
        let room = fragmentation::room(sent.path, sent.marked, ctx.config.fragment_size);
        fragmentation::cut_len(sent.bytes.len(), room)
    }
}

/// The last message of an exchange in each direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Digest of the last message that was acted on.
    pub(crate) received: Option<Digest>,
    /// The last message sent.
    pub(crate) sent: Option<Sent>,
    /// How often it was sent again unasked.
    pub(crate) tries: u32,
}

/// A message that may have to be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Whose IKE SA it is of, once that is known.
    pub(crate) peer: Option<PeerId>,
    pub(crate) path: Path,
    pub(crate) marked: bool,
    pub(crate) bytes: Vec<u8>,
}

impl Window {
    /// When to send again after `tries` repetitions; none when it was often enough.
    pub(crate) fn backoff(&self) -> Option<Duration> {
        self.wait_of(&BACKOFF)
    }

    /// As [`Window::backoff`], for the waits of a habit.
    pub(crate) fn wait_of(&self, waits: &[Duration]) -> Option<Duration> {
        waits.get(usize::try_from(self.tries).unwrap_or(usize::MAX)).copied()
    }
}

/// Bytes received and sent before authentication.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    received: usize,
    sent: usize,
}

impl Budget {
    pub(crate) const fn earn(&mut self, received: usize) {
        self.received = self.received.saturating_add(received);
    }

    /// What may still be sent.
    pub(crate) const fn left(self) -> usize {
        self.received.saturating_sub(self.sent)
    }

    pub(crate) const fn spend(&mut self, len: usize) -> bool {
        let sent = self.sent.saturating_add(len);
        let allowed = sent <= self.received;
        if allowed {
            self.sent = sent;
        }
        allowed
    }
}

/// Message ids used on an IKE SA: a captured message does not count twice.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct SeenIds {
    set: BTreeSet<u32>,
    order: VecDeque<u32>,
}

impl SeenIds {
    pub(crate) fn contains(&self, id: u32) -> bool {
        self.set.contains(&id)
    }

    /// Remembers an id, forgetting the oldest beyond [`SEEN_IDS_MAX`].
    pub(crate) fn insert(&mut self, id: u32) {
        if !self.set.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > SEEN_IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }
}

/// Gateways hold them by the ten thousand: whoever makes it larger decides so here.
const _: () = assert!(size_of::<IkeSa>() <= 416);
/// Waits before a request is sent again, and after the last time: 23 seconds in all.
pub(crate) const BACKOFF: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(8),
];
/// How often a request is sent again.
pub const RETRANSMIT_MAX: u32 = 4;
/// Most message ids remembered for one IKE SA: a day of DPD at one a minute.
pub const SEEN_IDS_MAX: usize = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_never_runs_over() {
        let mut budget = Budget::default();
        assert!(!budget.spend(1));
        budget.earn(100);
        assert!(budget.spend(60) && !budget.spend(41) && budget.spend(40));
        budget.earn(5);
        assert!(!budget.spend(6) && budget.spend(5));
    }

    #[test]
    fn message_ids_are_remembered_up_to_the_bound() {
        let mut seen = SeenIds::default();
        let last = u32::try_from(SEEN_IDS_MAX).unwrap();
        (0..=last).for_each(|id| seen.insert(id));
        assert!(!seen.contains(0) && seen.contains(1) && seen.contains(last));
        seen.insert(1);
        assert_eq!(seen.order.len(), SEEN_IDS_MAX);
    }

    #[test]
    fn retransmission_ends_within_the_life_of_an_attempt() {
        let total: Duration = BACKOFF.iter().sum();
        assert_eq!(total, Duration::from_secs(23));
        assert_eq!(BACKOFF.len(), RETRANSMIT_MAX as usize + 1);
    }
}
