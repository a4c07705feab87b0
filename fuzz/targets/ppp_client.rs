//! A PPP client against a server that sends anything: one that insists on MS-CHAPv2 is never up with
//! a server that does not know the password, and every client comes to an end.
#![no_main]

use isthmus_fuzz::ppp::{Line, client};
use isthmus_fuzz::steps;
use isthmus_ppp::AuthProtocol;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&first, script)) = input.split_first() else { return };
    let strict = first % 2 == 0;
    let auth: &[_] = if strict { &[AuthProtocol::MsChapV2] } else { &AuthProtocol::ALL };
    let mut line = Line::new(client(auth, strict));
    for step in steps(script) {
        line.step(step);
        assert!(!strict || line.up().is_none(), "up with an impostor");
    }
    line.end();
});
