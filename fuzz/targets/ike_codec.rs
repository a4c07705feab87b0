//! IKE messages, payload chains and payload bodies: what is read is written and read again.
#![no_main]

use isthmus_ike::VendorId;
use isthmus_ike::codec::body::read_nonce;
use isthmus_ike::codec::{Chain, Delete, IdBody, Message, NatOa, Notification, Out, SaBody};
use isthmus_ike::iana::PayloadType;
use isthmus_wire::Writer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    bodies(input);
    let Ok(message) = Message::read(input) else { return };
    let mut w = Writer::new();
    message.header.write(&mut w, message.body.len());
    w.bytes(message.body);
    let bytes = w.into_vec();
    let again = Message::read(&bytes).unwrap();
    assert_eq!((again.header, again.body), (message.header, message.body));
    if let Ok(chain) = Chain::read(message.header.first, message.body) {
        assert!(Chain::read_decrypted(message.header.first, message.body).is_ok());
        walk(&chain, message.body);
    }
});

fn walk(chain: &Chain<'_>, bytes: &[u8]) {
    let mut out = Out::new();
    for payload in chain.iter() {
        out.push(payload.kind, payload.body);
        bodies(payload.body);
        if payload.kind == PayloadType::VENDOR_ID {
            let known = VendorId::recognise(payload.body);
            assert!(known.is_none_or(|id| payload.body.starts_with(&id.bytes()[..4])));
        }
    }
    assert_eq!(out.to_bytes(), bytes, "a chain has one spelling");
    if let Ok((hash, rest)) = chain.hashed() {
        assert!(bytes[4..].starts_with(hash) && bytes.ends_with(rest));
        assert_eq!(4 + hash.len() + rest.len(), bytes.len());
    }
}

/// Any bytes as each kind of body.
fn bodies(bytes: &[u8]) {
    if let Ok(sa) = SaBody::read(bytes) {
        assert!(!sa.proposals.is_empty());
        assert!(sa.proposals.iter().all(|proposal| !proposal.transforms.is_empty()));
        assert_eq!(SaBody::read(&sa.to_bytes()), Ok(sa));
    }
    if let Ok(id) = IdBody::read(bytes) {
        assert_eq!(id.to_bytes(), bytes);
    }
    if let Ok(notification) = Notification::read(bytes) {
        assert_eq!(Notification::read(&notification.to_bytes()), Ok(notification));
    }
    if let Ok(delete) = Delete::read(bytes) {
        // An empty list does not keep the SPI size it came with.
        let again = Delete::read(&delete.to_bytes());
        assert!(delete.spis.is_empty() || again == Ok(delete));
    }
    if let Ok(address) = NatOa::read(bytes) {
        assert_eq!(NatOa::read(&address.to_bytes()), Ok(address));
    }
    if let Ok(nonce) = read_nonce(bytes) {
        assert_eq!(nonce, bytes);
    }
}
