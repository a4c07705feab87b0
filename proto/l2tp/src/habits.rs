//! What a LAC does, beside what its messages say: the habits of the clients people have.
//!
//! Only data; they stand in a [`Dialect`](crate::Dialect). An LNS has the default, which is our own
//! way.

use isthmus_core::Duration;

use crate::avp::{Bounded, ResultCode};
use crate::bounds::RETRANSMIT_MAX;
use crate::channel::{RETRANSMIT_CAP, RETRANSMIT_FIRST};
use crate::iana::ErrorCode;

/// What an endpoint does where others do otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// HELLOs to tunnel 0 before SCCRQ: Apple wakes IPsec with ten of them.
    pub wakes: u8,
    /// Whether a silent peer is asked with HELLO; Apple and Android never ask.
    pub silent: bool,
    /// How Result Codes are written.
    pub results: Results,
    /// How SCCRQ is repeated.
    pub first_waits: Waits,
    /// How everything else is repeated.
    pub waits: Waits,
    /// ICRQ waits for the acknowledgement of SCCCN, and the call is up only when ICCN is acknowledged.
    pub waits_for_acks: bool,
    /// Most messages under way, whatever window the peer has.
    pub window_max: Option<u16>,
    /// Which control messages are taken.
    pub accepts: Accepts,
    /// How tunnels and sessions are numbered.
    pub ids: Ids,
}

/// How a Result Code AVP is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Results {
    /// As RFC 2661 §4.4.2 has it: code and error code.
    #[default]
    Rfc,
    /// Apple: little-endian, followed by six stale bytes, and behind the id AVP.
    Apple,
    /// Android and `RouterOS`: the code alone.
    CodeOnly,
}

impl Results {
    pub(crate) fn of(self, result: ResultCode) -> ResultCode {
        match self {
            Self::Rfc => result,
            Self::Apple => ResultCode {
                code: result.code.swap_bytes(),
                error: Some(ErrorCode(0x5a5a)),
                message: Bounded::clipped(&[0x5a; 4]),
            },
            Self::CodeOnly => {
                ResultCode { code: result.code, error: None, message: Bounded::default() }
            }
        }
    }
}

/// How an unacknowledged message is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Wait before the first repetition.
    pub first: Duration,
    /// Whether the wait doubles each time.
    pub doubles: bool,
    /// Longest wait.
    pub cap: Duration,
    /// Repetitions before the tunnel is dead.
    pub repeats: u32,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            first: RETRANSMIT_FIRST,
            doubles: true,
            cap: RETRANSMIT_CAP,
            repeats: RETRANSMIT_MAX,
        }
    }
}

impl Waits {
    /// The same wait every time.
    pub const fn fixed(wait: Duration, repeats: u32) -> Self {
        Self { first: wait, doubles: false, cap: wait, repeats }
    }

    /// The wait after so many repetitions.
    pub(crate) fn after(&self, repeats: u32) -> Duration {
        let factor = if self.doubles { 2_u32.saturating_pow(repeats.min(16)) } else { 1 };
        (self.first * factor).min(self.cap)
    }
}

/// Which control messages are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accepts {
    /// T, L, S and version as Android's mtpd compares them, and a mandatory Message Type first.
    Android,
    /// Whatever RFC 2661 §3.1 allows.
    #[default]
    Rfc,
    /// No flag but T, L and S, as Windows has it.
    Windows,
}

impl Accepts {
    /// Whether a message with these flags is taken.
    pub(crate) const fn flags(self, flags: u16) -> bool {
        match self {
            Self::Android => flags & 0xcb0f == 0xc802,
            Self::Rfc => true,
            Self::Windows => flags == 0xc802,
        }
    }

    /// Whether the Message Type AVP may lack its M bit.
    pub(crate) const fn optional_type(self) -> bool {
        match self {
            Self::Android => false,
            Self::Rfc | Self::Windows => true,
        }
    }
}

/// How tunnels and sessions are numbered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    /// At random.
    #[default]
    Random,
    /// The smallest that is free, as Windows does: neighbours have the same ids.
    Small,
}
