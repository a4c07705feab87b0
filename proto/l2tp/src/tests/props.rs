//! Properties: values and messages round-trip, and no input breaks an endpoint.

use std::vec;
use std::vec::Vec;

use isthmus_core::{Duration, Rng, SecretBytes};
use isthmus_wire::{Reader, Writer};
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::bench::{Bench, PORT};
use super::bytes::{avp, control, icrq, must, sccrq};
use super::md5;
use super::pair::{Fate, LNS_PORT, Pair};
use crate::avp::{
    Accm, Avp, Bounded, CallErrors, CauseCode, Hiding, Identifier, RawAvp, ResultCode, VendorAvp,
};
use crate::iana::{AttributeType, Bearer, ErrorCode, Framing, MessageType, ProxyAuthenType};
use crate::message::encode;
use crate::{Config, Message};

fn bytes<const MAX: usize>() -> impl Strategy<Value = Bounded<MAX>> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Bounded::clipped(&bytes))
}

/// Any result code that means the same when read: a code whose low byte is zero is Apple's.
fn result_code() -> impl Strategy<Value = ResultCode> {
    (1..0x100_u16, any::<u16>(), bytes()).prop_map(|(code, error, message)| ResultCode {
        code,
        error: Some(ErrorCode(error)),
        message,
    })
}

fn numbers() -> impl Strategy<Value = Avp> {
    (any::<u32>(), any::<u16>(), any::<u64>()).prop_flat_map(|(long, short, wide)| {
        prop::sample::select(Vec::from([
            Avp::MessageType(MessageType(short)),
            Avp::ProtocolVersion(short),
            Avp::FramingCapabilities(Framing(long)),
            Avp::BearerCapabilities(Bearer(long)),
            Avp::TieBreaker(wide),
            Avp::FirmwareRevision(short),
            Avp::AssignedTunnelId(short),
            Avp::ReceiveWindowSize(short),
            Avp::AssignedSessionId(short),
            Avp::CallSerialNumber(long),
            Avp::MinimumBps(long),
            Avp::MaximumBps(long),
            Avp::BearerType(Bearer(long)),
            Avp::FramingType(Framing(long)),
            Avp::TxConnectSpeed(long),
            Avp::PhysicalChannelId(long),
            Avp::ProxyAuthenType(ProxyAuthenType(short)),
            Avp::ProxyAuthenId(Identifier(short.to_be_bytes()[1])),
            Avp::RxConnectSpeed(long),
            Avp::SequencingRequired(()),
            Avp::Accm(Accm { send: long, receive: !long }),
            Avp::CallErrors(CallErrors { crc: long, alignment: !long, ..CallErrors::default() }),
        ]))
    })
}

fn strings() -> impl Strategy<Value = Avp> {
    prop_oneof![
        bytes().prop_map(Avp::HostName),
        bytes().prop_map(Avp::VendorName),
        bytes().prop_map(Avp::Challenge),
        any::<[u8; 16]>().prop_map(Avp::ChallengeResponse),
        bytes().prop_map(Avp::CalledNumber),
        bytes().prop_map(Avp::CallingNumber),
        bytes().prop_map(Avp::SubAddress),
        bytes().prop_map(Avp::InitialReceivedLcp),
        bytes().prop_map(Avp::LastSentLcp),
        bytes().prop_map(Avp::LastReceivedLcp),
        bytes().prop_map(Avp::ProxyAuthenName),
        bytes().prop_map(Avp::ProxyAuthenChallenge),
        bytes::<40>().prop_map(|b| Avp::ProxyAuthenResponse(SecretBytes::copy_of(b.as_bytes()))),
        bytes().prop_map(Avp::RandomVector),
        bytes().prop_map(Avp::PrivateGroupId),
        result_code().prop_map(Avp::ResultCode),
        (any::<u16>(), any::<u8>(), bytes()).prop_map(|(cause, message, advisory)| {
            Avp::Q931CauseCode(CauseCode { cause, message, advisory })
        }),
        (1..u16::MAX, any::<u16>(), bytes()).prop_map(|(vendor, attribute, value)| {
            Avp::Vendor(VendorAvp { vendor, attribute: AttributeType(attribute), value })
        }),
    ]
}

fn any_avp() -> impl Strategy<Value = Avp> {
    prop_oneof![numbers(), strings()]
}

/// Something a peer might send, right or wrong.
fn hostile(tunnel: u16, session: u16) -> impl Strategy<Value = Vec<u8>> {
    let avp = prop_oneof![
        (0..45_u16, prop::collection::vec(any::<u8>(), 0..20), any::<bool>())
            .prop_map(|(kind, value, m)| avp(u16::from(m) << 15, 0, kind, &value)),
        prop::sample::select(Vec::from([
            must(9, &[0x0b, 0x0b]),
            must(14, &[0x0c, 0x0c]),
            must(15, &[0; 4]),
            must(1, &[0, 1]),
            must(2, &[1, 0]),
            must(3, &[0; 4]),
            must(7, b"x"),
        ])),
    ];
    let message = (
        prop::sample::select(Vec::from([0, tunnel, tunnel])),
        prop::sample::select(Vec::from([0, session])),
        0..8_u16,
        0..4_u16,
        0..18_u8,
        prop::collection::vec(avp, 0..6),
    )
        .prop_map(|(tunnel, session, ns, nr, kind, mut avps)| {
            avps.insert(0, must(0, &[0, kind]));
            control((tunnel, session), (ns, nr), &avps)
        });
    prop_oneof![
        4 => message,
        1 => prop::collection::vec(any::<u8>(), 0..80),
        1 => Just(sccrq()),
        1 => Just(icrq(tunnel, (2, 1), &[])),
    ]
}

