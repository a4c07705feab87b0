//! A peer with its sessions as one value: everything another process needs to go on with them.
//!
//! The unit is the peer, because its keys, its path and its L2TP numbering belong to all of its sessions;
//! nearly always there is one. Keys are in the IKE part only; of each ESP SA just the numbering is kept.
//!
//! Outbound numbers are reserved ahead of use. The pipeline may use those below what a stored record names,
//! and a restored SA begins there: no number comes twice under one key, however old the counters of the
//! record are. So the order is [`Gateway::record`], store, [`Gateway::stored`], and after
//! [`Gateway::restore`] the same again before anything is sent.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_core::{Duration, Instant, Key, SecretBytes};
use isthmus_esp as esp;
use isthmus_ike::{self as ike, PeerId};
use isthmus_l2tp::{self as l2tp, SessionRef};
use isthmus_plane::{Command, Counters, Direction, PeerRef, SaCounters, SessionCounters};
use isthmus_ppp as ppp;
use serde::{Deserialize, Serialize};

use crate::advice::Advice;
use crate::machine::Gateway;
use crate::peer::Peer;
use crate::session::{Lease, Session};

/// A peer that has a session, at one moment. It holds keys: whoever stores it encrypts it.
#[derive(Clone, Serialize, Deserialize)]
pub struct PeerRecord {
    /// Path, IKE SAs and the keys of their children.
    pub ike: ike::PeerRecord,
    /// Numbering of the SAs towards the peer.
    pub outbound: Vec<OutboundNumbers>,
    /// Numbering of the SAs from the peer.
    pub inbound: Vec<InboundNumbers>,
    /// Tunnels and calls, with their numbering.
    pub l2tp: l2tp::EndpointRecord,
    /// Sessions whose network is up; at least one.
    pub sessions: Vec<SessionRecord>,
}

/// Where an outbound SA goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundNumbers {
    /// The peer's SPI.
    pub spi: u32,
    /// A number that nobody has used, like all above it.
    pub resume_at: u64,
    /// What was carried.
    pub counters: esp::Counters,
}

/// Where an inbound SA goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundNumbers {
    /// Our SPI.
    pub spi: u32,
    /// The highest number taken; it and all below are refused.
    pub top: u64,
    /// What was carried.
    pub counters: esp::Counters,
}

/// A session whose network is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its name in the pipeline and towards operators, which stays.
    pub session: Key,
    /// Tunnel and call.
    pub at: SessionRef,
    /// The PPP link.
    pub link: ppp::LinkRecord,
    /// Name of the tenant.
    pub tenant: String,
    /// The name in the users file.
    pub user: String,
    /// The address leased.
    pub address: Ipv4Addr,
    /// The /64 leased.
    pub prefix6: Option<Ipv6Net>,
    /// What the user was told.
    pub advice: Advice,
    /// The user's group at login.
    pub group: Option<String>,
    /// Networks behind the user.
    pub networks: Vec<Ipv4Net>,
    /// What it carried since the call began.
    pub carried: SessionCounters,
    /// Since when the call is up.
    pub age: Duration,
}

/// Why bytes are no record, or a record cannot become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes do not have the form of a record.
    Malformed,
    /// More than [`RECORD_BYTES_MAX`].
    TooLong,
    /// Bytes stand behind the record.
    Trailing,
    /// The bytes end within the record.
    Truncated,
    /// Written in this version, which is unknown here.
    UnknownVersion(u16),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the record is malformed"),
            Self::TooLong => write!(f, "the record is longer than {RECORD_BYTES_MAX} bytes"),
            Self::Trailing => f.write_str("the record has something behind its end"),
            Self::Truncated => f.write_str("the record ends early"),
            Self::UnknownVersion(version) => write!(f, "unknown record version {version}"),
        }
    }
}

impl core::error::Error for RecordError {}

