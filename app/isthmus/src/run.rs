//! Joins the daemon to the gateway machine and its driver.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use isthmus_core::SecretBytes;
use isthmus_dataplane::{CrewConfig, PortsConfig};
use isthmus_driver::{
    Access, Detail, EgressNetwork, GatewayDriver, GatewaySettings, Request, TenantNetwork, Wanted,
    Way, Wishes,
};
use isthmus_gateway as machine;
use isthmus_ike::{OwnCertificate, Psk, PskId, RemoteMatch};
use isthmus_kernel::{CLASS_MASK, class_mark};
use isthmus_net::{Namespace, SocketOptions};
use isthmus_plane::TunId;
use isthmus_trust::Own;
use isthmus_tun::TunConfig;
use tokio::sync::{mpsc, oneshot};

use crate::access::{accesses, who};
use crate::api::{ControlRequest, SessionId, Status};
use crate::config::{self, Config, Egress, Gateway, Group, Lac, Tenant};
use crate::daemon::{EngineError, EngineSide};
use crate::engine;
use crate::numbers::{Key, Numbers};
use crate::translate;
use crate::users::{User, UserSecret};
use crate::view;
use crate::watcher::Watcher;

/// Runs the gateway that `config` describes until `side.stop` ends.
///
/// # Errors
/// What cannot be had or has broken, with what to do about it.
pub async fn gateway(config: Arc<Config>, side: EngineSide) -> Result<(), EngineError> {
    let refused = |error: isthmus_driver::NetworkError| EngineError(error.to_string());
    let (requests, served) = mpsc::channel(crate::api::REQUESTS_MAX);
    let provider = engine::provider(config.data_path.engine);
    tracing::info!(engine = provider.engine(), "encryption");
    let on_event = Box::new(isthmus_telemetry::event);
    let mut numbers = Numbers::default();
    let settings = settings(&config, &mut numbers);
    let driver =
        GatewayDriver::start(settings, provider, served, on_event).await.map_err(refused)?;
    // Whoever waited for it may have gone; the gateway goes on.
    let _nobody_waits = side.ready.send(());
    let watcher = Watcher::new(driver.surroundings());
    let serving =
        tokio::spawn(serve((config, numbers, watcher), side.requests, requests, side.stop));
    let outcome = driver.run().await.map_err(refused);
    serving.abort();
    outcome
}

/// Turns requests of the API into requests of the driver, until it is time to stop.
async fn serve(
    (mut config, mut numbers, mut watcher): (Arc<Config>, Numbers, Watcher),
    mut asked: mpsc::Receiver<ControlRequest>,
    driver: mpsc::Sender<Request>,
    mut stop: oneshot::Receiver<()>,
) {
    loop {
        let request = tokio::select! {
            _ = &mut stop => break,
            request = asked.recv() => request,
            () = watcher.changed() => {
                watcher.tell(&config);
                continue;
            }
        };
        let Some(request) = request else { break };
        if let ControlRequest::Status(reply) = request {
            if let Some(snapshot) = snapshot(&driver, Detail::Sums).await {
                let _gone = reply.send(view::status(&config, &snapshot, watcher.found(&config)));
            }
        } else if let Some(applied) = answer(&mut numbers, request, &driver).await {
            config = applied;
            watcher.tell(&config);
        }
    }
    // A driver that has ended needs no word.
    let _ended = driver.send(Request::Shutdown).await;
}

/// Answers a request; the configuration that is in force from now on, when it brought one.
async fn answer(
    numbers: &mut Numbers,
    request: ControlRequest,
    driver: &mpsc::Sender<Request>,
) -> Option<Arc<Config>> {
    // Who asked may be gone by the time the answer is there; nothing is lost then.
    match request {
        ControlRequest::Apply { config: wanted, reply } => {
            let applied = apply(&wanted, numbers, driver).await;
            let in_force = applied.is_ok().then_some(wanted);
            let _gone = reply.send(applied);
            return in_force;
        }
        ControlRequest::Disconnect { session: SessionId(raw), reply } => {
            let (tell, told) = oneshot::channel();
            let key = isthmus_core::Key::from_raw(raw);
            let _ended = driver.send(Request::Disconnect(key, tell)).await;
            let _gone = reply.send(told.await.unwrap_or(false));
        }
        ControlRequest::Failures(reply) => {
            if let Some(snapshot) = snapshot(driver, Detail::Sums).await {
                let _gone = reply.send(view::failures(&snapshot));
            }
        }
        ControlRequest::Probe { session: SessionId(raw), probe, reply } => {
            let (tell, told) = oneshot::channel();
            let key = isthmus_core::Key::from_raw(raw);
            let _ended = driver.send(Request::Probe(key, probe, tell)).await;
            if let Ok(sent) = told.await {
                let _gone = reply.send(sent);
            }
        }
        ControlRequest::Sessions(reply) => {
            if let Some(snapshot) = snapshot(driver, Detail::Sessions).await {
                let _gone = reply.send(view::sessions(&snapshot));
            }
        }
        // Whoever knows the configuration answers that.
        ControlRequest::Status(_) => {}
    }
    None
}

