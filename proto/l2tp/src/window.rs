//! How many messages may be under way: the peer's receive window, and slow start with congestion
//! avoidance inside it (RFC 2661 §5.8 and appendix A).

/// The send window, in messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// What the peer can take.
    peer: u16,
    /// Congestion window.
    size: u16,
    /// Below it the window grows with every acknowledgement, from it on with every full window.
    threshold: u16,
    /// Acknowledgements since the window last grew above the threshold.
    credit: u16,
}

impl Window {
    pub(crate) fn new(peer: u16) -> Self {
        let peer = peer.max(1);
        Self { peer, size: 1, threshold: peer, credit: 0 }
    }

    /// Takes the peer's window from its SCCRP.
    pub(crate) fn set_peer(&mut self, peer: u16) {
        self.peer = peer.max(1);
        self.threshold = self.peer;
        self.size = self.size.min(self.peer);
    }

    /// What the peer can take.
    pub(crate) fn peer(self) -> u16 {
        self.peer
    }

    /// Messages that may be under way now.
    pub(crate) fn size(self) -> usize {
        usize::from(self.size)
    }

    /// `count` messages were acknowledged.
    pub(crate) fn grow(&mut self, count: u16) {
        for _ in 0..count {
            if self.size >= self.peer {
                return;
            }
            if self.size < self.threshold {
                self.size += 1;
                continue;
            }
            self.credit += 1;
            if self.credit >= self.size {
                self.credit = 0;
                self.size += 1;
            }
        }
    }

    /// A message was not acknowledged in time.
    pub(crate) fn shrink(&mut self) {
        self.threshold = (self.size / 2).max(1);
        self.size = 1;
        self.credit = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_slowly_and_never_exceeds_the_peer() {
        let mut window = Window::new(8);
        assert_eq!(window.size(), 1);
        window.grow(1);
        assert_eq!(window.size(), 2);
        window.grow(2);
        assert_eq!(window.size(), 4);
        window.grow(1000);
        assert_eq!(window.size(), 8);
        let mut one = Window::new(1);
        one.grow(9);
        assert_eq!(one.size(), 1);
        assert_eq!(Window::new(0).size(), 1);
    }

    #[test]
    fn after_a_loss_it_is_careful_above_half() {
        let mut window = Window::new(16);
        window.grow(7);
        assert_eq!(window.size(), 8);
        window.shrink();
        assert_eq!(window.size(), 1);
        window.grow(3);
        assert_eq!(window.size(), 4, "slow start to half of what it was");
        window.grow(3);
        assert_eq!(window.size(), 4);
        window.grow(1);
        assert_eq!(window.size(), 5, "one more for each full window");
    }
}
