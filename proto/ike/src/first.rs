//! First messages of strangers, in either mode: whether they begin anything, and how they are refused.

use alloc::vec::Vec;

use isthmus_core::{Instant, Path};

use crate::action::{Facts, Failure, FailureCause, Stage};
use crate::codec::{Chain, Cookies, Message};
use crate::context::plain_notification;
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::NotifyType;
use crate::identity::Identity;
use crate::proposal::OfferedIke;
use crate::sa::Sent;
use crate::table::Initiation;
use crate::vendor::Vendors;

impl Endpoint {
    /// Whether a first message begins an attempt. One that came before is answered as before, and
    /// begins none.
    pub(crate) fn is_new_attempt(
        &mut self,
        path: Path,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<bool, Rejected> {
        let initiation = Initiation::new(message.header.cookies.initiator, path.remote);
        if let Some(key) = self.table.initiation(initiation) {
            self.duplicate_or(key, message, Rejected::IncorrectState)?;
            return Ok(false);
        }
        if self.table.is_spent(initiation, now) {
            return Err(Rejected::Spent);
        }
        if message.header.flags.is_encrypted() {
            return Err(Rejected::NotYetEncrypted);
        }
        Ok(true)
    }

    /// Reports once, and says nothing: an attempt without a key cannot come to anything.
    pub(crate) fn refuse_keyless(
        &mut self,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) {
        let initiation = Initiation::new(message.header.cookies.initiator, path.remote);
        self.table.spend(initiation, now);
        if self.ctx.config.psks.is_empty() {
            return;
        }
        let stage = Stage::Proposal;
        let cause = FailureCause::IdentityNotAllowed(Identity::address(path.remote.ip()));
        let facts = facts(message, marked);
        self.ctx.fail(Failure { peer: None, path, stage, cause, initiator: false, facts });
    }

    /// Refuses a first message of whose proposals none will do.
    pub(crate) fn refuse_proposals(
        &mut self,
        offered: Vec<OfferedIke>,
        from: (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Rejected {
        let why = (NotifyType::NO_PROPOSAL_CHOSEN, self.no_proposal(offered));
        self.refuse_first(why, from, message, now);
        Rejected::NoProposalChosen
    }

    /// Refuses a first message once, in fewer bytes than it has. The cookie of the refusal names nothing.
    pub(crate) fn refuse_first(
        &mut self,
        (kind, cause): (NotifyType, FailureCause),
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) {
        let initiator = message.header.cookies.initiator;
        self.table.spend(Initiation::new(initiator, path.remote), now);
        let cookies = Cookies { initiator, responder: self.ctx.cookie() };
        let id = self.ctx.message_id();
        let reply = plain_notification(cookies, id, kind);
        if reply.len() <= message.bytes.len() {
            self.ctx.transmit(Sent { peer: None, path, marked, bytes: reply });
        }
        let (stage, facts) = (Stage::Proposal, facts(message, marked));
        self.ctx.fail(Failure { peer: None, path, stage, cause, initiator: false, facts });
    }

    /// What was offered, and what we would have taken.
    fn no_proposal(&self, offered: Vec<OfferedIke>) -> FailureCause {
        let legacy = self.ctx.config.legacy;
        let ours = &self.ctx.config.ike;
        let ours = ours.iter().copied().filter(|p| legacy || !p.is_legacy()).collect();
        FailureCause::NoIkeProposal { offered, ours }
    }
}

/// What a message 1 that is refused tells of its sender.
fn facts(message: &Message<'_>, marked: bool) -> Facts {
    let chain = Chain::read(message.header.first, message.body);
    let vendors = chain.map_or_else(|_| Vendors::default(), |chain| Vendors::of(&chain));
    Facts { vendors, nat: None, marked }
}
