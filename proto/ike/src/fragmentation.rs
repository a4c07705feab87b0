//! Fragmentation of messages, both ways, as Microsoft and Cisco do it.
//!
//! ```text
//! out:  message longer than a packet, peer announced it -> pieces, numbered from 1
//! in:   piece -> cookies of an SA or of an answered message 1 -> kept -> all there -> the message
//! ```
//!
//! Nothing proves who sent a piece, so pieces are kept only for cookies that we gave out, for one
//! address and port, within bounds of number and octets for each source and for all, and for
//! [`REASSEMBLY_LIFETIME`]. Every piece costs the logarithm of what is kept, and a message is put
//! together once. What is put together is judged as any datagram is.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use isthmus_core::{Duration, Instant, Path};
use isthmus_wire::{DecodeError, Fault, Writer};

use crate::codec::fragment::{FRAGMENTS_MAX, Fragment};
use crate::codec::header::{Header, MESSAGE_LEN_MAX};
use crate::codec::{Cookies, Flags, Message};
use crate::error::Rejected;
use crate::iana::{ExchangeType, PayloadType};
use crate::table::source;

/// Messages of which pieces are missing.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    /// By age: the lowest number is the oldest.
    partials: BTreeMap<u64, Partial>,
    places: BTreeMap<Place, u64>,
    sources: BTreeMap<IpAddr, Share>,
    octets: usize,
    next: u64,
}

/// Which message a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    remote: SocketAddr,
    cookies: Cookies,
    id: u16,
}

/// What one source has with us.
#[derive(Debug, Default)]
struct Share {
    partials: BTreeSet<u64>,
    octets: usize,
}

/// A message of which pieces are missing.
#[derive(Debug)]
struct Partial {
    place: Place,
    begun: Instant,
    /// Exchange and message id in the headers of the pieces; the same in all.
    about: (ExchangeType, u32),
    pieces: BTreeMap<u8, Vec<u8>>,
    last: Option<u8>,
    octets: usize,
}

impl Partial {
    /// Whether the piece cannot belong to the same message as those before it.
    fn contradicts(&self, about: (ExchangeType, u32), piece: &Fragment<'_>) -> bool {
        let highest = self.pieces.last_key_value().map_or(0, |(number, _)| *number);
        let ends_elsewhere = match self.last {
            Some(last) => piece.number > last || piece.last != (piece.number == last),
            None => piece.last && piece.number <= highest,
        };
        let differs = self.pieces.get(&piece.number).is_some_and(|data| data != piece.data);
        about != self.about || ends_elsewhere || differs
    }

    fn is_whole(&self) -> bool {
        self.last.is_some_and(|last| self.pieces.len() == usize::from(last))
    }
}

impl Reassembly {
    /// Takes a piece; returns the message when it was the last one missing. A piece that contradicts
    /// what is kept begins the message afresh: racoon and strongSwan give every message the same id.
    ///
    /// # Errors
    /// [`Rejected::Duplicate`] for a piece that is kept already, [`Rejected::Decode`] for a message that
    /// would be longer than any.
    pub(crate) fn add(
        &mut self,
        remote: SocketAddr,
        message: &Message<'_>,
        piece: &Fragment<'_>,
        now: Instant,
    ) -> Result<Option<Vec<u8>>, Rejected> {
        let place = Place { remote, cookies: message.header.cookies, id: piece.id };
        let about = (message.header.exchange, message.header.message_id);
        let mut found = self.places.get(&place).copied();
        if let Some(partial) = found.and_then(|serial| self.partials.get(&serial)) {
            if partial.contradicts(about, piece) {
                found = None;
            } else if partial.pieces.contains_key(&piece.number) {
                return Err(Rejected::Duplicate);
            }
        }
        let kept = found.and_then(|serial| self.partials.get(&serial)).map_or(0, |p| p.octets);
        if kept + piece.data.len() > MESSAGE_LEN_MAX {
            return Err(DecodeError::new("fragments", Fault::TooLong).into());
        }
        let serial = found.unwrap_or_else(|| self.begin(place, about, now));
        self.keep(serial, piece);
        let whole = self.partials.get(&serial).is_some_and(Partial::is_whole);
        let done = if whole { self.remove(serial) } else { None };
        if done.is_none() {
            self.shrink(serial, source(remote.ip()));
        }
        Ok(done.map(|partial| partial.pieces.into_values().flatten().collect()))
    }

    /// Makes a place, at the cost of the oldest of the same SA when there are too many.
    fn begin(&mut self, place: Place, about: (ExchangeType, u32), now: Instant) -> u64 {
        if let Some(old) = self.places.get(&place).copied() {
            self.remove(old);
        }
        let (low, high) = (Place { id: 0, ..place }, Place { id: u16::MAX, ..place });
        let same: Vec<u64> = self.places.range(low..=high).map(|(_, serial)| *serial).collect();
        if same.len() >= PARTIALS_PER_SA_MAX
            && let Some(oldest) = same.into_iter().min()
        {
            self.remove(oldest);
        }
        let serial = self.next;
        self.next += 1;
        let pieces = BTreeMap::new();
        let partial = Partial { place, begun: now, about, pieces, last: None, octets: 0 };
        self.partials.insert(serial, partial);
        self.places.insert(place, serial);
        let share = self.sources.entry(source(place.remote.ip())).or_default();
        share.partials.insert(serial);
        serial
    }

