//! Finds out whether large packets pass, by LCP echoes of several sizes.
//!
//! A path that drops large packets and the ICMP that would tell lets a client connect and then hang.
//! An Echo-Reply carries the data of its request (RFC 1661 §5.8), so an echo as large as the session's
//! largest packet tries both directions. When it does not come back, smaller ones follow; only when a
//! smaller one does come back is a narrow path claimed. A client that answers no echo with data tells
//! nothing.

use alloc::vec::Vec;

use isthmus_core::{Duration, Instant};
use isthmus_ppp::Frame;
use isthmus_ppp::iana::Protocol;

/// The echoes of one session.
#[derive(Debug)]
pub(crate) struct PathProbe {
    /// Sizes still to try, the largest last, each the length of the whole PPP packet.
    left: Vec<u16>,
    /// The largest one, which ought to pass.
    most: u16,
    /// The smallest size that did not come back.
    lost: Option<u16>,
    tries: u8,
    next: Instant,
}

/// What was found: a size that passes, and the smallest tried one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NarrowPath {
    pub(crate) passes: u16,
    pub(crate) lost: u16,
}

impl PathProbe {
    /// Begins soon, for a session whose largest packet has `mtu` bytes.
    pub(crate) fn new(mtu: u16, now: Instant) -> Self {
        let mut left: Vec<u16> = SIZES.into_iter().filter(|size| *size < mtu).collect();
        left.push(mtu);
        Self { left, most: mtu, lost: None, tries: 0, next: now + PROBE_AFTER }
    }

    /// When [`PathProbe::handle_timeout`] is due; none when all is said.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (!self.left.is_empty()).then_some(self.next)
    }

    /// The size of the echo to send, when one is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<u16> {
        if now < self.next {
            return None;
        }
        if self.tries >= PROBE_TRIES_MAX {
            self.lost = self.left.pop();
            self.tries = 0;
        }
        self.tries += 1;
        self.next = now + PROBE_INTERVAL;
        self.left.last().copied()
    }

    /// Looks at a frame of the client; something when it settles that the path is narrow.
    pub(crate) fn handle_frame(&mut self, frame: &[u8]) -> Option<NarrowPath> {
        let Ok(Frame { protocol: Protocol::LCP, body }) = Frame::read(frame) else { return None };
        if body.first() != Some(&ECHO_REPLY) || self.left.is_empty() {
            return None;
        }
        let passes = u16::try_from(body.len()).ok()?;
        if passes == self.most {
            self.left.clear();
            return None;
        }
        if self.left.last() != Some(&passes) {
            return None;
        }
        self.left.clear();
        self.lost.map(|lost| NarrowPath { passes, lost })
    }
}

/// Bytes of an Echo-Request before its data: code, identifier, length, magic number.
pub(crate) const ECHO_HEADER_LEN: u16 = 8;
const ECHO_REPLY: u8 = 10;
/// Smaller sizes to try.
const SIZES: [u16; 3] = [576, 1000, 1280];
/// Most echoes of one size.
pub(crate) const PROBE_TRIES_MAX: u8 = 4;
/// After the session is up.
const PROBE_AFTER: Duration = Duration::from_secs(3);
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(size: u16) -> Vec<u8> {
        let mut frame = alloc::vec![0; usize::from(size) + 4];
        frame[..5].copy_from_slice(&[0xff, 3, 0xc0, 0x21, ECHO_REPLY]);
        frame
    }

    /// Sizes sent until all is said, on a path that lets `passes` through.
    fn run(mtu: u16, passes: u16) -> (Vec<u16>, Option<NarrowPath>) {
        let mut probe = PathProbe::new(mtu, Instant::ZERO);
        let (mut sent, mut found) = (Vec::new(), None);
        while let Some(now) = probe.poll_timeout() {
            let Some(size) = probe.handle_timeout(now) else { continue };
            sent.push(size);
            if size <= passes {
                found = probe.handle_frame(&reply(size));
            }
        }
        (sent, found)
    }

    #[test]
    fn a_wide_path_costs_one_echo() {
        assert_eq!(run(1400, 1500), ([1400].to_vec(), None));
    }

    #[test]
    fn a_narrow_path_is_named_with_what_passes() {
        let (sent, found) = run(1400, 1290);
        assert_eq!(found, Some(NarrowPath { passes: 1280, lost: 1400 }));
        assert_eq!(sent, [1400, 1400, 1400, 1400, 1280]);
        assert_eq!(run(1400, 600).1, Some(NarrowPath { passes: 576, lost: 1000 }));
    }

    #[test]
    fn a_client_that_answers_no_echo_tells_nothing() {
        let (sent, found) = run(1400, 0);
        assert_eq!((sent.len(), found), (4 * usize::from(PROBE_TRIES_MAX), None));
    }

    #[test]
    fn a_late_answer_to_the_largest_echo_settles_it() {
        let mut probe = PathProbe::new(1400, Instant::ZERO);
        for second in [3, 5, 7, 9, 11] {
            probe.handle_timeout(Instant::from_secs(second));
        }
        assert_eq!(probe.handle_frame(&reply(1400)), None);
        assert_eq!(probe.poll_timeout(), None);
        assert_eq!(probe.handle_frame(&reply(1280)), None);
    }

    #[test]
    fn echoes_of_other_sizes_are_not_ours() {
        let mut probe = PathProbe::new(1400, Instant::ZERO);
        probe.handle_timeout(Instant::from_secs(3));
        for size in [8, 576, 1280] {
            assert_eq!(probe.handle_frame(&reply(size)), None);
        }
        assert!(probe.poll_timeout().is_some());
    }
}
