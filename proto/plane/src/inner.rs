//! Packets in the name of a peer, to see what becomes of its own.

use isthmus_core::Key;
use isthmus_wire::mss::{self, Clamped};

use crate::{Outputs, Plane};

impl Plane {
    /// Sends an inner packet on the way that the peer's packets take; nothing, when the session is not open.
    pub(crate) fn send_inner(&mut self, key: Key, packet: &[u8], out: &mut Outputs) {
        let Some(session) = self.tables.sessions.get_mut(key) else { return };
        let mut buf = out.copy(packet);
        match session.admit_inner(&buf) {
            Ok(version) => {
                if mss::clamp(&mut buf, session.mss(version)) != Clamped::Unchanged {
                    self.stats.mss_clamped = self.stats.mss_clamped.saturating_add(1);
                }
                self.stats.tun_sent.count(buf.len());
                out.tun.push((session.device(), buf));
            }
            Err(reason) => self.drop(reason, buf, out),
        }
    }
}
