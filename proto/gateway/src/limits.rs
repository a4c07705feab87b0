//! How many sessions there may be, for how long and how fast.
//!
//! A limit of the user goes before that of his group, and that before the tenant's. Only who has proved who he is can end a session of
//! his by beginning another one.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Key};
use isthmus_l2tp::{self as l2tp, SessionRef};
use isthmus_plane::{PeerRef, Rate, Rates};
use isthmus_ppp as ppp;
use serde::Serialize;

use crate::cause::Cause;
use crate::config::{Config, Tenant};
use crate::diagnosis::End;
use crate::machine::Gateway;
use crate::pool::{Holder, hash};
use crate::users::User;
use crate::watch::Watch;

/// What sessions of a tenant or of a user are limited to; what is none is not, or as the tenant says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Most sessions of one user at once.
    pub sessions_per_user: Option<u16>,
    /// What becomes of one more.
    pub on_limit: Option<OnLimit>,
    /// How long a session lasts at most, from the call on.
    pub session_timeout: Option<Duration>,
    /// How long a session lasts at most in which the user sends nothing.
    pub idle_timeout: Option<Duration>,
    /// Most bytes of inner packets that a session carries, both ways together.
    pub quota: Option<u64>,
    /// Most bits of inner packets in a second from the user, for each session.
    pub rate_up: Option<u64>,
    /// Most bits of inner packets in a second to the user.
    pub rate_down: Option<u64>,
    /// Bytes that may pass at once beyond a rate, either way; see [`Rate::new`] for what holds without it.
    pub burst: Option<u64>,
}

/// What becomes of a login when its user has all the sessions that he may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum OnLimit {
    /// It is refused.
    #[default]
    Refuse,
    /// The oldest session of the user ends.
    Replace,
}

impl OnLimit {
    /// The names people write in configuration.
    pub const NAMES: [(&'static str, Self); 2] =
        [("refuse", Self::Refuse), ("replace", Self::Replace)];
}

impl Limits {
    /// None at all.
    pub const NONE: Self = Self {
        sessions_per_user: None,
        on_limit: None,
        session_timeout: None,
        idle_timeout: None,
        quota: None,
        rate_up: None,
        rate_down: None,
        burst: None,
    };

    /// These, and what they leave open as `wider` has it.
    #[must_use]
    pub fn or(self, wider: Self) -> Self {
        Self {
            sessions_per_user: self.sessions_per_user.or(wider.sessions_per_user),
            on_limit: self.on_limit.or(wider.on_limit),
            session_timeout: self.session_timeout.or(wider.session_timeout),
            idle_timeout: self.idle_timeout.or(wider.idle_timeout),
            quota: self.quota.or(wider.quota),
            rate_up: self.rate_up.or(wider.rate_up),
            rate_down: self.rate_down.or(wider.rate_down),
            burst: self.burst.or(wider.burst),
        }
    }

    /// How fast a session with these limits carries packets.
    pub fn rates(&self) -> Rates {
        let rate = |bits: Option<u64>| bits.map(|bits| Rate::new(bits, self.burst));
        Rates { up: rate(self.rate_up), down: rate(self.rate_down) }
    }
}

/// The limits of a user of a tenant; those of the tenant for a user who is not there.
fn limits_in(config: &Config, tenant: usize, user: &str) -> Limits {
    let Some(tenant) = config.tenants.get(tenant) else { return Limits::NONE };
    tenant.users.named(user).map_or(tenant.limits, |user| tenant.limits_of(user))
}

/// Why a limit ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Expired,
    Idle,
    QuotaUsed,
    Replaced,
}

impl Ending {
    /// In words, for the event.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Expired => "the session has lasted as long as it may",
            Self::Idle => "the user has sent nothing for as long as may be",
            Self::QuotaUsed => "the session has carried as many bytes as it may",
            Self::Replaced => "replaced by another session of the same user",
        }
    }
}

/// Who is logged in to a tenant, found by a hash of the name; what it finds is compared with the name.
#[derive(Debug, Default)]
pub(crate) struct LoggedIn {
    users: BTreeSet<(u64, Holder)>,
    /// Those of each group that somebody of is logged in.
    groups: BTreeMap<String, BTreeSet<Holder>>,
}

impl LoggedIn {
    pub(crate) fn enter(&mut self, user: &str, group: Option<&str>, holder: Holder) {
        self.users.insert((hash(user), holder));
        if let Some(group) = group {
            self.groups.entry(group.into()).or_default().insert(holder);
        }
    }

    pub(crate) fn leave(&mut self, user: &str, group: Option<&str>, holder: Holder) {
        self.users.remove(&(hash(user), holder));
        let Some((name, group)) = group.and_then(|name| Some((name, self.groups.get_mut(name)?)))
        else {
            return;
        };
        group.remove(&holder);
        if group.is_empty() {
            self.groups.remove(name);
        }
    }

    /// How many of a group there are without `own`.
    pub(crate) fn others_of(&self, group: &str, own: Holder) -> usize {
        let group = self.groups.get(group);
        group.map_or(0, |group| group.len() - usize::from(group.contains(&own)))
    }

    /// How many there are without `own`, whose user is `user`.
    pub(crate) fn others(&self, user: &str, own: Holder) -> usize {
        self.users.len() - usize::from(self.users.contains(&(hash(user), own)))
    }

    /// Sessions that may be of this user.
    fn of(&self, user: &str) -> impl Iterator<Item = Holder> {
        let hash = hash(user);
        self.users.range((hash, 0)..=(hash, Holder::MAX)).map(|(_, holder)| *holder)
    }
}

