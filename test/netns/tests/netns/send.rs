//! `isthmus trace --send`: what a packet of a session does, and whether the trace has said so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use isthmus_interop::{Access, Daemon, LAN_SECOND_PEER, LabError, Namespace, wait_for};
use isthmus_netns::{Client, CloudSite, Config, Dial, PASSWORD, Site, USER};
use serde_json::{Value, json};

/// What `isthmus trace --send --json` answers, with its exit code.
struct Sent {
    exit: Option<i32>,
    trace: Value,
}

impl Sent {
    /// Sends a packet, and demands a document.
    fn of(site: &mut Site, words: &[&str]) -> Result<Self, LabError> {
        let all = [&["trace", "--config", "gateway.toml", "--send", "--json"], words].concat();
        let (exit, out, complaint) = site.gateway().cli_ends(&all)?;
        let odd = |error| LabError::unexpected(format!("{words:?}: {error}: {out}{complaint}"));
        Ok(Self { exit, trace: serde_json::from_str(&out).map_err(odd)? })
    }

    /// Demands an exit code, an outcome, and that much else of what is said of the packet.
    fn is(&self, exit: i32, outcome: &str, more: &[(&str, Value)]) {
        let found = (self.exit, self.at("/sent/outcome"));
        assert_eq!(found, (Some(exit), &json!(outcome)), "{}", self.trace);
        for (pointer, value) in more {
            let found = self.at(&format!("/sent{pointer}"));
            assert_eq!(found, value, "{pointer} of {}", self.trace);
        }
        let differs = self.at("/sent/contradictions").as_array().map_or(0, Vec::len);
        assert_eq!(differs > 0, exit == 6, "{}", self.trace);
    }

