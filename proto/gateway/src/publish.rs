//! What the packet pipeline is told about sessions.

use alloc::vec::Vec;

use ipnet::{IpNet, Ipv4Net};
use isthmus_l2tp::{SessionRef, TunnelId};
use isthmus_plane::{Command, Ipv6Link, PeerRef, Rates, SessionParams};
use isthmus_ppp as ppp;

use crate::calls::L2TP_PORT;
use crate::config::Tenant;
use crate::machine::Gateway;
use crate::session::{Lease, Session};

impl Gateway {
    /// Has the pipeline count the frames of a session that must be numbered, from the first one on and
    /// whether or not packets may pass.
    pub(crate) fn number(&mut self, peer: PeerRef, at: SessionRef) {
        let Some(state) = self.peers.get(&peer) else { return };
        let Some(session) = state.sessions.get(&at) else { return };
        let tenant = self.config.tenants.get(session.tenant());
        let (true, Some(tenant)) = (session.call.send_sequence, tenant) else { return };
        let params = session_params(peer, at, session, tenant, self.config.mru);
        self.plane(Command::OpenSession(params));
    }

    /// Lets packets of a session flow, or changes how they do.
    pub(crate) fn publish(&mut self, peer: PeerRef, at: SessionRef, network: &ppp::NetworkUp) {
        let Some(state) = self.peers.get(&peer) else { return };
        let Some(session) = state.sessions.get(&at) else { return };
        let tenant = self.config.tenants.get(session.tenant());
        let (Some(lease), Some(tenant)) = (&session.lease, tenant) else { return };
        let mtu = network.peer_mru.min(self.config.mru);
        let prefixes = prefixes(lease, session.ipv6.is_some());
        let params = SessionParams {
            sources: prefixes.clone(),
            destinations: prefixes,
            rates: self.limits_of(session.tenant(), &lease.user).rates(),
            ipv6_link: session.ipv6.map(|ipv6| Ipv6Link {
                local: ipv6.up.local.link_local(),
                remote: ipv6.up.remote.link_local(),
            }),
            ..session_params(peer, at, session, tenant, mtu)
        };
        self.plane(Command::OpenSession(params));
    }

    /// The client negotiates anew: no packet passes until the network is up again.
    pub(crate) fn network_down(&mut self, peer: PeerRef, at: SessionRef) {
        let session = self.peers.get_mut(&peer).and_then(|p| p.sessions.get_mut(&at));
        let Some(session) = session else { return };
        session.network = None;
        let (session, numbered) = (session.key, session.call.send_sequence);
        if numbered {
            self.number(peer, at);
        } else {
            self.plane(Command::CloseSession { session });
        }
    }

    /// The peer's L2TP moved to another UDP port: packets of its sessions follow.
    pub(crate) fn port_moved(&mut self, peer: PeerRef, tunnel: TunnelId, to_port: u16) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let up: Vec<(SessionRef, ppp::NetworkUp)> = state
            .sessions
            .iter_mut()
            .filter(|(at, _)| at.tunnel == tunnel)
            .filter_map(|(at, session)| {
                session.call.to_port = to_port;
                session.network.clone().map(|network| (*at, network))
            })
            .collect();
        for (at, network) in up {
            self.publish(peer, at, &network);
        }
    }
}

/// A session that no packet passes yet.
fn session_params(
    peer: PeerRef,
    at: SessionRef,
    session: &Session,
    tenant: &Tenant,
    mtu: u16,
) -> SessionParams {
    SessionParams {
        session: session.key,
        peer,
        local_tunnel: at.tunnel.0,
        local_session: at.session.0,
        remote_tunnel: session.call.remote_tunnel,
        remote_session: session.call.remote_session,
        local_port: L2TP_PORT,
        remote_port: session.call.to_port,
        sequence: session.call.send_sequence.then_some(0),
        tun: tenant.tun,
        sources: Vec::new(),
        destinations: Vec::new(),
        rates: Rates::default(),
        mtu,
        // Plain framing: two bytes saved are not worth a client that gets it wrong.
        acfc: false,
        pfc: false,
        gateway_v4: Some(tenant.gateway_address),
        ipv6_link: None,
        dhcp: true,
    }
}

/// Where a session's packets may come from and which go to it.
fn prefixes(lease: &Lease, has_ipv6: bool) -> Vec<IpNet> {
    let own = Ipv4Net::from(lease.address);
    let v6 = lease.prefix6.filter(|_| has_ipv6).map(IpNet::V6);
    let v4 = core::iter::once(own).chain(lease.networks.iter().copied()).map(IpNet::V4);
    v4.chain(v6).collect()
}
