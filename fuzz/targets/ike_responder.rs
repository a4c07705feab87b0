//! An IKE responder against peers that send anything and whose cryptography the fuzzer can do: SAs
//! are installed only for who is up, nothing is amplified, nothing is left in the end.
#![no_main]

use std::sync::Arc;

use isthmus_fuzz::ike::{Line, Transparent};
use isthmus_fuzz::steps;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut line = Line::responder(Arc::new(Transparent::default()));
    steps(input).for_each(|step| line.step(step));
    line.end();
});
