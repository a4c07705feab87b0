//! Ends, packets and parameters for tests.

use alloc::vec;

use isthmus_core::Key;

use crate::{SessionParams, TunId};

/// The key of a slot.
pub(crate) fn key(slot: u32) -> Key {
    Key::from_raw(1 << 20 | slot)
}

/// What a gateway opens a session with.
pub(crate) fn session_params() -> SessionParams {
    SessionParams {
        session: key(1),
        peer: key(1),
        local_tunnel: 11,
        local_session: 12,
        remote_tunnel: 21,
        remote_session: 22,
        local_port: 1701,
        remote_port: 1701,
        sequence: None,
        tun: TunId(7),
        sources: vec!["10.0.0.2/32".parse().unwrap()],
        destinations: vec!["10.0.0.2/32".parse().unwrap()],
        mtu: 1300,
        acfc: false,
        pfc: false,
        gateway_v4: Some([10, 0, 0, 1].into()),
        gateway_v6: None,
        dhcp: true,
    }
}
