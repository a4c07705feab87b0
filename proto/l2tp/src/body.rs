//! The messages of RFC 2661 §6 as values, and what of each must be there.

use isthmus_core::SecretBytes;
use isthmus_wire::DecodeError;
use serde::{Deserialize, Serialize};

use crate::avp::{Accm, Avp, Bounded, CallErrors, CauseCode, Hiding, ResultCode};
use crate::bounds::{
    CHALLENGE_MAX, GROUP_ID_MAX, HOST_NAME_MAX, LCP_CONFREQ_MAX, NUMBER_MAX, PROXY_AUTHEN_MAX,
    VENDOR_NAME_MAX,
};
use crate::error::PeerError;
use crate::iana::{AttributeType, Bearer, Framing, MessageType, PROTOCOL_VERSION, ProxyAuthenType};
use crate::message::{Avps, Payload};

/// Window of a peer that does not say (RFC 2661 §4.4.3).
pub(crate) const WINDOW_DEFAULT: u16 = 4;

/// Picks the value of one attribute, cloned.
macro_rules! pick {
    ($avps:expr, $variant:ident) => {
        $avps.find(|avp| if let Avp::$variant(value) = avp { Some(value.clone()) } else { None })
    };
}

/// Picks the value of an attribute that must be there.
macro_rules! need {
    ($avps:expr, $variant:ident, $konst:ident) => {
        $avps.need(AttributeType::$konst, |avp| {
            if let Avp::$variant(value) = avp { Some(value.clone()) } else { None }
        })
    };
}

/// A decoded control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Start-Control-Connection-Request.
    Sccrq(Greeting),
    /// Start-Control-Connection-Reply.
    Sccrp(Greeting),
    /// Start-Control-Connection-Connected.
    Scccn(Option<[u8; 16]>),
    /// Stop-Control-Connection-Notification.
    StopCcn(StopCcn),
    /// Keepalive.
    Hello,
    /// A request for an outgoing call, by the caller's session id.
    Ocrq(u16),
    /// A reply about an outgoing call; we never ask for one.
    Ocrp,
    /// An outgoing call is connected; we never ask for one.
    Occn,
    /// Incoming-Call-Request.
    Icrq(Icrq),
    /// Incoming-Call-Reply: the LNS's session id.
    Icrp(u16),
    /// Incoming-Call-Connected.
    Iccn(Iccn),
    /// Call-Disconnect-Notify.
    Cdn(Cdn),
    /// WAN-Error-Notify.
    Wen(CallErrors),
    /// Set-Link-Info.
    Sli(Accm),
    /// An unknown message without the M bit, to be ignored.
    Ignored(MessageType),
}

/// What SCCRQ and SCCRP say about their sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Host name without trailing NULs; Windows 2000 leaves it empty.
    pub host_name: Bounded<HOST_NAME_MAX>,
    /// Vendor name.
    pub vendor_name: Bounded<VENDOR_NAME_MAX>,
    /// What framing calls may ask for.
    pub framing: Framing,
    /// Bearers, when said.
    pub bearer: Option<Bearer>,
    /// Build number, when said.
    pub firmware: Option<u16>,
    /// The sender's tunnel id, not 0.
    pub tunnel: u16,
    /// Messages that may be under way to the sender, not 0.
    pub window: u16,
    /// Not empty.
    pub challenge: Option<Bounded<CHALLENGE_MAX>>,
    /// Answer to our challenge; SCCRP only.
    pub response: Option<[u8; 16]>,
    /// Wish for one tunnel between the two; SCCRQ only.
    pub tie_breaker: Option<u64>,
}

/// Stop-Control-Connection-Notification (RFC 2661 §6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopCcn {
    /// The sender's tunnel id, when said.
    pub tunnel: Option<u16>,
    /// Why.
    pub result: ResultCode,
}

/// Incoming-Call-Request (RFC 2661 §6.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icrq {
    /// The LAC's session id, not 0.
    pub session: u16,
    /// Names the call in both ends' logs.
    pub serial: u32,
    /// Who called.
    pub calling: Bounded<NUMBER_MAX>,
    /// Who was called.
    pub called: Bounded<NUMBER_MAX>,
    /// More of the called number.
    pub sub_address: Bounded<NUMBER_MAX>,
    /// The bearer, when said.
    pub bearer: Option<Bearer>,
    /// The line, when said.
    pub channel: Option<u32>,
}

