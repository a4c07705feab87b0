//! IPv6 inside the tunnel: an address by router advertisement, and everything that goes through it.

use std::process::Command;
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, Daemon, LabError, Namespace, run, wait_for};
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

/// A site with IPv6 in the cloud and for its clients; the kernel does not forward before.
fn open(test: &str) -> Result<Site, LabError> {
    let lab = Site::lab_for(test, Access::Nat)?;
    lab.gateway().sysctl("net/ipv6/conf/all/forwarding", "0")?;
    lab.gateway().ip("-6 address add 2001:db8:c::1/64 dev eth1 nodad")?;
    lab.cloud().host().ip(&format!("-6 address add {CLOUD_HOST_6}/64 dev eth0 nodad"))?;
    lab.cloud().host().ip("-6 route add default via 2001:db8:c::1")?;
    let tenant = r#"pool6 = ["2001:db8:64::/48"]
        dns = ["10.0.0.53", "2001:db8:64::53"]"#;
    Site::serve(lab, Config { tenant, ..Config::default() })
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
