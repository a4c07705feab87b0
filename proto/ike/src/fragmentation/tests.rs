//! Reassembly against the pieces that broke others, and against a naive model.

extern crate std;
use std::vec;

use proptest::prelude::*;

use super::*;

const NOW: Instant = Instant::from_secs(1000);

fn remote(n: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], n))
}

/// A message of a length, as a whole.
fn message(cookie: u8, len: usize) -> Vec<u8> {
    let cookies = Cookies { initiator: [cookie; 8], responder: [9; 8] };
    let header = Header {
        cookies,
        first: PayloadType::KE,
        exchange: ExchangeType::QUICK_MODE,
        flags: Flags(1),
        message_id: 77,
    };
    let mut w = Writer::new();
    header.write(&mut w, len - Header::LEN);
    let body: Vec<u8> = (Header::LEN..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
    w.bytes(&body);
    w.into_vec()
}

fn piece(cookie: u8, id: u16, number: u8, last: bool, data: &[u8]) -> Vec<u8> {
    let cookies = Cookies { initiator: [cookie; 8], responder: [9; 8] };
    let header = Header {
        cookies,
        first: PayloadType::FRAGMENT,
        exchange: ExchangeType::IDENTITY_PROTECTION,
        flags: Flags::default(),
        message_id: 0,
    };
    let body = Fragment { id, number, last, data }.to_bytes();
    let mut w = Writer::new();
    header.write(&mut w, body.len());
    w.bytes(&body);
    w.into_vec()
}

fn add(
    reassembly: &mut Reassembly,
    remote: SocketAddr,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, Rejected> {
    let message = Message::read(bytes).unwrap();
    let piece = Fragment::read(&message).map_err(Rejected::from)?;
    reassembly.add(remote, &message, &piece, NOW)
}

#[test]
fn a_message_is_cut_and_put_together_in_any_order() {
    let whole = message(1, 5000);
    let pieces = cut(&whole, 508).unwrap();
    assert_eq!(pieces.len(), 10);
    assert!(pieces.iter().all(|piece| piece.len() <= 508 + 36));
    assert_eq!(pieces.iter().map(Vec::len).sum::<usize>(), cut_len(5000, 508));
    let mut reassembly = Reassembly::default();
    for piece in pieces.iter().rev().take(9) {
        assert_eq!(add(&mut reassembly, remote(1), piece), Ok(None));
        assert_eq!(add(&mut reassembly, remote(1), piece), Err(Rejected::Duplicate));
    }
    assert_eq!(add(&mut reassembly, remote(1), &pieces[0]), Ok(Some(whole)));
    assert_eq!(reassembly.load(), (0, 0));
    assert_eq!(reassembly.deadline(), None);
}

#[test]
fn what_fits_into_a_packet_or_needs_too_many_pieces_is_not_cut() {
    assert!(cut(&message(1, 508 + 36), 508).is_none());
    assert_eq!(cut(&message(1, 508 + 37), 508).unwrap().len(), 2);
    assert_eq!(cut_len(508 + 36, 508), 508 + 36);
    assert!(cut(&message(1, 6400), 100).is_some());
    assert!(cut(&message(1, 6401), 100).is_none());
    assert!(cut(&[1; 4000], 508).is_none(), "no message");
}

#[test]
fn a_packet_is_never_longer_than_asked() {
    let v4 = Path::new(remote(500), remote(500));
    let v6: SocketAddr = "[2001:db8::1]:4500".parse().unwrap();
    for (path, marked, around) in [(v4, false, 28), (v4, true, 32), (Path::new(v6, v6), true, 52)] {
        for size in [576, 1280, 1500] {
            let pieces = cut(&message(1, 9000), room(path, marked, size)).unwrap();
            let longest = pieces.iter().map(Vec::len).max().unwrap();
            assert_eq!(longest + around, usize::from(size));
        }
        assert_eq!(room(path, marked, 0), room(path, marked, FRAGMENT_SIZE_MIN));
    }
}

#[test]
fn a_repeated_message_fills_the_gaps_of_the_one_before() {
    let whole = message(1, 2000);
    let (first, second) = (cut(&whole, 508).unwrap(), cut(&whole, 508).unwrap());
    let mut reassembly = Reassembly::default();
    add(&mut reassembly, remote(1), &first[0]).unwrap();
    add(&mut reassembly, remote(1), &first[2]).unwrap();
    add(&mut reassembly, remote(1), &second[1]).unwrap();
    assert_eq!(add(&mut reassembly, remote(1), &second[3]), Ok(Some(whole)));
}

#[test]
fn pieces_that_contradict_each_other_begin_the_message_afresh() {
    let fresh = |before: &[Vec<u8>], contradiction: &[u8]| {
        let mut reassembly = Reassembly::default();
        for bytes in before {
            assert_eq!(add(&mut reassembly, remote(1), bytes), Ok(None));
        }
        let result = add(&mut reassembly, remote(1), contradiction);
        let (count, octets) = reassembly.load();
        assert!(count <= 1);
        (result, octets)
    };
    let of = |number, last, data: &[u8]| piece(1, 5, number, last, data);
    let (second, third) = (of(2, false, b"22"), of(3, true, b"33"));
    // The last piece twice, under two numbers.
    assert_eq!(fresh(core::slice::from_ref(&third), &of(4, true, b"44")), (Ok(None), 2));
    assert_eq!(fresh(core::slice::from_ref(&third), &of(2, true, b"44")), (Ok(None), 2));
    // A piece behind the last one.
    assert_eq!(fresh(core::slice::from_ref(&third), &of(9, false, b"44")), (Ok(None), 2));
    // The same number with other data, or first last and then not.
    assert_eq!(fresh(core::slice::from_ref(&second), &of(2, false, b"xxx")), (Ok(None), 3));
    assert_eq!(fresh(core::slice::from_ref(&second), &of(2, true, b"22")), (Ok(None), 2));
    assert_eq!(fresh(&[third], &of(3, false, b"33")), (Ok(None), 2));
    // A contradiction that is a whole message is one.
    assert_eq!(fresh(&[second], &of(1, true, b"1")), (Ok(Some(b"1".to_vec())), 0));
}

#[test]
fn a_gap_is_never_bridged_and_is_given_up_in_time() {
    let mut reassembly = Reassembly::default();
    for number in (1..=FRAGMENTS_MAX).filter(|n| *n != 7) {
        let bytes = piece(1, 5, number, number == FRAGMENTS_MAX, b"x");
        assert_eq!(add(&mut reassembly, remote(1), &bytes), Ok(None));
    }
    assert_eq!(reassembly.load(), (1, 63));
    let deadline = reassembly.deadline().unwrap();
    assert_eq!(deadline, NOW + REASSEMBLY_LIFETIME);
    assert_eq!(reassembly.expire(NOW + Duration::from_secs(69)), 0);
    assert_eq!(reassembly.expire(deadline), 1);
    assert_eq!(reassembly.load(), (0, 0));
}

#[test]
fn pieces_of_other_ids_addresses_and_cookies_never_mix() {
    let mut reassembly = Reassembly::default();
    let second = |cookie, id| piece(cookie, id, 2, true, b"b");
    add(&mut reassembly, remote(1), &piece(1, 5, 1, false, b"a")).unwrap();
    assert_eq!(add(&mut reassembly, remote(1), &second(1, 6)), Ok(None));
    assert_eq!(add(&mut reassembly, remote(1), &second(2, 5)), Ok(None));
    assert_eq!(add(&mut reassembly, remote(2), &second(1, 5)), Ok(None));
    assert_eq!(add(&mut reassembly, remote(1), &second(1, 5)), Ok(Some(b"ab".to_vec())));
}

#[test]
fn a_message_longer_than_any_is_refused_before_it_is_kept() {
    let mut reassembly = Reassembly::default();
    let data = vec![1; 8000];
    add(&mut reassembly, remote(1), &piece(1, 5, 1, false, &data)).unwrap();
    add(&mut reassembly, remote(1), &piece(1, 5, 2, false, &data)).unwrap();
    let too_long = Err(DecodeError::new("fragments", Fault::TooLong).into());
    assert_eq!(add(&mut reassembly, remote(1), &piece(1, 5, 3, true, &data)), too_long);
    assert_eq!(reassembly.load(), (1, 16_000));
}

#[test]
fn one_sa_has_few_incomplete_messages() {
    let mut reassembly = Reassembly::default();
    for id in 0..100 {
        add(&mut reassembly, remote(1), &piece(1, id, 1, false, b"a")).unwrap();
    }
    assert_eq!(reassembly.load(), (PARTIALS_PER_SA_MAX, PARTIALS_PER_SA_MAX));
    let end = piece(1, 99, 2, true, b"b");
    assert_eq!(add(&mut reassembly, remote(1), &end), Ok(Some(b"ab".to_vec())));
}

#[test]
fn one_source_never_takes_the_place_of_another() {
    let mut reassembly = Reassembly::default();
    let neighbour = SocketAddr::from(([192, 0, 2, 2], 500));
    add(&mut reassembly, neighbour, &piece(1, 5, 1, false, b"a")).unwrap();
    for port in 1..2000 {
        add(&mut reassembly, remote(port), &piece(1, 5, 1, false, b"a")).unwrap();
    }
    assert_eq!(reassembly.load().0, PARTIALS_PER_SOURCE_MAX + 1);
    let data = vec![1; 10_000];
    for port in 1..100 {
        add(&mut reassembly, remote(port), &piece(1, 5, 1, false, &data)).unwrap();
    }
    let (_, octets) = reassembly.load();
    assert!(octets <= FRAGMENT_OCTETS_PER_SOURCE_MAX + 1, "{octets}");
    let end = piece(1, 5, 2, true, b"b");
    assert_eq!(add(&mut reassembly, neighbour, &end), Ok(Some(b"ab".to_vec())));
}

#[test]
fn all_sources_together_are_bounded_in_number_and_octets() {
    let mut reassembly = Reassembly::default();
    let from = |n: u32| SocketAddr::new(core::net::Ipv4Addr::from(0x0a00_0000 + n).into(), 500);
    for n in 0..=u32::try_from(PARTIALS_MAX).unwrap() {
        add(&mut reassembly, from(n), &piece(1, 5, 1, false, b"a")).unwrap();
    }
    assert_eq!(reassembly.load(), (PARTIALS_MAX, PARTIALS_MAX));
    let data = vec![1; 15_000];
    for n in 0..1000 {
        add(&mut reassembly, from(5000 + n), &piece(1, 5, 1, false, &data)).unwrap();
        assert!(reassembly.load().1 <= FRAGMENT_OCTETS_MAX);
    }
    let newest = piece(1, 5, 2, true, b"b");
    assert!(matches!(add(&mut reassembly, from(5999), &newest), Ok(Some(_))), "the newest stays");
}

/// Pieces in the worst order cost the same as in the best: nothing is walked through for each.
#[test]
fn many_tiny_pieces_cost_no_more_than_their_number() {
    let mut reassembly = Reassembly::default();
    let mut whole = 0;
    for round in 0..200u16 {
        for number in (1..=FRAGMENTS_MAX).rev() {
            let bytes = piece(1, round, number, number == FRAGMENTS_MAX, b"x");
            let result = add(&mut reassembly, remote(round % 3), &bytes).unwrap();
            whole += usize::from(result.is_some());
            let (count, octets) = reassembly.load();
            assert!(count <= 1 && octets < usize::from(FRAGMENTS_MAX));
        }
    }
    assert_eq!(whole, 200);
}

/// A piece of the property's alphabet: id, number, last, data.
fn any_piece() -> impl Strategy<Value = (u16, u8, bool, Vec<u8>)> {
    (0..3u16, 1..6u8, any::<bool>(), prop::collection::vec(0..3u8, 1..3))
}

proptest! {
    #[test]
    fn any_message_survives_cutting_shuffling_and_duplication(
        len in 600usize..16_000,
        room in 300usize..1300,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
    ) {
        let whole = message(1, len);
        let Some(mut pieces) = cut(&whole, room) else { return Ok(()) };
        let copies: Vec<_> = order.iter().map(|index| index.get(&pieces).clone()).collect();
        for (at, index) in order.iter().enumerate() {
            let other = index.index(pieces.len());
            let at = at % pieces.len();
            pieces.swap(at, other);
        }
        let mut reassembly = Reassembly::default();
        let mut found = Vec::new();
        for piece in copies.iter().chain(&pieces) {
            if let Ok(Some(bytes)) = add(&mut reassembly, remote(1), piece) {
                found.push(bytes);
            }
        }
        prop_assert!(!found.is_empty());
        prop_assert!(found.iter().all(|bytes| *bytes == whole));
    }

    #[test]
    fn whatever_is_put_together_was_sent_under_one_id_with_one_end(
        pieces in prop::collection::vec(any_piece(), 1..60),
    ) {
        let mut reassembly = Reassembly::default();
        for (index, (id, number, last, data)) in pieces.iter().enumerate() {
            let bytes = piece(1, *id, *number, *last, data);
            let before = reassembly.load();
            let result = add(&mut reassembly, remote(1), &bytes);
            let (count, octets) = reassembly.load();
            prop_assert!(count <= PARTIALS_PER_SA_MAX);
            prop_assert_eq!(reassembly.deadline().is_some(), count > 0);
            match result {
                Err(_) => prop_assert_eq!((count, octets), before),
                Ok(None) => prop_assert!(octets > 0),
                Ok(Some(whole)) => {
                    let sent: usize = pieces[..=index]
                        .iter()
                        .filter(|piece| piece.0 == *id)
                        .map(|piece| piece.3.len())
                        .sum();
                    prop_assert!(whole.len() <= sent);
                    let ended = pieces[..=index].iter().any(|piece| piece.0 == *id && piece.2);
                    prop_assert!(ended);
                }
            }
        }
    }
}
