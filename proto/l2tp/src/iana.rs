//! Numbers of RFC 2661 with their names: message types, attributes, result and error codes.
//!
//! Each registry is a newtype, so that a number we do not know survives being read, logged and
//! written.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Declares a 16-bit registry: constants, `is_known` and `text`.
macro_rules! registry {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $konst:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u16);

        impl $name {
            $($(#[$vdoc])* pub const $konst: Self = Self($value);)*

            /// Whether RFC 2661 defines the number.
            pub fn is_known(self) -> bool {
                [$($value),*].contains(&self.0)
            }

            /// The meaning in the words of RFC 2661, for logs.
            pub const fn text(self) -> &'static str {
                match self.0 {
                    $($value => $text,)*
                    _ => "unknown",
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} ({})", self.0, self.text())
            }
        }
    };
}

registry! {
    /// Message Type (RFC 2661 §3.2).
    MessageType {
        /// Start-Control-Connection-Request.
        SCCRQ = 1, "SCCRQ";
        /// Start-Control-Connection-Reply.
        SCCRP = 2, "SCCRP";
        /// Start-Control-Connection-Connected.
        SCCCN = 3, "SCCCN";
        /// Stop-Control-Connection-Notification.
        STOP_CCN = 4, "StopCCN";
        /// Keepalive.
        HELLO = 6, "HELLO";
        /// Outgoing-Call-Request.
        OCRQ = 7, "OCRQ";
        /// Outgoing-Call-Reply.
        OCRP = 8, "OCRP";
        /// Outgoing-Call-Connected.
        OCCN = 9, "OCCN";
        /// Incoming-Call-Request.
        ICRQ = 10, "ICRQ";
        /// Incoming-Call-Reply.
        ICRP = 11, "ICRP";
        /// Incoming-Call-Connected.
        ICCN = 12, "ICCN";
        /// Call-Disconnect-Notify.
        CDN = 14, "CDN";
        /// WAN-Error-Notify.
        WEN = 15, "WEN";
        /// Set-Link-Info.
        SLI = 16, "SLI";
    }
}

registry! {
    /// Attribute Type of an AVP with vendor 0 (RFC 2661 §4.4).
    AttributeType {
        /// First in every message (§4.4.1).
        MESSAGE_TYPE = 0, "Message Type";
        /// Why a tunnel or session ends (§4.4.2).
        RESULT_CODE = 1, "Result Code";
        /// Always 1.0 (§4.4.3).
        PROTOCOL_VERSION = 2, "Protocol Version";
        /// §4.4.3.
        FRAMING_CAPABILITIES = 3, "Framing Capabilities";
        /// §4.4.3.
        BEARER_CAPABILITIES = 4, "Bearer Capabilities";
        /// Decides between two tunnels opened at once (§4.4.3).
        TIE_BREAKER = 5, "Tie Breaker";
        /// §4.4.3.
        FIRMWARE_REVISION = 6, "Firmware Revision";
        /// §4.4.3.
        HOST_NAME = 7, "Host Name";
        /// §4.4.3.
        VENDOR_NAME = 8, "Vendor Name";
        /// §4.4.3.
        ASSIGNED_TUNNEL_ID = 9, "Assigned Tunnel ID";
        /// §4.4.3.
        RECEIVE_WINDOW_SIZE = 10, "Receive Window Size";
        /// §4.4.3.
        CHALLENGE = 11, "Challenge";
        /// §4.4.5.
        Q931_CAUSE_CODE = 12, "Q.931 Cause Code";
        /// §4.4.3.
        CHALLENGE_RESPONSE = 13, "Challenge Response";
        /// §4.4.4.
        ASSIGNED_SESSION_ID = 14, "Assigned Session ID";
        /// §4.4.4.
        CALL_SERIAL_NUMBER = 15, "Call Serial Number";
        /// §4.4.4.
        MINIMUM_BPS = 16, "Minimum BPS";
        /// §4.4.4.
        MAXIMUM_BPS = 17, "Maximum BPS";
        /// §4.4.4.
        BEARER_TYPE = 18, "Bearer Type";
        /// §4.4.4.
        FRAMING_TYPE = 19, "Framing Type";
        /// §4.4.4.
        CALLED_NUMBER = 21, "Called Number";
        /// §4.4.4.
        CALLING_NUMBER = 22, "Calling Number";
        /// §4.4.4.
        SUB_ADDRESS = 23, "Sub-Address";
        /// §4.4.4.
        TX_CONNECT_SPEED = 24, "(Tx) Connect Speed";
        /// §4.4.4.
        PHYSICAL_CHANNEL_ID = 25, "Physical Channel ID";
        /// §4.4.5.
        INITIAL_RECEIVED_LCP = 26, "Initial Received LCP CONFREQ";
        /// §4.4.5.
        LAST_SENT_LCP = 27, "Last Sent LCP CONFREQ";
        /// §4.4.5.
        LAST_RECEIVED_LCP = 28, "Last Received LCP CONFREQ";
        /// §4.4.5.
        PROXY_AUTHEN_TYPE = 29, "Proxy Authen Type";
        /// §4.4.5.
        PROXY_AUTHEN_NAME = 30, "Proxy Authen Name";
        /// §4.4.5.
        PROXY_AUTHEN_CHALLENGE = 31, "Proxy Authen Challenge";
        /// §4.4.5.
        PROXY_AUTHEN_ID = 32, "Proxy Authen ID";
        /// §4.4.5.
        PROXY_AUTHEN_RESPONSE = 33, "Proxy Authen Response";
        /// §4.4.6.
        CALL_ERRORS = 34, "Call Errors";
        /// §4.4.6.
        ACCM = 35, "ACCM";
        /// Salt for the hidden AVPs behind it (§4.4.1).
        RANDOM_VECTOR = 36, "Random Vector";
        /// §4.4.4.
        PRIVATE_GROUP_ID = 37, "Private Group ID";
        /// §4.4.4.
        RX_CONNECT_SPEED = 38, "Rx Connect Speed";
        /// §4.4.4.
        SEQUENCING_REQUIRED = 39, "Sequencing Required";
    }
}

