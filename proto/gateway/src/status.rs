//! What a gateway shows of itself.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_core::{Encap, Instant, Key};
use isthmus_plane::{PeerRef, SessionCounters, TunId};
use serde::Serialize;

use crate::failure::Failure;
use crate::held::LimitCounts;
use crate::limits::Limits;
use crate::machine::Gateway;
use crate::stats::Stats;

/// The state of the gateway at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Peers with an IPsec SA.
    pub peers: usize,
    /// LACs trusted without IPsec, in order of configuration.
    pub lacs: Vec<LacStatus>,
    /// Sessions, connected or logging in.
    pub sessions: usize,
    /// Those through which packets flow.
    pub sessions_up: usize,
    /// Per tenant, in order of configuration.
    pub tenants: Vec<TenantStatus>,
    /// What was refused.
    pub stats: Stats,
    /// The last failed attempts, oldest first.
    pub failures: Vec<Failure>,
    /// Failed attempts since the start.
    pub failures_total: u64,
}

/// One tenant's use of its pool.
#[derive(Clone, Debug, Serialize)]
pub struct TenantStatus {
    /// Name.
    pub name: String,
    /// Its device.
    pub tun: TunId,
    /// Addresses given out.
    pub leased: usize,
    /// Addresses that can be given out.
    pub capacity: u64,
    /// IPv6 networks given out.
    pub leased6: usize,
    /// Users known.
    pub users: usize,
    /// Sessions, connected or logging in.
    pub sessions: usize,
    /// How often its limits have held.
    pub limits: LimitCounts,
}

/// One LAC that is trusted without IPsec.
#[derive(Clone, Debug, Serialize)]
pub struct LacStatus {
    /// Name.
    pub name: String,
    /// The tenants of its users.
    pub tenants: Vec<String>,
    /// Where it speaks from now.
    pub from: Vec<SocketAddr>,
    /// Its tunnels, whether or not they are up.
    pub tunnels: usize,
    /// Its calls, connected or logging in.
    pub sessions: usize,
}

/// One session.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    /// Its key, as used by the pipeline's counters.
    pub session: Key,
    /// Its peer.
    pub peer: PeerRef,
    /// The user; none before login.
    pub user: Option<String>,
    /// The tenant; empty before the login of a user whose realm decides.
    pub tenant: String,
    /// The user's group; none before login.
    pub group: Option<String>,
    /// The address given; none before login.
    pub address: Option<Ipv4Addr>,
    /// The /64 given, while IPv6 is up.
    pub prefix6: Option<Ipv6Net>,
    /// Name servers told.
    pub dns: Vec<Ipv4Addr>,
    /// Routes pushed.
    pub routes: Vec<Ipv4Net>,
    /// What it carried before the gateway was restarted; the pipeline's counters come on top.
    pub carried: SessionCounters,
    /// Bytes that count for a quota besides those of the pipeline's counters.
    pub carried_before: u64,
    /// Whether packets flow.
    pub up: bool,
    /// When the call began.
    pub since: Instant,
    /// The limits of its user, as they are configured now; none before login.
    pub limits: Limits,
    /// When the session has lasted as long as it may; none without a limit.
    pub expires: Option<Instant>,
    /// Where the client is.
    pub from: SocketAddr,
    /// How ESP travels; none without IPsec.
    pub encap: Option<Encap>,
    /// The ESP suite.
    pub suite: Option<&'static str>,
    /// Who the peer says it is; for a LAC its name in the configuration.
    pub identity: String,
    /// The client's host name as sent in L2TP; escaped.
    pub host: String,
}

impl Gateway {
    /// The state now.
    pub fn status(&self) -> Status {
        let counts = self.count_sessions();
        let tenants = self.config.tenants.iter().zip(&self.pools).zip(&counts);
        let tenants = tenants.filter(|((tenant, _), _)| !tenant.is_vacant());
        let tenants = tenants.map(|((tenant, pool), (sessions, _))| TenantStatus {
            name: tenant.name.clone(),
            tun: tenant.tun,
            leased: pool.v4.leased_count(),
            capacity: pool.v4.capacity(),
            leased6: pool.v6.leased_count(),
            users: tenant.users.len(),
            sessions: *sessions,
            limits: pool.held,
        });
        Status {
            peers: self.peers.keys().filter(|peer| matches!(peer, PeerRef::Ipsec(_))).count(),
            lacs: self.lac_status(),
            sessions: self.sessions.len(),
            sessions_up: counts.iter().map(|(_, up)| up).sum(),
            tenants: tenants.collect(),
            stats: self.stats.clone(),
            failures: self.failures.iter().cloned().collect(),
            failures_total: self.failures.total(),
        }
    }

    /// For each tenant how many sessions there are, and how many of them are up.
    fn count_sessions(&self) -> Vec<(usize, usize)> {
        let mut counts = alloc::vec![(0, 0); self.config.tenants.len()];
        for peer in self.peers.values() {
            for session in peer.sessions.values() {
                let tenant = session.lease.as_ref().map(|_| session.tenant());
                let tenant = tenant.or_else(|| peer.tenants.only());
                if let Some((all, up)) = tenant.and_then(|tenant| counts.get_mut(tenant)) {
                    *all += 1;
                    *up += usize::from(session.network.is_some());
                }
            }
        }
        counts
    }

    /// All sessions, in order of peer.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let peers = self.peers.values();
        peers.flat_map(|p| p.sessions.values().map(move |s| self.info(p, s))).collect()
    }

    /// The user of a session after login, and the user's group.
    pub fn user_of(&self, session: Key) -> Option<(&str, Option<&str>)> {
        let (peer, at) = self.sessions.get(session)?;
        let lease = self.peers.get(peer)?.sessions.get(at)?.lease.as_ref()?;
        Some((&lease.user, lease.group.as_deref()))
    }

    fn info(&self, peer: &crate::peer::Peer, session: &crate::session::Session) -> SessionInfo {
        let lease = session.lease.as_ref();
        SessionInfo {
            session: session.key,
            peer: peer.id,
            user: lease.map(|l| l.user.clone()).or_else(|| session.claimed_user.clone()),
            tenant: lease
                .map_or_else(|| peer.tenants.only(), |_| Some(session.tenant()))
                .and_then(|tenant| self.tenant_name(tenant))
                .unwrap_or_default(),
            group: lease.and_then(|l| l.group.clone()),
            address: lease.map(|l| l.address),
            prefix6: session.ipv6.and(lease).and_then(|l| l.prefix6),
            dns: lease.map(|l| l.advice.dns.clone()).unwrap_or_default(),
            routes: lease.map(|l| l.advice.routes.clone()).unwrap_or_default(),
            carried: session.carried,
            carried_before: session
                .watch
                .as_ref()
                .map_or(0, |watch| watch.before())
                .saturating_add(session.carried.bytes()),
            up: session.network.is_some(),
            since: session.since,
            limits: lease
                .map(|lease| self.limits_of(session.tenant(), &lease.user))
                .unwrap_or_default(),
            expires: session
                .lease
                .as_ref()
                .and_then(|lease| self.expiry(session.tenant(), &lease.user, session.since)),
            from: peer.path.remote,
            encap: peer.encap,
            suite: peer.suite,
            identity: peer.identity.clone(),
            host: crate::failure::printable(session.call.peer_host.as_bytes()),
        }
    }
}
