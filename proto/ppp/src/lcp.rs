//! What LCP negotiates: MRU, authentication protocol, magic number and the two header compressions.

use alloc::vec::Vec;

use isthmus_core::Rng;
use serde::{Deserialize, Serialize};

use crate::config::{AuthProtocol, LinkConfig, Role};
use crate::error::NegotiationFailure;
use crate::habits::{LcpItem, kept};
use crate::iana::lcp_option;
use crate::negotiation::{Judgement, Options};
use crate::option::RawOption;
use crate::proxied::NotAdopted;

/// One side's agreed options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LcpValues {
    /// Largest packet this side takes, in bytes.
    pub mru: u16,
    /// How this side wants the other to prove itself.
    pub auth: Option<AuthProtocol>,
    /// This side's magic number; zero without one.
    pub magic: u32,
    /// Whether this side takes one-byte protocol numbers.
    pub pfc: bool,
    /// Whether this side takes frames without FF 03.
    pub acfc: bool,
}

impl Default for LcpValues {
    /// The values that hold when nothing is negotiated (RFC 1661 §6).
    fn default() -> Self {
        Self { mru: MRU_DEFAULT, auth: None, magic: 0, pfc: false, acfc: false }
    }
}

/// LCP's side of a [`Negotiation`](crate::negotiation::Negotiation).
#[derive(Debug)]
pub(crate) struct LcpOptions {
    /// What we ask for; once acknowledged, what holds for frames to us.
    pub(crate) ours: LcpValues,
    /// What the peer asked for and we acknowledged.
    pub(crate) peer: LcpValues,
    auth: Auth,
    /// What a client asks for, in order; none for our own list.
    items: Option<Vec<LcpItem>>,
    /// Kinds that the peer has rejected.
    rejected: Vec<u8>,
    /// Whether MRU and magic number are still in our request; the peer may have rejected them.
    ask_mru: bool,
    ask_magic: bool,
    /// Suggested to a peer whose magic number is ours or zero.
    spare_magic: u32,
    /// Requests in a row that carried our own magic number.
    looped: u8,
    /// What we ask for when the peer begins anew what somebody else negotiated.
    own: Option<LcpValues>,
    rng: Rng,
}

/// Who authenticates whom.
#[derive(Debug)]
enum Auth {
    /// We ask: what we may still offer, the preferred first. The first one is on offer.
    Ask { candidates: Vec<AuthProtocol> },
    /// We are asked: what we let the peer use, the preferred first.
    Answer { allowed: Vec<AuthProtocol> },
}

impl LcpOptions {
    /// The options of a new link.
    pub(crate) fn new(config: &LinkConfig, mut rng: Rng) -> Self {
        let mut items = config.habits.lcp.clone();
        let (auth, demand) = match &config.role {
            Role::Server(server) => {
                items = None;
                let candidates = server.auth.clone();
                let demand = candidates.first().copied();
                (Auth::Ask { candidates }, demand)
            }
            Role::Client(client) => (Auth::Answer { allowed: client.auth.clone() }, None),
        };
        let asks = |item| items.as_ref().is_none_or(|items: &Vec<LcpItem>| items.contains(&item));
        let mru = config.mru.clamp(MRU_MIN, MRU_DEFAULT);
        let ours = LcpValues {
            mru: if asks(LcpItem::Mru) { mru } else { MRU_DEFAULT },
            auth: demand,
            magic: fresh_magic(&mut rng),
            pfc: asks(LcpItem::Pfc),
            acfc: asks(LcpItem::Acfc),
        };
        let spare_magic = fresh_magic(&mut rng);
        Self {
            ours,
            peer: LcpValues::default(),
            auth,
            items,
            rejected: Vec::new(),
            ask_mru: true,
            ask_magic: true,
            spare_magic,
            looped: 0,
            own: None,
            rng,
        }
    }

