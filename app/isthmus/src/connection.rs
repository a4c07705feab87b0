//! Joins the client command to the client machine and its driver.

use std::collections::BTreeSet;
use std::iter::once;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use isthmus_client::{Config, Event, Ipv6, Stage, Up};
use isthmus_core::{Encap, Path};
use isthmus_dataplane::PortsConfig;
use isthmus_driver::{ClientDriver, ClientRequest, ClientSettings as DriverSettings};
use isthmus_kernel::{
    Address, Desired, IpVersion, MAIN_TABLE, NextHop, Options, Owner, Reconciler, Route, Rule,
    RuleAction,
};
use isthmus_net::{Namespace, SocketOptions};
use isthmus_plane::TunId;
use isthmus_tun::{TunConfig, TunDevice};
use tokio::sync::mpsc;

use crate::client::{
    ClientEvent, ClientFailure, ClientIpv6, ClientRoutes, ClientSettings, ClientSide, ClientUp,
};
use crate::config::Engine;
use crate::engine;
use crate::translate;

/// Connects, keeps the connection and hangs up.
pub(crate) async fn run(settings: ClientSettings, side: ClientSide) -> Result<(), ClientFailure> {
    let local = local_address(settings.server).map_err(|error| {
        network_failure(&format!("no way to {}: {error}", settings.server), "check the routes")
    })?;
    let mut driver =
        ClientDriver::start(driver_settings(&settings, local), engine::provider(Engine::Fastest))
            .map_err(|error| network_failure(&error.to_string(), ""))?;
    let (wishes, mut requests) = mpsc::channel(1);
    let ClientSide { events, requests: wanted } = side;
    let forwarding = tokio::spawn(forward(wanted, wishes));
    let mut connection = Connection { settings, kernel: None, tun: None, up: None, ipv6: None };
    let outcome = loop {
        let event = match driver.next_event(&mut requests).await {
            Ok(event) => event,
            Err(error) => break Err(network_failure(&error.to_string(), "")),
        };
        match connection.handle(event, &driver).await {
            Step::Tell(told) => {
                for event in told {
                    // Nobody may be listening any more; the connection goes on.
                    drop(events.send(event).await);
                }
            }
            Step::End(outcome) => break outcome,
        }
    };
    forwarding.abort();
    driver.finish();
    connection.clean_up().await;
    outcome
}

/// Passes requests on; where they end, the wish to stop. Answers the queue, which must stay open:
/// a closed one means "stop" again and again, and a second time the client does not wait.
async fn forward(
    mut from: mpsc::Receiver<ClientRequest>,
    to: mpsc::Sender<ClientRequest>,
) -> mpsc::Sender<ClientRequest> {
    while let Some(request) = from.recv().await {
        let _over = to.send(request).await;
    }
    let _over = to.send(ClientRequest::Stop).await;
    to
}

/// What the connection has made here.
struct Connection {
    settings: ClientSettings,
    kernel: Option<Reconciler>,
    /// The device's name.
    tun: Option<String>,
    /// What the server gave.
    up: Option<Up>,
    ipv6: Option<Ipv6>,
}

enum Step {
    Tell(Vec<ClientEvent>),
    End(Result<(), ClientFailure>),
}

impl Connection {
    async fn handle(&mut self, event: Event, driver: &ClientDriver) -> Step {
        match event {
            Event::Secured { suite, encap } => Step::Tell(vec![ClientEvent::Secured {
                suite: suite.to_owned(),
                encapsulated: encap == Encap::Udp,
            }]),
            Event::IkeRekeyed => Step::Tell(vec![ClientEvent::IkeRekeyed]),
            Event::PathMoved { path } => {
                Step::Tell(vec![ClientEvent::Moved { server: path.remote }])
            }
            Event::Up(up) => {
                self.up = Some(up.clone());
                match self.up(&up, driver).await {
                    Ok(event) => Step::Tell(once(event).chain(self.ipv6_event()).collect()),
                    Err(failure) => Step::End(Err(failure)),
                }
            }
            Event::Ipv6(ipv6) => {
                self.ipv6 = Some(ipv6);
                self.ipv6_changed(driver).await
            }
            Event::Ipv6Down => {
                self.ipv6 = None;
                self.ipv6_changed(driver).await
            }
            Event::Down(down) if down.requested => Step::End(Ok(())),
            Event::Down(down) => {
                let remedy = down.remedy.to_owned();
                let stage = stage(down.stage);
                Step::End(Err(ClientFailure { stage, reason: down.reason, remedy }))
            }
        }
    }

