//! Every attribute of RFC 2661 §4.4 as bytes written by hand: number, M bit, length and layout.

use std::vec::Vec;

use isthmus_core::SecretBytes;
use isthmus_wire::{Reader, Writer};

use crate::avp::{
    Accm, Avp, AvpFault, Bounded, CallErrors, CauseCode, Identifier, RawAvp, ResultCode,
};
use crate::iana::{
    AttributeType, Bearer, CallCode, ErrorCode, Framing, MessageType, ProxyAuthenType,
};

fn text<const MAX: usize>(bytes: &[u8]) -> Bounded<MAX> {
    Bounded::clipped(bytes)
}

/// Each attribute with its M bit, its number and its value.
fn vectors() -> Vec<(Avp, u8, u8, &'static [u8])> {
    let errors = CallErrors {
        crc: 1,
        framing: 2,
        hardware_overruns: 3,
        buffer_overruns: 4,
        timeouts: 5,
        alignment: 6,
    };
    let cause = CauseCode { cause: 0x90, message: 0x45, advisory: text(b"bye") };
    let result = ResultCode {
        message: text(b"no"),
        ..ResultCode::call(CallCode::GENERAL_ERROR, ErrorCode::NO_RESOURCES)
    };
    Vec::from([
        (Avp::MessageType(MessageType::ICCN), 0x80, 0, &[0, 12][..]),
        (Avp::ResultCode(result), 0x80, 1, b"\0\x02\0\x04no"),
        (Avp::ProtocolVersion(0x0100), 0x80, 2, &[1, 0]),
        (Avp::FramingCapabilities(Framing::BOTH), 0x80, 3, &[0, 0, 0, 3]),
        (Avp::BearerCapabilities(Bearer::ANALOG), 0x80, 4, &[0, 0, 0, 2]),
        (Avp::TieBreaker(0x0102_0304_0506_0708), 0, 5, &[1, 2, 3, 4, 5, 6, 7, 8]),
        (Avp::FirmwareRevision(0x0690), 0, 6, &[6, 0x90]),
        (Avp::HostName(text(b"lns")), 0x80, 7, b"lns"),
        (Avp::VendorName(text(b"us")), 0, 8, b"us"),
        (Avp::AssignedTunnelId(0x1234), 0x80, 9, &[0x12, 0x34]),
        (Avp::ReceiveWindowSize(4), 0x80, 10, &[0, 4]),
        (Avp::Challenge(text(b"c")), 0x80, 11, b"c"),
        (Avp::Q931CauseCode(cause), 0x80, 12, b"\0\x90\x45bye"),
        (Avp::ChallengeResponse([7; 16]), 0x80, 13, &[7; 16]),
        (Avp::AssignedSessionId(0x5678), 0x80, 14, &[0x56, 0x78]),
        (Avp::CallSerialNumber(9), 0x80, 15, &[0, 0, 0, 9]),
        (Avp::MinimumBps(0x0100_0000), 0x80, 16, &[1, 0, 0, 0]),
        (Avp::MaximumBps(0x0200_0000), 0x80, 17, &[2, 0, 0, 0]),
        (Avp::BearerType(Bearer(1)), 0x80, 18, &[0, 0, 0, 1]),
        (Avp::FramingType(Framing::SYNC), 0x80, 19, &[0, 0, 0, 1]),
        (Avp::CalledNumber(text(b"100")), 0x80, 21, b"100"),
        (Avp::CallingNumber(text(b"200")), 0x80, 22, b"200"),
        (Avp::SubAddress(text(b"3")), 0x80, 23, b"3"),
        (Avp::TxConnectSpeed(100_000_000), 0x80, 24, &[0x05, 0xf5, 0xe1, 0x00]),
        (Avp::PhysicalChannelId(5), 0, 25, &[0, 0, 0, 5]),
        (Avp::InitialReceivedLcp(text(&[1, 4, 5, 0xdc])), 0, 26, &[1, 4, 5, 0xdc]),
        (Avp::LastSentLcp(text(&[2])), 0, 27, &[2]),
        (Avp::LastReceivedLcp(text(&[3])), 0, 28, &[3]),
        (Avp::ProxyAuthenType(ProxyAuthenType::CHAP), 0, 29, &[0, 2]),
        (Avp::ProxyAuthenName(text(b"u")), 0, 30, b"u"),
        (Avp::ProxyAuthenChallenge(text(b"c")), 0, 31, b"c"),
        (Avp::ProxyAuthenId(Identifier(0x17)), 0, 32, &[0, 0x17]),
        (Avp::ProxyAuthenResponse(SecretBytes::copy_of(b"r")), 0, 33, b"r"),
        (
            Avp::CallErrors(errors),
            0x80,
            34,
            &[0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6],
        ),
        (Avp::Accm(Accm { send: 1, receive: 2 }), 0x80, 35, &[0, 0, 0, 0, 0, 1, 0, 0, 0, 2]),
        (Avp::RandomVector(text(b"v")), 0x80, 36, b"v"),
        (Avp::PrivateGroupId(text(b"g")), 0, 37, b"g"),
        (Avp::RxConnectSpeed(1), 0, 38, &[0, 0, 0, 1]),
        (Avp::SequencingRequired(()), 0x80, 39, &[]),
    ])
}

#[test]
fn every_attribute_is_what_the_rfc_draws() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 39);
    for (avp, flags, number, value) in vectors {
        let length = u8::try_from(value.len() + 6).unwrap();
        let mut bytes = Vec::from([flags, length, 0, 0, 0, number]);
        bytes.extend(value);
        let mut w = Writer::new();
        avp.write(avp.is_mandatory(), &mut w);
        assert_eq!(w.into_vec(), bytes, "{:?}", avp.attribute());
        let raw = RawAvp::read(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(Avp::read(&raw, None, None), Ok(avp));
    }
}

#[test]
fn an_attribute_of_fixed_length_has_that_length() {
    // All but Result Code, which is taken as it comes, and those of free length.
    let fixed =
        [0, 2, 3, 4, 5, 6, 9, 10, 13, 14, 15, 16, 17, 18, 19, 24, 25, 29, 32, 34, 35, 38, 39];
    for (avp, _, number, value) in vectors() {
        let read = |value: &[u8]| {
            let attribute = AttributeType(u16::from(number));
            let (mandatory, hidden, reserved) = (true, false, false);
            let raw = RawAvp { mandatory, hidden, reserved, vendor: 0, attribute, value };
            Avp::read(&raw, None, None)
        };
        let longer = [value, &[0]].concat();
        let bad = |result| matches!(result, Err(AvpFault::Malformed(_)));
        assert_eq!(bad(read(&longer)), fixed.contains(&number), "{:?}", avp.attribute());
        if let Some((_, shorter)) = value.split_last() {
            assert_eq!(bad(read(shorter)), fixed.contains(&number), "{:?}", avp.attribute());
        }
    }
}

#[test]
fn only_the_attributes_of_the_rfc_may_be_hidden() {
    // RFC 2661 §4.4: "This AVP MUST NOT be hidden" stands at these.
    let clear = [0, 1, 2, 5, 7, 10, 12, 36, 39];
    for (avp, _, number, _) in vectors() {
        assert_eq!(!avp.may_hide(), clear.contains(&number), "{:?}", avp.attribute());
    }
}
