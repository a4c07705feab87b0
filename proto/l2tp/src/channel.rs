//! Reliable delivery of control messages (RFC 2661 §5.8): numbering, acknowledging, retransmitting.
//!
//! ```text
//!   queue:  [ sent and unacknowledged | waiting for the window ]
//!             ^ ns - sent               ^ ns
//!             |<- flight ->|  counts as under way; 1 after a loss
//! ```
//!
//! A message gets its Ns when it is first transmitted and its Nr at every transmission. Whatever is
//! transmitted acknowledges; a ZLB is sent when nothing else is, at once for messages whose sender
//! waits, otherwise after [`ACK_DELAY`]. To a peer whose address is doubted nothing goes by timer. A gap parks what came early until the missing message comes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use isthmus_core::{Deadline, Duration, Instant, Outbox};

use crate::action::Action;
use crate::allowance::Allowance;
use crate::bounds::{PARKED_MAX, SEND_QUEUE_MAX};
use crate::error::Rejected;
use crate::habits::Waits;
use crate::header::Header;
use crate::iana::MessageType;
use crate::stats::Stats;
use crate::window::Window;

/// How long an acknowledgement waits for a message to travel with.
pub const ACK_DELAY: Duration = Duration::from_millis(100);
/// Wait before the first retransmission; it doubles each time.
pub const RETRANSMIT_FIRST: Duration = Duration::from_secs(1);
/// Longest wait between retransmissions (RFC 2661 §5.8 asks for at least 8 s).
pub const RETRANSMIT_CAP: Duration = Duration::from_secs(8);
/// From a message's first transmission until it is given up: 1+2+4+8+8+8 s. RFC 2661 §5.7 calls it
/// the full retransmission interval.
pub const RETRANSMIT_CYCLE: Duration = Duration::from_secs(31);

/// One end of a control channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// The peer's tunnel id, 0 until known.
    remote: u16,
    /// Number of the next message transmitted for the first time.
    ns: u16,
    /// Number of the message expected next.
    nr: u16,
    queue: VecDeque<Outgoing>,
    waits: Waits,
    sent: usize,
    flight: usize,
    window: Window,
    retries: u32,
    retry_at: Option<Instant>,
    ack_at: Option<Instant>,
    parked: Vec<Parked>,
    /// What may be sent; none when the peer is where its messages say.
    allowance: Option<Allowance>,
    /// Ns at the time of a restore: the record may be older than the peer's view, until its first
    /// message in sequence says otherwise.
    restored_at: Option<u16>,
}

#[derive(Debug)]
struct Outgoing {
    kind: MessageType,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Parked {
    ns: u16,
    bytes: Vec<u8>,
}

/// A message that fits the channel; only [`Channel::admit`] makes one.
#[derive(Debug)]
pub(crate) struct Admitted {
    acked: usize,
    /// The peer has acknowledged past our record (after a restore).
    sent_skip: Option<u16>,
    received_skip: Option<u16>,
    order: Order,
}

impl Admitted {
    /// Whether the message is news, so that its sender's address is to be believed.
    pub(crate) fn is_news(&self) -> bool {
        self.acked > 0 || self.sent_skip.is_some() || self.order == Order::Next
    }
}

/// Where a message stands in the peer's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// An earlier one is missing.
    Ahead,
    /// It was taken before.
    Duplicate,
    /// The one expected.
    Next,
    /// A ZLB, outside the sequence.
    Zlb,
}

/// What retransmission timers came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Alive,
    /// A message was not acknowledged in a full cycle.
    Dead,
}

/// Where messages go.
pub(crate) struct Wire<'a> {
    pub(crate) out: &'a mut Outbox<Action>,
    pub(crate) stats: &'a mut Stats,
    pub(crate) to_port: u16,
    pub(crate) now: Instant,
}

impl Wire<'_> {
    fn send(&mut self, bytes: Vec<u8>) {
        self.stats.transmitted += 1;
        self.out.push(Action::Transmit { to_port: self.to_port, bytes });
    }
}

