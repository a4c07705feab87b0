//! What PPP does: links, logins, and who is connected.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::net::Ipv4Addr;

use isthmus_core::{Instant, Key};
use isthmus_l2tp::{self as l2tp, SessionRef};
use isthmus_plane::PeerRef;
use isthmus_ppp as ppp;

use crate::cause::Cause;
use crate::config::{Config, Tenant};
use crate::diagnosis::End;
use crate::event::Event;
use crate::failure::{Failure, Milestone, Stage, printable};
use crate::login;
use crate::machine::Gateway;
use crate::negotiation::{Negotiation, Sender};
use crate::peer::Peer;
use crate::pool::{EVERYBODY, Pools};
use crate::probe::{ECHO_HEADER_LEN, NarrowPath, PROBE_TRIES_MAX, PathProbe};
use crate::session::{Lease, Session};
use crate::watch::Watch;

/// How often a client may try another password on one link.
const AUTH_RETRIES: u8 = 0;

impl Gateway {
    pub(crate) fn handle_ppp_action(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        action: ppp::Action,
        now: Instant,
    ) {
        match action {
            ppp::Action::Transmit(frame) => {
                if let Some(session) = self.session_mut(peer, at) {
                    session.note(Sender::Us, &frame);
                }
                self.send_frame(peer, at, &frame);
            }
            ppp::Action::Authenticate(request) => self.authenticate(peer, at, &request, now),
            ppp::Action::Up(network) => {
                let mtu = network.peer_mru.min(self.config.mru);
                if let Some(session) = self.session_mut(peer, at) {
                    session.steps.reach(Milestone::Connected, now);
                    // It was for the case that they would not agree.
                    session.negotiation = Negotiation::default();
                    session.probe.get_or_insert_with(|| PathProbe::new(mtu, now));
                }
                self.network_up(peer, at, network, now);
            }
            ppp::Action::Ipv6Down => self.ipv6_down(peer, at),
            ppp::Action::Ipv6Up(up) => self.ipv6_up(peer, at, up, now),
            ppp::Action::NetworkDown => self.network_down(peer, at),
            ppp::Action::Down(reason) => self.link_down(peer, at, reason, now),
        }
    }

    fn authenticate(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        request: &ppp::AuthRequest,
        now: Instant,
    ) {
        let config = Arc::clone(&self.config);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(session) = state.sessions.get_mut(&at) else { return };
        session.claimed_user = Some(printable(&request.user));
        let handed_over = core::mem::take(&mut session.handed_over);
        session.steps.reach(Milestone::LinkUp, now);
        let key = session.key;
        let holder = u64::from(key.raw());
        let lead = state.tenants.lead(&config.tenants, &request.user);
        let proven = lead.and_then(|lead| {
            let shared = (&mut self.pools[..], &mut self.link_configs);
            move_to(session, lead.tenant, &config, shared);
            let tenant = config.tenants.get(lead.tenant).ok_or(Cause::UnknownRealm)?;
            let proven = login::judge(tenant, &lead.name, request, &*self.provider)?;
            Ok((lead.tenant, tenant, proven))
        });
        let outcome = proven.and_then(|(index, tenant, proven)| {
            self.make_room((index, tenant), (proven.name, proven.user), (peer, key), now)?;
            let pools = self.pools.get_mut(index).ok_or(Cause::UnknownRealm)?;
            login::grant(tenant, pools, proven, holder)
        });
        let Some(session) = self.peers.get_mut(&peer).and_then(|p| p.sessions.get_mut(&at)) else {
            return;
        };
        match outcome {
            Ok(grant) => {
                session.steps.reach(Milestone::LoggedIn, now);
                // Once more on a link that negotiates again: what is not granted again goes back.
                if let (Some(old), Some(pools)) =
                    (session.lease.take(), self.pools.get_mut(session.tenant()))
                {
                    pools.give_back(&old, &grant, holder);
                }
                if let Some(pools) = self.pools.get_mut(session.tenant()) {
                    pools.enter(&grant.user, grant.group.as_deref(), holder);
                }
                let limits = grant.limits;
                let expiry = limits.session_timeout.map(|most| session.since + most);
                self.expiries.set(key, expiry);
                session.watch = Watch::of(limits, now);
                self.looks.set(key, session.watch.as_ref().map(|watch| watch.next(now)));
                let verdict = ppp::Verdict::Accept {
                    address: grant.address,
                    dns: grant.advice.dns.clone(),
                    proof: grant.response,
                };
                session.lease = Some(Lease {
                    user: grant.user,
                    address: grant.address,
                    advice: grant.advice,
                    group: grant.group,
                    prefix6: grant.prefix6,
                    networks: grant.networks,
                });
                session.link.allow_ipv6(grant.prefix6.is_some());
                let _stale = session.link.handle_verdict(request.ticket, verdict, now);
            }
            Err(cause) => {
                session.refused = Some(cause);
                let verdict = ppp::Verdict::Refuse { reason: refusal(cause) };
                let _stale = session.link.handle_verdict(request.ticket, verdict, now);
                let brought = if handed_over { ", handed over by the LAC" } else { "" };
                self.login_refused(peer, at, cause, (request, brought), now);
            }
        }
    }