impl fmt::Debug for PeerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerRecord")
            .field("ike", &self.ike)
            .field("tenant", &self.sessions.first().map(|session| &session.tenant))
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl PeerRecord {
    /// The peer it is about.
    pub const fn peer(&self) -> PeerId {
        self.ike.peer()
    }

    /// The record as bytes: [`RECORD_VERSION`] in network order, then postcard. They hold keys in the
    /// clear.
    ///
    /// # Errors
    /// [`RecordError::TooLong`].
    pub fn encode(&self) -> Result<SecretBytes, RecordError> {
        // Large enough for nearly every record, so that growing leaves no copy of keys behind.
        let mut bytes = Vec::with_capacity(ROOM);
        bytes.extend_from_slice(&RECORD_VERSION.to_be_bytes());
        let bytes = postcard::to_extend(self, bytes).map_err(|_| RecordError::Malformed)?;
        let bytes = SecretBytes::new(bytes);
        if bytes.len() > RECORD_BYTES_MAX { Err(RecordError::TooLong) } else { Ok(bytes) }
    }

    /// Reads what [`PeerRecord::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are not exactly one record of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLong);
        }
        let (version, body) = bytes.split_first_chunk().ok_or(RecordError::Truncated)?;
        let version = u16::from_be_bytes(*version);
        if version != RECORD_VERSION {
            return Err(RecordError::UnknownVersion(version));
        }
        match postcard::take_from_bytes(body) {
            Ok((record, [])) => Ok(record),
            Ok(_) => Err(RecordError::Trailing),
            Err(postcard::Error::DeserializeUnexpectedEnd) => Err(RecordError::Truncated),
            Err(_) => Err(RecordError::Malformed),
        }
    }
}

impl Gateway {
    /// Lets the pipeline use only sequence numbers that records leave behind; to be called before the
    /// first peer is up. From here on every peer with a session wants [`Gateway::record`] and
    /// [`Gateway::stored`] when something of it changes and on `Report::ReserveLow`.
    pub fn keep_records(&mut self) {
        self.keeps_records = true;
    }

    /// The peer at this moment; none while it has no session with its network up, or when no records
    /// are kept. The counters may be old: they tell the inbound numbers and what was carried.
    pub fn record(&self, peer: Key, now: Instant, counters: &Counters) -> Option<PeerRecord> {
        let state = self.peers.get(&PeerRef::Ipsec(peer)).filter(|_| self.keeps_records)?;
        let sessions: Vec<SessionRecord> = state
            .sessions
            .iter()
            .filter_map(|(at, s)| {
                record_session(*at, s, self.tenant_name(s.tenant())?, now, counters)
            })
            .collect();
        if sessions.is_empty() {
            return None;
        }
        let sas = |direction| {
            counters.sas.iter().filter(move |sa| sa.peer == peer && sa.direction == direction)
        };
        let outbound = state.reserved.iter().map(|(spi, reserved)| {
            let sa = sas(Direction::Outbound).find(|sa| sa.spi == *spi);
            OutboundNumbers {
                spi: *spi,
                resume_at: reserve(*reserved, sa.map_or(1, |sa| sa.sequence)),
                counters: sa.map(carried).unwrap_or_default(),
            }
        });
        let inbound = sas(Direction::Inbound).map(|sa| InboundNumbers {
            spi: sa.spi,
            top: sa.sequence,
            counters: carried(sa),
        });
        Some(PeerRecord {
            ike: self.ike.record(PeerId(peer), now)?,
            outbound: outbound.collect(),
            inbound: inbound.collect(),
            l2tp: record_l2tp(state, &sessions),
            sessions,
        })
    }

    /// A record is safely stored, in place of every older one of its peer: its numbers may be used.
    pub fn stored(&mut self, record: &PeerRecord) {
        let peer = record.peer();
        let Some(state) = self.peers.get_mut(&PeerRef::Ipsec(peer.0)) else { return };
        let mut raised = Vec::new();
        for numbers in &record.outbound {
            if let Some(reserved) = state.reserved.get_mut(&numbers.spi) {
                *reserved = (*reserved).max(numbers.resume_at);
                raised.push((numbers.spi, numbers.resume_at));
            }
        }
        for (spi, until) in raised {
            self.plane(Command::Reserve { peer: peer.0, spi, until });
        }
    }
}

/// The number a record resumes at, which is never below `reserved`. It is a block more when half of the
/// last one is used.
fn reserve(reserved: u64, next: u64) -> u64 {
    if reserved.saturating_sub(next) >= RESERVE_BLOCK / 2 {
        reserved
    } else {
        reserved.max(next).saturating_add(RESERVE_BLOCK)
    }
}

fn carried(sa: &SaCounters) -> esp::Counters {
    esp::Counters { packets: sa.traffic.packets, bytes: sa.traffic.bytes }
}