/// Everything of a channel that outlives the process.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) remote: u16,
    pub(crate) ns: u16,
    pub(crate) nr: u16,
    pub(crate) window: u16,
    pub(crate) unacked: Vec<(MessageType, Vec<u8>)>,
    pub(crate) waiting: Vec<(MessageType, Vec<u8>)>,
}

impl Channel {
    pub(crate) fn new(remote: u16, peer_window: u16) -> Self {
        Self {
            remote,
            ns: 0,
            nr: 0,
            queue: VecDeque::new(),
            waits: Waits::default(),
            sent: 0,
            flight: 0,
            window: Window::new(peer_window),
            retries: 0,
            retry_at: None,
            ack_at: None,
            parked: Vec::new(),
            allowance: None,
            restored_at: None,
        }
    }

    /// Sends to the peer no more than `heard` bytes and what else comes from it, and nothing unasked, until
    /// [`Channel::trust`].
    pub(crate) fn doubt(&mut self, heard: usize) {
        self.allowance = Some(Allowance::new(heard));
    }

    /// A message of so many bytes came from where the peer says it is.
    pub(crate) fn hear(&mut self, len: usize) {
        if let Some(allowance) = &mut self.allowance {
            allowance.hear(len);
        }
    }

    /// The peer has shown that it receives what we send.
    pub(crate) fn trust(&mut self, now: Instant) {
        if self.allowance.take().is_some() && self.sent > 0 {
            self.retry_at = Some(now + self.waits.first);
        }
    }

    /// Whether anybody could have written the address of the peer into its messages.
    pub(crate) fn is_doubted(&self) -> bool {
        self.allowance.is_some()
    }

    /// Whether a message fits; changes nothing.
    ///
    /// # Errors
    /// [`Rejected::AckOfUnsent`] and [`Rejected::OutOfWindow`].
    pub(crate) fn admit(&self, header: Header, zlb: bool) -> Result<Admitted, Rejected> {
        let oldest = self.ns.wrapping_sub(u16::try_from(self.sent).unwrap_or(u16::MAX));
        let distance = header.nr.wrapping_sub(oldest);
        let mut sent_skip = None;
        let acked = match usize::from(distance) {
            n if n <= self.sent => n,
            // An old message on its way; it tells nothing new.
            _ if distance >= 0x8000 => 0,
            _ if self.restored_at.is_some() => {
                sent_skip = Some(header.nr);
                0
            }
            _ => return Err(Rejected::AckOfUnsent),
        };
        let ahead = header.ns.wrapping_sub(self.nr);
        let parked = self.parked.iter().any(|p| p.ns == header.ns);
        let order = match ahead {
            _ if zlb => Order::Zlb,
            0 => Order::Next,
            0x8000.. => Order::Duplicate,
            // A retransmission means that the peer waits for this one, so it got acknowledgements
            // for all before it from our predecessor.
            _ if self.restored_at.is_some() && parked => Order::Next,
            n if usize::from(n) <= PARKED_MAX || self.restored_at.is_some() => Order::Ahead,
            _ => return Err(Rejected::OutOfWindow),
        };
        let received_skip = (order == Order::Next && ahead != 0).then_some(header.ns);
        Ok(Admitted { acked, sent_skip, received_skip, order })
    }

    /// Takes note of an admitted message and what it acknowledges.
    pub(crate) fn commit(&mut self, admitted: &Admitted, bytes: &[u8], now: Instant) -> Order {
        self.acknowledged(admitted, now);
        match admitted.order {
            Order::Zlb => {}
            Order::Duplicate => self.ack_at = Some(now),
            Order::Ahead => self.park(bytes),
            Order::Next => {
                if let Some(nr) = admitted.received_skip {
                    self.nr = nr;
                }
                self.restored_at = None;
                self.advance();
            }
        }
        admitted.order
    }

    fn acknowledged(&mut self, admitted: &Admitted, now: Instant) {
        if let Some(ns) = admitted.sent_skip {
            self.skip_to(ns);
        }
        if admitted.acked == 0 {
            return;
        }
        self.queue.drain(..admitted.acked.min(self.queue.len()));
        self.sent = self.sent.saturating_sub(admitted.acked);
        self.flight = self.flight.saturating_sub(admitted.acked);
        self.window.grow(u16::try_from(admitted.acked).unwrap_or(u16::MAX));
        self.retries = 0;
        let waits = self.sent > 0 && self.allowance.is_none();
        self.retry_at = waits.then(|| now + self.waits.first);
    }

