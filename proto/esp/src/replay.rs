//! The anti-replay window (RFC 4303 §3.4.3) over 64-bit sequence numbers.
//!
//! A ring of bitmap words, as RFC 6479 proposes: moving the window clears whole words instead of
//! shifting bits. One word more than the window is kept, because the word that holds the newest number
//! is partly ahead of it.

use crate::DropReason;

/// How far behind the newest number a packet may arrive. Enough for the reordering of multi-queue
/// network cards and of parallel links.
pub const REPLAY_WINDOW: u64 = (WORDS as u64 - 1) * WORD_BITS;

/// Which sequence numbers were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    /// The highest number accepted; zero at first.
    top: u64,
    /// Bit `seq % 64` of word `seq / 64 % WORDS` says that `seq` was seen.
    words: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplayWindow {
    /// A window that has seen nothing.
    pub const fn new() -> Self {
        Self { top: 0, words: [0; WORDS] }
    }

    /// A window that counts everything up to `top` as seen.
    pub fn resume(top: u64) -> Self {
        let mut words = [u64::MAX; WORDS];
        let (word, bit) = place(top);
        if let Some(word) = words.get_mut(word) {
            // Numbers above the top share its word and are not seen yet.
            *word = bit | (bit - 1);
        }
        Self { top, words }
    }

    /// The highest number accepted.
    pub const fn top(&self) -> u64 {
        self.top
    }

    /// Whether the number would be accepted. Changes nothing, so it may be asked before the packet
    /// is authenticated.
    ///
    /// # Errors
    /// [`DropReason::Replayed`]; [`DropReason::TooOld`] when it is left of the window or zero, which no
    /// sender uses (RFC 4303 §3.3.3).
    pub fn check(&self, seq: u64) -> Result<(), DropReason> {
        if seq > self.top {
            return Ok(());
        }
        if seq == 0 || self.top - seq >= REPLAY_WINDOW {
            return Err(DropReason::TooOld);
        }
        let (word, bit) = place(seq);
        let seen = self.words.get(word).is_none_or(|word| word & bit != 0);
        if seen { Err(DropReason::Replayed) } else { Ok(()) }
    }

    /// Remembers the number of an authenticated packet, or refuses it and changes nothing.
    ///
    /// # Errors
    /// As [`ReplayWindow::check`].
    pub fn commit(&mut self, seq: u64) -> Result<(), DropReason> {
        self.check(seq)?;
        if seq > self.top {
            self.advance(seq);
        }
        let (word, bit) = place(seq);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
        Ok(())
    }

    /// The 64-bit number whose lower half travelled (RFC 4303 appendix A2.1): the upper half is the
    /// one that places the number in the window or as little as possible ahead of it. None when
    /// that would be before the first number.
    pub fn infer(&self, low: u32) -> Option<u64> {
        let (low, half) = (u64::from(low), 1 << 32);
        let (top_high, top_low) = (self.top / half, self.top % half);
        let bottom = top_low.wrapping_sub(REPLAY_WINDOW - 1) % half;
        let high = if top_low >= REPLAY_WINDOW - 1 {
            // Case A: the window lies in one subspace.
            if low >= bottom { Some(top_high) } else { top_high.checked_add(1) }
        } else if low >= bottom {
            // Case B: the window begins in the subspace before.
            top_high.checked_sub(1)
        } else {
            Some(top_high)
        };
        high?.checked_mul(half)?.checked_add(low)
    }

    /// Moves the top, forgetting the words that come into use again.
    fn advance(&mut self, seq: u64) {
        let from = self.top / WORD_BITS;
        let steps = (seq / WORD_BITS - from).min(WORDS as u64);
        for step in 1..=steps {
            let (word, _) = place(from.wrapping_add(step).wrapping_mul(WORD_BITS));
            if let Some(word) = self.words.get_mut(word) {
                *word = 0;
            }
        }
        self.top = seq;
    }
}

/// The word of a number and its bit in it.
const fn place(seq: u64) -> (usize, u64) {
    let word = (seq / WORD_BITS % WORDS as u64) as usize;
    (word, 1 << (seq % WORD_BITS))
}

const WORD_BITS: u64 = 64;
const WORDS: usize = 32;