    /// Packets flow: makes the device, its address and its routes. A second time only the addresses
    /// can be others.
    async fn up(&mut self, up: &Up, driver: &ClientDriver) -> Result<ClientEvent, ClientFailure> {
        let refused = |error: &dyn std::fmt::Display| network_failure(&error.to_string(), "");
        if self.tun.is_none() {
            let device = TunDevice::create(&TunConfig {
                name: self.settings.interface.clone(),
                mtu: up.mtu.max(TUN_MTU_MIN),
                namespace: self.inner(),
                ..TunConfig::default()
            })
            .map_err(|error| refused(&error))?;
            self.tun = Some(device.name().to_owned());
            driver.add_tun(TUN, device);
        }
        let interface = self.tun.clone().unwrap_or_default();
        let routes = self.routes(up);
        let mut kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None => Reconciler::new(self.options(&interface)).map_err(|error| refused(&error))?,
        };
        let mut applied = kernel.apply(&self.desired(up, &interface, &routes)).await;
        if let (Err(error), Some(_)) = (&applied, &self.ipv6) {
            // Where the machine has no IPv6, IPv4 goes on.
            tracing::warn!(%error, "cannot use the server's IPv6");
            self.ipv6 = None;
            applied = kernel.apply(&self.desired(up, &interface, &routes)).await;
        }
        self.kernel = Some(kernel);
        applied.map_err(|error| refused(&error))?;
        Ok(ClientEvent::Up(ClientUp {
            interface,
            address: up.address,
            gateway: up.gateway,
            dns: up.dns.clone(),
            routes,
            mtu: up.mtu,
        }))
    }

    /// IPv6 came or went. It waits for IPv4, which makes the device.
    async fn ipv6_changed(&mut self, driver: &ClientDriver) -> Step {
        let Some(up) = self.up.clone() else { return Step::Tell(Vec::new()) };
        match self.up(&up, driver).await {
            Ok(_) => Step::Tell(vec![self.ipv6_event().unwrap_or(ClientEvent::Ipv6Down)]),
            Err(failure) => Step::End(Err(failure)),
        }
    }

    fn ipv6_event(&self) -> Option<ClientEvent> {
        let ipv6 = self.ipv6.as_ref()?;
        Some(ClientEvent::Ipv6(ClientIpv6 {
            interface: self.tun.clone().unwrap_or_default(),
            address: ipv6.address,
            prefix: ipv6.prefix,
            gateway: ipv6.gateway,
            dns: ipv6.dns.clone(),
            routes: self.routes_v6(),
        }))
    }

    /// What goes through the tunnel over IPv6: everything, unless networks were asked for; servers
    /// name none.
    fn routes_v6(&self) -> Vec<Ipv6Net> {
        match &self.settings.routes {
            ClientRoutes::These(these) if !these.is_empty() => {
                these.iter().filter_map(|net| v6(*net)).collect()
            }
            ClientRoutes::These(_) | ClientRoutes::Everything => vec![Ipv6Net::default()],
        }
    }

    /// Asked-for routes and those the server pushed; everything when there are none of either, as the
    /// clients of Windows and Apple have it.
    fn routes(&self, up: &Up) -> Vec<Ipv4Net> {
        let wanted = match &self.settings.routes {
            ClientRoutes::Everything => Vec::new(),
            ClientRoutes::These(these) => {
                let asked = these.iter().filter_map(|net| v4(*net));
                let mut all: Vec<_> = asked.chain(up.routes.iter().copied()).collect();
                all.sort_unstable();
                all.dedup();
                all
            }
        };
        if wanted.is_empty() { vec![Ipv4Net::default()] } else { wanted }
    }

    fn desired(&self, up: &Up, interface: &str, routes: &[Ipv4Net]) -> Desired {
        let route = |destination: Ipv4Net, table| Route {
            destination: IpNet::V4(destination),
            table,
            metric: None,
            next: NextHop::Link(interface.to_owned()),
            source: Some(up.address.into()),
        };
        let everything = routes.contains(&Ipv4Net::default());
        let mut desired = Desired {
            addresses: vec![Address {
                link: interface.to_owned(),
                address: IpNet::from(IpAddr::V4(up.address)),
                peer: Some(up.gateway.into()),
            }],
            ..Desired::default()
        };
        if everything && self.settings.inner_netns.is_none() {
            // The tunnel's own packets keep the way they have; all others get the tunnel's table.
            desired.routes = vec![route(Ipv4Net::default(), TABLE)];
            desired.rules = vec![
                rule(0, Some(self.settings.server.into()), RuleAction::Lookup(MAIN_TABLE)),
                // Networks this machine is itself part of stay where they are.
                rule(1, None, RuleAction::LookupSpecific(MAIN_TABLE)),
                rule(2, None, RuleAction::Lookup(TABLE)),
            ];
            desired.rules.retain(|rule| rule.to.is_none_or(|to| to.addr().is_ipv4()));
        } else {
            // What is left of two networks may be the same.
            let outside: BTreeSet<_> = routes.iter().flat_map(|net| self.outside(*net)).collect();
            desired.routes = outside.into_iter().map(|net| route(net, MAIN_TABLE)).collect();
        }
        if let Some(ipv6) = &self.ipv6 {
            self.desire_ipv6(&mut desired, ipv6, interface);
        }
        desired
    }

    /// A network but for the server, where that is reached by the same table: the tunnel's own packets must
    /// not go into it.
    fn outside(&self, net: Ipv4Net) -> Vec<Ipv4Net> {
        if self.settings.inner_netns.is_some() {
            return vec![net];
        }
        let rest = isthmus_findings::without(IpNet::V4(net), IpNet::from(self.settings.server));
        rest.into_iter().filter_map(v4).collect()
    }

    /// Adds what IPv6 wants, in the same way.
    fn desire_ipv6(&self, desired: &mut Desired, ipv6: &Ipv6, interface: &str) {
        desired.addresses.push(Address {
            link: interface.to_owned(),
            address: IpNet::from(IpAddr::V6(ipv6.address)),
            peer: None,
        });
        let routes = self.routes_v6();
        let own_table = routes.contains(&Ipv6Net::default()) && self.settings.inner_netns.is_none();
        desired.routes.extend(routes.into_iter().map(|net| Route {
            destination: IpNet::V6(net),
            table: if own_table { TABLE } else { MAIN_TABLE },
            metric: None,
            next: NextHop::Link(interface.to_owned()),
            source: Some(ipv6.address.into()),
        }));
        if own_table {
            let server = Some(self.settings.server).filter(IpAddr::is_ipv6).map(IpNet::from);
            let rules = [
                server.map(|server| rule(0, Some(server), RuleAction::Lookup(MAIN_TABLE))),
                Some(rule(1, None, RuleAction::LookupSpecific(MAIN_TABLE))),
                Some(rule(2, None, RuleAction::Lookup(TABLE))),
            ];
            let rules = rules.into_iter().flatten();
            desired.rules.extend(rules.map(|rule| Rule { version: IpVersion::V6, ..rule }));
        }
    }

    fn options(&self, interface: &str) -> Options {
        Options { namespace: self.inner(), owner: owner(interface), ..Options::named("client") }
    }

    fn inner(&self) -> Option<Namespace> {
        self.settings.inner_netns.as_deref().map(Namespace::new)
    }

    async fn clean_up(&mut self) {
        if let Some(mut kernel) = self.kernel.take()
            && let Err(error) = kernel.remove_all().await
        {
            tracing::warn!(%error, "could not remove everything");
        }
    }
}