registry! {
    /// Result Code of a `StopCCN` (RFC 2661 §4.4.2).
    StopCode {
        /// 1.
        GENERAL_REQUEST = 1, "general request to clear control connection";
        /// 2: the error code says what.
        GENERAL_ERROR = 2, "general error";
        /// 3.
        ALREADY_EXISTS = 3, "control channel already exists";
        /// 4.
        NOT_AUTHORIZED = 4, "requester is not authorized to establish a control channel";
        /// 5: the error code is the highest version understood.
        VERSION_UNSUPPORTED = 5, "the protocol version of the requester is not supported";
        /// 6.
        SHUTTING_DOWN = 6, "requester is being shut down";
        /// 7.
        FSM_ERROR = 7, "finite state machine error";
    }
}

registry! {
    /// Result Code of a CDN (RFC 2661 §4.4.2).
    CallCode {
        /// 1.
        LOST_CARRIER = 1, "call disconnected due to loss of carrier";
        /// 2: the error code says what.
        GENERAL_ERROR = 2, "call disconnected for the reason indicated in error code";
        /// 3.
        ADMINISTRATIVE = 3, "call disconnected for administrative reasons";
        /// 4.
        NO_FACILITIES_NOW = 4, "appropriate facilities are temporarily not available";
        /// 5.
        NO_FACILITIES = 5, "appropriate facilities are permanently not available";
        /// 6.
        INVALID_DESTINATION = 6, "invalid destination";
        /// 7.
        NO_CARRIER = 7, "no carrier detected";
        /// 8.
        BUSY = 8, "busy signal detected";
        /// 9.
        NO_DIAL_TONE = 9, "lack of a dial tone";
        /// 10.
        NOT_ESTABLISHED_IN_TIME = 10, "call was not established within the time allotted";
        /// 11.
        NO_FRAMING = 11, "call was connected but no appropriate framing was detected";
    }
}

registry! {
    /// General error code behind a result code (RFC 2661 §4.4.2).
    ErrorCode {
        /// 0.
        NONE = 0, "no general error";
        /// 1.
        NO_CONTROL_CONNECTION = 1, "no control connection exists yet";
        /// 2.
        LENGTH_WRONG = 2, "length is wrong";
        /// 3.
        VALUE_OUT_OF_RANGE = 3, "a field value was out of range or a reserved field was non-zero";
        /// 4.
        NO_RESOURCES = 4, "insufficient resources to handle this operation now";
        /// 5.
        BAD_SESSION_ID = 5, "the session ID is invalid in this context";
        /// 6.
        VENDOR_SPECIFIC = 6, "a generic vendor-specific error occurred";
        /// 7.
        TRY_ANOTHER = 7, "try another";
        /// 8.
        UNKNOWN_MANDATORY = 8, "an unknown AVP with the M bit set was received";
    }
}

registry! {
    /// Proxy Authen Type (RFC 2661 §4.4.5).
    ProxyAuthenType {
        /// A textual exchange.
        TEXTUAL = 1, "textual username/password exchange";
        /// RFC 1994.
        CHAP = 2, "PPP CHAP";
        /// RFC 1334.
        PAP = 3, "PPP PAP";
        /// What Windows sends: nothing was authenticated.
        NONE = 4, "no authentication";
        /// MS-CHAP version 1.
        MS_CHAP_V1 = 5, "Microsoft CHAP Version 1";
    }
}

/// Framing bits: 1 synchronous, 2 asynchronous (RFC 2661 §4.4.3 and §4.4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Framing(pub u32);

impl Framing {
    /// Synchronous framing.
    pub const SYNC: Self = Self(1);
    /// Both kinds.
    pub const BOTH: Self = Self(3);
}

/// Bearer bits: 1 digital, 2 analog (RFC 2661 §4.4.3 and §4.4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bearer(pub u32);

impl Bearer {
    /// No telephone line at all, which is what a virtual LAC has.
    pub const NONE: Self = Self(0);
    /// Analog, which is what Windows says in ICRQ.
    pub const ANALOG: Self = Self(2);
}

/// Version 1, revision 0 (RFC 2661 §4.4.3).
pub const PROTOCOL_VERSION: u16 = 0x0100;
/// The well-known UDP port (RFC 2661 §8.1).
pub const PORT: u16 = 1701;

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn the_reserved_numbers_are_not_known() {
        for reserved in [0, 5, 13, 17] {
            assert!(!MessageType(reserved).is_known(), "message {reserved}");
        }
        assert!(!AttributeType(20).is_known() && !AttributeType(40).is_known());
        let known = (0..=u16::MAX).filter(|&n| AttributeType(n).is_known()).count();
        assert_eq!(known, 39);
    }

    #[test]
    fn a_code_prints_its_number_and_meaning() {
        assert_eq!(StopCode::FSM_ERROR.to_string(), "7 (finite state machine error)");
        assert_eq!(CallCode(99).to_string(), "99 (unknown)");
        assert_eq!(MessageType::SCCRQ.to_string(), "1 (SCCRQ)");
    }
}
