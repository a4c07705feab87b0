//! What an endpoint lends its tunnels while one of them works.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use isthmus_core::{Instant, Outbox, Rng};
use isthmus_crypto::Provider;

use crate::action::{Action, SessionId};
use crate::avp::Hiding;
use crate::channel::Wire;
use crate::config::Config;
use crate::habits::Ids;
use crate::iana::MessageType;
use crate::message::{Field, encode};
use crate::stats::Stats;

/// The endpoint's belongings, for the time of one input.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) provider: &'a dyn Provider,
    pub(crate) rng: &'a mut Rng,
    pub(crate) out: &'a mut Outbox<Action>,
    pub(crate) stats: &'a mut Stats,
    /// Every session id of the endpoint that is taken.
    pub(crate) taken: &'a mut BTreeSet<SessionId>,
    /// Calls asked for so far.
    pub(crate) calls: &'a mut u32,
    /// Whether anybody can write the peer's address into a packet.
    pub(crate) doubts: bool,
    pub(crate) now: Instant,
}

impl Context<'_> {
    pub(crate) fn wire(&mut self, to_port: u16) -> Wire<'_> {
        Wire { out: self.out, stats: self.stats, to_port, now: self.now }
    }

    /// What reveals hidden AVPs; nothing without a secret.
    pub(crate) fn hiding(&self) -> Option<Hiding<'_>> {
        let secret = self.config.secret.as_ref()?;
        Some(Hiding { secret: secret.expose(), provider: self.provider })
    }

    /// Encodes a message for the peer's `(tunnel, session)`.
    pub(crate) fn encode(
        &mut self,
        ids: (u16, u16),
        kind: MessageType,
        fields: &[Field],
    ) -> Vec<u8> {
        // Cisco IOS cannot take hidden AVPs in SCCRQ.
        let hide = self.config.hide && kind != MessageType::SCCRQ;
        let secret = self.config.secret.as_ref().filter(|_| hide);
        let hiding =
            secret.map(|secret| Hiding { secret: secret.expose(), provider: self.provider });
        encode(ids, kind, fields, hiding, self.rng)
    }

    /// Takes a random id for a new session; `None` at the limit.
    pub(crate) fn new_session(&mut self) -> Option<SessionId> {
        if self.taken.len() >= self.config.session_limit() {
            return None;
        }
        let ids = self.config.dialect.habits.ids;
        let id = SessionId(free_id(ids, self.rng, |id| self.taken.contains(&SessionId(id))));
        self.taken.insert(id);
        Some(id)
    }
}

/// An id that is not zero and not taken, by the habit.
pub(crate) fn free_id(ids: Ids, rng: &mut Rng, taken: impl Fn(u16) -> bool) -> u16 {
    match ids {
        Ids::Random => random_id(rng, taken),
        Ids::Small => (1..=u16::MAX).find(|id| !taken(*id)).unwrap_or(u16::MAX),
    }
}

/// A random id that is not zero and not taken. The limits keep nearly all ids free, so this ends
/// soon.
pub(crate) fn random_id(rng: &mut Rng, taken: impl Fn(u16) -> bool) -> u16 {
    loop {
        let id = rng.u16();
        if id != 0 && !taken(id) {
            return id;
        }
    }
}