fn v4(net: IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(net) => Some(net),
        IpNet::V6(_) => None,
    }
}

fn v6(net: IpNet) -> Option<Ipv6Net> {
    match net {
        IpNet::V6(net) => Some(net),
        IpNet::V4(_) => None,
    }
}

/// Several clients may run on one machine: each has the tags of its device.
fn owner(interface: &str) -> Owner {
    Owner { protocol: CLIENT_PROTOCOL, ..Owner::named(&format!("client-{interface}")) }
}

fn rule(order: u32, to: Option<IpNet>, action: RuleAction) -> Rule {
    Rule {
        priority: FIRST_PRIORITY + order,
        version: IpVersion::V4,
        from: None,
        to,
        input: None,
        output: None,
        mark: None,
        action,
    }
}

fn driver_settings(settings: &ClientSettings, local: IpAddr) -> DriverSettings {
    let (ike_port, nat_t_port) = settings.server_ports;
    let path = |source, server| {
        Path::new(SocketAddr::new(local, source), SocketAddr::new(settings.server, server))
    };
    let ike = isthmus_ike::Config {
        ike: settings.ike.iter().copied().map(translate::proposal).collect(),
        esp: settings.esp.clone(),
        legacy: settings.legacy,
        force_encap: settings.force_encap,
        ike_lifetime: settings.ike_lifetime,
        child_lifetime: settings.child_lifetime,
        certificates: settings.certificate.as_ref().map(|(own, _)| own.clone()),
        ..isthmus_ike::Config::default()
    };
    let name = host_name();
    let dialect = isthmus_l2tp::Dialect::isthmus(name.as_bytes());
    let mut machine = Config {
        ike_path: path(settings.source_ports.0, ike_port),
        nat_t_path: path(settings.source_ports.1, nat_t_port),
        plain: None,
        psk: settings.psk.clone(),
        group: settings.group.clone().map(String::into_bytes),
        server_name: settings.certificate.as_ref().map(|(_, server)| server.clone()),
        ike: Arc::new(ike),
        l2tp: Arc::new(isthmus_l2tp::Config::lac(name.as_bytes(), dialect)),
        user: settings.user.clone().into_bytes(),
        password: settings.password.clone(),
        auth: settings.auth.iter().copied().map(translate::auth).collect(),
        mru: settings.mtu,
        // A profile asks for IPv6 in its own way, to see it refused.
        ipv6: settings.profile.is_none(),
        destinations: vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())],
        tun: TUN,
        l2tp_port: settings.local_port,
        manner: isthmus_client::Manner::default(),
    };
    if let Some(profile) = settings.profile {
        profile.apply(&mut machine, name.as_bytes(), ephemeral_port());
    }
    if let Some(plain) = &settings.plain {
        let secret = plain.secret.clone();
        machine.plain = Some(path(settings.local_port, L2TP_PORT));
        machine.l2tp = Arc::new(isthmus_l2tp::Config { secret, ..(*machine.l2tp).clone() });
    }
    let plain = machine.plain;
    DriverSettings {
        machine,
        ports: PortsConfig {
            addresses: vec![local],
            ike: settings.source_ports.0,
            nat_t: settings.source_ports.1,
            l2tp: plain.iter().map(|path| path.local).collect(),
            esp: plain.is_none(),
            options: SocketOptions::default(),
        },
    }
}