    /// Goes on at `ns`, which the peer expects. What the record held as sent is acknowledged thereby;
    /// what was sent since looked like copies to the peer and is sent again.
    fn skip_to(&mut self, ns: u16) {
        let sent = u16::try_from(self.sent).unwrap_or(u16::MAX);
        let recorded = self.restored_at.unwrap_or(self.ns).wrapping_sub(self.ns.wrapping_sub(sent));
        self.queue.drain(..usize::from(recorded).min(self.sent));
        self.ns = ns;
        self.sent = 0;
        self.flight = 0;
        self.retries = 0;
        self.retry_at = None;
    }

    fn park(&mut self, bytes: &[u8]) {
        let Ok((header, _)) = Header::read(bytes) else { return };
        let known = self.parked.iter().any(|p| p.ns == header.ns);
        if !known && self.parked.len() < PARKED_MAX {
            self.parked.push(Parked { ns: header.ns, bytes: bytes.to_vec() });
        }
    }

    fn advance(&mut self) {
        self.nr = self.nr.wrapping_add(1);
        let nr = self.nr;
        self.parked.retain(|p| p.ns.wrapping_sub(nr) < 0x8000);
    }

    /// Counts the SCCRQ that made this channel.
    pub(crate) fn take_first(&mut self) {
        self.advance();
    }

    /// The parked message whose turn has come.
    pub(crate) fn unpark(&mut self) -> Option<Vec<u8>> {
        let index = self.parked.iter().position(|p| p.ns == self.nr)?;
        let parked = self.parked.swap_remove(index);
        self.advance();
        Some(parked.bytes)
    }

    /// Owes the peer an acknowledgement: at once, or when the delay is over.
    pub(crate) fn owe_ack(&mut self, at_once: bool, now: Instant) {
        let at = if at_once { now } else { now + ACK_DELAY };
        self.ack_at = Some(self.ack_at.map_or(at, |before| before.min(at)));
    }

    /// Queues a message; false when the queue is full.
    pub(crate) fn push(&mut self, kind: MessageType, bytes: Vec<u8>) -> bool {
        let fits = self.queue.len() < SEND_QUEUE_MAX;
        if fits {
            self.queue.push_back(Outgoing { kind, bytes });
        }
        fits
    }

    /// Drops what was never sent and sends `bytes` as the last message, whatever the window: a peer
    /// that does not acknowledge is told of the end all the same.
    pub(crate) fn finish(&mut self, kind: MessageType, bytes: Vec<u8>, wire: &mut Wire<'_>) {
        self.queue.truncate(self.sent);
        self.queue.push_back(Outgoing { kind, bytes });
        self.retries = 0;
        self.retry_at = None;
        self.transmit_new(wire);
    }

    /// Transmits what the window allows.
    pub(crate) fn pump(&mut self, wire: &mut Wire<'_>) {
        while self.flight < self.window.size() && self.flight < self.queue.len() {
            if self.flight < self.sent {
                // Sent before a loss and not acknowledged since.
                self.transmit(self.flight, wire);
                self.flight += 1;
                wire.stats.retransmitted += 1;
            } else {
                self.transmit_new(wire);
            }
        }
    }

    /// Sends a ZLB if an acknowledgement is due and nothing carried it.
    pub(crate) fn flush_ack(&mut self, wire: &mut Wire<'_>) {
        if self.ack_at.is_some_and(|at| at <= wire.now) {
            self.send_zlb(wire);
        }
    }

    /// Sends the oldest unacknowledged message again, without waiting for the timer.
    pub(crate) fn repeat(&mut self, wire: &mut Wire<'_>) {
        if self.sent > 0 {
            self.transmit(0, wire);
            wire.stats.retransmitted += 1;
        }
    }

    fn transmit_new(&mut self, wire: &mut Wire<'_>) {
        self.ns = self.ns.wrapping_add(1);
        self.sent += 1;
        self.flight += 1;
        self.transmit(self.sent.saturating_sub(1), wire);
        if self.allowance.is_none() {
            self.retry_at.get_or_insert(wire.now + self.waits.first);
        }
    }

