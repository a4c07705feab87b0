//! Aggressive mode with a pre-shared key (RFC 2409 §5.4): three messages, both roles.
//!
//! ```text
//! initiator                                  responder
//!   generate (offloaded)
//!   1  SA, KE, Ni, IDii, VIDs        ->      key by IDii; generate and agree (offloaded)
//!      agree (offloaded), verify     <-   2  SA, KE, Nr, IDir, HASH_R, VIDs, NAT-D ..
//!   3  {HASH_I, NAT-D .., [N]}       ->      verify
//! ```
//!
//! The identity comes in clear and names the key, so that a group of users can have a key of its own.
//! The price: message 2 holds a hash made with the key, for anybody who asks with a known identity.
//! Whoever has it can try out keys at home. So it is off unless configured, and wants long keys.
//!
//! Message 1 costs a computation before anything proves that its source address is not forged: such
//! computations are bounded ([`responder::UNPROVEN_JOBS_MAX`]). Message 2 is no longer than message 1,
//! or waits until repetitions of message 1 have paid for it.
//!
//! Nothing answers message 3. The initiator repeats it until quick mode goes on; the responder that
//! lacks it says message 2 again when it hears quick mode begin.

pub(crate) mod initiator;
pub(crate) mod responder;

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Instant, Key, Path};
use isthmus_crypto::{CryptoError, DhOutput, HashAlg, Provider};

use crate::action::Stage;
use crate::codec::{Chain, Cookies, IdBody, Message, SaBody, body};
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::PayloadType;
use crate::identity::Identity;
use crate::nat::{self, NatStatus};
use crate::sa::{IkeSa, Role};
use crate::vendor::Vendors;

/// What an IKE SA in aggressive mode waits for.
pub(crate) enum State {
    // Responder.
    Agreeing(Box<responder::Agreeing>),
    AwaitAm3(Box<responder::AwaitAm3>),
    // Initiator.
    Generating(Box<initiator::Generating>),
    AwaitAm2(Box<initiator::AwaitAm2>),
    Verifying(Box<initiator::Agreeing>),
}

impl State {
    pub(crate) const fn stage(&self) -> Stage {
        match self {
            Self::Generating(_) | Self::AwaitAm2(_) => Stage::Proposal,
            // Before message 3 the address of the initiator may be forged.
            Self::Agreeing(_) | Self::AwaitAm3(_) | Self::Verifying(_) => Stage::KeyExchange,
        }
    }
}

/// The payloads that messages 1 and 2 have in common.
struct Opening {
    sa: SaBody,
    /// The exact bytes that both hashes cover, when it is message 1.
    sa_bytes: Vec<u8>,
    ke: Vec<u8>,
    nonce: Vec<u8>,
    identity: Identity,
    /// The exact bytes that the author's hash covers.
    id_bytes: Vec<u8>,
    vendors: Vendors,
}

impl Opening {
    fn read(chain: &Chain<'_>) -> Result<Self, Rejected> {
        let sa_bytes = chain.required(PayloadType::SA)?;
        let id_bytes = chain.required(PayloadType::ID)?;
        Ok(Self {
            sa: SaBody::read(sa_bytes)?,
            sa_bytes: sa_bytes.to_vec(),
            ke: chain.required(PayloadType::KE)?.to_vec(),
            nonce: body::read_nonce(chain.required(PayloadType::NONCE)?)?.to_vec(),
            identity: Identity::from_body(IdBody::read(id_bytes)?),
            id_bytes: id_bytes.to_vec(),
            vendors: Vendors::of(chain),
        })
    }
}

/// NAT detection on message 3, which may come over port 4500 with hashes over that port or, as RFC
/// 3947 leaves open, over port 500.
fn detect_floated(
    provider: &dyn Provider,
    hash: HashAlg,
    cookies: &Cookies,
    path: Path,
    received: &[Vec<u8>],
) -> Result<NatStatus, CryptoError> {
    let mut before = path;
    before.local.set_port(IKE_PORT);
    before.remote.set_port(IKE_PORT);
    let now = nat::detect(provider, hash, cookies, path, received)?;
    let then = nat::detect(provider, hash, cookies, before, received)?;
    Ok(NatStatus { local: now.local && then.local, remote: now.remote && then.remote })
}

impl Endpoint {
    /// A message of aggressive mode on a known SA.
    pub(crate) fn aggressive_mode(
        &mut self,
        key: Key,
        from: (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        if sa.window.received == Some(digest) {
            return self.repeat_aggressive(key, message);
        }
        let crate::sa::State::Aggressive(state) = &sa.state else {
            return Err(Rejected::IncorrectState);
        };
        match state {
            State::AwaitAm2(_) => self.aggressive_second(key, message, digest),
            State::AwaitAm3(_) => self.aggressive_third(key, from, message, digest, now),
            State::Agreeing(_) | State::Generating(_) | State::Verifying(_) => Err(Rejected::Busy),
        }
    }

    /// The last message came again: the answer to it was lost, if it had one.
    fn repeat_aggressive(&mut self, key: Key, message: &Message<'_>) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        match (sa.role, sa.established().is_some()) {
            (Role::Initiator, true) if sa.resend(&mut self.ctx) => {
                self.ctx.stats.replies_repeated += 1;
                Ok(())
            }
            (Role::Initiator, _) | (Role::Responder, true) => Err(Rejected::Duplicate),
            (Role::Responder, false) => self.duplicate_or(key, message, Rejected::Duplicate),
        }
    }

    /// The computation of an aggressive mode is done.
    pub(crate) fn aggressive_job(
        &mut self,
        key: Key,
        state: State,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        match state {
            State::Agreeing(state) => self.aggressive_agreed(key, &state, result),
            State::Generating(state) => self.aggressive_generated(key, *state, result, now),
            State::Verifying(state) => self.aggressive_verified(key, *state, result, now),
            other @ (State::AwaitAm2(_) | State::AwaitAm3(_)) => {
                if let Some(sa) = self.sas.get_mut(key) {
                    sa.state = crate::sa::State::Aggressive(other);
                }
            }
        }
    }
}

impl IkeSa {
    /// Whether message 3 of aggressive mode is awaited.
    pub(crate) const fn awaits_am3(&self) -> bool {
        matches!(self.state, crate::sa::State::Aggressive(State::AwaitAm3(_)))
    }
}

/// Where hashes of NAT detection begin (RFC 3947 §3.2).
const IKE_PORT: u16 = 500;