proptest! {
    #[test]
    fn every_attribute_round_trips(avp in any_avp(), mandatory: bool) {
        let mut w = Writer::new();
        avp.write(mandatory, &mut w);
        let bytes = w.into_vec();
        let raw = RawAvp::read(&mut Reader::new(&bytes)).unwrap();
        prop_assert_eq!(raw.mandatory, mandatory);
        prop_assert_eq!(raw.attribute, avp.attribute());
        prop_assert_eq!(Avp::read(&raw, None, None).unwrap(), avp);
    }

    #[test]
    fn a_whole_message_round_trips_in_the_clear_and_hidden(
        avps in prop::collection::vec(any_avp(), 0..12), hide: bool, seed: [u8; 32],
    ) {
        let provider = md5();
        let hiding = Hiding { secret: b"secret", provider: &*provider };
        // A Random Vector among the AVPs would change the salt of those behind it.
        let avps: Vec<_> =
            avps.into_iter().filter(|a| a.attribute() != AttributeType::RANDOM_VECTOR).collect();
        let fields = crate::tunnel::fields(avps.clone());
        let mut rng = Rng::new(seed);
        let bytes =
            encode((1, 2), MessageType::ICRQ, &fields, Some(hiding).filter(|_| hide), &mut rng);
        let payload = Message::read(&bytes).unwrap().payload.unwrap();
        prop_assert_eq!(payload.kind, MessageType::ICRQ);
        let mut vector = None;
        let mut back = Vec::new();
        for raw in &payload.avps {
            let avp = Avp::read(raw, vector, Some(hiding)).unwrap();
            prop_assert!(!raw.hidden || avp.may_hide());
            if let Avp::RandomVector(_) = avp {
                vector = Some(raw.value);
            } else {
                back.push(avp);
            }
        }
        prop_assert_eq!(back, avps);
        for n in 0..bytes.len() {
            prop_assert!(Message::read(&bytes[..n]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_not(bytes: Vec<u8>) {
        if let Ok(message) = Message::read(&bytes) {
            prop_assert!(bytes.len() >= 12 && message.header.write(&[]).len() == 12);
        }
    }

    #[test]
    fn no_conversation_breaks_the_endpoint(
        secret: bool,
        input in prop::collection::vec((hostile(1, 2), 0..5000_u64), 0..60),
    ) {
        let mut config = Config::lns(b"gateway");
        config.secret = secret.then(|| SecretBytes::copy_of(b"secret"));
        let limits = (config.tunnels_max, config.sessions_max);
        let mut bench = Bench::with(config);
        let (mut tunnel, mut session) = (1_u16, 2_u16);
        for (mut message, wait) in input {
            // Point what is addressed to tunnel 1 and session 2 at what there is.
            if message.len() >= 8 && message[4..6] == [0, 1] {
                message[4..6].copy_from_slice(&tunnel.to_be_bytes());
                if message[6..8] == [0, 2] {
                    message[6..8].copy_from_slice(&session.to_be_bytes());
                }
            }
            let _ = bench.lns.handle_control(PORT, &message, bench.now);
            for sent in bench.drain() {
                prop_assert!(sent.len() < 200, "we say little to a stranger");
                prop_assert!(Message::read(&sent).is_ok());
            }
            let record = bench.lns.record();
            if let Some(first) = bench.lns.tunnels.keys().next() {
                tunnel = first.0;
                session = bench.lns.tunnels.get(first).unwrap().sessions.keys().next().map_or(2, |s| s.0);
            }
            prop_assert!(record.tunnels.len() <= limits.0);
            prop_assert!(bench.lns.session_count() <= limits.1);
            bench.pass(Duration::from_millis(wait));
            let due = bench.lns.poll_timeout();
            prop_assert!(due.is_none_or(|due| due.at > bench.now), "a timer that never ends");
        }
        bench.pass(Duration::from_mins(10));
        prop_assert!(bench.lns.is_empty());
        prop_assert_eq!(bench.lns.session_count(), 0);
    }

    #[test]
    fn both_ends_agree_in_the_end_whatever_the_line_does(
        fates in prop::collection::vec(0..8_u8, 0..60), calls in 1..5_usize,
    ) {
        let mut pair = Pair::new();
        let first = pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
        for _ in 1..calls {
            pair.lac.endpoint.open_call(first.tunnel, pair.now).unwrap();
        }
        pair.pass_with(Duration::from_mins(1), |_, _, n| match fates.get(n) {
            Some(0 | 1) => Fate::Lose,
            Some(2) => Fate::Twice,
            Some(3) => Fate::Late,
            _ => Fate::Arrive,
        });
        // The line has healed long ago, as far as the list of fates goes.
        pair.pass(Duration::from_mins(5));
        prop_assert_eq!(pair.lac.endpoint.session_count(), pair.lns.endpoint.session_count());
        let sessions = |endpoint: &crate::Endpoint| {
            endpoint.record().tunnels.into_iter().flat_map(|t| t.sessions).collect::<Vec<_>>()
        };
        let mut remote: Vec<_> =
            sessions(&pair.lac.endpoint).iter().map(|s| s.remote).collect();
        let mut local: Vec<_> =
            sessions(&pair.lns.endpoint).iter().map(|s| s.local.0).collect();
        remote.sort_unstable();
        local.sort_unstable();
        prop_assert_eq!(remote, local);
    }
}
