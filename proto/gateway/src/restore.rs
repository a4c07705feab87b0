//! A recorded peer comes back: what of the record is free is claimed, then every layer is rebuilt.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use isthmus_core::{Instant, SmallMap};
use isthmus_ike as ike;
use isthmus_l2tp::{self as l2tp, SessionRef, SessionUp};
use isthmus_plane::{self as plane, Command, PeerRef};
use isthmus_ppp as ppp;

use crate::ipv6::{Ipv6Session, Router};
use crate::machine::Gateway;
use crate::peer::Peer;
use crate::peers::{install_inbound, install_outbound};
use crate::pool::Holder;
use crate::record::{PeerRecord, SessionRecord};
use crate::session::{Lease, Session};
use crate::tenants::Admitted;
use crate::watch::Watch;

/// Why a record cannot be restored; nothing was changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// The address of a session is held by another one.
    AddressInUse,
    /// The gateway is shutting down.
    Closing,
    /// The IKE part does not fit in.
    Ike(ike::RestoreError),
    /// No session, or one without its call.
    Inconsistent,
    /// The key of a session is in use, or no key.
    SessionKey,
    /// The configuration has no tenant of that name.
    UnknownTenant,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressInUse => "the address is held by another session",
            Self::Closing => "the gateway is shutting down",
            Self::Ike(ike::RestoreError::Conflict) => "cookies or an SPI are in use",
            Self::Ike(ike::RestoreError::PeerId) => "the peer's id is in use",
            Self::Inconsistent => "the record contradicts itself",
            Self::SessionKey => "a session's key is in use",
            Self::UnknownTenant => "there is no such tenant",
        })
    }
}

impl core::error::Error for RestoreError {}

impl Gateway {
    /// Goes on with a recorded peer: its SAs, sessions and addresses are as they were, and the events say
    /// that they are up. The gateway keeps records from here on, and sends nothing under the restored SAs
    /// before [`Gateway::record`] was stored anew and [`Gateway::stored`] was called.
    ///
    /// # Errors
    /// Something of the record is in use or unknown here.
    pub fn restore(&mut self, record: &PeerRecord, now: Instant) -> Result<(), RestoreError> {
        if self.closing {
            return Err(RestoreError::Closing);
        }
        if record.sessions.is_empty() || record.sessions.iter().any(|s| call(record, s).is_none()) {
            return Err(RestoreError::Inconsistent);
        }
        if record.sessions.iter().any(|session| self.tenant_of(session).is_none()) {
            return Err(RestoreError::UnknownTenant);
        }
        self.drain_ike(now);
        self.claim(record)?;
        if let Err(error) = self.ike.restore(&record.ike, now) {
            self.give_back(&record.sessions, PeerRef::Ipsec(record.peer().0));
            return Err(RestoreError::Ike(error));
        }
        self.keeps_records = true;
        while let Some(action) = self.ike.poll_action() {
            self.handle_restored(action, record, now);
        }
        let peer = PeerRef::Ipsec(record.peer().0);
        for session in &record.sessions {
            self.network_up(peer, session.at, session.link.network.clone(), now);
        }
        self.drain_peer(peer, now);
        Ok(())
    }

    /// Takes keys and addresses of all sessions, or none.
    fn claim(&mut self, record: &PeerRecord) -> Result<(), RestoreError> {
        for (index, session) in record.sessions.iter().enumerate() {
            if let Err(error) = self.claim_one(PeerRef::Ipsec(record.peer().0), session) {
                let before = record.sessions.get(..index).unwrap_or_default();
                self.give_back(before, PeerRef::Ipsec(record.peer().0));
                return Err(error);
            }
        }
        Ok(())
    }

    fn claim_one(&mut self, peer: PeerRef, session: &SessionRecord) -> Result<(), RestoreError> {
        let tenant = self.tenant_of(session).ok_or(RestoreError::UnknownTenant)?;
        let key = session.session;
        self.sessions.put_back(key, (peer, session.at)).map_err(|_| RestoreError::SessionKey)?;
        let holder = Holder::from(key.raw());
        // The addresses may lie outside the pool by now; they were given, so they are kept.
        let claimed = self.pools.get_mut(tenant).is_some_and(|pools| {
            let v4 = pools.v4.lease_fixed(session.address, holder).is_some();
            let v6 = session.prefix6.is_none_or(|p| pools.v6.lease_fixed(p, holder).is_some());
            if v4 && !v6 {
                pools.v4.release(session.address, &session.user, holder);
            }
            v4 && v6
        });
        if let Some(pools) = self.pools.get_mut(tenant).filter(|_| claimed) {
            pools.enter(&session.user, session.group.as_deref(), holder);
        }
        if !claimed {
            self.sessions.remove(key);
            return Err(RestoreError::AddressInUse);
        }
        Ok(())
    }

    fn tenant_of(&self, session: &SessionRecord) -> Option<usize> {
        self.config.tenants.iter().position(|tenant| tenant.name == session.tenant)
    }

    fn give_back(&mut self, sessions: &[SessionRecord], peer: PeerRef) {
        for session in sessions {
            debug_assert_eq!(self.sessions.get(session.session).map(|s| s.0), Some(peer));
            self.sessions.remove(session.session);
            if let Some(pools) = self.tenant_of(session).and_then(|t| self.pools.get_mut(t)) {
                let holder = Holder::from(session.session.raw());
                pools.logged_in.leave(&session.user, session.group.as_deref(), holder);
                pools.v4.release(session.address, &session.user, holder);
                if let Some(prefix) = session.prefix6 {
                    pools.v6.release(prefix, &session.user, holder);
                }
            }
        }
    }