    fn login_refused(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        cause: Cause,
        (request, brought): (&ppp::AuthRequest, &str),
        now: Instant,
    ) {
        let full = self.limit_that_refused(peer, at, request, cause);
        let Some(mut state) = self.peers.remove(&peer) else { return };
        let mut failure = Failure::new(now, state.path.remote, Stage::PppAuth, cause);
        if let Some(session) = state.sessions.get(&at) {
            failure.user.clone_from(&session.claimed_user);
            failure.steps = session.steps.list().collect();
            failure.detail = self.refusal_detail(&state, session, request, cause);
            failure.detail.push_str(&full.map(|full| format!(": {full}")).unwrap_or_default());
            failure.detail.push_str(brought);
            if cause != Cause::UnknownRealm {
                failure.tenant = self.tenant_name(session.tenant());
            }
        }
        self.peer_failed(&mut state, failure);
        self.peers.insert(peer, state);
    }

    /// Which limit refused a login, in words; none where none did.
    fn limit_that_refused(
        &self,
        peer: PeerRef,
        at: SessionRef,
        request: &ppp::AuthRequest,
        cause: Cause,
    ) -> Option<String> {
        let state = self.peers.get(&peer).filter(|_| cause == Cause::TooManySessions)?;
        let lead = state.tenants.lead(&self.config.tenants, &request.user).ok()?;
        self.full_text(lead.tenant, &lead.name, state.sessions.get(&at)?.key)
    }

    /// What was tried, for a person who looks for the reason.
    fn refusal_detail(
        &self,
        peer: &Peer,
        session: &Session,
        request: &ppp::AuthRequest,
        cause: Cause,
    ) -> String {
        let protocol = match request.proof {
            ppp::Proof::ChapMd5 { .. } => "CHAP with MD5",
            ppp::Proof::MsChapV2(_) => "MS-CHAPv2",
            ppp::Proof::Pap { .. } => "PAP",
        };
        if cause == Cause::UnknownRealm {
            let known = peer.tenants.realms(&self.config.tenants).join(", ");
            return format!("{protocol}, realms of the client's key: {known}");
        }
        let Some(tenant) = self.config.tenants.get(session.tenant()) else {
            return protocol.into();
        };
        let place = format!("{protocol}, tenant {}", tenant.name);
        let lead = peer.tenants.lead(&self.config.tenants, &request.user);
        let user = lead.ok().and_then(|lead| Some(tenant.users.find(&lead.name)?.1));
        let (fixed, group) = (user.and_then(|u| u.address), user.and_then(|u| tenant.group_of(u)));
        let part = login::part(group);
        match (cause, self.pools.get(session.tenant()), fixed) {
            (Cause::PoolExhausted, Some(pool), _) if part != EVERYBODY => {
                let (all, name) = (pool.v4.capacity_of(part), group.map(|(_, g)| g.name.as_str()));
                format!("{place}: all {all} addresses of group {} are leased", name.unwrap_or(""))
            }
            (Cause::PoolExhausted, Some(pool), _) => {
                format!(
                    "{place}: {} of {} addresses are leased",
                    pool.v4.leased_count(),
                    pool.v4.capacity()
                )
            }
            (Cause::AddressInUse, _, Some(address)) => format!("{place}: {address} is leased"),
            _ => place,
        }
    }

