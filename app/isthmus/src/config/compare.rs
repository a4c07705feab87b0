//! What a new configuration changes, and which of it takes effect without a restart.

use serde::{Deserialize, Serialize};

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
    note(running.ipsec != new.ipsec, true, String::from("ipsec"));
    note(running.l2tp != new.l2tp, true, String::from("l2tp"));
    note(running.ppp != new.ppp, true, String::from("ppp"));
    for tenant in &new.tenants {
        match running.tenants.iter().find(|other| other.name == tenant.name) {
            Some(other) => {
                let device = device_differs(other, tenant);
                let name = &tenant.name;
                note(device, false, format!("tenant {name}: netns, interface, address or egress"));
                let rest = Tenant {
                    netns: other.netns.clone(),
                    interface: other.interface.clone(),
                    gateway_address: other.gateway_address,
                    egress: other.egress.clone(),
                    ..tenant.clone()
                };
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

fn device_differs(a: &Tenant, b: &Tenant) -> bool {
    a.netns != b.netns
        || a.interface != b.interface
        || a.gateway_address != b.gateway_address
        || a.egress != b.egress
}