    /// What IKE says about a restored peer, with what IKE does not know filled in from the record.
    fn handle_restored(&mut self, action: ike::Action, record: &PeerRecord, now: Instant) {
        match action {
            ike::Action::PeerUp(up) => {
                let peer = self.restored_peer(&up, record, now);
                self.announce_peer(&up, peer);
            }
            ike::Action::InstallInbound(sa) => {
                let mut install = install_inbound(sa);
                let spi = install.sa.params.spi;
                if let Some(numbers) = record.inbound.iter().find(|n| n.spi == spi) {
                    install.sa.top = numbers.top;
                    install.sa.counters = numbers.counters;
                }
                self.plane(Command::InstallInbound(install));
            }
            ike::Action::InstallOutbound(sa) => self.restore_outbound(install_outbound(sa), record),
            ike::Action::ChildUp(_)
            | ike::Action::Failed(_)
            | ike::Action::Keepalive { .. }
            | ike::Action::Offload { .. }
            | ike::Action::PathMoved { .. }
            | ike::Action::PeerDown { .. }
            | ike::Action::PeerRekeyed { .. }
            | ike::Action::RemoveInbound { .. }
            | ike::Action::RemoveOutbound { .. }
            | ike::Action::Transmit { .. } => self.handle_ike_action(action, now),
        }
    }

    /// An SA whose numbers are unknown must never send.
    fn restore_outbound(&mut self, mut install: plane::InstallOutbound, record: &PeerRecord) {
        let spi = install.sa.params.spi;
        let Some(numbers) = record.outbound.iter().find(|n| n.spi == spi) else { return };
        install.sa.resume_at = numbers.resume_at;
        install.sa.counters = numbers.counters;
        install.reserved_until = Some(numbers.resume_at);
        if let Some(peer) = self.peers.get_mut(&PeerRef::Ipsec(record.peer().0)) {
            peer.reserved.insert(spi, numbers.resume_at);
        }
        self.plane(Command::InstallOutbound(install));
    }

    fn restored_peer(&mut self, up: &ike::PeerUp, record: &PeerRecord, now: Instant) -> Peer {
        let endpoint = l2tp::Endpoint::restore(
            self.config.l2tp.clone(),
            self.provider.clone(),
            self.rng.seed(),
            record.l2tp.clone(),
            now,
        );
        let mut sessions = SmallMap::new();
        for saved in &record.sessions {
            if let Some(call) = call(record, saved) {
                let session = self.restored_session(saved, call, now);
                sessions.insert(saved.at, Box::new(session));
            }
        }
        // Where the configuration would not let it in any more, it keeps what it has.
        let dialled = up.path.local.ip();
        let tenants = Admitted::of(&self.config.tenants, up.psk, &up.identity, dialled);
        let kept = || record.sessions.first().and_then(|session| self.tenant_of(session));
        let tenants = tenants.unwrap_or_else(|| Admitted::to(kept().unwrap_or_default()));
        let mut peer = Peer::of_ipsec(up, tenants, endpoint);
        peer.sessions = sessions;
        (peer.spoke_l2tp, peer.had_session, peer.attempt.reported) = (true, true, true);
        peer
    }

    fn restored_session(
        &mut self,
        saved: &SessionRecord,
        call: SessionUp,
        now: Instant,
    ) -> Session {
        let tenant = self.tenant_of(saved).unwrap_or_default();
        let local = self.config.tenants.get(tenant).map(|tenant| tenant.gateway_address);
        let local = local.unwrap_or(saved.link.network.local);
        let config = self.link_configs.at(&self.config, local, saved.prefix6.is_some());
        let link =
            ppp::Link::restore(&saved.link, config, self.provider.clone(), self.rng.seed(), now);
        let expiry = self.expiry(tenant, &saved.user, now - saved.age);
        self.expiries.set(saved.session, expiry);
        let watch = Watch::of(self.limits_of(tenant, &saved.user), now);
        self.looks.set(saved.session, watch.as_ref().map(|watch| watch.next(now)));
        Session {
            lease: Some(Lease {
                user: saved.user.clone(),
                address: saved.address,
                prefix6: saved.prefix6,
                advice: Arc::new(saved.advice.clone()),
                group: saved.group.clone(),
                networks: saved.networks.clone(),
            }),
            claimed_user: Some(saved.user.clone()),
            ipv6: saved
                .link
                .ipv6
                .map(|ipv6| Ipv6Session { up: ipv6.up, router: Router::default() }),
            carried: saved.carried,
            watch,
            ..Session::new(saved.session, Box::new(call), link, tenant, now - saved.age)
        }
    }
}

/// The call of a session, as far as anything still wants to know.
fn call(record: &PeerRecord, session: &SessionRecord) -> Option<SessionUp> {
    let SessionRef { tunnel, session } = session.at;
    let tunnel = record.l2tp.tunnels.iter().find(|t| t.local == tunnel)?;
    let call = tunnel.sessions.iter().find(|call| call.local == session)?;
    Some(SessionUp {
        session: SessionRef { tunnel: tunnel.local, session },
        remote_tunnel: tunnel.remote,
        remote_session: call.remote,
        to_port: tunnel.to_port,
        send_sequence: call.send_sequence,
        peer_host: tunnel.peer_host.clone(),
        serial: call.serial,
        calling: l2tp::avp::Bounded::default(),
        called: l2tp::avp::Bounded::default(),
        framing: None,
        tx_speed: 0,
        rx_speed: None,
        group: None,
        proxy_lcp: None,
        proxy_auth: None,
    })
}