    fn keep(&mut self, serial: u64, piece: &Fragment<'_>) {
        let Some(partial) = self.partials.get_mut(&serial) else { return };
        let len = piece.data.len();
        partial.pieces.insert(piece.number, piece.data.to_vec());
        if piece.last {
            partial.last = Some(piece.number);
        }
        partial.octets += len;
        self.octets += len;
        if let Some(share) = self.sources.get_mut(&source(partial.place.remote.ip())) {
            share.octets += len;
        }
    }

    /// Returns within the bounds: the oldest of the same source gives way, then the oldest of all.
    fn shrink(&mut self, newest: u64, from: IpAddr) {
        while let Some(share) = self.sources.get(&from) {
            let within = share.partials.len() <= PARTIALS_PER_SOURCE_MAX
                && share.octets <= FRAGMENT_OCTETS_PER_SOURCE_MAX;
            match share.partials.first().copied().filter(|oldest| *oldest != newest) {
                Some(oldest) if !within => self.remove(oldest),
                _ => break,
            };
        }
        while self.partials.len() > PARTIALS_MAX || self.octets > FRAGMENT_OCTETS_MAX {
            let Some(oldest) = self.partials.keys().next().copied() else { return };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, serial: u64) -> Option<Partial> {
        let partial = self.partials.remove(&serial)?;
        self.places.remove(&partial.place);
        self.octets -= partial.octets;
        let from = source(partial.place.remote.ip());
        if let Some(share) = self.sources.get_mut(&from) {
            share.partials.remove(&serial);
            share.octets -= partial.octets;
            if share.partials.is_empty() {
                self.sources.remove(&from);
            }
        }
        Some(partial)
    }

    /// Forgets what is too old; returns how many messages that were.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let mut count = 0;
        while let Some((serial, partial)) = self.partials.first_key_value() {
            if now < partial.begun + REASSEMBLY_LIFETIME {
                break;
            }
            let serial = *serial;
            self.remove(serial);
            count += 1;
        }
        count
    }

    /// When the oldest message is given up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.partials.values().next().map(|partial| partial.begun + REASSEMBLY_LIFETIME)
    }

    /// Number of messages of which pieces are missing, and the octets kept of them.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.partials.len(), self.octets)
    }
}

/// Octets of one piece's data towards a peer, so that no packet is longer than `packet_len_max`.
pub(crate) fn room(path: Path, marked: bool, packet_len_max: u16) -> usize {
    let ip = if path.remote.is_ipv4() { IPV4_LEN } else { IPV6_LEN };
    let non_esp = if marked { MARKER_LEN } else { 0 };
    let around = ip + UDP_LEN + non_esp + Header::LEN + Fragment::OVERHEAD;
    usize::from(packet_len_max.max(FRAGMENT_SIZE_MIN)).saturating_sub(around)
}

/// Length of a message in UDP payloads once it is cut into pieces of `room`.
pub(crate) const fn cut_len(len: usize, room: usize) -> usize {
    if fits(len, room) {
        return len;
    }
    len + len.div_ceil(room) * (Header::LEN + Fragment::OVERHEAD)
}

/// Whether a message needs no pieces: it may use the place of their headers.
const fn fits(len: usize, room: usize) -> bool {
    len <= room + Header::LEN + Fragment::OVERHEAD
}

/// Cuts a message into pieces; none when it fits into one packet or is no message.
///
/// Pieces say main mode and message id 0 whatever they are of (strongSwan takes no others), and the id
/// is a sum of the message, so that a repeated message fills the gaps of the one before.
pub(crate) fn cut(bytes: &[u8], room: usize) -> Option<Vec<Vec<u8>>> {
    if room == 0 || fits(bytes.len(), room) {
        return None;
    }
    let header = Message::read(bytes).ok()?.header;
    let count = u8::try_from(bytes.len().div_ceil(room)).ok().filter(|n| *n <= FRAGMENTS_MAX)?;
    let exchange = match header.exchange {
        ExchangeType::AGGRESSIVE => ExchangeType::AGGRESSIVE,
        _ => ExchangeType::IDENTITY_PROTECTION,
    };
    let (first, flags) = (PayloadType::FRAGMENT, Flags::default());
    let header = Header { first, exchange, flags, message_id: 0, ..header };
    let id = bytes.iter().fold(1u16, |sum, byte| sum.rotate_left(3) ^ u16::from(*byte)).max(1);
    let pieces = (1u8..).zip(bytes.chunks(room)).map(|(number, data)| {
        let body = Fragment { id, number, last: number == count, data }.to_bytes();
        let mut w = Writer::new();
        header.write(&mut w, body.len());
        w.bytes(&body);
        w.into_vec()
    });
    Some(pieces.collect())
}

/// How long pieces of a message are kept (\[MS-IKEE\] §3.1.2).
pub const REASSEMBLY_LIFETIME: Duration = Duration::from_secs(70);
/// Most incomplete messages.
pub const PARTIALS_MAX: usize = 1024;
/// Most incomplete messages from one address; a NAT may hide dozens of clients.
pub const PARTIALS_PER_SOURCE_MAX: usize = 64;
/// Most incomplete messages under one pair of cookies from one address and port.
pub const PARTIALS_PER_SA_MAX: usize = 2;
/// Most octets of incomplete messages.
pub const FRAGMENT_OCTETS_MAX: usize = 4 << 20;
/// Most octets of incomplete messages from one address.
pub const FRAGMENT_OCTETS_PER_SOURCE_MAX: usize = 256 << 10;
/// Smallest packet that messages are cut for; every IPv4 host takes it (RFC 791).
pub const FRAGMENT_SIZE_MIN: u16 = 576;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;
const MARKER_LEN: usize = 4;

#[cfg(test)]
mod tests;
