//! What may be sent to an address that anybody could have written into a packet.

/// Bytes heard from an address and said to it. Nobody who fakes the address of another makes us send
/// that one more than he sends himself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    heard: usize,
    said: usize,
}

impl Allowance {
    /// For an address that a message of so many bytes came from.
    pub(crate) const fn new(heard: usize) -> Self {
        Self { heard, said: 0 }
    }

    /// Another message came.
    pub(crate) const fn hear(&mut self, len: usize) {
        self.heard = self.heard.saturating_add(len);
    }

    /// Whether a message may be sent; if so, it is taken as sent.
    pub(crate) const fn say(&mut self, len: usize) -> bool {
        let said = self.said.saturating_add(len);
        let fits = said <= self.heard;
        if fits {
            self.said = said;
        }
        fits
    }
}
