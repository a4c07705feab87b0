//! What a new configuration changes, and which of it takes effect without a restart.
//!
//! [`compare`] says it in words; [`effective`] makes the configuration that can be applied now, so
//! that whoever applies it need not tell the two apart.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::choice::Marks;
use super::types::{Config, Tenant};

/// The difference between two configurations, in the names of their tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Takes effect at once or with the next login; sessions go on.
    pub applied: Vec<String>,
    /// Takes effect after a restart.
    pub needs_restart: Vec<String>,
}

impl Changes {
    /// Whether the two configurations are the same.
    pub fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.needs_restart.is_empty()
    }
}

/// Compares the running configuration with a new one.
pub fn compare(running: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    let (a, b) = (&running.gateway, &new.gateway);
    let mut note = |differs: bool, live: bool, what: String| {
        if differs {
            let list = if live { &mut changes.applied } else { &mut changes.needs_restart };
            list.push(what);
        }
    };
    note(a.name != b.name, true, String::from("gateway.name"));
    note(a.public_address != b.public_address, true, String::from("gateway.public_address"));
    note(a.log.level != b.log.level, true, String::from("gateway.log.level"));
    note(a.log.format != b.log.format, false, String::from("gateway.log.format"));
    note(a.listen != b.listen, false, String::from("gateway.listen"));
    note(a.ike_port != b.ike_port, false, String::from("gateway.ike_port"));
    note(a.nat_t_port != b.nat_t_port, false, String::from("gateway.nat_t_port"));
    note(a.control_socket != b.control_socket, false, String::from("gateway.control_socket"));
    note(running.data_path != new.data_path, false, String::from("data_path"));
    note(running.ipsec != new.ipsec, true, String::from("ipsec"));
    note(running.l2tp != new.l2tp, true, String::from("l2tp"));
    let sockets = lac_sockets(running) != lac_sockets(new);
    note(sockets, false, String::from("lac: where it listens"));
    note(running.lacs != new.lacs, true, String::from("lac"));
    note(running.ppp != new.ppp, true, String::from("ppp"));
    for tenant in &new.tenants {
        match running.tenants.iter().find(|other| other.name == tenant.name) {
            Some(other) => {
                let device = device_differs(other, tenant);
                let name = &tenant.name;
                note(
                    device,
                    false,
                    format!("tenant {name}: netns, interface, address, egress or policy"),
                );
                let rest = with_device_of(tenant, other);
                note(rest != *other, true, format!("tenant {name}"));
            }
            None => note(true, false, format!("tenant {}: new", tenant.name)),
        }
    }
    for gone in running.tenants.iter().filter(|t| new.tenants.iter().all(|n| n.name != t.name)) {
        note(true, false, format!("tenant {}: removed", gone.name));
    }
    changes
}

/// The running configuration with everything from `new` that takes effect without a restart.
///
/// Tenants keep their order; new ones wait for the restart, removed ones stay until then.
///
/// # Errors
/// What stands in the way: a key or pool of a tenant that is to be removed has already been given to
/// another one.
pub fn effective(running: &Config, new: &Config) -> Result<Config, String> {
    let mut config = new.clone();
    let kept = &running.gateway;
    config.gateway.listen.clone_from(&kept.listen);
    config.gateway.listen_is_default = kept.listen_is_default;
    config.gateway.ike_port = kept.ike_port;
    config.gateway.nat_t_port = kept.nat_t_port;
    config.gateway.control_socket.clone_from(&kept.control_socket);
    config.gateway.log.format = kept.log.format;
    config.data_path = running.data_path.clone();
    let merged = running.tenants.iter().map(|old| {
        let new = new.tenants.iter().find(|new| new.name == old.name);
        new.map_or_else(|| old.clone(), |new| with_device_of(new, old))
    });
    config.tenants = merged.collect();
    // One whose tenant waits for the restart waits too.
    let tenants = &config.tenants;
    config.lacs.retain(|lac| tenants.iter().any(|tenant| tenant.name == lac.tenant));
    for (index, tenant) in config.tenants.iter().enumerate() {
        let own = Some(tenant.gateway_address);
        if tenant.users.iter().any(|(_, user)| user.address == own) {
            return Err(format!(
                "a user of `{}` has the address that is the gateway's own until a restart",
                tenant.name
            ));
        }
        for other in config.tenants.iter().take(index) {
            if clash(tenant, other) {
                return Err(format!(
                    "`{}` and `{}` have a key or addresses in common until a restart",
                    other.name, tenant.name
                ));
            }
        }
    }
    Ok(config)
}

/// Where plain L2TP is listened for.
pub(crate) fn lac_sockets(config: &Config) -> BTreeSet<IpAddr> {
    config.lacs.iter().flat_map(|lac| lac.listen.iter().copied()).collect()
}

fn with_device_of(new: &Tenant, old: &Tenant) -> Tenant {
    Tenant {
        netns: old.netns.clone(),
        interface: old.interface.clone(),
        gateway_address: old.gateway_address,
        egress: old.egress.clone(),
        nat: old.nat.clone(),
        access: old.access.clone(),
        ..new.clone()
    }
}

fn clash(a: &Tenant, b: &Tenant) -> bool {
    let overlap =
        a.all_pools().iter().any(|x| b.all_pools().iter().any(|y| x.contains(y) || y.contains(x)));
    let alike = Marks::of(a).clash(&Marks::of(b)).is_some();
    let psk = a.psk.is_some() && a.psk == b.psk && alike;
    let group = a.keyed_groups().any(|x| b.keyed_groups().any(|y| x.name == y.name));
    let authority = a.authorities.iter().any(|x| b.authorities.contains(x)) && alike;
    let overlap6 = a
        .all_pools6()
        .iter()
        .any(|x| b.all_pools6().iter().any(|y| x.contains(y) || y.contains(x)));
    psk || group || authority || (a.netns == b.netns && (overlap || overlap6))
}

fn device_differs(a: &Tenant, b: &Tenant) -> bool {
    a.netns != b.netns
        || a.interface != b.interface
        || a.gateway_address != b.gateway_address
        || a.egress != b.egress
        || a.nat != b.nat
        || a.access != b.access
}
