//! EAP packets to a server and to a client that have agreed on EAP with MS-CHAPv2: what is refused
//! changes nothing, nobody is up without a verdict or a proof, and both come to an end.
#![no_main]

use isthmus_fuzz::ppp::{Line, client, server};
use isthmus_fuzz::steps;
use isthmus_ppp::AuthProtocol;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let eap = [AuthProtocol::EapMsChapV2];
    let mut server = Line::new(server(&eap));
    server.open_lcp(&[]);
    let mut client = Line::new(client(&eap, true));
    client.open_lcp(&[3, 4, 0xc2, 0x27]);
    for step in steps(input) {
        for line in [&mut server, &mut client] {
            if step.op < 128 { line.eap(step.bytes) } else { line.step(step) }
        }
        assert!(server.up().is_none() || server.is_accepted(), "up without a verdict");
        assert!(client.up().is_none(), "up with an impostor");
    }
    server.end();
    client.end();
});