/// An L2TP port for the clients that do not take 1701; no socket has it, it stands inside IPsec.
fn ephemeral_port() -> u16 {
    let offset = std::process::id() % u32::from(u16::MAX - EPHEMERAL_FIRST);
    EPHEMERAL_FIRST.saturating_add(u16::try_from(offset).unwrap_or_default())
}

/// The address this machine would send from.
pub(crate) fn local_address(server: IpAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr = if server.is_ipv4() {
        SocketAddr::from(([0; 4], 0))
    } else {
        SocketAddr::from(([0; 16], 0))
    };
    let socket = UdpSocket::bind(any)?;
    // Sends nothing: connecting a datagram socket only asks for the route.
    socket.connect(SocketAddr::new(server, IKE_PORT))?;
    Ok(socket.local_addr()?.ip())
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn network_failure(reason: &str, remedy: &str) -> ClientFailure {
    ClientFailure { stage: "network", reason: reason.to_owned(), remedy: remedy.to_owned() }
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Ipsec => "ipsec",
        Stage::L2tp => "l2tp",
        Stage::Login => "login",
        Stage::Up => "up",
    }
}

/// The only device of a client.
const TUN: TunId = TunId(0);
/// The kernel switches IPv6 off on a device with less.
const TUN_MTU_MIN: u16 = 1280;
/// First of the dynamic ports (RFC 6335 §6).
const EPHEMERAL_FIRST: u16 = 49_152;
/// RFC 2408 §2.5.1.
const IKE_PORT: u16 = 500;
/// RFC 2661 §8.1.
const L2TP_PORT: u16 = 1701;
/// Routing table of a client that sends everything through the tunnel.
const TABLE: u32 = 17_390;
/// Priority of the first of its rules.
const FIRST_PRIORITY: u32 = 17_390;
/// Route protocol number of clients, so that a gateway on the same machine leaves their routes alone.
const CLIENT_PROTOCOL: u8 = 174;
