//! A peer written down packet by packet, against a real link.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use isthmus_core::Instant;

use super::pair::link;
use crate::iana::{Code, Protocol};
use crate::packet::Packet;
use crate::{Action, AuthRequest, Frame, Link, LinkConfig, Rejected};

pub(super) struct Script {
    pub(super) link: Link,
    pub(super) now: Instant,
    /// Frames the link sent and the script has not looked at.
    pub(super) frames: VecDeque<Vec<u8>>,
    /// Its other actions.
    pub(super) saw: VecDeque<Action>,
}

/// A packet the link sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) id: u8,
    pub(super) data: Vec<u8>,
}

impl Script {
    /// A script with an opened link.
    pub(super) fn new(config: LinkConfig) -> Self {
        let mut script = Self {
            link: link(config, 3),
            now: Instant::ZERO,
            frames: VecDeque::new(),
            saw: VecDeque::new(),
        };
        script.link.open(script.now);
        script.collect();
        script
    }

    pub(super) fn collect(&mut self) {
        while let Some(action) = self.link.poll_action() {
            match action {
                Action::Transmit(frame) => self.frames.push_back(frame),
                Action::Authenticate(_)
                | Action::Down(_)
                | Action::Ipv6Down
                | Action::Ipv6Up(_)
                | Action::NetworkDown
                | Action::Up(_) => self.saw.push_back(action),
            }
        }
    }

    pub(super) fn raw(&mut self, frame: &[u8]) -> Result<(), Rejected> {
        let outcome = self.link.handle_frame(frame, self.now);
        self.collect();
        outcome
    }

    /// Sends a packet that must be taken.
    pub(super) fn send(&mut self, protocol: Protocol, code: u8, id: u8, data: &[u8]) {
        let outcome = self.try_send(protocol, code, id, data);
        assert_eq!(outcome, Ok(()), "{protocol:?} code {code}");
    }

    pub(super) fn try_send(
        &mut self,
        protocol: Protocol,
        code: u8,
        id: u8,
        data: &[u8],
    ) -> Result<(), Rejected> {
        let body = Packet { code: Code(code), id, data }.write();
        self.raw(&Frame { protocol, body: &body }.write())
    }

    /// The next packet the link sent, which must be of this kind.
    pub(super) fn expect(&mut self, protocol: Protocol, code: u8) -> Got {
        let frame = self.frames.pop_front().unwrap_or_else(|| {
            panic!("nothing was sent, expected {protocol:?} code {code}; saw {:?}", self.saw)
        });
        let frame = Frame::read(&frame).unwrap();
        let packet = Packet::read(frame.body).unwrap();
        assert_eq!((frame.protocol, packet.code), (protocol, Code(code)), "{:02x?}", frame.body);
        Got { id: packet.id, data: packet.data.to_vec() }
    }

    pub(super) fn expect_silence(&self) {
        assert!(self.frames.is_empty(), "{:02x?}", self.frames);
    }

    pub(super) fn wait_until(&mut self, seconds: u64) {
        let end = Instant::from_secs(seconds);
        while let Some(next) = self.link.poll_timeout().filter(|next| next.at <= end) {
            self.now = self.now.max(next.at);
            self.link.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    /// Acknowledges the link's next request and returns it.
    pub(super) fn acknowledge(&mut self, protocol: Protocol) -> Got {
        let request = self.expect(protocol, 1);
        self.send(protocol, 2, request.id, &request.data);
        request
    }

    /// Opens LCP with this request of the peer's, which must be acknowledged.
    pub(super) fn open_lcp(&mut self, request: &[u8]) {
        self.acknowledge(Protocol::LCP);
        self.send(Protocol::LCP, 1, 1, request);
        assert_eq!(self.expect(Protocol::LCP, 2), Got { id: 1, data: request.to_vec() });
    }

    /// The login the link wants judged.
    pub(super) fn asked(&mut self) -> AuthRequest {
        match self.saw.pop_front() {
            Some(Action::Authenticate(request)) => request,
            other => panic!("expected a login, saw {other:?}"),
        }
    }
}

/// Bytes from hexadecimal digits with spaces.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
