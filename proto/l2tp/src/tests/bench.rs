//! One LNS and a client made of bytes.

use std::sync::Arc;
use std::vec::Vec;

use isthmus_core::{Duration, Instant};

use super::bytes::{control, iccn, icrq, must, sccrq};
use super::md5;
use crate::auth;
use crate::avp::Avp;
use crate::iana::{AttributeType, MessageType};
use crate::{Action, Config, Endpoint, Message, Rejected, SessionUp};

/// The port the client sends from.
pub(crate) const PORT: u16 = 50_000;
/// The tunnel id of [`sccrq`].
pub(crate) const CLIENT_TUNNEL: u16 = 0x0b0b;
/// The session id of [`icrq`].
pub(crate) const CLIENT_SESSION: u16 = 0x0c0c;

/// An LNS under test.
pub(crate) struct Bench {
    pub(crate) lns: Endpoint,
    pub(crate) now: Instant,
    /// Everything but transmissions, in order.
    pub(crate) done: Vec<Action>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Config::lns(b"gateway"))
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::seeded(config, 9)
    }

    pub(crate) fn seeded(config: Config, seed: u8) -> Self {
        let lns = Endpoint::new(Arc::new(config), md5(), [seed; 32], Instant::ZERO);
        Self { lns, now: Instant::from_secs(100), done: Vec::new() }
    }

    /// Feeds a message that must be taken; returns what is sent.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.lns.handle_control(PORT, bytes, self.now).unwrap();
        self.drain()
    }

    /// Feeds a message that must be rejected and change nothing.
    pub(crate) fn reject(&mut self, bytes: &[u8]) -> Rejected {
        let before = (self.lns.record(), self.lns.tunnel_count(), self.lns.poll_timeout());
        let rejected = self.lns.handle_control(PORT, bytes, self.now).unwrap_err();
        let after = (self.lns.record(), self.lns.tunnel_count(), self.lns.poll_timeout());
        assert_eq!(before, after, "a rejected message changed something");
        assert_eq!(self.lns.poll_action(), None, "a rejected message caused an action");
        rejected
    }

    pub(crate) fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(action) = self.lns.poll_action() {
            if let Action::Transmit { to_port, bytes } = action {
                assert_eq!(to_port, PORT);
                sent.push(bytes);
            } else {
                self.done.push(action);
            }
        }
        sent
    }

    /// Lets time pass; returns what is sent.
    pub(crate) fn pass(&mut self, duration: Duration) -> Vec<Vec<u8>> {
        let end = self.now + duration;
        let mut sent = Vec::new();
        while let Some(next) = self.lns.poll_timeout().filter(|next| next.at <= end) {
            self.now = self.now.max(next.at);
            self.lns.handle_timeout(self.now);
            sent.extend(self.drain());
        }
        self.now = end;
        sent
    }

    /// SCCRQ to SCCCN; returns our tunnel id.
    pub(crate) fn tunnel(&mut self) -> u16 {
        let id = assigned(&self.feed(&sccrq())[0]);
        let sent = self.feed(&control((id, 0), (1, 1), &[must(0, &[0, 3])]));
        assert_eq!(kinds(&sent), [None], "SCCCN is acknowledged at once");
        id
    }

    /// A session in a tunnel; returns our ids.
    pub(crate) fn session(&mut self) -> (u16, u16) {
        let tunnel = self.tunnel();
        let session = assigned(&self.feed(&icrq(tunnel, (2, 1), &[]))[0]);
        self.feed(&iccn((tunnel, session), 3, &[]));
        (tunnel, session)
    }

    /// One more tunnel and session come up as if nothing had happened before.
    pub(crate) fn a_good_client_still_connects(&mut self, secret: Option<&[u8]>) {
        let avps = [
            must(0, &[0, 1]),
            must(2, &[1, 0]),
            must(3, &[0, 0, 0, 3]),
            must(7, b"good"),
            must(9, &[0x0a, 0x0a]),
        ];
        let sccrp = self.feed(&control((0, 0), (0, 0), &avps)).remove(0);
        let tunnel = assigned(&sccrp);
        let mut scccn = std::vec![must(0, &[0, 3])];
        if let Some(secret) = secret {
            let Some(Avp::Challenge(challenge)) = find(&sccrp, AttributeType::CHALLENGE) else {
                unreachable!("no challenge")
            };
            let bytes = challenge.as_bytes();
            let response = auth::response(&*md5(), MessageType::SCCCN, secret, bytes).unwrap();
            scccn.push(must(13, &response));
        }
        self.feed(&control((tunnel, 0), (1, 1), &scccn));
        let avps = [must(0, &[0, 10]), must(14, &[0x0a, 0x0b]), must(15, &[0; 4])];
        let session = assigned(&self.feed(&control((tunnel, 0), (2, 1), &avps))[0]);
        self.feed(&iccn((tunnel, session), 3, &[]));
        assert_eq!((self.up().remote_tunnel, self.up().remote_session), (0x0a0a, 0x0a0b));
    }

    /// The last session that came up.
    pub(crate) fn up(&self) -> &SessionUp {
        for action in self.done.iter().rev() {
            if let Action::SessionUp(up) = action {
                return up;
            }
        }
        unreachable!("no session came up: {:?}", self.done)
    }
}

/// The types of messages, `None` for a ZLB.
pub(crate) fn kinds(messages: &[Vec<u8>]) -> Vec<Option<MessageType>> {
    messages.iter().map(|m| super::pair::kind_of(m)).collect()
}

/// The value of an AVP in a message of ours.
pub(crate) fn find(message: &[u8], attribute: AttributeType) -> Option<Avp> {
    let payload = Message::read(message).unwrap().payload.unwrap();
    let raw = payload.avps.iter().find(|avp| avp.attribute == attribute)?;
    Some(Avp::read(raw, None, None).unwrap())
}

/// The tunnel or session id that a message of ours assigns.
pub(crate) fn assigned(message: &[u8]) -> u16 {
    let tunnel = find(message, AttributeType::ASSIGNED_TUNNEL_ID);
    let session = find(message, AttributeType::ASSIGNED_SESSION_ID);
    match session.or(tunnel) {
        Some(Avp::AssignedTunnelId(id) | Avp::AssignedSessionId(id)) => id,
        other => unreachable!("{other:?}"),
    }
}

/// Result and error code of a `StopCCN` or CDN of ours.
pub(crate) fn result(message: &[u8]) -> (u16, u16) {
    let Some(Avp::ResultCode(result)) = find(message, AttributeType::RESULT_CODE) else {
        unreachable!("no result code")
    };
    (result.code, result.error.unwrap().0)
}