/// Incoming-Call-Connected (RFC 2661 §6.8). Cisco leaves speed and framing out at times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Iccn {
    /// Bits per second towards the client; 0 when not said.
    pub tx_speed: u32,
    /// Bits per second from the client, when it differs.
    pub rx_speed: Option<u32>,
    /// The call's framing.
    pub framing: Option<Framing>,
    /// To which customer the call belongs.
    pub group: Option<Bounded<GROUP_ID_MAX>>,
    /// LCP options that the LAC negotiated already.
    pub proxy_lcp: Option<ProxyLcp>,
    /// Authentication that the LAC did already.
    pub proxy_auth: Option<ProxyAuth>,
    /// The peer wants sequence numbers in data messages.
    pub sequencing: bool,
}

/// LCP as negotiated by the LAC: options of Configure-Requests without their header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyLcp {
    /// First request the client sent, when said. It may be empty: a request without options.
    pub initial_received: Option<Bounded<LCP_CONFREQ_MAX>>,
    /// Last request the LAC sent, when said.
    pub last_sent: Option<Bounded<LCP_CONFREQ_MAX>>,
    /// Last request the client sent, when said.
    pub last_received: Option<Bounded<LCP_CONFREQ_MAX>>,
}

/// Authentication as done by the LAC (RFC 2661 §4.4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyAuth {
    /// Which protocol.
    pub kind: ProxyAuthenType,
    /// Who the client says to be, when said.
    pub name: Option<Bounded<PROXY_AUTHEN_MAX>>,
    /// The LAC's challenge, when said.
    pub challenge: Option<Bounded<PROXY_AUTHEN_MAX>>,
    /// Identifier of the exchange, when said.
    pub id: Option<u8>,
    /// The client's answer, when said: with PAP its password.
    pub response: Option<SecretBytes>,
}

/// Call-Disconnect-Notify (RFC 2661 §6.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cdn {
    /// The sender's session id, when said.
    pub session: Option<u16>,
    /// Why.
    pub result: ResultCode,
    /// Why the telephone call ended.
    pub cause: Option<CauseCode>,
}

/// A message that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError {
    /// What is wrong.
    pub error: PeerError,
    /// The id that the sender assigned, so that it can be answered.
    pub assigned: Option<u16>,
}

impl Body {
    /// Decodes a message; with it comes the number of optional AVPs that were skipped.
    ///
    /// # Errors
    /// A mandatory AVP that cannot be taken, a required one that is missing, or an unknown mandatory
    /// message. `StopCCN` and CDN always decode: whatever else they hold, they end something.
    pub fn read(
        payload: &Payload<'_>,
        hiding: Option<Hiding<'_>>,
    ) -> Result<(Self, u64), BodyError> {
        let avps = Avps::read(payload, hiding);
        let tunnel = pick!(avps, AssignedTunnelId).filter(|&id| id != 0);
        let session = pick!(avps, AssignedSessionId).filter(|&id| id != 0);
        let body = match (payload.kind, avps.error) {
            (MessageType::STOP_CCN, _) => {
                let result = pick!(avps, ResultCode).unwrap_or_default();
                Ok(Self::StopCcn(StopCcn { tunnel, result }))
            }
            (MessageType::CDN, _) => {
                let result = pick!(avps, ResultCode).unwrap_or_default();
                Ok(Self::Cdn(Cdn { session, result, cause: pick!(avps, Q931CauseCode) }))
            }
            (_, Some(error)) => Err(error),
            (_, None) => Self::read_sound(payload, &avps),
        };
        let assigned = if payload.kind.0 < MessageType::OCRQ.0 { tunnel } else { session };
        body.map(|body| (body, avps.ignored)).map_err(|error| BodyError { error, assigned })
    }

    fn read_sound(payload: &Payload<'_>, avps: &Avps) -> Result<Self, PeerError> {
        Ok(match payload.kind {
            MessageType::SCCRQ => Self::Sccrq(Greeting::read(avps)?),
            MessageType::SCCRP => Self::Sccrp(Greeting::read(avps)?),
            MessageType::SCCCN => Self::Scccn(pick!(avps, ChallengeResponse)),
            MessageType::HELLO => Self::Hello,
            MessageType::OCRQ => Self::Ocrq(read_session(avps)?),
            MessageType::OCRP => Self::Ocrp,
            MessageType::OCCN => Self::Occn,
            MessageType::ICRQ => Self::Icrq(Icrq::read(avps)?),
            MessageType::ICRP => Self::Icrp(read_session(avps)?),
            MessageType::ICCN => Self::Iccn(Iccn::read(avps)),
            MessageType::WEN => Self::Wen(need!(avps, CallErrors, CALL_ERRORS)?),
            MessageType::SLI => Self::Sli(need!(avps, Accm, ACCM)?),
            kind if payload.mandatory => return Err(PeerError::UnknownMessage(kind)),
            kind => Self::Ignored(kind),
        })
    }