    /// The options of a link that was open when it was recorded.
    pub(crate) fn restore(config: &LinkConfig, rng: Rng, ours: LcpValues, peer: LcpValues) -> Self {
        Self { ours, peer, ..Self::new(config, rng) }
    }

    /// Stands by what somebody else asked for in our place and the peer acknowledged.
    ///
    /// # Errors
    /// We would not have asked for that; nothing changed.
    pub(crate) fn stand_by(&mut self, request: &[RawOption]) -> Result<(), NotAdopted> {
        let mut theirs = LcpValues::default();
        for (index, option) in request.iter().enumerate() {
            let is_repeated = request.iter().take(index).any(|other| other.kind == option.kind);
            let taken = !is_repeated && self.takes(option, &mut theirs);
            if !taken {
                return Err(NotAdopted::Option(option.kind));
            }
        }
        // Without the option the peer may send the longest there is.
        if theirs.mru > self.ours.mru {
            return Err(NotAdopted::Option(lcp_option::MRU));
        }
        if theirs.auth.is_none() {
            return Err(NotAdopted::AuthProtocol);
        }
        self.own = Some(core::mem::replace(&mut self.ours, theirs));
        Ok(())
    }

    /// Whether we could have asked for an option ourselves; notes its value.
    fn takes(&self, option: &RawOption, values: &mut LcpValues) -> bool {
        match option.kind {
            lcp_option::MRU => option.array().map(u16::from_be_bytes).is_some_and(|mru| {
                values.mru = mru;
                mru >= MRU_MIN
            }),
            lcp_option::AUTH => {
                let Auth::Ask { candidates } = &self.auth else { return false };
                values.auth = AuthProtocol::from_option_value(option.value());
                values.auth.is_some_and(|method| candidates.contains(&method))
            }
            lcp_option::MAGIC => option.array().map(u32::from_be_bytes).is_some_and(|magic| {
                values.magic = magic;
                magic != 0
            }),
            // The LAC escapes characters, not we (RFC 2661 §4.4.6).
            lcp_option::ACCM => option.array::<4>().is_some(),
            lcp_option::PFC => {
                values.pfc = true;
                option.array::<0>().is_some()
            }
            lcp_option::ACFC => {
                values.acfc = true;
                option.array::<0>().is_some()
            }
            _ => false,
        }
    }

    /// Whether the magic number of an echo or the like says that we sent it ourselves.
    pub(crate) const fn is_our_magic(&self, magic: u32) -> bool {
        magic != 0 && magic == self.ours.magic
    }

    /// Whether a request has our magic number.
    fn is_ours(&self, request: &[RawOption]) -> bool {
        let magic = request.iter().find(|option| option.kind == lcp_option::MAGIC);
        self.is_our_magic(magic.and_then(RawOption::array).map_or(0, u32::from_be_bytes))
    }

    fn judge_auth(&self, option: &RawOption) -> Judgement {
        match &self.auth {
            // A client has no business asking a server for its password.
            Auth::Ask { .. } => Judgement::Reject,
            Auth::Answer { allowed } => {
                let asked = AuthProtocol::from_option_value(option.value());
                match (asked, allowed.first()) {
                    (Some(asked), _) if allowed.contains(&asked) => Judgement::Ack,
                    (_, Some(preferred)) => Judgement::Nak(auth_option(*preferred)),
                    (_, None) => Judgement::Reject,
                }
            }
        }
    }

    fn judge_magic(&self, option: &RawOption) -> Judgement {
        match option.array().map(u32::from_be_bytes) {
            Some(magic) if magic != 0 => Judgement::Ack,
            Some(_) | None => {
                Judgement::Nak(RawOption::new(lcp_option::MAGIC, self.spare_magic.to_be_bytes()))
            }
        }
    }