impl Gateway {
    /// Sees to it that one more session of a user is within the limits; the user has proved who he is.
    ///
    /// # Errors
    /// [`Cause::TooManySessions`]
    pub(crate) fn make_room(
        &mut self,
        (index, tenant): (usize, &Tenant),
        (name, user): (&str, &User),
        (peer, own): (PeerRef, Key),
        now: Instant,
    ) -> Result<(), Cause> {
        let limits = tenant.limits_of(user);
        if let (Some(most), Some(OnLimit::Replace)) = (limits.sessions_per_user, limits.on_limit) {
            let others = self.sessions_of(index, name, own);
            let surplus = (others.len() + 1).saturating_sub(most.max(1).into());
            for oldest in others.into_iter().take(surplus) {
                self.end_for_another(oldest, peer, now);
            }
        }
        let Some(full) = self.full((index, tenant), (name, user), own) else { return Ok(()) };
        if let Some(pools) = self.pools.get_mut(index) {
            pools.held.count_refusal(&full);
        }
        Err(Cause::TooManySessions)
    }

    /// The other sessions of a user, oldest first.
    pub(crate) fn sessions_of(
        &self,
        tenant: usize,
        user: &str,
        own: Key,
    ) -> Vec<(PeerRef, SessionRef)> {
        let Some(pools) = self.pools.get(tenant) else { return Vec::new() };
        let mut found: Vec<_> = pools
            .logged_in
            .of(user)
            .filter_map(|holder| {
                let key = Key::from_raw(u32::try_from(holder).ok()?);
                let (peer, at) = *self.sessions.get(key).filter(|_| key != own)?;
                let session = self.peers.get(&peer)?.sessions.get(&at)?;
                let lease = session.lease.as_ref()?;
                (lease.user == user).then_some((session.since, peer, at))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, peer, at)| (peer, at)).collect()
    }

    /// Ends a session at once, so that another one of its user can have what it holds.
    fn end_for_another(&mut self, (peer, at): (PeerRef, SessionRef), new: PeerRef, now: Instant) {
        let Some(session) = self.session_mut(peer, at) else { return };
        session.ending = Some(Ending::Replaced);
        session.link.close(ppp::CloseReason::Admin, now);
        let tenant = session.tenant();
        let mut farewell = Vec::new();
        while let Some(action) = session.link.poll_action() {
            if let ppp::Action::Transmit(frame) = action {
                farewell.push(frame);
            }
        }
        for frame in farewell {
            self.send_frame(peer, at, &frame);
        }
        if let Some(state) = self.peers.get_mut(&peer) {
            state.l2tp.close_session(at, l2tp::CloseReason::Administrative, now);
        }
        self.call_down(peer, at, &End::Call(Ending::Replaced.text()), now);
        self.count_ending(tenant, Ending::Replaced);
        // The peer of the new one is being looked after.
        if peer != new {
            self.drain_peer(peer, now);
        }
    }

    /// When a session of a user that began at `since` has lasted as long as it may.
    pub(crate) fn expiry(&self, tenant: usize, user: &str, since: Instant) -> Option<Instant> {
        self.limits_of(tenant, user).session_timeout.map(|most| since + most)
    }

    /// The limits of a user of a tenant, as they are configured now.
    pub(crate) fn limits_of(&self, tenant: usize, user: &str) -> Limits {
        limits_in(&self.config, tenant, user)
    }

    /// Has sessions go on with the limits that their users have now, where those were others `before`. How
    /// many sessions there may be concerns logins only: nobody is ended for it.
    pub(crate) fn review_limits(&mut self, before: &Config, now: Instant) {
        let mut changed = Vec::new();
        for peer in self.peers.values() {
            for (at, session) in peer.sessions.iter() {
                let Some(lease) = &session.lease else { continue };
                let (old, new) = [before, &*self.config]
                    .map(|config| limits_in(config, session.tenant(), &lease.user))
                    .into();
                let ends = self.config.tenants.get(session.tenant()).is_none_or(Tenant::is_vacant);
                if old != new && !ends {
                    changed.push((peer.id, *at, old, new));
                }
            }
        }
        for (peer, at, old, new) in changed {
            self.change_limits((peer, at), old, new, now);
        }
    }

    fn change_limits(
        &mut self,
        (peer, at): (PeerRef, SessionRef),
        old: Limits,
        new: Limits,
        now: Instant,
    ) {
        let Some(session) = self.session_mut(peer, at) else { return };
        let expiry = new.session_timeout.map(|most| session.since + most);
        session.watch = Watch::go_on(session.watch.take(), new, now);
        let look = session.watch.as_ref().map(|watch| watch.next(now));
        let (key, network) = (session.key, session.network.clone());
        self.expiries.set(key, expiry);
        self.looks.set(key, look);
        if let Some(network) = network.filter(|_| old.rates() != new.rates()) {
            self.publish(peer, at, &network);
        }
    }

    /// Ends a session, saying why.
    pub(crate) fn end_for(&mut self, session: Key, ending: Ending, now: Instant) {
        let Some(&(peer, at)) = self.sessions.get(session) else { return };
        if let Some(session) = self.session_mut(peer, at) {
            session.ending = Some(ending);
            session.link.close(ppp::CloseReason::Admin, now);
            let tenant = session.tenant();
            self.count_ending(tenant, ending);
        }
        self.drain_peer(peer, now);
    }

    fn count_ending(&mut self, tenant: usize, ending: Ending) {
        if let Some(pools) = self.pools.get_mut(tenant) {
            pools.held.count_ending(ending);
        }
    }
}