fn record_session(
    at: SessionRef,
    session: &Session,
    tenant: String,
    now: Instant,
    counters: &Counters,
) -> Option<SessionRecord> {
    let lease = session.lease.as_ref().filter(|_| session.network.is_some())?;
    let here = counters.sessions.iter().find(|(key, _)| *key == session.key);
    let Lease { user, address, prefix6, advice, group, networks } = lease.clone();
    let advice = Arc::unwrap_or_clone(advice);
    Some(SessionRecord {
        session: session.key,
        at,
        link: session.link.record()?,
        tenant,
        user,
        address,
        prefix6,
        advice,
        group,
        networks,
        carried: sum(session.carried, here.map(|(_, c)| *c).unwrap_or_default()),
        age: now.since(session.since),
    })
}

/// The tunnels, without calls whose sessions are not recorded: nobody would answer for them.
fn record_l2tp(peer: &Peer, sessions: &[SessionRecord]) -> l2tp::EndpointRecord {
    let mut record = peer.l2tp.record();
    for tunnel in &mut record.tunnels {
        let local = tunnel.local;
        tunnel.sessions.retain(|call| {
            sessions.iter().any(|s| s.at.tunnel == local && s.at.session == call.local)
        });
    }
    record
}

fn sum(mut a: SessionCounters, b: SessionCounters) -> SessionCounters {
    for (to, more) in [(&mut a.received, b.received), (&mut a.sent, b.sent)] {
        to.packets = to.packets.saturating_add(more.packets);
        to.bytes = to.bytes.saturating_add(more.bytes);
    }
    for (to, more) in [
        (&mut a.dropped, b.dropped),
        (&mut a.dropped_rate_up, b.dropped_rate_up),
        (&mut a.dropped_rate_down, b.dropped_rate_down),
    ] {
        *to = to.saturating_add(more);
    }
    a
}

/// The version written, and the only one read.
pub const RECORD_VERSION: u16 = 5;
/// Longest record in bytes: below what an etcd request holds.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Sequence numbers reserved at a time: seconds at a million packets, and still a thousand blocks in an
/// SA without extended numbers. Half of it is more than [`isthmus_plane::RESERVE_LOW`].
pub const RESERVE_BLOCK: u64 = 1 << 22;
/// Bytes set aside before encoding.
const ROOM: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn refused(bytes: &[u8]) -> RecordError {
        PeerRecord::decode(bytes).unwrap_err()
    }

    #[test]
    fn the_version_is_looked_at_first() {
        assert_eq!(refused(&[]), RecordError::Truncated);
        assert_eq!(refused(&[0]), RecordError::Truncated);
        assert_eq!(refused(&[0, 5]), RecordError::Truncated);
        assert_eq!(refused(&[0, 4]), RecordError::UnknownVersion(4));
        assert_eq!(refused(&[0, 6]), RecordError::UnknownVersion(6));
        assert_eq!(refused(&[1, 0, 9, 9]), RecordError::UnknownVersion(256));
    }

    #[test]
    fn no_more_bytes_are_read_than_the_limit() {
        assert_eq!(refused(&vec![0; RECORD_BYTES_MAX + 1]), RecordError::TooLong);
        assert_eq!(refused(&vec![0; RECORD_BYTES_MAX]), RecordError::UnknownVersion(0));
    }

    #[test]
    fn a_record_never_resumes_below_what_may_be_used() {
        for reserved in [1, RESERVE_BLOCK, 5 * RESERVE_BLOCK, u64::MAX] {
            for next in [1, reserved / 2, reserved, reserved.saturating_add(7)] {
                let resume_at = reserve(reserved, next);
                assert!(resume_at >= reserved && resume_at >= next);
                assert!(
                    resume_at.saturating_sub(next) >= RESERVE_BLOCK / 2 || resume_at == u64::MAX
                );
            }
        }
    }

    #[test]
    fn records_without_traffic_reserve_nothing_more() {
        assert_eq!(reserve(RESERVE_BLOCK, 1), RESERVE_BLOCK);
        assert_eq!(reserve(RESERVE_BLOCK, RESERVE_BLOCK), 2 * RESERVE_BLOCK);
        const { assert!(RESERVE_BLOCK / 2 > isthmus_plane::RESERVE_LOW) };
    }
}