    /// The peer will not do the protocol on offer; takes the first of its suggestions that we allow
    /// and it has not refused before, else our next one.
    fn offer_other_auth(&mut self, suggestion: &[RawOption]) -> Result<(), NegotiationFailure> {
        let Auth::Ask { candidates } = &mut self.auth else { return Ok(()) };
        let mut suggested = suggestion.iter().filter(|option| option.kind == lcp_option::AUTH);
        if suggested.clone().next().is_none() {
            return Ok(());
        }
        candidates.retain(|candidate| Some(*candidate) != self.ours.auth);
        let preferred = suggested.find_map(|option| {
            let protocol = AuthProtocol::from_option_value(option.value())?;
            candidates.iter().position(|candidate| *candidate == protocol)
        });
        if let Some(index) = preferred {
            candidates.swap(0, index);
        }
        self.ours.auth = candidates.first().copied();
        if self.ours.auth.is_none() { Err(NegotiationFailure::AuthProtocol) } else { Ok(()) }
    }
}

impl LcpOptions {
    /// An option of a habit, unless the peer has rejected it.
    fn item(&self, item: &LcpItem) -> Option<RawOption> {
        match item {
            LcpItem::Acfc => self.ours.acfc.then(|| RawOption::new(lcp_option::ACFC, [])),
            LcpItem::Magic => self
                .ask_magic
                .then(|| RawOption::new(lcp_option::MAGIC, self.ours.magic.to_be_bytes())),
            LcpItem::Mru => {
                self.ask_mru.then(|| RawOption::new(lcp_option::MRU, self.ours.mru.to_be_bytes()))
            }
            LcpItem::Other(kind, value) => kept(*kind, value, &self.rejected),
            LcpItem::Pfc => self.ours.pfc.then(|| RawOption::new(lcp_option::PFC, [])),
        }
    }
}

impl Options for LcpOptions {
    fn request(&self) -> Vec<RawOption> {
        if let Some(items) = &self.items {
            return items.iter().filter_map(|item| self.item(item)).collect();
        }
        let mut options = Vec::new();
        if self.ask_mru {
            options.push(RawOption::new(lcp_option::MRU, self.ours.mru.to_be_bytes()));
        }
        options.extend(self.ours.auth.map(auth_option));
        if self.ask_magic {
            options.push(RawOption::new(lcp_option::MAGIC, self.ours.magic.to_be_bytes()));
        }
        if self.ours.pfc {
            options.push(RawOption::new(lcp_option::PFC, []));
        }
        if self.ours.acfc {
            options.push(RawOption::new(lcp_option::ACFC, []));
        }
        options
    }

    fn judge(&self, option: &RawOption) -> Judgement {
        match option.kind {
            lcp_option::MRU => match option.array().map(u16::from_be_bytes) {
                Some(mru) if mru >= MRU_MIN => Judgement::Ack,
                Some(_) => Judgement::Nak(RawOption::new(lcp_option::MRU, MRU_MIN.to_be_bytes())),
                None => Judgement::Nak(RawOption::new(lcp_option::MRU, MRU_DEFAULT.to_be_bytes())),
            },
            // There are no characters to escape on L2TP (RFC 2661 §4.4.2), so any map is as good.
            lcp_option::ACCM => match option.array::<4>() {
                Some(_) => Judgement::Ack,
                None => Judgement::Nak(RawOption::new(lcp_option::ACCM, [0; 4])),
            },
            lcp_option::AUTH => self.judge_auth(option),
            lcp_option::MAGIC => self.judge_magic(option),
            lcp_option::PFC | lcp_option::ACFC => match option.array::<0>() {
                Some(_) => Judgement::Ack,
                None => Judgement::Nak(RawOption::new(option.kind, [])),
            },
            // Callback, multilink, link quality and whatever else there is.
            _ => Judgement::Reject,
        }
    }

    fn missing(&self, _request: &[RawOption]) -> Vec<RawOption> {
        Vec::new()
    }

    fn is_required(&self, kind: u8) -> bool {
        kind == lcp_option::AUTH
    }