    pub(crate) fn network_up(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        network: ppp::NetworkUp,
        now: Instant,
    ) {
        self.publish(peer, at, &network);
        if let Some(session) = self.session_mut(peer, at) {
            session.network = Some(network);
        }
        self.start_advertising(peer, at, now);
        self.announce(peer, at);
    }

    /// Says that somebody is connected.
    fn announce(&mut self, peer: PeerRef, at: SessionRef) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(session) = state.sessions.get_mut(&at) else { return };
        let tenant = self.config.tenants.get(session.tenant());
        let (Some(lease), Some(tenant)) = (&session.lease, tenant) else { return };
        let now_up = (lease.user.clone(), lease.address);
        // A client that negotiated anew and is who it was before is the same session.
        if session.announced.as_ref() == Some(&now_up) {
            return;
        }
        let (key, tenant) = (session.key, tenant.name.clone());
        let before = session.announced.replace(now_up.clone());
        self.session_down(key, before, "logged in again");
        self.stats.sessions_up_total += 1;
        let (user, address) = now_up;
        self.event(Event::SessionUp { session: key, peer, user, tenant, address });
    }

    /// Says that whoever was announced is no longer connected.
    pub(crate) fn session_down(
        &mut self,
        session: Key,
        announced: Option<(String, Ipv4Addr)>,
        reason: &str,
    ) {
        if let Some((user, address)) = announced {
            let reason = reason.to_string();
            self.event(Event::SessionDown { session, user, address, reason });
        }
    }

    /// The link is down: the call has no purpose any more.
    fn link_down(&mut self, peer: PeerRef, at: SessionRef, reason: ppp::DownReason, now: Instant) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.l2tp.close_session(at, close_reason(reason), now);
        self.call_down(peer, at, &End::Link(reason), now);
    }

    /// Sends the echoes that are due.
    pub(crate) fn probe_paths(peer: &mut Peer, now: Instant) {
        for session in peer.sessions.values_mut() {
            let due = session.probe.as_mut().and_then(|probe| probe.handle_timeout(now));
            if let Some(size) = due {
                session.link.echo(size.saturating_sub(ECHO_HEADER_LEN));
            }
        }
    }

    /// Large packets of a session are lost on the way. It goes on.
    pub(crate) fn path_narrow(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        path: NarrowPath,
        now: Instant,
    ) {
        let Some(mut state) = self.peers.remove(&peer) else { return };
        let NarrowPath { passes, lost } = path;
        let from = state.path.remote;
        let mut failure = Failure::new(now, from, Stage::Connected, Cause::PathMtu);
        failure.detail = format!(
            "connected, but of echoes of {lost} bytes none came back in {PROBE_TRIES_MAX} tries; one of \
             {passes} bytes did"
        );
        failure.remedy = format!(
            "lower `[ppp] mru` to {passes}, or let ICMP \"fragmentation needed\" and fragments pass on the \
             way to this client"
        );
        if let Some(session) = state.sessions.get(&at) {
            failure.user.clone_from(&session.claimed_user);
            failure.steps = session.steps.list().collect();
        }
        self.peer_failed(&mut state, failure);
        self.peers.insert(peer, state);
    }

    /// Starts ending one session from our side.
    pub(crate) fn close_link(&mut self, peer: PeerRef, at: SessionRef, now: Instant) {
        let session = self.peers.get_mut(&peer).and_then(|p| p.sessions.get_mut(&at));
        if let Some(session) = session {
            session.link.close(ppp::CloseReason::Admin, now);
        }
    }
}

/// Brings a session to the tenant that its login leads to; what it had of another one goes back.
fn move_to(
    session: &mut Session,
    tenant: usize,
    config: &Config,
    (pools, link_configs): (&mut [Pools], &mut LinkConfigs),
) {
    if session.tenant() == tenant {
        return;
    }
    if let (Some(old), Some(pools)) = (session.lease.take(), pools.get_mut(session.tenant())) {
        pools.release(&old, u64::from(session.key.raw()));
    }
    session.move_to(tenant);
    if let Some(tenant) = config.tenants.get(tenant) {
        session.link.go_on_with(link_configs.of(config, tenant));
    }
}