    /// Which message this is.
    pub const fn kind(&self) -> MessageType {
        match self {
            Self::Sccrq(_) => MessageType::SCCRQ,
            Self::Sccrp(_) => MessageType::SCCRP,
            Self::Scccn(_) => MessageType::SCCCN,
            Self::StopCcn(_) => MessageType::STOP_CCN,
            Self::Hello => MessageType::HELLO,
            Self::Ocrq(_) => MessageType::OCRQ,
            Self::Ocrp => MessageType::OCRP,
            Self::Occn => MessageType::OCCN,
            Self::Icrq(_) => MessageType::ICRQ,
            Self::Icrp(_) => MessageType::ICRP,
            Self::Iccn(_) => MessageType::ICCN,
            Self::Cdn(_) => MessageType::CDN,
            Self::Wen(_) => MessageType::WEN,
            Self::Sli(_) => MessageType::SLI,
            Self::Ignored(kind) => *kind,
        }
    }
}

impl Greeting {
    fn read(avps: &Avps) -> Result<Self, PeerError> {
        let version: u16 = need!(avps, ProtocolVersion, PROTOCOL_VERSION)?;
        if version >> 8 != PROTOCOL_VERSION >> 8 {
            return Err(PeerError::Version(version));
        }
        let tunnel = not_zero(
            need!(avps, AssignedTunnelId, ASSIGNED_TUNNEL_ID)?,
            AttributeType::ASSIGNED_TUNNEL_ID,
        )?;
        let window = not_zero(
            pick!(avps, ReceiveWindowSize).unwrap_or(WINDOW_DEFAULT),
            AttributeType::RECEIVE_WINDOW_SIZE,
        )?;
        let challenge = pick!(avps, Challenge);
        if challenge.as_ref().is_some_and(Bounded::is_empty) {
            let error = DecodeError::illegal("challenge");
            return Err(PeerError::Malformed(AttributeType::CHALLENGE, error));
        }
        Ok(Self {
            host_name: need!(avps, HostName, HOST_NAME)?.without_trailing_nuls(),
            vendor_name: pick!(avps, VendorName).unwrap_or_default(),
            framing: need!(avps, FramingCapabilities, FRAMING_CAPABILITIES)?,
            bearer: pick!(avps, BearerCapabilities),
            firmware: pick!(avps, FirmwareRevision),
            tunnel,
            window,
            challenge,
            response: pick!(avps, ChallengeResponse),
            tie_breaker: pick!(avps, TieBreaker),
        })
    }
}

impl Icrq {
    fn read(avps: &Avps) -> Result<Self, PeerError> {
        Ok(Self {
            session: read_session(avps)?,
            serial: need!(avps, CallSerialNumber, CALL_SERIAL_NUMBER)?,
            calling: pick!(avps, CallingNumber).unwrap_or_default(),
            called: pick!(avps, CalledNumber).unwrap_or_default(),
            sub_address: pick!(avps, SubAddress).unwrap_or_default(),
            bearer: pick!(avps, BearerType),
            channel: pick!(avps, PhysicalChannelId),
        })
    }
}

impl Iccn {
    fn read(avps: &Avps) -> Self {
        let lcp = ProxyLcp {
            initial_received: pick!(avps, InitialReceivedLcp),
            last_sent: pick!(avps, LastSentLcp),
            last_received: pick!(avps, LastReceivedLcp),
        };
        Self {
            tx_speed: pick!(avps, TxConnectSpeed).unwrap_or_default(),
            rx_speed: pick!(avps, RxConnectSpeed),
            framing: pick!(avps, FramingType),
            group: pick!(avps, PrivateGroupId),
            proxy_lcp: Some(lcp).filter(|lcp| *lcp != ProxyLcp::default()),
            proxy_auth: pick!(avps, ProxyAuthenType).map(|kind| ProxyAuth {
                kind,
                name: pick!(avps, ProxyAuthenName),
                challenge: pick!(avps, ProxyAuthenChallenge),
                id: pick!(avps, ProxyAuthenId).map(|id| id.0),
                response: pick!(avps, ProxyAuthenResponse),
            }),
            sequencing: pick!(avps, SequencingRequired).is_some(),
        }
    }
}

fn read_session(avps: &Avps) -> Result<u16, PeerError> {
    not_zero(
        need!(avps, AssignedSessionId, ASSIGNED_SESSION_ID)?,
        AttributeType::ASSIGNED_SESSION_ID,
    )
}

/// Zero is no id and no window.
fn not_zero(value: u16, attribute: AttributeType) -> Result<u16, PeerError> {
    if value == 0 { Err(PeerError::Missing(attribute)) } else { Ok(value) }
}
