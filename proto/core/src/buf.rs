//! A packet with room in front and behind, so that headers go on and off without copying.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::{Deref, DerefMut};

/// A fixed block of memory with a window of valid bytes.
///
/// Headers are added by growing the window into the headroom. Every method that cannot do what it
/// was asked says so and changes nothing.
#[derive(Default)]
pub struct Buf {
    block: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buf {
    /// Headroom that fits outer IPv6 + UDP + ESP + IV + UDP + L2TP + PPP headers.
    pub const HEADROOM: usize = 128;
    /// Tailroom that fits ESP padding, trailer and the longest ICV.
    pub const TAILROOM: usize = 64;

    /// An empty buffer for up to `capacity` bytes of payload, with standard head- and tailroom.
    pub fn with_capacity(capacity: usize) -> Self {
        let block = vec![0; Self::HEADROOM + capacity + Self::TAILROOM].into_boxed_slice();
        Self { block, start: Self::HEADROOM, end: Self::HEADROOM }
    }

    /// A buffer holding a copy of `bytes`, with standard head- and tailroom.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buf = Self::with_capacity(bytes.len());
        buf.end = buf.start + bytes.len();
        buf.copy_from_slice(bytes);
        buf
    }

    /// Forgets the content and restores the standard headroom, for use again.
    pub fn clear(&mut self) {
        self.start = Self::HEADROOM.min(self.block.len());
        self.end = self.start;
    }

    /// The free block behind the headroom, to receive into; finish with [`Buf::set_len`].
    pub fn spare(&mut self) -> &mut [u8] {
        self.clear();
        let end = self.block.len().saturating_sub(Self::TAILROOM).max(self.start);
        self.block.get_mut(self.start..end).unwrap_or_default()
    }

    /// Makes the first `len` bytes after the start the content; false when they do not fit.
    pub fn set_len(&mut self, len: usize) -> bool {
        let end = self.start.saturating_add(len);
        let fits = end <= self.block.len();
        if fits {
            self.end = end;
        }
        fits
    }

    /// Bytes free in front.
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Bytes free behind.
    pub fn tailroom(&self) -> usize {
        self.block.len() - self.end
    }

    /// Grows the window by `n` bytes in front and returns them (content unspecified).
    pub fn push_front(&mut self, n: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(n)?;
        self.block.get_mut(self.start..self.start + n)
    }

    /// Grows the window by `n` bytes behind and returns them (content unspecified).
    pub fn push_back(&mut self, n: usize) -> Option<&mut [u8]> {
        let end = self.end.checked_add(n).filter(|&end| end <= self.block.len())?;
        let added = self.block.get_mut(self.end..end);
        self.end = end;
        added
    }

    /// Takes `n` bytes off the front; false when there are fewer.
    pub fn trim_front(&mut self, n: usize) -> bool {
        let fits = n <= self.len();
        if fits {
            self.start += n;
        }
        fits
    }

    /// Takes `n` bytes off the back; false when there are fewer.
    pub fn trim_back(&mut self, n: usize) -> bool {
        let fits = n <= self.len();
        if fits {
            self.end -= n;
        }
        fits
    }
}

impl Deref for Buf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or_default()
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.block.get_mut(self.start..self.end).unwrap_or_default()
    }
}

impl core::fmt::Debug for Buf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Buf({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_on_and_off_in_place() {
        let mut buf = Buf::copy_of(b"payload");
        buf.push_front(2).unwrap().copy_from_slice(b"h:");
        buf.push_back(2).unwrap().copy_from_slice(b":t");
        assert_eq!(&*buf, b"h:payload:t");
        assert!(buf.trim_front(2) && buf.trim_back(2));
        assert_eq!(&*buf, b"payload");
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut buf = Buf::copy_of(b"ab");
        assert!(!buf.trim_front(3) && !buf.trim_back(3));
        assert!(buf.push_front(Buf::HEADROOM + 1).is_none());
        assert!(buf.push_back(Buf::TAILROOM + 1).is_none());
        assert!(!buf.set_len(1 << 20));
        assert_eq!(&*buf, b"ab");
    }

    #[test]
    fn a_received_packet_has_standard_room() {
        let mut buf = Buf::with_capacity(2048);
        let spare = buf.spare();
        assert_eq!(spare.len(), 2048);
        spare[..3].copy_from_slice(b"abc");
        assert!(buf.set_len(3));
        assert_eq!(&*buf, b"abc");
        assert_eq!(buf.headroom(), Buf::HEADROOM);
    }
}
