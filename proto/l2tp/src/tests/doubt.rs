//! Before a peer has shown that it is where its packets come from, it is never sent more bytes than came
//! from it.

use std::vec;
use std::vec::Vec;

use isthmus_core::{Duration, SecretBytes};
use proptest::prelude::*;

use super::bench::{Bench, assigned, kinds, result};
use super::bytes::{control, may, must, sccrq, sccrq_with};
use crate::iana::MessageType;
use crate::{Config, RETRANSMIT_CYCLE, Rejected};

const SCCRP: Option<MessageType> = Some(MessageType::SCCRP);
const STOP: Option<MessageType> = Some(MessageType::STOP_CCN);

fn bench(secret: bool) -> Bench {
    let mut config = Config::lns(b"gateway");
    config.secret = secret.then(|| SecretBytes::copy_of(b"wholesale"));
    let mut bench = Bench::with(config);
    bench.lns = bench.lns.doubting();
    bench
}

fn bytes(messages: &[Vec<u8>]) -> usize {
    messages.iter().map(Vec::len).sum()
}

/// An SCCRQ of this many bytes more than the shortest.
fn padded(more: usize) -> Vec<u8> {
    if more == 0 { sccrq() } else { sccrq_with(&[may(8, &vec![b'x'; more - 6])]) }
}

#[test]
fn one_request_is_answered_once_at_most_and_with_no_more_bytes() {
    for secret in [false, true] {
        let mut answered = 0;
        for more in [0, 6, 10, 20, 30, 40, 60, 100, 200] {
            let mut bench = bench(secret);
            let request = padded(more);
            let mut sent = bench.feed(&request);
            sent.extend(bench.pass(Duration::from_mins(5)));
            assert!(sent.len() <= 1 && bytes(&sent) <= request.len(), "{more}: {sent:02x?}");
            answered += sent.len();
            assert!(bench.lns.is_empty() && bench.lns.poll_timeout().is_none());
        }
        assert!(
            (4..9).contains(&answered),
            "short ones are not answered, long ones are: {answered}"
        );
    }
}

#[test]
fn a_short_request_is_answered_when_it_has_come_often_enough() {
    let mut bench = bench(true);
    let (mut heard, mut sent) = (0, Vec::new());
    for _ in 0..8 {
        heard += sccrq().len();
        sent.extend(bench.feed(&sccrq()));
        sent.extend(bench.pass(Duration::from_secs(2)));
        assert!(bytes(&sent) <= heard, "{} of {heard}", bytes(&sent));
    }
    assert!(sent.len() >= 3 && sent.iter().all(|m| kinds(std::slice::from_ref(m)) == [SCCRP]));
    assert_eq!(bench.lns.tunnel_count(), 1);
    assert_eq!(bench.lns.stats().withheld, 8 - u64::try_from(sent.len()).unwrap());
}

#[test]
fn an_answer_that_is_lost_comes_again_only_with_the_request() {
    let mut bench = bench(false);
    let request = padded(100);
    assert_eq!(kinds(&bench.feed(&request)), [SCCRP]);
    assert_eq!(bench.pass(Duration::from_secs(15)), Vec::<Vec<u8>>::new());
    let again = bench.feed(&request);
    assert_eq!(kinds(&again), [SCCRP]);
    let tunnel = assigned(&again[0]);
    assert_eq!(kinds(&bench.feed(&control((tunnel, 0), (1, 1), &[must(0, &[0, 3])]))), [None]);
    let hello = bench.pass(Duration::from_secs(75));
    assert!(hello.len() > 2, "from here on messages are repeated: {hello:02x?}");
}

#[test]
fn whoever_has_our_id_is_told_of_a_wrong_proof_until_it_hears() {
    let mut bench = bench(true);
    let tunnel = assigned(&bench.feed(&padded(100))[0]);
    let scccn = [must(0, &[0, 3]), must(13, &[7; 16])];
    let sent = bench.feed(&control((tunnel, 0), (1, 1), &scccn));
    assert_eq!((kinds(&sent), result(&sent[0]).0), (vec![STOP], 4));
    let again = bench.pass(RETRANSMIT_CYCLE);
    assert_eq!(kinds(&again), [STOP; 5]);
    assert!(bench.lns.is_empty());
}

#[test]
fn what_is_out_of_state_is_refused_within_the_allowance_and_forgotten() {
    let mut bench = bench(false);
    let request = padded(60);
    let sccrp = bench.feed(&request);
    let tunnel = assigned(&sccrp[0]);
    let hello = control((tunnel, 0), (1, 1), &[must(0, &[0, 10])]);
    let mut sent = sccrp;
    sent.extend(bench.feed(&hello));
    sent.extend(bench.pass(Duration::from_mins(5)));
    assert!(bytes(&sent) <= request.len() + hello.len(), "{sent:02x?}");
    assert!(bench.lns.is_empty());
}

#[test]
fn a_peer_that_ipsec_has_let_in_is_not_doubted() {
    let mut bench = Bench::new();
    assert_eq!(kinds(&bench.feed(&sccrq())), [SCCRP]);
    assert_eq!(bench.pass(Duration::from_secs(20)).len(), 4);
}

/// What somebody can send who does not know our id, or guesses it.
fn message() -> impl Strategy<Value = (Vec<u8>, u64)> {
    let kind = prop::sample::select(&[1_u8, 2, 4, 6, 10, 12, 14][..]);
    let built = (0_usize..300).prop_map(|more| padded(more.max(6) * usize::from(more > 0)));
    let guessed =
        (kind, any::<bool>(), 0_u16..3, 0_u16..2, prop::collection::vec(any::<u8>(), 0..40));
    prop_oneof![
        3 => built.prop_map(|bytes| (bytes, 0)),
        2 => guessed.prop_map(|(kind, ours, ns, nr, tail)| {
            let avps = [must(0, &[0, kind]), may(8, &tail)];
            (control((u16::from(ours), 0), (ns, nr), &avps), 1)
        }),
        1 => Just((control((1, 0), (1, 1), &[]), 1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_messages_without_scccn_are_worth_more_bytes_than_they_have(
        messages in prop::collection::vec((message(), 0_u64..40), 0..20), secret: bool
    ) {
        let mut bench = bench(secret);
        let (mut heard, mut said, mut tunnel) = (0, 0, 0);
        for ((mut bytes_in, guesses), wait) in messages {
            if guesses == 1 && bytes_in[5] == 1 {
                bytes_in[4..6].copy_from_slice(&u16::to_be_bytes(tunnel));
            }
            heard += bytes_in.len();
            let outcome: Result<(), Rejected> =
                bench.lns.handle_control(super::bench::PORT, &bytes_in, bench.now);
            let _ = outcome;
            let mut sent = bench.drain();
            if let Some(sccrp) = sent.iter().find(|m| kinds(std::slice::from_ref(*m)) == [SCCRP]) {
                tunnel = assigned(sccrp);
            }
            sent.extend(bench.pass(Duration::from_secs(wait)));
            said += bytes(&sent);
            prop_assert!(said <= heard, "{said} of {heard}");
        }
        said += bytes(&bench.pass(Duration::from_mins(5)));
        prop_assert!(said <= heard, "{said} of {heard}");
        prop_assert!(bench.lns.is_empty());
    }
}
