//! Reads `[gateway]`, `[ipsec]`, `[l2tp]` and `[ppp]` with their defaults.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use isthmus_core::SecretBytes;
use isthmus_crypto::EspSuite;
use isthmus_gateway::Proxy;
use isthmus_telemetry::LogFormat;

use super::certificate;
use super::document::Node;
use super::keys;
use super::proposal::{self, IkeProposal};
use super::secret;
use super::section::{At, Section};
use super::types::{AuthProtocol, Gateway, Ipsec, L2tp, Log, Ppp};
use super::value;
use crate::report::Report;

/// Reads `[gateway]`.
pub(crate) fn gateway(section: Option<Section>, report: &mut Report) -> Gateway {
    let mut gateway = Gateway {
        name: machine_name(),
        public_address: None,
        listen: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        listen_is_default: true,
        ike_port: 500,
        nat_t_port: 4500,
        control_socket: PathBuf::from(CONTROL_SOCKET),
        log: Log { format: LogFormat::Text, level: String::from("info") },
    };
    let Some(mut section) = section else {
        return gateway;
    };
    set(&mut gateway.name, section.take("name", report, value::name));
    gateway.public_address = section.take("public_address", report, public).map(|at| at.value);
    if let Some(listen) = section.take("listen", report, value::list(value::address)) {
        gateway.listen_is_default = false;
        gateway.listen = distinct(&listen, report);
        require_some(&gateway.listen, listen.span, "an address to listen on", report);
    }
    let ike = section.take("ike_port", report, value::number(1..=u16::MAX));
    let nat_t = section.take("nat_t_port", report, value::number(1..=u16::MAX));
    let port_span = nat_t.or(ike).map(|at| at.span);
    set(&mut gateway.ike_port, ike);
    set(&mut gateway.nat_t_port, nat_t);
    if gateway.ike_port == gateway.nat_t_port {
        report.error(port_span, "`ike_port` and `nat_t_port` are the same", "give each its own");
    }
    set(&mut gateway.control_socket, section.take("control_socket", report, secret::path));
    if let Some(node) = section.take_node("log") {
        log(node, &mut gateway.log, report);
    }
    section.finish(report);
    gateway
}

/// Reads `[ipsec]`; the pre-shared key is returned beside it, for the tenants.
pub(crate) fn ipsec(
    section: Option<Section>,
    report: &mut Report,
) -> (Ipsec, Option<At<SecretBytes>>) {
    let mut ipsec = Ipsec {
        legacy: false,
        ike: Vec::new(),
        esp: Vec::new(),
        ike_lifetime: Duration::from_hours(8),
        child_lifetime: Duration::from_hours(1),
        dpd_interval: Duration::from_secs(30),
        force_encap: false,
        aggressive: false,
        certificates: None,
        fragment_size: 1280,
    };
    let mut psk = None;
    if let Some(mut section) = section {
        psk = secret::take(&mut section, "psk", "psk_file", report);
        set(&mut ipsec.legacy, section.take("legacy", report, value::boolean));
        if let Some(ike) = section.take("ike", report, value::list(ike_proposal)) {
            refuse_legacy(&ike, ipsec.legacy, IkeProposal::is_legacy, report);
            ipsec.ike = distinct(&ike, report);
            require_some(&ipsec.ike, ike.span, "an IKE proposal", report);
        }
        if let Some(esp) = section.take("esp", report, value::list(esp_suite)) {
            refuse_legacy(&esp, ipsec.legacy, EspSuite::is_legacy, report);
            ipsec.esp = distinct(&esp, report);
            require_some(&ipsec.esp, esp.span, "an ESP suite", report);
        }
        set(&mut ipsec.ike_lifetime, section.take("ike_lifetime", report, lifetime()));
        set(&mut ipsec.child_lifetime, section.take("child_lifetime", report, lifetime()));
        set(&mut ipsec.dpd_interval, section.take("dpd_interval", report, interval()));
        ipsec.certificates = certificate::take(&mut section, report);
        set(&mut ipsec.aggressive, section.take("aggressive", report, value::boolean));
        set(&mut ipsec.force_encap, section.take("force_encap", report, value::boolean));
        let sizes = isthmus_ike::bounds::FRAGMENT_SIZE_MIN..=9000;
        set(&mut ipsec.fragment_size, section.take("fragment_size", report, value::number(sizes)));
        section.finish(report);
    }
    if ipsec.ike.is_empty() {
        ipsec.ike = proposal::default_ike(ipsec.legacy);
    }
    if ipsec.esp.is_empty() {
        ipsec.esp = proposal::default_esp(ipsec.legacy);
    }
    (ipsec, psk)
}

