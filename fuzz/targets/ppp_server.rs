//! A PPP server against a peer that sends anything: it is never up without a verdict, gives no other
//! address than the verdict's, and always comes to an end.
#![no_main]

use isthmus_fuzz::ppp::{ADDRESS, GATEWAY, Line, server};
use isthmus_fuzz::steps;
use isthmus_ppp::AuthProtocol;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&first, script)) = input.split_first() else { return };
    let mut auth = AuthProtocol::ALL.to_vec();
    auth.rotate_left(usize::from(first) % AuthProtocol::ALL.len());
    let mut line = Line::new(server(&auth));
    for step in steps(script) {
        line.step(step);
        if let Some(network) = line.up() {
            assert!(line.is_accepted(), "up without a verdict");
            assert_eq!((network.local, network.remote), (GATEWAY, ADDRESS));
        }
    }
    line.end();
});
