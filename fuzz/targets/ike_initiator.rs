//! An IKE initiator against a server that sends anything and whose cryptography the fuzzer can do.
#![no_main]

use std::sync::Arc;

use isthmus_fuzz::ike::{Line, Transparent};
use isthmus_fuzz::steps;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut line = Line::initiator(Arc::new(Transparent::default()));
    steps(input).for_each(|step| line.step(step));
    line.end();
});