    /// Transmits the message at `index` of the sent ones.
    fn transmit(&mut self, index: usize, wire: &mut Wire<'_>) {
        let back = u16::try_from(self.sent.saturating_sub(index)).unwrap_or(0);
        let ns = self.ns.wrapping_sub(back);
        let Some(message) = self.queue.get_mut(index) else { return };
        Header::renumber(&mut message.bytes, ns, self.nr);
        let bytes = message.bytes.clone();
        self.send(bytes, wire);
    }

    /// Sends, unless that would be more than the peer may be sent. An acknowledgement alone must not take
    /// the place of a message that is withheld, because the peer would not ask again.
    fn send(&mut self, bytes: Vec<u8>, wire: &mut Wire<'_>) {
        self.ack_at = None;
        if self.allowance.as_mut().is_none_or(|allowance| allowance.say(bytes.len())) {
            wire.send(bytes);
        } else {
            wire.stats.withheld += 1;
        }
    }

    fn send_zlb(&mut self, wire: &mut Wire<'_>) {
        let header = Header { tunnel: self.remote, session: 0, ns: self.ns, nr: self.nr };
        self.send(header.write(&[]), wire);
    }

    /// Runs timers that are due. With `forgiving`, a HELLO that nobody acknowledges kills nobody.
    pub(crate) fn handle_timeout(&mut self, forgiving: bool, wire: &mut Wire<'_>) -> Health {
        if self.retry_at.is_some_and(|at| at <= wire.now) {
            let hello = self.queue.front().is_some_and(|m| m.kind == MessageType::HELLO);
            if self.retries >= self.waits.repeats && !(forgiving && hello) {
                return Health::Dead;
            }
            self.retries = self.retries.saturating_add(1).min(self.waits.repeats);
            self.window.shrink();
            self.flight = 1;
            self.repeat(wire);
            self.retry_at = Some(wire.now + self.waits.after(self.retries));
        }
        self.pump(wire);
        self.flush_ack(wire);
        Health::Alive
    }

    /// When [`Channel::handle_timeout`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let retry = self.retry_at.map(|at| Deadline { at, why: "l2tp retransmit" });
        let ack = self.ack_at.map(|at| Deadline { at, why: "l2tp ack" });
        Deadline::earlier(retry, ack)
    }

    /// Whether every message was acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// The peer's tunnel id, 0 until known.
    pub(crate) fn remote(&self) -> u16 {
        self.remote
    }

    /// Repeats unacknowledged messages so from here on.
    pub(crate) fn set_waits(&mut self, waits: Waits) {
        self.waits = waits;
    }

    /// Takes the peer's id and window from its SCCRP.
    pub(crate) fn set_peer(&mut self, remote: u16, window: u16) {
        self.remote = remote;
        self.window.set_peer(window);
    }

    /// Forgets everything queued and parked; only acknowledging goes on.
    pub(crate) fn silence(&mut self) {
        self.queue.clear();
        self.parked.clear();
        self.sent = 0;
        self.flight = 0;
        self.retry_at = None;
    }

    pub(crate) fn save(&self) -> Saved {
        let copy = |m: &Outgoing| (m.kind, m.bytes.clone());
        Saved {
            remote: self.remote,
            ns: self.ns,
            nr: self.nr,
            window: self.window.peer(),
            unacked: self.queue.iter().take(self.sent).map(copy).collect(),
            waiting: self.queue.iter().skip(self.sent).map(copy).collect(),
        }
    }

    /// Continues a saved channel: unacknowledged messages are due at once.
    pub(crate) fn restore(saved: Saved, now: Instant) -> Self {
        let mut channel = Self::new(saved.remote, saved.window);
        channel.ns = saved.ns;
        channel.nr = saved.nr;
        channel.sent = saved.unacked.len();
        channel.retry_at = (channel.sent > 0).then_some(now);
        channel.restored_at = Some(saved.ns);
        let all = saved.unacked.into_iter().chain(saved.waiting);
        channel.queue = all.map(|(kind, bytes)| Outgoing { kind, bytes }).collect();
        channel
    }
}
