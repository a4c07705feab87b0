//! Both roles of IKE against peers without the pre-shared key, with real cryptography: nobody is ever
//! authenticated.
#![no_main]

use isthmus_fuzz::ike::Line;
use isthmus_fuzz::steps;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&first, script)) = input.split_first() else { return };
    let provider = isthmus_crypto_aws::provider();
    let mut line =
        if first % 2 == 0 { Line::responder(provider) } else { Line::initiator(provider) };
    for step in steps(script) {
        line.step(step);
        assert!(!line.ever_up(), "a stranger was authenticated");
    }
    line.end();
});
