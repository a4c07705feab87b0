//! The attributes of RFC 2661 §4.4 as values.

use alloc::vec::Vec;

use isthmus_core::{Rng, SecretBytes};
use isthmus_wire::{DecodeError, Fault, Reader, Writer};
use serde::{Deserialize, Serialize};

use super::hidden::HIDEABLE_MAX;
use super::parts::{Accm, CallErrors, CauseCode, VendorAvp};
use super::{Bounded, Hiding, RawAvp, ResultCode, write_avp};
use crate::bounds::{
    CHALLENGE_MAX, GROUP_ID_MAX, HOST_NAME_MAX, LCP_CONFREQ_MAX, NUMBER_MAX, PROXY_AUTHEN_MAX,
    VECTOR_MAX, VENDOR_NAME_MAX,
};
use crate::iana::{AttributeType, Bearer, Framing, MessageType, ProxyAuthenType};

/// How one type of value is coded.
trait Value: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
    fn write(&self, w: &mut Writer);
}

/// Why an AVP is not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AvpFault {
    /// Hidden, and the secret or the Random Vector before it is missing.
    Hidden,
    /// The value does not decode.
    Malformed(DecodeError),
    /// Not an attribute of RFC 2661, or a reserved bit is set.
    Unknown,
}

/// Declares the attributes: variant, value type, registry constant, M bit when sent, may be hidden.
macro_rules! avps {
    ($($(#[$doc:meta])* $variant:ident($ty:ty) = $konst:ident, $mandatory:literal, $hideable:literal;)*) => {
        /// One attribute with its value (RFC 2661 §4.4).
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Avp {
            $($(#[$doc])* $variant($ty),)*
            /// Any attribute of a vendor.
            Vendor(VendorAvp),
        }

        impl Avp {
            /// The attribute type, in the vendor's numbering for [`Avp::Vendor`].
            pub const fn attribute(&self) -> AttributeType {
                match self {
                    $(Self::$variant(_) => AttributeType::$konst,)*
                    Self::Vendor(avp) => avp.attribute,
                }
            }

            /// Whether RFC 2661 §4.4 wants the M bit set.
            pub const fn is_mandatory(&self) -> bool {
                match self {
                    $(Self::$variant(_) => $mandatory,)*
                    Self::Vendor(_) => false,
                }
            }

            /// Whether RFC 2661 §4.4 allows the H bit.
            pub const fn may_hide(&self) -> bool {
                match self {
                    $(Self::$variant(_) => $hideable,)*
                    Self::Vendor(_) => false,
                }
            }

            fn read_known(attribute: AttributeType, value: &[u8]) -> Result<Self, AvpFault> {
                let result = match attribute {
                    $(AttributeType::$konst => {
                        Reader::all(attribute.text(), value, <$ty as Value>::read).map(Self::$variant)
                    })*
                    AttributeType(_) => return Err(AvpFault::Unknown),
                };
                result.map_err(AvpFault::Malformed)
            }

            fn write_value(&self, w: &mut Writer) {
                match self {
                    $(Self::$variant(value) => Value::write(value, w),)*
                    Self::Vendor(avp) => w.bytes(avp.value.as_bytes()),
                }
            }
        }
    };
}

avps! {
    /// Which message this is; always first and never hidden.
    MessageType(MessageType) = MESSAGE_TYPE, true, false;
    /// In `StopCCN` and CDN.
    ResultCode(ResultCode) = RESULT_CODE, true, false;
    /// Version in the high byte, revision in the low one.
    ProtocolVersion(u16) = PROTOCOL_VERSION, true, false;
    /// What framing calls may ask for.
    FramingCapabilities(Framing) = FRAMING_CAPABILITIES, true, true;
    /// What bearers the sender has.
    BearerCapabilities(Bearer) = BEARER_CAPABILITIES, true, true;
    /// The lower one wins.
    TieBreaker(u64) = TIE_BREAKER, false, false;
    /// The sender's build.
    FirmwareRevision(u16) = FIRMWARE_REVISION, false, true;
    /// The sender's name.
    HostName(Bounded<HOST_NAME_MAX>) = HOST_NAME, true, false;
    /// The sender's maker.
    VendorName(Bounded<VENDOR_NAME_MAX>) = VENDOR_NAME, false, true;
    /// The sender's tunnel id.
    AssignedTunnelId(u16) = ASSIGNED_TUNNEL_ID, true, true;
    /// How many messages may be under way to the sender.
    ReceiveWindowSize(u16) = RECEIVE_WINDOW_SIZE, true, false;
    /// To be answered with [`Avp::ChallengeResponse`].
    Challenge(Bounded<CHALLENGE_MAX>) = CHALLENGE, true, true;
    /// Why a telephone call ended.
    Q931CauseCode(CauseCode) = Q931_CAUSE_CODE, true, false;
    /// Proof of the secret.
    ChallengeResponse([u8; 16]) = CHALLENGE_RESPONSE, true, true;
    /// The sender's session id.
    AssignedSessionId(u16) = ASSIGNED_SESSION_ID, true, true;
    /// Names the call in both ends' logs.
    CallSerialNumber(u32) = CALL_SERIAL_NUMBER, true, true;
    /// Of an outgoing call.
    MinimumBps(u32) = MINIMUM_BPS, true, true;
    /// Of an outgoing call.
    MaximumBps(u32) = MAXIMUM_BPS, true, true;
    /// The call's bearer.
    BearerType(Bearer) = BEARER_TYPE, true, true;
    /// The call's framing.
    FramingType(Framing) = FRAMING_TYPE, true, true;
    /// Who was called.
    CalledNumber(Bounded<NUMBER_MAX>) = CALLED_NUMBER, true, true;
    /// Who called.
    CallingNumber(Bounded<NUMBER_MAX>) = CALLING_NUMBER, true, true;
    /// More of the called number.
    SubAddress(Bounded<NUMBER_MAX>) = SUB_ADDRESS, true, true;
    /// Bits per second from LAC to client.
    TxConnectSpeed(u32) = TX_CONNECT_SPEED, true, true;
    /// Which line of the LAC.
    PhysicalChannelId(u32) = PHYSICAL_CHANNEL_ID, false, true;
    /// Options only, without the LCP header.
    InitialReceivedLcp(Bounded<LCP_CONFREQ_MAX>) = INITIAL_RECEIVED_LCP, false, true;
    /// Options only.
    LastSentLcp(Bounded<LCP_CONFREQ_MAX>) = LAST_SENT_LCP, false, true;
    /// Options only.
    LastReceivedLcp(Bounded<LCP_CONFREQ_MAX>) = LAST_RECEIVED_LCP, false, true;
    /// What the LAC did to authenticate the client.
    ProxyAuthenType(ProxyAuthenType) = PROXY_AUTHEN_TYPE, false, true;
    /// Who the client says to be.
    ProxyAuthenName(Bounded<PROXY_AUTHEN_MAX>) = PROXY_AUTHEN_NAME, false, true;
    /// The LAC's challenge.
    ProxyAuthenChallenge(Bounded<PROXY_AUTHEN_MAX>) = PROXY_AUTHEN_CHALLENGE, false, true;
    /// The identifier of the exchange.
    ProxyAuthenId(Identifier) = PROXY_AUTHEN_ID, false, true;
    /// The client's answer: with PAP its password.
    ProxyAuthenResponse(SecretBytes) = PROXY_AUTHEN_RESPONSE, false, true;
    /// In WEN.
    CallErrors(CallErrors) = CALL_ERRORS, true, true;
    /// In SLI.
    Accm(Accm) = ACCM, true, true;
    /// Salt of the hidden AVPs that follow.
    RandomVector(Bounded<VECTOR_MAX>) = RANDOM_VECTOR, true, false;
    /// To which customer the call belongs.
    PrivateGroupId(Bounded<GROUP_ID_MAX>) = PRIVATE_GROUP_ID, false, true;
    /// Bits per second from client to LAC.
    RxConnectSpeed(u32) = RX_CONNECT_SPEED, false, true;
    /// Data messages must carry sequence numbers.
    SequencingRequired(()) = SEQUENCING_REQUIRED, true, false;
}

impl Avp {
    /// Decodes an AVP; `vector` is the Random Vector that came before it.
    ///
    /// # Errors
    /// See [`AvpFault`].
    pub fn read(
        raw: &RawAvp<'_>,
        vector: Option<&[u8]>,
        hiding: Option<Hiding<'_>>,
    ) -> Result<Self, AvpFault> {
        if raw.reserved || (raw.vendor == 0 && !raw.attribute.is_known()) {
            return Err(AvpFault::Unknown);
        }
        if raw.vendor != 0 {
            return Ok(Self::Vendor(VendorAvp {
                vendor: raw.vendor,
                attribute: raw.attribute,
                value: Bounded::clipped(raw.value),
            }));
        }
        if !raw.hidden {
            return Self::read_known(raw.attribute, raw.value);
        }
        let (Some(vector), Some(hiding)) = (vector, hiding) else { return Err(AvpFault::Hidden) };
        let value = hiding
            .reveal(raw.attribute, vector, raw.value)
            .map(SecretBytes::new)
            .map_err(AvpFault::Malformed)?;
        Self::read_known(raw.attribute, value.expose())
    }

    /// Encodes the AVP in the clear.
    pub fn write(&self, mandatory: bool, w: &mut Writer) {
        write_avp(w, (mandatory, false), self.number(), &self.value());
    }

    /// Encodes the AVP hidden where that is allowed and possible, else in the clear.
    pub(crate) fn write_hidden(
        &self,
        mandatory: bool,
        (hiding, vector): (Hiding<'_>, &[u8]),
        rng: &mut Rng,
        w: &mut Writer,
    ) {
        let value = self.value();
        let hidden = if self.may_hide() && value.len() <= HIDEABLE_MAX {
            hiding.hide(self.attribute(), vector, &value, rng).ok()
        } else {
            None
        };
        let bits = (mandatory, hidden.is_some());
        write_avp(w, bits, self.number(), hidden.as_deref().unwrap_or(&value));
    }

    fn number(&self) -> (u16, AttributeType) {
        let vendor = if let Self::Vendor(avp) = self { avp.vendor } else { 0 };
        (vendor, self.attribute())
    }

    fn value(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.write_value(&mut w);
        w.into_vec()
    }
}

/// The identifier of a PPP authentication exchange; a zero octet precedes it (RFC 2661 §4.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identifier(pub u8);

impl Value for Identifier {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array::<2>("proxy authen id").map(|[_, id]| Self(id))
    }
    fn write(&self, w: &mut Writer) {
        w.u16(u16::from(self.0));
    }
}

/// Implements [`Value`] for types that are one number.
macro_rules! numbers {
    ($($ty:ty, $method:ident, $wrap:expr, $unwrap:expr;)*) => {$(
        impl Value for $ty {
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.$method("value").map($wrap)
            }
            fn write(&self, w: &mut Writer) {
                w.$method($unwrap(*self));
            }
        }
    )*};
}

numbers! {
    u16, u16, |n| n, |n| n;
    u32, u32, |n| n, |n| n;
    u64, u64, |n| n, |n| n;
    MessageType, u16, MessageType, |m: MessageType| m.0;
    ProxyAuthenType, u16, ProxyAuthenType, |t: ProxyAuthenType| t.0;
    Framing, u32, Framing, |f: Framing| f.0;
    Bearer, u32, Bearer, |b: Bearer| b.0;
}

/// Implements [`Value`] for types that have the two methods already.
macro_rules! structs {
    ($($ty:ty)*) => {$(
        impl Value for $ty {
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Self::read_value(reader)
            }
            fn write(&self, w: &mut Writer) {
                self.write_value(w);
            }
        }
    )*};
}

structs! { Accm CallErrors CauseCode }

impl Value for ResultCode {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::read_value(reader))
    }
    fn write(&self, w: &mut Writer) {
        self.write_value(w);
    }
}

impl<const MAX: usize> Value for Bounded<MAX> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::try_from(reader.rest().to_vec())
            .map_err(|_| DecodeError::new("value", Fault::TooLong))
    }
    fn write(&self, w: &mut Writer) {
        w.bytes(self.as_bytes());
    }
}

impl Value for SecretBytes {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.left() > PROXY_AUTHEN_MAX {
            return Err(DecodeError::new("value", Fault::TooLong));
        }
        Ok(Self::copy_of(reader.rest()))
    }
    fn write(&self, w: &mut Writer) {
        w.bytes(self.expose());
    }
}

impl Value for [u8; 16] {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("value")
    }
    fn write(&self, w: &mut Writer) {
        w.bytes(self);
    }
}

impl Value for () {
    fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
    fn write(&self, _: &mut Writer) {}
}
