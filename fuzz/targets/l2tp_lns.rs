//! An L2TP network server against a client that sends anything: what is refused changes nothing, what
//! is said is sound and bounded, and silence ends everything.
#![no_main]

use isthmus_fuzz::l2tp::Line;
use isthmus_fuzz::steps;
use isthmus_l2tp::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut line = Line::new(Config::lns(b"lns"));
    steps(input).for_each(|step| line.step(step));
    line.end();
});
