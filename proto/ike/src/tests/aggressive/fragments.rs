//! Aggressive mode with peers that take messages in pieces.

use alloc::vec;

use super::*;
use crate::fragmentation::cut;

/// The fragmentation id in a message.
fn announced(message: &[u8]) -> Option<Vec<u8>> {
    let message = Message::read(message).unwrap();
    let chain = Chain::read(message.header.first, message.body).unwrap();
    let known = |body: &&[u8]| VendorId::recognise(body) == Some(VendorId::Fragmentation);
    chain.all(PayloadType::VENDOR_ID).find(known).map(<[u8]>::to_vec)
}

#[test]
fn message_2_announces_fragments_in_the_form_of_the_peer_and_message_3_may_come_in_them() {
    let bare = VendorId::Fragmentation.bytes();
    for form in [bare.to_vec(), [bare, &[0x80, 0, 0, 0]].concat()] {
        let mut profile = apple();
        profile.vids.retain(|vid| !vid.starts_with(bare));
        profile.vids.push(form.clone());
        let mut net = Net::server(with_group());
        let mut fake = member_fake(profile, 0);
        let am1 = fake.am1();
        let am2 = fake.ask(&mut net, &am1).unwrap();
        assert_eq!(announced(&am2), Some(form));
        assert!(am2.len() <= am1.len());
        let am3 = fake.am3(&am2, true, 4500);
        let pieces = cut(&am3, 40).unwrap();
        assert!(pieces.len() > 1);
        for piece in pieces.iter().rev() {
            assert!(net.nodes[0].up.is_empty());
            fake.tell(&mut net, piece).unwrap();
        }
        assert_eq!(net.nodes[0].up[&net.server_peer()].psk, PskId(8));
    }
}

#[test]
fn a_peer_that_announces_no_fragments_is_not_told_of_them() {
    let mut profile = apple();
    profile.vids.retain(|vid| !vid.starts_with(VendorId::Fragmentation.bytes()));
    let mut net = Net::server(with_group());
    let mut fake = member_fake(profile, 0);
    let am1 = fake.am1();
    assert_eq!(announced(&fake.ask(&mut net, &am1).unwrap()), None);
}

#[test]
fn message_2_goes_in_pieces_to_an_initiator_that_takes_them() {
    let ike = vec![IkeProposal::from_name("aes256-sha256-modp4096").unwrap()];
    let server = Config { ike: ike.clone(), fragment_size: 576, ..with_group() };
    let client = Config { ike, fragment_size: 576, ..client_config() };
    let mut net = Net::new(Nat::Both, server, client);
    connect(&mut net);
    net.run_secs(5);
    net.assert_agreed(1, 1);
    let pieces = |from: usize| {
        net.sent.iter().filter(|packet| packet.from == from && packet.bytes[16] == 132).count()
    };
    // Before message 2 nobody knows whether the responder takes pieces.
    assert_eq!((pieces(1), pieces(0) % 2), (0, 0));
    assert!(pieces(0) >= 2, "message 2");
    assert!(net.bytes_from(0) <= net.bytes_from(1), "pieces are paid for, too");
    assert_eq!(net.nodes[1].endpoint.stats().fragments_received, 2);
}