/// Has a configuration brought in force.
///
/// # Errors
/// Why nothing has changed.
async fn apply(
    config: &Config,
    numbers: &mut Numbers,
    driver: &mpsc::Sender<Request>,
) -> Result<(), String> {
    let mut renumbered = numbers.clone();
    let GatewaySettings { machine, tenants, .. } = settings(config, &mut renumbered);
    let (tell, told) = oneshot::channel();
    let _ended = driver.send(Request::Reconfigure(Wanted { machine, tenants }, tell)).await;
    let applied = told.await.map_err(|_| String::from("the gateway is shutting down"))?;
    applied.map_err(|error| error.to_string())?;
    *numbers = renumbered;
    Ok(())
}

async fn snapshot(
    driver: &mpsc::Sender<Request>,
    detail: Detail,
) -> Option<isthmus_driver::Snapshot> {
    let (tell, told) = oneshot::channel();
    driver.send(Request::Snapshot(detail, tell)).await.ok()?;
    told.await.ok()
}

fn settings(config: &Config, numbers: &mut Numbers) -> GatewaySettings {
    numbers.renumber(&config.tenants, Instant::now());
    let (gateway, path) = (&config.gateway, &config.data_path);
    let mut addresses = gateway.listen.clone();
    let mut lacs = config::lac_sockets(config);
    if gateway.listen_is_default && !ipv6_is_there() {
        addresses.retain(IpAddr::is_ipv4);
        lacs.retain(|address| !address.is_unspecified() || address.is_ipv4());
    }
    GatewaySettings {
        machine: Arc::new(machine_config(config, numbers)),
        crew: CrewConfig {
            ports: PortsConfig {
                addresses,
                ike: gateway.ike_port,
                nat_t: gateway.nat_t_port,
                l2tp: lacs.into_iter().map(|address| SocketAddr::new(address, L2TP_PORT)).collect(),
                esp: true,
                options: SocketOptions::default(),
            },
            workers: path.workers,
            pin: path.pin,
            busy_poll: path.busy_poll,
        },
        name: gateway.name.clone(),
        tenants: networks(config, numbers),
    }
}

/// What the gateway wants of the kernel; `status` is that of the gateway that runs.
pub(crate) fn kernel_wishes(config: &Config, status: Option<&Status>) -> Wishes {
    let told = status.iter().flat_map(|status| &status.tenants);
    let numbers = told.filter_map(|tenant| Some((tenant.name.clone(), tenant.number?))).collect();
    let mut numbers = Numbers::told(numbers);
    numbers.renumber(&config.tenants, Instant::now());
    let wish = |(tenant, network): (&Tenant, TenantNetwork)| {
        let known = status.and_then(|status| status.tenants.iter().find(|t| t.name == tenant.name));
        let ways = known.iter().flat_map(|known| &known.egress);
        let down = ways.filter(|way| !way.up).map(|way| way.name.clone()).collect();
        (network, machine_users(tenant).networks(), down)
    };
    let tenants = config.tenants.iter().zip(networks(config, &numbers)).map(wish).collect();
    Wishes { name: config.gateway.name.clone(), tenants, runs: status.is_some() }
}

/// What each tenant needs of the kernel.
fn networks(config: &Config, numbers: &Numbers) -> Vec<TenantNetwork> {
    let all = config.tenants.iter().zip(accesses(config));
    all.filter_map(|(tenant, access)| {
        Some(network(config, numbers.tenant(&tenant.name)?, tenant, access))
    })
    .collect()
}

fn ipv6_is_there() -> bool {
    std::path::Path::new("/proc/net/if_inet6").exists()
}

