//! IPv6 inside the tunnel: an address by router advertisement, and everything that goes through it.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use isthmus_interop::{
    Access, CLOUD_HOST, Daemon, LAN_SECOND_PEER, Lab, LabError, Namespace, run, wait_for,
};
use isthmus_netns::{Client, Config, Dial, Site, ping};
use serde_json::Value;

#[test]
fn a_client_reaches_a_host_behind_the_gateway_over_ipv6() -> Result<(), LabError> {
    let mut site = open("ipv6")?;
    let host = site.client_host()?;
    let (mut client, up) = Client::connect(&site, &host, &dial())?;
    let ipv6 = wait_ipv6(&mut client)?;
    let address = text(&ipv6, "address");
    assert!(address.starts_with("2001:db8:64:1:"), "the second /64 of the pool: {ipv6}");
    assert_eq!(text(&ipv6, "prefix"), "2001:db8:64:1::/64");
    assert_eq!(ipv6["dns"], serde_json::json!(["2001:db8:64::53"]));
    assert_eq!(ipv6["routes"], serde_json::json!(["2001:db8:c::/64", "2001:db8:64::/64"]));
    let sessions = site.gateway().sessions()?;
    assert_eq!(sessions.at("/0/prefix6")?, "2001:db8:64:1::/64", "{sessions}");

    ping6(&host, CLOUD_HOST_6)?;
    ping6(site.lab().cloud().host(), &address)?;
    ping6(&host, "2001:db8:64::1")?;
    ping(&host, CLOUD_HOST)?;
    fetch_over_tcp(&site, &host)?;
    // The gateway's device speaks: what is too long gets its MTU back, and then arrives in pieces.
    let mut long = site.lab().cloud().host().command("ping");
    long.args(["-6", "-n", "-c", "3", "-i", "0.3", "-W", "2", "-s", "1452", &address]);
    let printed = String::from_utf8_lossy(&long.output().expect("ping").stdout).into_owned();
    assert!(printed.contains("mtu=1400") || printed.contains("mtu 1400"), "{printed}");
    assert!(printed.contains("2 received"), "{printed}");

    let shown = host.ip(&format!("-6 address show dev {}", up.interface))?;
    assert!(shown.contains(&address), "{shown}");
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_foreign_ipv6_source_is_dropped() -> Result<(), LabError> {
    let site = open("ipv6-spoofing")?;
    let host = site.client_host()?;
    let (mut client, up) = Client::connect(&site, &host, &dial())?;
    wait_ipv6(&mut client)?;
    host.ip(&format!("-6 address add 2001:db8:64:77::7/128 dev {} nodad", up.interface))?;
    let mut forged = host.command("ping");
    forged.args(["-6", "-n", "-c", "2", "-i", "0.3", "-W", "1", "-I", "2001:db8:64:77::7"]);
    let log = forged.arg(CLOUD_HOST_6).output().expect("ping").stdout;
    let log = String::from_utf8_lossy(&log).into_owned();
    assert!(log.contains(" 0 received"), "{log}");
    ping6(&host, CLOUD_HOST_6)?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn without_pool6_a_client_has_ipv4_alone() -> Result<(), LabError> {
    let site = Site::open("ipv6-off", Access::Nat, Config::default())?;
    let host = site.client_host()?;
    let (client, up) = Client::connect(&site, &host, &dial())?;
    ping(&host, CLOUD_HOST)?;
    assert_eq!(client.event("ipv6"), None);
    let shown = host.ip(&format!("-6 address show dev {} scope global", up.interface))?;
    assert!(shown.trim().is_empty(), "{shown}");
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_reload_brings_a_pool_and_ipv6_and_takes_them_away_while_sessions_go_on() -> Result<(), LabError>
{
    let mut site = serve(lab_with_ipv6("ipv6-reload")?, "")?;
    let first = site.client_host()?;
    let second = site.lab().namespace("second")?;
    site.lab().plug_in(&second, "eth0", LAN_SECOND_PEER)?;
    let (client, _) = Client::connect(&site, &first, &dial())?;
    let more = "[\"10.64.0.0/24\", \"10.65.0.0/24\"]\npool6 = [\"2001:db8:64::/48\"]";
    let less = "[\"10.64.0.0/24\"]";

    let said = reload(&mut site, (less, more), "address = \"10.65.0.9\"")?;
    assert!(said.contains("tenant acme") && !said.contains("restart"), "{said}");
    let bob = dial().user("bob", "looking glass");
    let (mut another, up) = Client::connect(&site, &second, &bob)?;
    assert_eq!(up.address, Ipv4Addr::new(10, 65, 0, 9));
    wait_ipv6(&mut another)?;
    ping(&first, CLOUD_HOST)?;
    ping(&second, CLOUD_HOST)?;
    ping6(&second, CLOUD_HOST_6)?;

    // What a session has stays routed until it has ended and somebody asks again.
    reload(&mut site, (more, less), "")?;
    ping(&second, CLOUD_HOST)?;
    ping6(&second, CLOUD_HOST_6)?;
    another.hang_up()?;
    site.gateway().wait_count("sessions", 1, LIMIT)?;
    reload(&mut site, (less, less), "disabled = true")?;
    let gateway = site.lab().gateway();
    let routes = gateway.ip("route")? + &gateway.ip("-6 route")?;
    assert!(routes.contains("10.64.0.0/24"), "{routes}");
    assert!(!routes.contains("10.65.") && !routes.contains("2001:db8:64"), "{routes}");
    ping(&first, CLOUD_HOST)?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// Changes one piece of the configuration and what the user bob has, and has it read again.
fn reload(site: &mut Site, (old, new): (&str, &str), bob: &str) -> Result<String, LabError> {
    let folder = site.gateway().folder().to_owned();
    let (path, users) = (folder.join("gateway.toml"), folder.join("acme.users"));
    let text = std::fs::read_to_string(&path).map_err(|error| LabError::io(&path, error))?;
    assert_eq!(text.matches(old).count(), 1, "{text}");
    let bob = format!("[users.bob]\npassword = \"looking glass\"\n{bob}\n");
    let all = Config { users: &bob, ..Config::default() }.users_file();
    for (path, text) in [(path, text.replace(old, new)), (users, all)] {
        std::fs::write(&path, text).map_err(|error| LabError::io(&path, error))?;
    }
    site.gateway().cli(&["reload"])
}

/// A site with IPv6 in the cloud and for its clients.
fn open(test: &str) -> Result<Site, LabError> {
    serve(lab_with_ipv6(test)?, "pool6 = [\"2001:db8:64::/48\"]")
}

/// A lab with IPv6 in the cloud; the kernel does not forward before.
fn lab_with_ipv6(test: &str) -> Result<Lab, LabError> {
    let lab = Site::lab_for(test, Access::Nat)?;
    lab.gateway().sysctl("net/ipv6/conf/all/forwarding", "0")?;
    lab.gateway().ip("-6 address add 2001:db8:c::1/64 dev eth1 nodad")?;
    lab.cloud().host().ip(&format!("-6 address add {CLOUD_HOST_6}/64 dev eth0 nodad"))?;
    lab.cloud().host().ip("-6 route add default via 2001:db8:c::1")?;
    Ok(lab)
}

fn serve(lab: Lab, pool6: &str) -> Result<Site, LabError> {
    let tenant = format!("{pool6}\ndns = [\"10.0.0.53\", \"2001:db8:64::53\"]");
    Site::serve(lab, Config { tenant: &tenant, ..Config::default() })
}

fn dial() -> Dial {
    Dial::new().routes("--routes 10.0.0.0/24,2001:db8:c::/64,2001:db8:64::/64")
}

fn wait_ipv6(client: &mut Client) -> Result<Value, LabError> {
    wait_for("an IPv6 address", Duration::from_secs(20), || Ok(client.event("ipv6")))
}

fn text(event: &Value, key: &str) -> String {
    event[key].as_str().unwrap_or_default().to_owned()
}

fn ping6(host: &Namespace, target: &str) -> Result<(), LabError> {
    let mut command = host.command("ping");
    command.args(["-6", "-n", "-c", "3", "-i", "0.2", "-W", "2", target]);
    let log = run(&mut command)?;
    if log.contains("3 received") { Ok(()) } else { Err(LabError::unexpected(log)) }
}

/// A file of some segments from a server in the cloud.
fn fetch_over_tcp(site: &Site, host: &Namespace) -> Result<(), LabError> {
    let evidence = site.lab().evidence();
    let folder = evidence.subfolder("cloud6")?;
    let content = "isthmus ".repeat(100_000);
    evidence.write("cloud6/file", &content)?;
    let cloud = site.lab().cloud().host();
    let mut serve: Command = cloud.command("python3");
    serve.args(["-c", SERVER, CLOUD_HOST_6]).arg(&folder);
    let mut server = Daemon::start("http6", &serve, &evidence.path("http6.log"))?;
    cloud.wait_bound("tcp6", 8006, Duration::from_secs(10), || server.alive())?;
    let mut get = host.command("curl");
    get.args(["-sS", "--fail", "--max-time", "30"]);
    let got = run(get.arg(format!("http://[{CLOUD_HOST_6}]:8006/file")))?;
    assert_eq!(got.len(), content.len());
    Ok(())
}

/// How long the gateway's own view may lag behind the clients'.
const LIMIT: Duration = Duration::from_secs(10);
/// A host behind the gateway.
const CLOUD_HOST_6: &str = "2001:db8:c::2";
/// An HTTP server for IPv6 that asks nobody for its own name.
const SERVER: &str = r"
import functools, http.server, socket, socketserver, sys
class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
files = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[2])
Server((sys.argv[1], 8006), files).serve_forever()
";
