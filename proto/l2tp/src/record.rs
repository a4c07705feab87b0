//! What of an endpoint outlives the process: established tunnels and sessions with their numbering.
//!
//! A record is taken after the actions of an input were drained and stored *before* they are carried
//! out: then Ns is never used twice for different messages. It may still be older than what the peer
//! knows, if it was not stored for every acknowledgement. A restored channel therefore believes the
//! peer once: it skips to the Nr that the peer names, and to the Ns that the peer repeats.
//!
//! Tunnels that are coming up or closing are not recorded; their clients try again.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Instant, Seed};
use isthmus_crypto::Provider;
use serde::{Deserialize, Serialize};

use crate::action::{SessionId, TunnelId};
use crate::avp::Bounded;
use crate::bounds::{
    CONTROL_MESSAGE_MAX, HOST_NAME_MAX, SEND_QUEUE_MAX, SESSIONS_MAX, TUNNELS_MAX, VENDOR_NAME_MAX,
};
use crate::calls::{CallState, Session};
use crate::channel::{Channel, Saved};
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::iana::MessageType;
use crate::tunnel::{State, Tunnel};

/// An endpoint at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// Its established tunnels.
    pub tunnels: Vec<TunnelRecord>,
    /// Calls asked for so far.
    pub calls: u32,
}

/// An established tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelRecord {
    /// Our id.
    pub local: TunnelId,
    /// The peer's id.
    pub remote: u16,
    /// The peer's UDP port.
    pub to_port: u16,
    /// Whether we asked for it.
    pub initiator: bool,
    /// The peer's host name.
    pub peer_host: Bounded<HOST_NAME_MAX>,
    /// The peer's vendor name.
    pub peer_vendor: Bounded<VENDOR_NAME_MAX>,
    /// Number of the next new message.
    pub ns: u16,
    /// Number of the message expected next.
    pub nr: u16,
    /// The peer's receive window.
    pub window: u16,
    /// Sent and not acknowledged, oldest first.
    pub unacked: Vec<MessageRecord>,
    /// Not sent yet.
    pub waiting: Vec<MessageRecord>,
    /// Its established sessions.
    pub sessions: Vec<SessionRecord>,
}

/// A message of ours that is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRecord {
    /// Which message.
    pub kind: MessageType,
    /// All of it; Ns and Nr are filled in when it is sent.
    pub bytes: Bounded<CONTROL_MESSAGE_MAX>,
}

/// An established session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Our id.
    pub local: SessionId,
    /// The peer's id.
    pub remote: u16,
    /// The call's serial number.
    pub serial: u32,
    /// Data messages must carry sequence numbers.
    pub send_sequence: bool,
}

impl Endpoint {
    /// Everything needed to go on with the established tunnels.
    pub fn record(&self) -> EndpointRecord {
        let up = self.tunnels.values().filter(|tunnel| tunnel.is_up());
        EndpointRecord {
            tunnels: up.map(|tunnel| record_tunnel(tunnel)).collect(),
            calls: self.shared.calls,
        }
    }

    /// An endpoint that goes on where a record stopped. Nothing is reported as up: whoever kept the
    /// record knows. What was not acknowledged is due to be sent again.
    ///
    /// Tunnels and sessions with ids that are zero or taken are left out, and so is what exceeds the
    /// bounds of this crate.
    pub fn restore(
        config: Arc<Config>,
        provider: Arc<dyn Provider>,
        seed: Seed,
        record: EndpointRecord,
        now: Instant,
    ) -> Self {
        let mut endpoint = Self::new(config, provider, seed, now);
        endpoint.shared.calls = record.calls;
        for tunnel in record.tunnels.into_iter().take(TUNNELS_MAX) {
            let local = tunnel.local;
            if local.0 == 0 || tunnel.remote == 0 || endpoint.tunnels.contains_key(&local) {
                continue;
            }
            let tunnel = endpoint.restore_tunnel(tunnel, now);
            endpoint.tunnels.insert(local, Box::new(tunnel));
        }
        endpoint
    }

    fn restore_tunnel(&mut self, record: TunnelRecord, now: Instant) -> Tunnel {
        let ctx = self.shared.context(now);
        let messages = |list: Vec<MessageRecord>| {
            let list = list.into_iter().take(SEND_QUEUE_MAX);
            list.map(|message| (message.kind, message.bytes.into())).collect()
        };
        let channel = Channel::restore(
            Saved {
                remote: record.remote,
                ns: record.ns,
                nr: record.nr,
                window: record.window,
                unacked: messages(record.unacked),
                waiting: messages(record.waiting),
            },
            now,
        );
        let names = (record.peer_host, record.peer_vendor);
        let channel = (channel, record.initiator);
        let mut tunnel = Tunnel::resume(record.local, record.to_port, names, channel, &ctx);
        for call in record.sessions {
            let taken = ctx.taken.contains(&call.local) || ctx.taken.len() >= SESSIONS_MAX;
            if call.local.0 == 0 || taken {
                continue;
            }
            let mut session = Session::new(call.remote, call.serial, CallState::Up);
            session.sequencing = call.send_sequence;
            ctx.taken.insert(call.local);
            tunnel.sessions.insert(call.local, Box::new(session));
        }
        tunnel.watch_idle(&ctx);
        tunnel
    }
}

fn record_tunnel(tunnel: &Tunnel) -> TunnelRecord {
    debug_assert!(matches!(tunnel.state, State::Up { .. }), "only established tunnels");
    let saved = tunnel.channel.save();
    let messages = |list: Vec<(MessageType, Vec<u8>)>| {
        let record =
            |(kind, bytes): (_, Vec<u8>)| MessageRecord { kind, bytes: Bounded::clipped(&bytes) };
        list.into_iter().map(record).collect()
    };
    let up = tunnel.sessions.iter().filter(|(_, call)| call.state == CallState::Up);
    TunnelRecord {
        local: tunnel.local,
        remote: saved.remote,
        to_port: tunnel.to_port,
        initiator: tunnel.initiator,
        peer_host: tunnel.host.clone(),
        peer_vendor: tunnel.vendor.clone(),
        ns: saved.ns,
        nr: saved.nr,
        window: saved.window,
        unacked: messages(saved.unacked),
        waiting: messages(saved.waiting),
        sessions: up
            .map(|(&local, call)| SessionRecord {
                local,
                remote: call.remote,
                serial: call.serial,
                send_sequence: call.sequencing,
            })
            .collect(),
    }
}
