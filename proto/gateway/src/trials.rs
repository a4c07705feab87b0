//! Packets that an operator sends in a session's name, to see what becomes of those of its user.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

use isthmus_core::{Duration, Instant, Key};
use isthmus_plane::Command;
use isthmus_wire::probe::Probe;

use crate::event::Event;
use crate::machine::Gateway;
use crate::session::Session;

/// Most probes in a second, of all sessions together: they make traffic that no user asked for.
pub const PROBES_PER_SECOND_MAX: usize = 10;

/// Why a probe is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeRefusal {
    /// It goes to several hosts, to none, or stays on the link.
    Destination,
    /// The user has logged in and no packets flow yet, or none of that IP version.
    NotUp,
    /// The session has other addresses than its source.
    Source {
        /// What its source may be.
        own: String,
    },
    /// [`PROBES_PER_SECOND_MAX`] have been sent in the last second.
    TooMany,
    /// There is no such session.
    Unknown,
}

/// When probes were sent, in order.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    sent: VecDeque<Instant>,
}

impl Trials {
    /// Whether one more may be sent now; it counts then.
    fn pass(&mut self, now: Instant) -> bool {
        while self.sent.front().is_some_and(|at| now.since(*at) >= SECOND) {
            self.sent.pop_front();
        }
        let room = self.sent.len() < PROBES_PER_SECOND_MAX;
        if room {
            self.sent.push_back(now);
        }
        room
    }
}

impl Gateway {
    /// Sends a probe as if the peer of a session had sent it, and tells that it did.
    ///
    /// # Errors
    /// [`ProbeRefusal`]; nothing is sent then.
    pub fn send_probe(
        &mut self,
        session: Key,
        probe: &Probe,
        now: Instant,
    ) -> Result<(), ProbeRefusal> {
        let (peer, at) = self.sessions.get(session).ok_or(ProbeRefusal::Unknown)?;
        let found = self.peers.get(peer).and_then(|peer| peer.sessions.get(at));
        let found = found.ok_or(ProbeRefusal::Unknown)?;
        let (user, tenant) = admit(found, probe)?;
        let tenant = self.tenant_name(tenant).unwrap_or_default();
        if !self.trials.pass(now) {
            return Err(ProbeRefusal::TooMany);
        }
        self.event(Event::ProbeSent {
            session,
            user,
            tenant,
            source: probe.source(),
            destination: probe.destination(),
            protocol: probe.protocol(),
            port: probe.port(),
        });
        self.plane(Command::SendInner { session, packet: probe.packet() });
        Ok(())
    }
}

/// Whose probe it is, and of which tenant, when the session may send it.
fn admit(session: &Session, probe: &Probe) -> Result<(String, usize), ProbeRefusal> {
    let lease = session.lease.as_ref().ok_or(ProbeRefusal::NotUp)?;
    if !is_one_host(probe.destination()) {
        return Err(ProbeRefusal::Destination);
    }
    let (own, is_own) = match probe.source() {
        IpAddr::V4(source) => {
            session.network.as_ref().ok_or(ProbeRefusal::NotUp)?;
            (format!("{}", lease.address), source == lease.address)
        }
        IpAddr::V6(source) => {
            let prefix = session.ipv6.and(lease.prefix6).ok_or(ProbeRefusal::NotUp)?;
            (format!("one of {prefix}"), prefix.contains(&source))
        }
    };
    if !is_own {
        return Err(ProbeRefusal::Source { own });
    }
    Ok((lease.user.clone(), session.tenant()))
}

/// Whether packets to an address go to one host beyond the link.
fn is_one_host(address: IpAddr) -> bool {
    let common = !(address.is_unspecified() || address.is_loopback() || address.is_multicast());
    common
        && match address {
            IpAddr::V4(address) => !address.is_broadcast(),
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_in_any_second_and_no_more() {
        let mut trials = Trials::default();
        let start = Instant::from_secs(100);
        let at = |ms: u64| start + Duration::from_millis(ms);
        for n in 0..PROBES_PER_SECOND_MAX {
            assert!(trials.pass(at(n as u64 * 50)), "{n}");
        }
        assert!(!trials.pass(at(999)));
        assert!(trials.pass(at(1000)), "the first was a second ago");
        assert!(!trials.pass(at(1049)));
        assert!(trials.pass(at(1050)));
        assert!(trials.sent.len() <= PROBES_PER_SECOND_MAX);
    }

    #[test]
    fn only_one_host_beyond_the_link_is_a_destination() {
        for address in ["10.1.2.3", "169.254.169.254", "2001:db8::1", "fd00::1"] {
            assert!(is_one_host(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "127.0.0.1",
            "224.0.0.5",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
        ] {
            assert!(!is_one_host(address.parse().unwrap()), "{address}");
        }
    }
}