    fn suspect(&self, request: &[RawOption]) -> Option<RawOption> {
        let magic = self.spare_magic.to_be_bytes();
        self.is_ours(request).then(|| RawOption::new(lcp_option::MAGIC, magic))
    }

    fn note_request(&mut self, request: &[RawOption]) -> Result<(), NegotiationFailure> {
        self.looped = if self.is_ours(request) { self.looped + 1 } else { 0 };
        if self.looped < LOOPED_REQUESTS_MAX {
            Ok(())
        } else {
            Err(NegotiationFailure::LoopDetected)
        }
    }

    fn agree(&mut self, request: &[RawOption]) {
        let mut peer = LcpValues::default();
        for option in request {
            match option.kind {
                lcp_option::MRU => {
                    peer.mru = option.array().map_or(MRU_DEFAULT, u16::from_be_bytes);
                }
                lcp_option::AUTH => peer.auth = AuthProtocol::from_option_value(option.value()),
                lcp_option::MAGIC => peer.magic = option.array().map_or(0, u32::from_be_bytes),
                lcp_option::PFC => peer.pfc = true,
                lcp_option::ACFC => peer.acfc = true,
                _ => {}
            }
        }
        self.peer = peer;
    }

    fn agreed(&mut self) -> Result<(), NegotiationFailure> {
        Ok(())
    }

    fn naked(&mut self, suggestion: &[RawOption]) -> Result<(), NegotiationFailure> {
        self.offer_other_auth(suggestion)?;
        let configured = self.ours.mru;
        for option in suggestion {
            match option.kind {
                lcp_option::MRU => {
                    let mru = option.array().map_or(configured, u16::from_be_bytes);
                    self.ours.mru =
                        if (MRU_MIN..=configured).contains(&mru) { mru } else { configured };
                }
                // Not the number suggested: on a looped line both ends would take the same one.
                lcp_option::MAGIC => self.ours.magic = fresh_magic(&mut self.rng),
                _ => {}
            }
        }
        Ok(())
    }

    fn refused(&mut self, options: &[RawOption]) -> Result<(), NegotiationFailure> {
        for option in options {
            match option.kind {
                lcp_option::MRU => {
                    self.ask_mru = false;
                    self.ours.mru = MRU_DEFAULT;
                }
                lcp_option::AUTH => return Err(NegotiationFailure::AuthProtocol),
                lcp_option::MAGIC => {
                    self.ask_magic = false;
                    self.ours.magic = 0;
                }
                lcp_option::PFC => self.ours.pfc = false,
                lcp_option::ACFC => self.ours.acfc = false,
                // Only what we sent can be rejected, so this is bounded by the habit.
                kind => self.rejected.push(kind),
            }
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        if let Some(own) = self.own.take() {
            self.ours = own;
        }
    }
}

fn auth_option(protocol: AuthProtocol) -> RawOption {
    match protocol {
        AuthProtocol::ChapMd5 => RawOption::new(lcp_option::AUTH, [0xc2, 0x23, 0x05]),
        AuthProtocol::EapMsChapV2 => RawOption::new(lcp_option::AUTH, [0xc2, 0x27]),
        AuthProtocol::MsChapV2 => RawOption::new(lcp_option::AUTH, [0xc2, 0x23, 0x81]),
        AuthProtocol::Pap => RawOption::new(lcp_option::AUTH, [0xc0, 0x23]),
    }
}

/// A magic number; zero means none, so it is not one.
fn fresh_magic(rng: &mut Rng) -> u32 {
    rng.u32().max(1)
}

/// The MRU that holds without the option, and the largest we offer, in bytes (RFC 1661 §6.1).
pub const MRU_DEFAULT: u16 = 1500;
/// Smallest MRU we accept from a peer, in bytes.
pub const MRU_MIN: u16 = 128;
/// Requests in a row with our own magic number that make a loop.
pub const LOOPED_REQUESTS_MAX: u8 = 4;