fn network(config: &Config, index: u16, tenant: &Tenant, access: Access) -> TenantNetwork {
    TenantNetwork {
        tun: TunId(index),
        device: TunConfig {
            name: tenant.interface.clone(),
            mtu: config.ppp.mru.max(TUN_MTU_MIN),
            namespace: tenant.netns.as_deref().map(Namespace::new),
            ..TunConfig::default()
        },
        device_per_session: tenant.device_per_session,
        gateway_address: tenant.gateway_address,
        pool: tenant.all_pools(),
        pool6: tenant.all_pools6(),
        gateway_address6: tenant.gateway_address6,
        nat: tenant.nat.clone(),
        egress: tenant.egress.iter().map(|egress| way_out(egress, &access)).collect(),
        access,
    }
}

fn way_out(egress: &Egress, access: &Access) -> EgressNetwork {
    let way = match &egress.way {
        config::Way::Deny => Way::Deny,
        config::Way::Gateway { interface, gateway, gateway6 } => {
            let (interface, gateway, gateway6) = (interface.clone(), *gateway, *gateway6);
            Way::Gateway { interface, gateway, gateway6 }
        }
        config::Way::Interface(interface) => Way::Link(interface.clone()),
        config::Way::Main(interface) => Way::Main { interface: Some(interface.clone()) },
        config::Way::Passage(passage) => Way::Passage(passage.clone()),
    };
    EgressNetwork {
        name: egress.name.clone(),
        to: egress.to.clone(),
        from: egress.from.clone(),
        marks: marks(egress, access),
        way,
        nat: egress.nat,
        nat6: egress.nat6,
        nat_except: egress.nat_except.clone(),
        mss_clamp: egress.mss_clamp,
        health: egress.health.clone(),
    }
}

/// The marks one of which packets have that take this egress: those of the classes of its users.
fn marks(egress: &Egress, access: &Access) -> Vec<(u32, u32)> {
    let Some(who) = who(egress) else { return egress.mark.into_iter().collect() };
    let (mark, under) = egress.mark.unwrap_or_default();
    let with = |class: u16| (mark | class_mark(class), under | CLASS_MASK);
    let marks: Vec<_> = access.classes_of(&who).map(with).collect();
    // Of nobody is nobody's, not everybody's.
    if marks.is_empty() { vec![(mark, under | CLASS_MASK)] } else { marks }
}

/// The machine's view of the configuration.
fn machine_config(config: &Config, numbers: &mut Numbers) -> machine::Config {
    let (psks, mut leads) = psks(&config.tenants, numbers);
    let mut ike = translate::ike(&config.ipsec);
    ike.psks = psks;
    // A cloud's 1:1 NAT passes UDP, and IP protocol 50 at best by accident.
    ike.force_encap |= is_behind_nat(&config.gateway, is_own_address);
    ike.certificates = certificates(config, numbers, &mut leads);
    numbers.keep_keys(&leads.iter().flatten().copied().collect());
    let mut l2tp = isthmus_l2tp::Config::lns(config.l2tp.host_name.as_bytes());
    l2tp.hello_interval = config.l2tp.hello_interval;
    l2tp.secret.clone_from(&config.l2tp.secret);
    machine::Config {
        ike: Arc::new(ike),
        l2tp: Arc::new(l2tp),
        proxy: config.l2tp.proxy,
        auth: config.ppp.auth.iter().copied().map(translate::auth).collect(),
        mru: config.ppp.mru,
        echo: Some(isthmus_ppp::Echo {
            interval: config.ppp.echo_interval,
            ..isthmus_ppp::Echo::default()
        }),
        tenants: machine_tenants(&config.tenants, numbers, leads),
        lacs: config.lacs.iter().filter_map(|lac| machine_lac(config, numbers, lac)).collect(),
    }
}

/// Whether clients dial an address that is not one of this machine.
fn is_behind_nat(gateway: &Gateway, is_own: impl Fn(IpAddr) -> bool) -> bool {
    let dialled = gateway.public_address;
    dialled.is_some_and(|address| !gateway.listen.contains(&address) && !is_own(address))
}

