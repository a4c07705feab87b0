//! IKE fragments in any order: what is put together is what one end cut, or nothing.
#![no_main]

use isthmus_fuzz::ike::{Line, Transparent};
use isthmus_fuzz::steps;
use isthmus_ike::codec::{Fragment, Message};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|input: &[u8]| {
    if let Ok(message) = Message::read(input)
        && let Ok(piece) = Fragment::read(&message)
    {
        assert_eq!(piece.to_bytes().len(), message.body.len());
        assert!((1..=64).contains(&piece.number) && !piece.data.is_empty());
    }
    let mut line = Line::responder(Arc::new(Transparent::default()));
    // Message 1 first, so that there are cookies to send pieces for.
    for (index, step) in steps(input).enumerate() {
        if index == 0 {
            line.step(step);
        } else {
            line.pieces(step);
        }
        line.assert_pieces_are_bounded();
    }
    line.end();
});
