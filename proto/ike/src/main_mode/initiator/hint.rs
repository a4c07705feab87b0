//! What may have gone wrong, as initiator.
//!
//! Errors that arrive in clear prove nothing, so they never end an attempt at once. They are kept as
//! a hint: when no true answer follows within a short grace, the hint becomes the reported cause.

use isthmus_core::{Duration, Instant, Key};

use crate::action::FailureCause;
use crate::codec::{Chain, Message, Notification};
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::iana::{NotifyType, PayloadType};
use crate::proposal::Authentication;
use crate::sa::{Role, SaTimer, State};

impl Endpoint {
    /// An error notification in clear, or an encrypted one that keys do not fit, during main mode.
    pub(crate) fn unproven_notification(
        &mut self,
        key: Key,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let waits_for_6 = matches!(sa.state, State::AwaitMm6(_));
        let signed = matches!(
            &sa.state,
            State::AwaitMm6(state) if state.start.authentication != Authentication::Psk
        );
        if sa.awaits_am3() {
            return self.disbelieved(key, message);
        }
        if message.header.flags.is_encrypted() {
            // strongSwan reports PAYLOAD-MALFORMED under its own keys, which are not ours when the
            // pre-shared keys differ.
            if waits_for_6 {
                let cause = if signed {
                    FailureCause::AuthenticationFailed
                } else {
                    FailureCause::WrongPsk
                };
                self.hint(key, cause, now);
            }
            return Err(Rejected::NotYetEncrypted);
        }
        let chain = Chain::read(message.header.first, message.body)?;
        let body = chain.required(PayloadType::NOTIFICATION)?;
        let kind = Notification::read(body)?.kind;
        self.ctx.stats.plain_notifications += 1;
        if sa.role == Role::Initiator && kind.is_error() {
            let cause = match kind {
                NotifyType::AUTHENTICATION_FAILED
                | NotifyType::INVALID_HASH_INFORMATION
                | NotifyType::PAYLOAD_MALFORMED
                    if waits_for_6 && !signed =>
                {
                    FailureCause::WrongPsk
                }
                _ => FailureCause::PeerNotify(kind),
            };
            self.hint(key, cause, now);
        }
        Err(Rejected::Plain)
    }

    /// Anything but message 3 after message 2 of aggressive mode says that our hash was not believed:
    /// in clear, or under keys that differ. Reported when the attempt ends without a message 3.
    fn disbelieved(&mut self, key: Key, message: &Message<'_>) -> Result<(), Rejected> {
        if !message.header.flags.is_encrypted() {
            let chain = Chain::read(message.header.first, message.body)?;
            let kind = Notification::read(chain.required(PayloadType::NOTIFICATION)?)?.kind;
            self.ctx.stats.plain_notifications += 1;
            if !kind.is_error() {
                return Err(Rejected::Plain);
            }
        }
        if let Some(sa) = self.sas.get_mut(key) {
            sa.hint = Some(FailureCause::WrongPsk);
        }
        Err(Rejected::Plain)
    }

    /// Keeps a likely cause; it is reported unless the exchange goes on within the grace.
    pub(crate) fn hint(&mut self, key: Key, cause: FailureCause, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        if sa.hint.is_none() {
            sa.hint = Some(cause);
            sa.timers.set(SaTimer::GiveUp, now + HINT_GRACE);
            self.touch(Owner::Sa(key));
        }
    }
}

/// How long a hint of failure waits to be refuted.
pub const HINT_GRACE: Duration = Duration::from_secs(3);
