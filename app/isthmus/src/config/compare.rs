//! What a new configuration changes, and which of it takes effect without a restart.
//!
//! [`compare`] says it in words; [`effective`] makes the configuration that can be applied now, so
//! that whoever applies it need not tell the two apart.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::types::{Config, Tenant};

/// The difference between two configurations, in the names of their tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Takes effect at once or with the next login.
    pub applied: Vec<String>,
    /// Takes effect after a restart.
    pub needs_restart: Vec<String>,
    /// Each table that differs, with its keys and what becomes of sessions.
    pub differences: Vec<Difference>,
}

/// A table that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What happened to it.
    pub kind: Kind,
    /// Its name: `ipsec`, `tenant acme`.
    pub what: String,
    /// Its keys that differ, of a table that was changed.
    pub keys: Vec<String>,
    /// When it takes effect, and on whom.
    pub effect: Effect,
    /// How many sessions end; filled in by who knows them.
    #[serde(default)]
    pub sessions_ended: u64,
}

/// What happened to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is new.
    Added,
    /// It has other values.
    Changed,
    /// It is gone.
    Removed,
}

/// When a difference takes effect, and on whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The sessions there end.
    EndsSessions,
    /// After a restart.
    NeedsRestart,
    /// At once or with the next login; sessions go on.
    SessionsGoOn,
}

impl Changes {
    /// Whether the two configurations are the same.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    fn note(&mut self, what: &str, keys: &[&str], effect: Effect) {
        if !keys.is_empty() {
            self.push(Kind::Changed, what, keys, effect);
        }
    }

    fn push(&mut self, kind: Kind, what: &str, keys: &[&str], effect: Effect) {
        let (what, keys) = (what.to_owned(), keys.iter().map(|key| (*key).to_owned()).collect());
        self.differences.push(Difference { kind, what, keys, effect, sessions_ended: 0 });
    }

    /// Sums the differences up in names of tables.
    fn sum_up(mut self) -> Self {
        for difference in &self.differences {
            let list = match difference.effect {
                Effect::EndsSessions | Effect::SessionsGoOn => &mut self.applied,
                Effect::NeedsRestart => &mut self.needs_restart,
            };
            let name = match difference.what.as_str() {
                "gateway" => difference.keys.iter().map(|key| format!("gateway.{key}")).collect(),
                what => vec![what.to_owned()],
            };
            list.extend(name);
        }
        self
    }
}

/// The names of the fields in which two values differ; at least one when the values do.
macro_rules! differing {
    ($a:expr, $b:expr; $($field:ident),* $(,)?) => {{
        let mut keys: Vec<&'static str> = Vec::new();
        $(if $a.$field != $b.$field { keys.push(stringify!($field)); })*
        if keys.is_empty() && $a != $b { keys.push("other keys"); }
        keys
    }};
}

/// Compares the running configuration with a new one.
pub fn compare(running: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    compare_gateway(&mut changes, running, new);
    let (a, b) = (&running.data_path, &new.data_path);
    changes.note(
        "data_path",
        &differing!(a, b; workers, pin, busy_poll, engine),
        Effect::NeedsRestart,
    );
    let (a, b) = (&running.ipsec, &new.ipsec);
    let keys = differing!(a, b;
        legacy, ike, esp, ike_lifetime, child_lifetime, dpd_interval, force_encap, aggressive,
        certificates, fragment_size,
    );
    changes.note("ipsec", &keys, Effect::SessionsGoOn);
    let (a, b) = (&running.l2tp, &new.l2tp);
    let keys = differing!(a, b; hello_interval, host_name, secret, proxy);
    changes.note("l2tp", &keys, Effect::SessionsGoOn);
    if lac_sockets(running) != lac_sockets(new) {
        changes.note("lac: where it listens", &["listen"], Effect::NeedsRestart);
    }
    if running.lacs != new.lacs {
        let differ = new.lacs.iter().filter(|lac| !running.lacs.contains(lac));
        let gone = running.lacs.iter().filter(|lac| new.lacs.iter().all(|n| n.name != lac.name));
        let names: BTreeSet<&str> = differ.chain(gone).map(|lac| &*lac.name).collect();
        changes.push(
            Kind::Changed,
            "lac",
            &names.into_iter().collect::<Vec<_>>(),
            Effect::SessionsGoOn,
        );
    }
    let (a, b) = (&running.ppp, &new.ppp);
    changes.note("ppp", &differing!(a, b; auth, mru, echo_interval), Effect::SessionsGoOn);
    compare_tenants(&mut changes, running, new);
    changes.sum_up()
}