/// Whether the kernel lets a socket have the address; no packet is sent.
fn is_own_address(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// Every tenant at its place; the places between are vacant.
fn machine_tenants(
    tenants: &[Tenant],
    numbers: &Numbers,
    leads: Vec<Vec<PskId>>,
) -> Vec<machine::Tenant> {
    let vacant = |number| machine::Tenant::vacant(TunId(number));
    let mut places: Vec<_> = (0..numbers.places()).map(vacant).collect();
    for (tenant, keys) in tenants.iter().zip(leads) {
        let Some(number) = numbers.tenant(&tenant.name) else { continue };
        if let Some(place) = places.get_mut(usize::from(number)) {
            *place = machine_tenant(number, tenant, keys);
        }
    }
    places
}

/// One key each, and which of them lead to each tenant: tenants with the same key share it.
fn psks(tenants: &[Tenant], numbers: &mut Numbers) -> (Vec<Psk>, Vec<Vec<PskId>>) {
    let mut psks: Vec<Psk> = Vec::new();
    let mut leads = Vec::new();
    for tenant in tenants {
        let own = tenant.psk.iter().map(|psk| (psk, None));
        let groups = tenant.groups.iter().filter_map(|group| {
            let name = group.name.clone().into_bytes();
            Some((group.psk.as_ref()?, Some(RemoteMatch::Group(name))))
        });
        let mut ids = Vec::new();
        for (secret, remote) in own.chain(groups) {
            let id = numbers.key(Key::Psk(secret.clone(), remote.clone()));
            if psks.iter().all(|known| known.id != id) {
                psks.push(Psk { id, secret: secret.clone(), remote });
            }
            ids.push(id);
        }
        leads.push(ids);
    }
    (psks, leads)
}

/// Our certificates, and whom we believe: authorities have numbers like the keys, which lead to their
/// tenants as those do. Everything was tried out when the configuration was read.
fn certificates(
    config: &Config,
    numbers: &mut Numbers,
    leads: &mut [Vec<PskId>],
) -> Option<isthmus_ike::Certificates> {
    let own = config.ipsec.certificates.as_ref()?;
    let mut authorities: Vec<(u32, Vec<u8>)> = Vec::new();
    for (index, (tenant, leads)) in config.tenants.iter().zip(leads).enumerate() {
        let shared = own.authorities.iter().filter(|_| index == 0);
        for der in tenant.authorities.iter().chain(shared) {
            let id = numbers.key(Key::Authority(der.clone()));
            if authorities.iter().all(|(known, _)| *known != id.0) {
                authorities.push((id.0, der.clone()));
            }
            leads.push(id);
        }
    }
    let lists = &own.revocation_lists;
    let trust = isthmus_trust::Authorities::new(&authorities, lists, own.policy.clone()).ok()?;
    let ours = own.own.iter().map(|one| {
        let Own { signer, chain, subject } = Own::new(one.chain.clone(), one.key.expose()).ok()?;
        Some(OwnCertificate { signer, chain, subject })
    });
    let own = ours.collect::<Option<Vec<_>>>()?;
    Some(isthmus_ike::Certificates { own, trust: Arc::new(trust), serves: true })
}

fn machine_tenant(index: u16, tenant: &Tenant, keys: Vec<PskId>) -> machine::Tenant {
    machine::Tenant {
        name: tenant.name.clone(),
        selector: machine::Selector {
            keys,
            identities: tenant.identity.iter().cloned().map(machine::IdentityPattern).collect(),
            addresses: tenant.listen.clone(),
            realms: tenant.realm.clone(),
            keep_realm: !tenant.strip_realm,
        },
        pool: tenant.pool.clone(),
        exclude: tenant.exclude.clone(),
        gateway_address: tenant.gateway_address,
        pool6: tenant.pool6.clone(),
        gateway_address6: tenant.gateway_address6,
        advice: tenant.advice.clone(),
        sessions_max: tenant.sessions,
        limits: tenant.limits,
        groups: tenant.groups.iter().map(machine_group).collect(),
        users: Arc::new(machine_users(tenant)),
        tun: TunId(index),
    }
}

fn machine_group(group: &Group) -> machine::Group {
    machine::Group {
        name: group.name.clone(),
        pool: group.pool.clone(),
        pool6: group.pool6.clone(),
        advice: group.advice.clone(),
        sessions_max: group.sessions,
        limits: group.limits,
    }
}

fn machine_users(tenant: &Tenant) -> machine::Users {
    let users = tenant.users.iter().map(|(name, user)| (name.to_owned(), machine_user(user)));
    machine::Users::new(users.collect())
}

/// A LAC as the machine knows it; none without its tenants.
fn machine_lac(config: &Config, numbers: &Numbers, lac: &Lac) -> Option<machine::Lac> {
    let number = |name: &String| numbers.tenant(name).map(usize::from);
    let tenants: Option<Vec<usize>> = lac.tenants.iter().map(number).collect();
    let mut l2tp = isthmus_l2tp::Config::lns(config.l2tp.host_name.as_bytes());
    l2tp.hello_interval = config.l2tp.hello_interval;
    l2tp.secret = Some(lac.secret.clone());
    l2tp.tunnels_max = usize::from(lac.tunnels);
    l2tp.sessions_max = usize::from(lac.sessions);
    Some(machine::Lac {
        name: lac.name.clone(),
        sources: lac.address.clone(),
        l2tp: Arc::new(l2tp),
        tenants: tenants.filter(|tenants| !tenants.is_empty())?,
        proxy: lac.proxy,
    })
}

fn machine_user(user: &User) -> machine::User {
    machine::User {
        secret: match &user.secret {
            UserSecret::NtHash(hash) => machine::UserSecret::NtHash(hash.clone()),
            UserSecret::Password(password) => {
                machine::UserSecret::Password(SecretBytes::copy_of(password.expose()))
            }
        },
        address: user.address,
        networks: user.networks.clone(),
        prefix6: user.address6,
        advice: user.advice.clone(),
        group: user.group.clone(),
        limits: user.limits,
        disabled: user.disabled,
    }
}

/// RFC 2661 §8.1.
const L2TP_PORT: u16 = 1701;
/// The kernel switches IPv6 off on a device with less.
const TUN_MTU_MIN: u16 = 1280;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EgressStatus, TenantStatus};

    #[test]
    fn a_gateway_that_runs_tells_the_numbers_of_its_tenants_and_the_ways_that_are_down() {
        let (mut config, _) = config::example_for_tests();
        let first = config.tenants.first().unwrap().clone();
        let named = |name: &str| Tenant { name: name.into(), ..first.clone() };
        config.tenants = ["new", "b", "a"].map(named).into();
        let numbers = |wishes: &Wishes| -> Vec<u16> {
            wishes.tenants.iter().map(|(network, ..)| network.tun.0).collect()
        };
        let fresh = kernel_wishes(&config, None);
        assert_eq!((numbers(&fresh), fresh.runs), (vec![0, 1, 2], false));

        let way = |name: &str, up| EgressStatus { name: name.into(), up, reason: None };
        let told = |name: &str, number| {
            serde_json::from_value::<TenantStatus>(serde_json::json!({
                "name": name, "number": number, "interface": "", "netns": null, "pool": [],
                "pool_size": 0, "pool_used": 0, "pool6": [], "pool6_used": 0, "users": 0,
                "sessions": 0, "egress": [way("up", true), way("down", false)],
            }))
        };
        let tenants = vec![told("a", 0).unwrap(), told("b", 3).unwrap()];
        let wishes = kernel_wishes(&config, Some(&Status { tenants, ..Status::default() }));
        assert_eq!((numbers(&wishes), wishes.runs), (vec![1, 3, 0], true));
        let down: Vec<_> = wishes.tenants.iter().map(|(.., down)| down.len()).collect();
        assert_eq!(down, [0, 1, 1]);
    }

    #[test]
    fn a_public_address_that_is_not_ours_means_nat_and_forces_udp() {
        let (mut config, _) = config::example_for_tests();
        let elsewhere: IpAddr = "203.0.113.10".parse().unwrap();
        config.gateway.public_address = None;
        config.ipsec.force_encap = false;
        assert!(!is_behind_nat(&config.gateway, |_| false));
        assert!(!machine_config(&config, &mut Numbers::default()).ike.force_encap);
        config.gateway.public_address = Some(elsewhere);
        assert!(is_behind_nat(&config.gateway, |_| false));
        assert!(!is_behind_nat(&config.gateway, |own| own == elsewhere), "an address of a device");
        assert!(
            machine_config(&config, &mut Numbers::default()).ike.force_encap,
            "TEST-NET-3 is on no machine"
        );
        config.gateway.listen = vec![elsewhere];
        assert!(!is_behind_nat(&config.gateway, |_| false), "an address we listen on");
        config.gateway.public_address = Some("127.0.0.1".parse().unwrap());
        assert!(is_own_address("127.0.0.1".parse().unwrap()));
        assert!(!machine_config(&config, &mut Numbers::default()).ike.force_encap);
        config.ipsec.force_encap = true;
        assert!(machine_config(&config, &mut Numbers::default()).ike.force_encap);
    }

    #[test]
    fn tenants_with_the_same_key_share_it() {
        let (config, _) = config::example_for_tests();
        let tenant = config.tenants.first().unwrap();
        let (psks, leads) = psks(&[tenant.clone(), tenant.clone()], &mut Numbers::default());
        assert_eq!(psks.len(), 1);
        assert_eq!(leads.len(), 2);
        assert_eq!(leads[0], leads[1]);
    }
}
