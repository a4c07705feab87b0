//! Limits that held: which one refuses a login, and how often each has refused or ended something.

use alloc::format;
use alloc::string::String;

use isthmus_core::Key;
use serde::Serialize;

use crate::config::Tenant;
use crate::limits::{Ending, OnLimit};
use crate::machine::Gateway;
use crate::users::User;

/// How often the limits of a tenant, its groups and its users have held since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LimitCounts {
    /// Logins refused because the tenant has all its sessions.
    pub refused_sessions: u64,
    /// Logins refused because the group has all its sessions.
    pub refused_group_sessions: u64,
    /// Logins refused because the user has all his sessions.
    pub refused_user_sessions: u64,
    /// Sessions ended for another one of the same user.
    pub ended_replaced: u64,
    /// Sessions that have lasted as long as they may.
    pub ended_session_timeout: u64,
    /// Sessions whose user was silent for as long as may be.
    pub ended_idle_timeout: u64,
    /// Sessions that have carried their quota.
    pub ended_quota: u64,
}

impl LimitCounts {
    pub(crate) fn count_ending(&mut self, ending: Ending) {
        *match ending {
            Ending::Expired => &mut self.ended_session_timeout,
            Ending::Idle => &mut self.ended_idle_timeout,
            Ending::QuotaUsed => &mut self.ended_quota,
            Ending::Replaced => &mut self.ended_replaced,
        } += 1;
    }

    pub(crate) fn count_refusal(&mut self, full: &Full<'_>) {
        *match full {
            Full::User(..) => &mut self.refused_user_sessions,
            Full::Group(..) => &mut self.refused_group_sessions,
            Full::Tenant(_) => &mut self.refused_sessions,
        } += 1;
    }
}

/// Who has as many sessions as may be, and how many that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full<'a> {
    Group(&'a str, u32),
    Tenant(u32),
    User(&'a str, u16),
}

impl Full<'_> {
    /// In words, for a person who looks for the reason.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Group(name, most) => format!("group {name} has all its {most} sessions"),
            Self::Tenant(most) => format!("it has all its {most} sessions"),
            Self::User(name, most) => format!("{name} has all his {most} sessions"),
        }
    }
}

impl Gateway {
    /// The limit that one more session of a user breaks.
    pub(crate) fn full<'a>(
        &self,
        (index, tenant): (usize, &'a Tenant),
        (name, user): (&'a str, &User),
        own: Key,
    ) -> Option<Full<'a>> {
        let limits = tenant.limits_of(user);
        if let (Some(most), OnLimit::Refuse) =
            (limits.sessions_per_user, limits.on_limit.unwrap_or_default())
            && self.sessions_of(index, name, own).len() >= usize::from(most.max(1))
        {
            return Some(Full::User(name, most));
        }
        let logged_in = &self.pools.get(index)?.logged_in;
        let own = own.raw().into();
        let full = |most: Option<u32>, others: usize| {
            most.filter(|most| others >= usize::try_from(*most).unwrap_or(usize::MAX))
        };
        let group = tenant.group_of(user).map(|(_, group)| group).and_then(|group| {
            let most = full(group.sessions_max, logged_in.others_of(&group.name, own))?;
            Some(Full::Group(&group.name, most))
        });
        let all = || full(tenant.sessions_max, logged_in.others(name, own)).map(Full::Tenant);
        group.or_else(all)
    }

    /// The limit that refused the login of a session, in words.
    pub(crate) fn full_text(&self, tenant: usize, user: &[u8], own: Key) -> Option<String> {
        let of = self.config.tenants.get(tenant)?;
        let found = of.users.find(user)?;
        Some(self.full((tenant, of), found, own)?.text())
    }
}
