//! The window against a naive model, and the inference of 64-bit numbers.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use proptest::prelude::*;

use crate::{DropReason, REPLAY_WINDOW, ReplayWindow};

/// A window that remembers everything.
#[derive(Default)]
struct Model {
    top: u64,
    seen: BTreeSet<u64>,
}

impl Model {
    fn commit(&mut self, seq: u64) -> Result<(), DropReason> {
        if seq == 0 || seq.saturating_add(REPLAY_WINDOW) <= self.top {
            return Err(DropReason::TooOld);
        }
        if !self.seen.insert(seq) {
            return Err(DropReason::Replayed);
        }
        self.top = self.top.max(seq);
        Ok(())
    }
}

/// Jumps of every interesting size, both ways.
fn steps() -> impl Strategy<Value = Vec<(bool, u64)>> {
    let distance = prop_oneof![
        4 => 0..4u64,
        4 => 0..130u64,
        2 => REPLAY_WINDOW - 70..REPLAY_WINDOW + 70,
        1 => 0..3 * REPLAY_WINDOW,
        1 => (1u64 << 32) - 100..(1 << 32) + 100,
    ];
    prop::collection::vec((any::<bool>(), distance), 1..300)
}

proptest! {
    #[test]
    fn the_window_agrees_with_a_naive_model(start in 0..1u64 << 40, steps in steps()) {
        let (mut window, mut model) = (ReplayWindow::new(), Model::default());
        let mut at = start;
        for (forward, distance) in steps {
            at = if forward { at + distance } else { model.top.saturating_sub(distance) };
            let before = window.clone();
            let expected = model.commit(at);
            prop_assert_eq!(window.check(at), expected);
            prop_assert_eq!(&window, &before);
            prop_assert_eq!(window.commit(at), expected);
            prop_assert_eq!(window.top(), model.top);
            if expected.is_err() {
                prop_assert_eq!(&window, &before);
            }
        }
    }

    #[test]
    fn a_resumed_window_refuses_the_past_and_works_on(top in 0..1u64 << 40, steps in steps()) {
        let mut window = ReplayWindow::resume(top);
        let past = (top + 1).saturating_sub(REPLAY_WINDOW)..=top;
        let mut model = Model { top, seen: past.clone().collect() };
        for seq in past {
            prop_assert!(window.commit(seq).is_err());
        }
        for (forward, distance) in steps {
            let at = if forward { model.top + distance } else { model.top.saturating_sub(distance) };
            prop_assert_eq!(window.commit(at), model.commit(at));
        }
    }

    #[test]
    fn every_number_near_the_window_is_inferred_from_its_lower_half(
        top in prop_oneof![0..1u64 << 34, any::<u64>(), (0..100u64).prop_map(|k| (7 << 32) + k)],
        ahead in prop_oneof![0..10u64, 0..(1u64 << 32) - REPLAY_WINDOW],
        behind in 0..REPLAY_WINDOW,
    ) {
        let window = ReplayWindow::resume(top);
        if let Some(seq) = top.checked_add(ahead) {
            prop_assert_eq!(window.infer(crate::batch::low(seq)), Some(seq));
        }
        if let Some(seq) = top.checked_sub(behind) {
            prop_assert_eq!(window.infer(crate::batch::low(seq)), Some(seq));
        }
    }
}

#[test]
fn the_window_is_at_least_1024_wide_and_has_exact_edges() {
    const { assert!(REPLAY_WINDOW >= 1024) };
    let mut window = ReplayWindow::new();
    window.commit(5000).unwrap();
    assert_eq!(window.check(5000 - REPLAY_WINDOW), Err(DropReason::TooOld));
    assert_eq!(window.check(5000 - REPLAY_WINDOW + 1), Ok(()));
    assert_eq!(window.check(5000), Err(DropReason::Replayed));
    assert_eq!(window.check(u64::MAX), Ok(()));
}

#[test]
fn zero_is_never_accepted() {
    let mut window = ReplayWindow::new();
    assert_eq!(window.commit(0), Err(DropReason::TooOld));
    window.commit(1).unwrap();
    assert_eq!(window.commit(0), Err(DropReason::TooOld));
}

#[test]
fn the_upper_half_follows_rfc_4303_appendix_a2() {
    let half = 1u64 << 32;
    let w = REPLAY_WINDOW;
    let low = |seq: u64| crate::batch::low(seq);
    // Case A: the window lies in one subspace.
    let window = ReplayWindow::resume(3 * half + 2 * w);
    assert_eq!(window.infer(low(2 * w)), Some(3 * half + 2 * w));
    assert_eq!(window.infer(low(w + 1)), Some(3 * half + w + 1));
    assert_eq!(window.infer(low(w)), Some(4 * half + w));
    assert_eq!(window.infer(u32::MAX), Some(4 * half - 1));
    // Case B: the window spans two subspaces.
    let window = ReplayWindow::resume(3 * half + 10);
    assert_eq!(window.infer(u32::MAX), Some(3 * half - 1));
    assert_eq!(window.infer(low(half + 11 - w)), Some(2 * half + half + 11 - w));
    assert_eq!(window.infer(low(half + 10 - w)), Some(3 * half + half + 10 - w));
    assert_eq!(window.infer(0), Some(3 * half));
    // Before the first number and behind the last there is none.
    assert_eq!(ReplayWindow::new().infer(u32::MAX), None);
    assert_eq!(ReplayWindow::new().infer(1), Some(1));
    assert_eq!(ReplayWindow::resume(u64::MAX).infer(0), None);
}
