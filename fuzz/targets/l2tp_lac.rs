//! An L2TP access concentrator, our client, against a server that sends anything; in the dialects
//! of the clients we can be taken for.
#![no_main]

use isthmus_fuzz::l2tp::Line;
use isthmus_fuzz::steps;
use isthmus_l2tp::{Config, Dialect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&first, script)) = input.split_first() else { return };
    let dialect = match first % 5 {
        0 => Dialect::isthmus(b"lac"),
        1 => Dialect::windows(b"lac", 0x0a00),
        2 => Dialect::apple(b"lac"),
        3 => Dialect::android(),
        _ => Dialect::xl2tpd(b"lac"),
    };
    let tie_breaker = first & 0x80 != 0;
    let mut line = Line::new(Config { tie_breaker, ..Config::lac(b"lac", dialect) });
    steps(script).for_each(|step| line.step(step));
    line.end();
});