    /// What is said there; null where nothing is.
    fn at(&self, pointer: &str) -> &Value {
        self.trace.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The source address with which the packet left.
    fn source(&self) -> Option<IpAddr> {
        let ends: std::net::SocketAddr = self.at("/sent/left/source").as_str()?.parse().ok()?;
        Some(ends.ip())
    }
}

#[test]
fn packets_do_what_the_trace_says_and_what_does_not_is_said_loudly() -> Result<(), LabError> {
    let lab = Site::lab_for("send", Access::Nat)?;
    let clouds = (1..=3).map(|n| CloudSite::build(&lab, lab.gateway(), n, [10, n, 0]));
    let [one, two, three] = &clouds.collect::<Result<Vec<_>, _>>()?[..] else {
        return Err(LabError::unexpected("three clouds"));
    };
    two.know_the_way_to("198.51.100.0/24")?;
    three.know_the_way_to("10.64.0.0/24")?;
    let mut site = Site::serve(lab, Config { tenant: TENANT, ..Config::default() })?;
    let _servers = [serve(&site, &one.host)?, serve(&site, &three.host)?];
    let host = site.client_host()?;
    let (client, up) = Client::connect(&site, &host, &Dial::new())?;
    let own = IpAddr::from(up.address);

    answers(&mut site, [one, two], own)?;
    mapped(&mut site, own)?;
    refusals(&mut site)?;
    others_interfere(&mut site, own)?;

    let told =
        site.gateway().cli(&["trace", "--config", "gateway.toml", USER, "10.1.0.2", "--send"])?;
    for says in [
        &format!(
            "  sent    an echo request from {own} to 10.1.0.2: it left by cloud1 as 198.18.1.1 to 10.1.0.2"
        ),
        "  answer  10.1.0.2 answers after ",
        "by icmp: it leaves by one; the packet that was sent is answered",
    ] {
        assert!(told.contains(says), "{says}\nis not in\n{told}");
    }
    let log = site.gateway().log();
    let audit = log.lines().find(|line| line.contains("probe sent")).unwrap_or_default();
    assert!(audit.contains("audit") && audit.contains("alice"), "{audit}");
    client.hang_up()?;
    site.wait_idle(SOON)?;
    let words = ["trace", "--config", "gateway.toml", USER, "10.1.0.2", "--send"];
    let (exit, out, complaint) = site.gateway().cli_ends(&words)?;
    assert_eq!((exit, out.as_str()), (Some(1), ""));
    assert!(complaint.contains("alice is not connected"), "{complaint}");
    site.close()?.passed();
    Ok(())
}

/// Echo requests, open and closed ports; what leaves is translated as the egress says.
fn answers(site: &mut Site, [one, two]: [&CloudSite; 2], own: IpAddr) -> Result<(), LabError> {
    let echo = Sent::of(site, &[USER, "10.1.0.2"])?;
    let link = |n: u8| ("/left/link", json!(format!("cloud{n}")));
    let there = json!("10.1.0.2");
    echo.is(
        0,
        "answered",
        &[link(1), ("/answer", json!("echo_reply")), ("/answered_by", there.clone())],
    );
    assert_eq!(echo.source(), Some(one.our_address().into()));
    assert_eq!(echo.at("/egress"), "one");

    let open = Sent::of(site, &[USER, "10.1.0.2:7000"])?;
    open.is(
        0,
        "answered",
        &[link(1), ("/answer", json!("syn_ack")), ("/returned_by", json!("cloud1"))],
    );
    let closed = Sent::of(site, &[USER, "10.1.0.2:7001"])?;
    closed.is(5, "closed", &[link(1), ("/answer", json!("reset")), ("/answered_by", there)]);
    let datagram = Sent::of(site, &[USER, "10.1.0.2:7000", "--protocol", "udp"])?;
    datagram.is(0, "answered", &[link(1), ("/answer", json!("datagram"))]);
    let nobody = Sent::of(site, &[USER, "10.1.0.2:7001", "--protocol", "udp"])?;
    nobody.is(5, "closed", &[("/answer", json!("port_unreachable"))]);

    let fixed = Sent::of(site, &[&own.to_string(), "10.2.0.2"])?;
    fixed.is(0, "answered", &[link(2), ("/left/source", json!("198.51.100.7:0"))]);
    assert_eq!(two.address(), Ipv4Addr::new(10, 2, 0, 2));
    let itself = Sent::of(site, &[USER, "10.64.0.1"])?;
    itself.is(0, "answered", &[("/left", Value::Null)]);
    let silent = Sent::of(site, &[USER, "10.1.0.2:7002", "--protocol", "udp", "--wait", "1"])?;
    silent.is(5, "silent", &[link(1), ("/answer", Value::Null)]);
    Ok(())
}

/// A network that users know by other addresses: nobody translates the source here.
fn mapped(site: &mut Site, own: IpAddr) -> Result<(), LabError> {
    for (words, answer) in [
        (&[USER, "10.203.0.2:7000"][..], "syn_ack"),
        (&[USER, "10.203.0.2:7000", "--protocol", "udp"], "datagram"),
        (&[USER, "10.203.0.2"], "echo_reply"),
    ] {
        let sent = Sent::of(site, words)?;
        let by = ("/answered_by", json!("10.203.0.2"));
        sent.is(0, "answered", &[("/left/link", json!("cloud3")), ("/answer", json!(answer)), by]);
        assert_eq!(sent.source(), Some(own));
        let went = sent.at("/sent/left/destination").as_str().unwrap_or_default();
        assert!(went.starts_with("10.3.0.2:"), "{went}");
    }
    Ok(())
}

/// What the trace says goes nowhere, goes nowhere: that is no contradiction.
fn refusals(site: &mut Site) -> Result<(), LabError> {
    let policy = Sent::of(site, &[USER, "10.1.0.99:80"])?;
    policy.is(5, "refused", &[("/left", Value::Null), ("/answer", json!("reset"))]);
    assert!(policy.trace.to_string().contains("the rule `nobody` denies it"), "{}", policy.trace);
    let denied = Sent::of(site, &[USER, "10.9.0.1"])?;
    denied.is(5, "refused", &[("/answer", json!("prohibited")), ("/left", Value::Null)]);

    site.lab().gateway().ip("rule add pref 10 to 10.1.0.66 blackhole")?;
    let swallowed = Sent::of(site, &[USER, "10.1.0.66", "--wait", "1"])?;
    site.lab().gateway().ip("rule delete pref 10 to 10.1.0.66 blackhole")?;
    swallowed.is(5, "stopped", &[("/left", Value::Null)]);
    assert_eq!(swallowed.at("/passes"), false);

    // The kernel asks for a next hop three times, once a second.
    let dead = Sent::of(site, &[USER, "10.8.0.1", "--wait", "20"])?;
    dead.is(5, "unreachable", &[("/left", Value::Null), ("/answer", json!("host_unreachable"))]);
    Ok(())
}

/// Filters and translations that are not ours, and which a trace cannot know.
fn others_interfere(site: &mut Site, own: IpAddr) -> Result<(), LabError> {
    site.lab().gateway().nft(
        "add table ip theirs\n\
         add chain ip theirs drops { type filter hook forward priority 10; }\n\
         add rule ip theirs drops ip daddr 10.1.0.77 drop\n\
         add rule ip theirs drops ip saddr 10.1.0.2 icmp type echo-reply drop\n\
         add chain ip theirs hides { type nat hook postrouting priority 90; }\n\
         add rule ip theirs hides oifname cloud3 masquerade\n\
         add rule ip theirs hides oifname cloud1 tcp dport 7003 snat to 198.18.1.50",
    )?;
    let dropped = Sent::of(site, &[USER, "10.1.0.77", "--wait", "1"])?;
    dropped.is(6, "stopped", &[("/left", Value::Null)]);
    let lost = Sent::of(site, &[USER, "10.1.0.2", "--wait", "1"])?;
    lost.is(5, "lost", &[("/returned_by", json!("cloud1"))]);
    let other = Sent::of(site, &[USER, "10.1.0.2:7003", "--wait", "1"])?;
    other.is(6, "silent", &[]);
    assert_eq!(other.source(), Some([198, 18, 1, 50].into()), "no address of the link");
    let hidden = Sent::of(site, &[USER, "10.203.0.2"])?;
    hidden.is(6, "answered", &[("/left/source", json!("198.18.3.1:0"))]);
    let words = ["trace", "--config", "gateway.toml", USER, "10.203.0.2", "--send"];
    let (exit, told, _) = site.gateway().cli_ends(&words)?;
    assert_eq!(exit, Some(6));
    assert!(told.contains("  differs its source then was 198.18.3.1"), "{told}");
    assert!(told.contains("; THE PACKET THAT WAS SENT DID NOT"), "{told}");
    site.lab().gateway().nft("delete table ip theirs")?;
    let again = Sent::of(site, &[USER, "10.203.0.2:7001"])?;
    again.is(5, "closed", &[]);
    assert_eq!(again.source(), Some(own));
    Ok(())
}

#[test]
fn a_probe_follows_an_egress_that_takes_over_in_ipv6_too() -> Result<(), LabError> {
    let lab = Site::lab_for("send-six", Access::Nat)?;
    let one = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    let two = CloudSite::build(&lab, lab.gateway(), 2, [10, 2, 0])?;
    two.know_the_way_to(&format!("{OUTSIDE}/128"))?;
    for cloud in [&one, &two] {
        cloud.add_address(EVERYWHERE)?;
    }
    let tenant = six(&one, &two);
    let users = "[users.bob]\npassword = \"builder\"\nnetworks = [\"192.168.40.0/24\"]\n";
    let mut site = Site::serve(lab, Config { tenant: &tenant, users, ..Config::default() })?;
    let host = site.client_host()?;
    let dial = Dial::new().user("bob", "builder").routes("--routes 2001:db8:ee::/48");
    let (client, _) = Client::connect(&site, &host, &dial)?;
    wait_for("an IPv6 address", SOON, || Ok(client.event("ipv6")))?;

    let everywhere = EVERYWHERE.to_string();
    let first = Sent::of(&mut site, &["bob", &everywhere])?;
    first.is(0, "answered", &[("/left/link", json!("cloud1")), ("/answer", json!("echo_reply"))]);
    assert_eq!(first.source(), Some(one.our_address6().into()));
    assert_eq!(first.at("/egress"), "first", "what the kernel says of IPv6");
    let port = format!("[{everywhere}]:7001");
    Sent::of(&mut site, &["bob", &port])?.is(5, "closed", &[("/answer", json!("reset"))]);
    let datagram = Sent::of(&mut site, &["bob", &port, "--protocol", "udp"])?;
    datagram.is(5, "closed", &[("/answer", json!("port_unreachable"))]);

    one.router.ip("link set lan down")?;
    wait_for("the second way", SOON, || {
        let status = site.gateway().status()?;
        Ok((status.at("/tenants/0/egress/0/up")? == false).then_some(()))
    })?;
    let second = wait_for("the routes to follow", SOON, || {
        let sent = Sent::of(&mut site, &["bob", &everywhere])?;
        Ok((sent.at("/egress") == "second").then_some(sent))
    })?;
    second.is(0, "answered", &[("/left/link", json!("cloud2"))]);
    assert_eq!(second.source(), Some(OUTSIDE.into()));

    // Of the network behind him bob may send, but nobody sends in the name of its hosts.
    let words = ["trace", "--config", "gateway.toml", "192.168.40.5", "10.1.0.2", "--send"];
    let (exit, _, complaint) = site.gateway().cli_ends(&words)?;
    assert_eq!(exit, Some(1), "{complaint}");
    assert!(complaint.contains("comes from 10.64.0."), "{complaint}");
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn users_with_one_address_in_two_tenants_send_each_their_own() -> Result<(), LabError> {
    let lab = Site::lab_for("send-two", Access::Nat)?;
    let inner = [lab.namespace("acme")?, lab.namespace("blue")?];
    let clouds = [
        CloudSite::build(&lab, &inner[0], 1, [10, 1, 0])?,
        CloudSite::build(&lab, &inner[1], 2, [10, 1, 0])?,
    ];
    for (cloud, inner) in clouds.iter().zip(&inner) {
        cloud.know_the_way_to("10.64.0.0/24")?;
        inner.ip(&format!("route add 10.1.0.0/24 via {}", cloud.next_hop()))?;
    }
    let tenant = format!(
        "netns = \"{}\"\n[[tenant]]\nname = \"blue\"\nnetns = \"{}\"\npool = [\"10.64.0.0/24\"]\n\
         device_per_session = true\nidentity = \"{LAN_SECOND_PEER}\"\n[tenant.users.{USER}]\npassword = \"{PASSWORD}\"\n",
        inner[0].name(),
        inner[1].name(),
    );
    let mut site = Site::serve(lab, Config { tenant: &tenant, ..Config::default() })?;
    let hosts = [site.client_host()?, site.lab().namespace("second")?];
    site.lab().plug_in(&hosts[1], "eth0", LAN_SECOND_PEER)?;
    let (one, one_up) = Client::connect(&site, &hosts[0], &Dial::new())?;
    let (two, two_up) = Client::connect(&site, &hosts[1], &Dial::new())?;
    assert_eq!(one_up.address, two_up.address, "the pools are the same");

    for (tenant, link) in [("acme", "cloud1"), ("blue", "cloud2")] {
        for from in [USER.to_owned(), one_up.address.to_string()] {
            let sent = Sent::of(&mut site, &[&from, "10.1.0.2", "--tenant", tenant])?;
            sent.is(0, "answered", &[("/left/link", json!(link))]);
            assert_eq!(sent.source(), Some(one_up.address.into()));
        }
    }
    // The second one's host leaves nothing behind in the first one's tenant.
    clouds[0].router.ip("link set lan down")?;
    let words = [USER, "10.1.0.2:80", "--tenant", "acme", "--wait", "1"];
    Sent::of(&mut site, &words)?.is(5, "unreachable", &[("/answer", json!("no_route"))]);
    one.hang_up()?;
    two.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// Accepts connections and returns datagrams at port 7000; at 7002 datagrams go unanswered.
fn serve(site: &Site, host: &Namespace) -> Result<Daemon, LabError> {
    let mut command = host.command("python3");
    command.args(["-u", "-c", SERVER]);
    let log = site.lab().evidence().path(&format!("{}.server.log", host.name()));
    let server = Daemon::start("a server", &command, &log)?;
    wait_for("the server", SOON, || Ok(server.log().contains("ready").then_some(())))?;
    Ok(server)
}

fn six(one: &CloudSite, two: &CloudSite) -> String {
    format!(
        "pool6 = [\"2001:db8:64::/48\"]\n\
         [[tenant.egress]]\nname = \"first\"\nvia = {{ interface = \"cloud1\", gateway = \"{}\" }}\n\
         health = {{ icmp = \"{}\", rise = 2 }}\nnat6 = \"masquerade\"\n\
         [[tenant.egress]]\nname = \"second\"\nvia = {{ interface = \"cloud2\", gateway = \"{}\" }}\n\
         nat6 = \"{OUTSIDE}\"\n",
        one.next_hop6(),
        one.address6(),
        two.next_hop6(),
    )
}

const SERVER: &str = "import socket\n\
    s = socket.create_server(('0.0.0.0', 7000))\n\
    quiet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
    quiet.bind(('0.0.0.0', 7002))\n\
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
    u.bind(('0.0.0.0', 7000))\n\
    print('ready')\n\
    while True:\n    u.sendto(*u.recvfrom(2048))";
/// The clients' address at the second cloud.
const OUTSIDE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x5e, 0, 0, 0, 0, 7);
/// What both clouds have.
const EVERYWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xee, 0, 0, 0, 0, 1);
const SOON: Duration = Duration::from_secs(20);
const TENANT: &str = r#"
[[tenant.egress]]
name = "one"
match = { to = ["10.1.0.0/24"] }
via = { interface = "cloud1", gateway = "198.18.1.2" }
nat = "masquerade"
[[tenant.egress]]
name = "two"
match = { to = ["10.2.0.0/24"] }
via = { interface = "cloud2", gateway = "198.18.2.2" }
nat = "198.51.100.7"
[[tenant.egress]]
name = "three"
match = { to = ["10.3.0.0/24"] }
via = { interface = "cloud3", gateway = "198.18.3.2" }
[[tenant.egress]]
name = "dead"
match = { to = ["10.8.0.0/24"] }
via = { interface = "cloud1", gateway = "198.18.1.99" }
[[tenant.egress]]
name = "no"
match = { to = ["10.9.0.0/24"] }
deny = true
[[tenant.nat]]
egress = "three"
netmap = { inside = "10.203.0.0/24", outside = "10.3.0.0/24" }
[tenant.policy]
default = "allow"
[[tenant.policy.rule]]
name = "nobody"
action = "deny"
to = "10.1.0.99"
"#;
