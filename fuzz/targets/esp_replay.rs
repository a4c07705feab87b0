//! The replay window against a model: a set of every number committed.
#![no_main]

use std::collections::BTreeSet;

use isthmus_esp::{REPLAY_WINDOW, ReplayWindow};
use libfuzzer_sys::fuzz_target;

/// What RFC 4303 §3.4.3 says, kept the slow way.
#[derive(Default)]
struct Model {
    seen: BTreeSet<u64>,
    top: u64,
}

impl Model {
    fn accepts(&self, seq: u64) -> bool {
        let too_old = self.top.saturating_sub(seq) >= window();
        seq != 0 && !too_old && !self.seen.contains(&seq)
    }

    fn commit(&mut self, seq: u64) {
        self.seen.insert(seq);
        self.top = self.top.max(seq);
    }
}

fn window() -> u64 {
    REPLAY_WINDOW
}

/// One step: how the next number is made from the top, and by how much.
fn number(step: &[u8; 5], top: u64) -> u64 {
    let distance = u64::from(u32::from_be_bytes([step[1], step[2], step[3], step[4]]));
    match step[0] % 6 {
        0 => top.wrapping_add(distance % 4),
        1 => top.wrapping_sub(distance % (2 * window())),
        2 => top.wrapping_add(distance % (2 * window())),
        3 => top.wrapping_add(distance << 8),
        4 => distance,
        _ => u64::MAX - distance % (2 * window()),
    }
}

fuzz_target!(|input: &[u8]| {
    let mut replay = ReplayWindow::new();
    let mut model = Model::default();
    for step in input.as_chunks::<5>().0 {
        let seq = number(step, model.top);
        let before = replay.top();
        assert_eq!(replay.check(seq).is_ok(), model.accepts(seq), "check of {seq} at {before}");
        assert_eq!(replay.top(), before, "a check changes nothing");
        let accepted = replay.commit(seq).is_ok();
        assert_eq!(accepted, model.accepts(seq), "commit of {seq} at {before}");
        if accepted {
            model.commit(seq);
            assert!(replay.check(seq).is_err(), "{seq} passes only once");
        }
        assert_eq!(replay.top(), model.top);
    }
    let copy = ReplayWindow::resume(replay.top());
    for seq in &model.seen {
        assert!(copy.check(*seq).is_err(), "a resumed window takes back no number");
    }
});