/// Reads `[l2tp]`.
pub(crate) fn l2tp(section: Option<Section>, gateway_name: &str, report: &mut Report) -> L2tp {
    let mut l2tp = L2tp {
        hello_interval: Duration::from_mins(1),
        host_name: gateway_name.to_owned(),
        secret: None,
        proxy: Proxy::default(),
    };
    let Some(mut section) = section else {
        return l2tp;
    };
    set(&mut l2tp.hello_interval, section.take("hello_interval", report, interval()));
    set(&mut l2tp.host_name, section.take("host_name", report, value::name));
    if let Some(secret) = secret::take(&mut section, "secret", "secret_file", report) {
        l2tp.secret = Some(secret.value);
        report.warning(
            secret.span,
            "with a tunnel secret no built-in client can connect",
            "remove it unless every client is a router that has it too",
        );
    }
    if let Some(proxy) = section.take("proxy", report, value::one_of(&Proxy::NAMES)) {
        l2tp.proxy = proxy.value;
        if proxy.value == Proxy::Accept && l2tp.secret.is_none() {
            report.error(
                proxy.span,
                "without a tunnel secret any client could bring a login that it has overheard",
                "add `secret` or `secret_file`, or remove `proxy`",
            );
        }
    }
    section.finish(report);
    l2tp
}

/// Reads `[ppp]`.
pub(crate) fn ppp(section: Option<Section>, report: &mut Report) -> Ppp {
    let mut ppp = Ppp {
        auth: vec![AuthProtocol::MsChapV2],
        mru: 1400,
        echo_interval: Duration::from_secs(30),
    };
    let Some(mut section) = section else {
        return ppp;
    };
    let protocol = value::one_of(&AuthProtocol::NAMES);
    if let Some(auth) = section.take("auth", report, value::list(protocol)) {
        ppp.auth = distinct(&auth, report);
        require_some(&ppp.auth, auth.span, "an authentication protocol", report);
        if let Some(pap) = auth.value.iter().find(|at| at.value == AuthProtocol::Pap) {
            report.warning(
                pap.span,
                "PAP hands the password to whoever knows the pre-shared key",
                "leave \"pap\" out unless a client can do nothing else",
            );
        }
    }
    set(&mut ppp.mru, section.take("mru", report, value::number(576..=1500)));
    set(&mut ppp.echo_interval, section.take("echo_interval", report, interval()));
    section.finish(report);
    ppp
}

/// An IKE proposal by name.
fn ike_proposal(node: &Node, report: &mut Report) -> Option<IkeProposal> {
    let written = value::text(node, report)?;
    match written.parse() {
        Ok(proposal) => Some(proposal),
        Err(why) => {
            report.error(node.span, format!("`{written}` is not an IKE proposal"), why.to_string());
            None
        }
    }
}

/// An ESP suite by name.
fn esp_suite(node: &Node, report: &mut Report) -> Option<EspSuite> {
    let names: Vec<_> = EspSuite::ALL.into_iter().map(|suite| (suite.name(), suite)).collect();
    value::one_of(&names)(node, report)
}

fn log(node: Node, log: &mut Log, report: &mut Report) {
    let Some(mut section) = Section::from_node(&keys::LOG, node, report) else {
        return;
    };
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    set(&mut log.format, section.take("format", report, value::one_of(&formats)));
    let levels = LEVELS.map(|level| (level, level));
    let level = section.take("level", report, value::one_of(&levels));
    if let Some(level) = level {
        level.value.clone_into(&mut log.level);
    }
    section.finish(report);
}

fn public(node: &Node, report: &mut Report) -> Option<IpAddr> {
    let address = value::address(node, report)?;
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
        report.error(
            node.span,
            format!("nobody can dial {address}"),
            "write the address clients connect to, or remove the key",
        );
        return None;
    }
    Some(address)
}

fn refuse_legacy<T: Copy>(
    list: &At<Vec<At<T>>>,
    legacy: bool,
    is_legacy: impl Fn(T) -> bool,
    report: &mut Report,
) {
    for weak in list.value.iter().filter(|at| !legacy && is_legacy(at.value)) {
        report.error(
            weak.span,
            "this is weak, and `legacy` is not set",
            "remove it, or set `legacy = true` in [ipsec] if a client can do nothing better",
        );
    }
}

/// The values of a list; those written twice are reported.
pub(crate) fn distinct<T: Clone + PartialEq>(list: &At<Vec<At<T>>>, report: &mut Report) -> Vec<T> {
    let mut seen = Vec::new();
    for item in &list.value {
        if seen.contains(&item.value) {
            report.error(item.span, "this is in the list twice", "remove one");
        } else {
            seen.push(item.value.clone());
        }
    }
    seen
}

/// Reports an empty list.
pub(crate) fn require_some<T>(
    list: &[T],
    span: crate::report::Span,
    what: &str,
    report: &mut Report,
) {
    if list.is_empty() {
        let remedy = "write at least one, or remove the key to get the default";
        report.error(span, format!("{what} is missing: the list is empty"), remedy);
    }
}

pub(super) fn set<T>(slot: &mut T, taken: Option<At<T>>) {
    if let Some(at) = taken {
        *slot = at.value;
    }
}

fn lifetime() -> impl FnOnce(&Node, &mut Report) -> Option<Duration> {
    value::duration(Duration::from_secs(20)..=Duration::from_hours(7 * 24))
}

fn interval() -> impl FnOnce(&Node, &mut Report) -> Option<Duration> {
    value::duration(Duration::from_secs(1)..=Duration::from_hours(24))
}

fn machine_name() -> String {
    let uname = rustix::system::uname();
    let name: String = uname
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .collect();
    if name.is_empty() { String::from("isthmus") } else { name }
}

/// The control socket when none is configured; `isthmus status` looks there too.
pub const CONTROL_SOCKET: &str = "/run/isthmus/control.sock";
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
