//! An L2TP network server, without and with a tunnel secret, against a client that sends anything: what
//! is refused changes nothing, what is said is sound and bounded, and silence ends everything. A client
//! that knows the secret hides AVPs; what a LAC has negotiated is taken over where it can be.
#![no_main]

use isthmus_core::SecretBytes;
use isthmus_fuzz::l2tp::Line;
use isthmus_fuzz::steps;
use isthmus_l2tp::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for secret in [None, Some(SecretBytes::copy_of(b"secret"))] {
        let mut line = Line::new(Config { secret, ..Config::lns(b"lns") });
        steps(input).for_each(|step| line.step(step));
        line.end();
    }
});