fn compare_gateway(changes: &mut Changes, running: &Config, new: &Config) {
    let (a, b) = (&running.gateway, &new.gateway);
    let mut live = Vec::new();
    let mut fixed = Vec::new();
    let note = |differs: bool, list: &mut Vec<&'static str>, key| {
        if differs {
            list.push(key);
        }
    };
    note(a.name != b.name, &mut live, "name");
    note(a.public_address != b.public_address, &mut live, "public_address");
    note(a.log.level != b.log.level, &mut live, "log.level");
    note(a.log.format != b.log.format, &mut fixed, "log.format");
    note(a.listen != b.listen, &mut fixed, "listen");
    note(a.ike_port != b.ike_port, &mut fixed, "ike_port");
    note(a.nat_t_port != b.nat_t_port, &mut fixed, "nat_t_port");
    note(a.control_socket != b.control_socket, &mut fixed, "control_socket");
    changes.note("gateway", &live, Effect::SessionsGoOn);
    changes.note("gateway", &fixed, Effect::NeedsRestart);
}

fn compare_tenants(changes: &mut Changes, running: &Config, new: &Config) {
    for tenant in &new.tenants {
        let what = format!("tenant {}", tenant.name);
        match running.tenants.iter().find(|other| other.name == tenant.name) {
            Some(other) if moves(other, tenant) => {
                changes.note(&what, &tenant_keys(other, tenant), Effect::EndsSessions);
            }
            Some(other) => changes.note(&what, &tenant_keys(other, tenant), Effect::SessionsGoOn),
            None => changes.push(Kind::Added, &what, &[], Effect::SessionsGoOn),
        }
    }
    for gone in running.tenants.iter().filter(|t| new.tenants.iter().all(|n| n.name != t.name)) {
        let what = format!("tenant {}", gone.name);
        changes.push(Kind::Removed, &what, &[], Effect::EndsSessions);
    }
}

/// Whether a tenant gets another device: the sessions on the old one end.
fn moves(old: &Tenant, new: &Tenant) -> bool {
    old.netns != new.netns || old.interface != new.interface
}

fn tenant_keys(a: &Tenant, b: &Tenant) -> Vec<&'static str> {
    let keys = differing!(a, b;
        netns, interface, device_per_session, psk, groups, authorities, realm, strip_realm, identity, listen, pool, exclude,
        gateway_address, pool6, gateway_address6, advice, sessions, limits, users_file, users, egress, nat,
        access,
    );
    let advice = differing!(a.advice, b.advice; dns, dns6, ntp, routes, domain, search);
    let name = |key| match key {
        "groups" => "group",
        "access" => "policy",
        "authorities" => "ca_file",
        other => other,
    };
    let limits = differing!(a.limits, b.limits;
        sessions_per_user, on_limit, session_timeout, idle_timeout, quota, rate_up, rate_down, burst,
    );
    let own = keys.into_iter().filter(|key| !["advice", "limits"].contains(key));
    own.chain(advice).chain(limits).map(name).collect()
}

/// The running configuration with everything from `new` that takes effect without a restart.
pub fn effective(running: &Config, new: &Config) -> Config {
    let mut config = new.clone();
    let kept = &running.gateway;
    config.gateway.listen.clone_from(&kept.listen);
    config.gateway.listen_is_default = kept.listen_is_default;
    config.gateway.ike_port = kept.ike_port;
    config.gateway.nat_t_port = kept.nat_t_port;
    config.gateway.control_socket.clone_from(&kept.control_socket);
    config.gateway.log.format = kept.log.format;
    config.data_path = running.data_path.clone();
    config
}

/// Where plain L2TP is listened for.
pub(crate) fn lac_sockets(config: &Config) -> BTreeSet<IpAddr> {
    config.lacs.iter().flat_map(|lac| lac.listen.iter().copied()).collect()
}