/// How links behave, by our address on them and whether they may have IPv6: the sessions of a tenant share
/// what is equal.
#[derive(Debug, Default)]
pub(crate) struct LinkConfigs(BTreeMap<(Ipv4Addr, bool), Arc<ppp::LinkConfig>>);

impl LinkConfigs {
    /// For the sessions of a tenant.
    pub(crate) fn of(&mut self, config: &Config, tenant: &Tenant) -> Arc<ppp::LinkConfig> {
        self.at(config, tenant.gateway_address, !tenant.pool6.is_empty())
    }

    /// For links with this address of ours.
    pub(crate) fn at(
        &mut self,
        config: &Config,
        local: Ipv4Addr,
        ipv6: bool,
    ) -> Arc<ppp::LinkConfig> {
        let make = || Arc::new(link_config(config, local, ipv6));
        Arc::clone(self.0.entry((local, ipv6)).or_insert_with(make))
    }
}

fn link_config(config: &Config, local_address: Ipv4Addr, ipv6: bool) -> ppp::LinkConfig {
    let role = ppp::Role::Server(ppp::ServerConfig {
        auth: config.auth.clone(),
        name: config.l2tp.host_name.as_bytes().to_vec(),
        local_address,
        auth_retries: AUTH_RETRIES,
    });
    ppp::LinkConfig { mru: config.mru, ipv6, echo: config.echo, ..ppp::LinkConfig::new(role) }
}

/// What the CDN says when the link ended first.
fn close_reason(reason: ppp::DownReason) -> l2tp::CloseReason {
    match reason {
        ppp::DownReason::Closed(ppp::CloseReason::Shutdown) => l2tp::CloseReason::Shutdown,
        ppp::DownReason::AuthRefused(ppp::Refusal::NoResources) => l2tp::CloseReason::NoResources,
        ppp::DownReason::AuthNotConfigured
        | ppp::DownReason::AuthRefused(_)
        | ppp::DownReason::Closed(_) => l2tp::CloseReason::Administrative,
        ppp::DownReason::AuthNotOffered
        | ppp::DownReason::AuthRefusedByPeer(_)
        | ppp::DownReason::CryptoFailed
        | ppp::DownReason::EchoLost
        | ppp::DownReason::LoopDetected
        | ppp::DownReason::NegotiationFailed(..)
        | ppp::DownReason::PeerNotAuthentic
        | ppp::DownReason::PeerTerminated(_)
        | ppp::DownReason::Timeout(_) => l2tp::CloseReason::Ended,
    }
}

/// What the user is told. An unknown name and a wrong password look the same from outside.
fn refusal(cause: Cause) -> ppp::Refusal {
    match cause {
        Cause::AccountDisabled => ppp::Refusal::AccountDisabled,
        Cause::AddressInUse | Cause::PoolExhausted | Cause::TooMany | Cause::TooManySessions => {
            ppp::Refusal::NoResources
        }
        Cause::AuthProtocolUnusable => ppp::Refusal::Unavailable,
        Cause::ExchangeUnsupported
        | Cause::IkeV2
        | Cause::CertificateRefused
        | Cause::LinkNegotiation
        | Cause::NatTraversalBlocked
        | Cause::NoAnswerHeard
        | Cause::NoL2tp
        | Cause::NoProposalEsp
        | Cause::NoProposalIke
        | Cause::NoPskForIdentity
        | Cause::NoQuickMode
        | Cause::NoTenant
        | Cause::PathMtu
        | Cause::PeerMisbehaved
        | Cause::PeerRefused
        | Cause::PeerSilent
        | Cause::ReturnPathDead
        | Cause::UnknownGroup
        | Cause::UnknownRealm
        | Cause::UnknownUser
        | Cause::WindowsServerNat
        | Cause::WrongPassword
        | Cause::WrongPsk
        | Cause::WrongTunnelSecret => ppp::Refusal::BadCredentials,
    }
}
