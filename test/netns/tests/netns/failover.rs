//! A way out that fails is left and comes back, and sessions do not notice.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, Answer, Daemon, LabError, run, wait_for};
use isthmus_netns::{Client, CloudSite, Config, Dial, Site, start_ping};
use serde_json::Value;

#[test]
fn traffic_moves_to_the_next_way_within_three_seconds_and_back() -> Result<(), LabError> {
    let lab = Site::lab_for("failover", Access::Nat)?;
    let one = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    let two = CloudSite::build(&lab, lab.gateway(), 2, [10, 2, 0])?;
    for cloud in [&one, &two] {
        cloud.know_the_way_to("10.64.0.0/24")?;
        cloud.add_address(EVERYWHERE)?;
    }
    // The machine itself knows another way, which must not be taken.
    lab.gateway().ip("route replace default via 203.0.113.1 dev eth0")?;
    let tenant = format!(
        "{}{}",
        way("first", &one, &format!("icmp = \"{}\"", one.address())),
        way("second", &two, &format!("tcp = \"{}:7000\"", two.address())),
    );
    let mut site = Site::serve(lab, Config { tenant: &tenant, ..Config::default() })?;
    let mut server = two.host.command("python3");
    server.args(["-m", "http.server", "7000"]);
    let log = site.lab().evidence().path("server.log");
    let server = Daemon::start("a web server", &server, &log)?;
    wait_for("both ways up", Duration::from_secs(20), || {
        Ok((states(&site.gateway().status()?) == "up up").then_some(()))
    })?;

    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new().routes("--routes 172.20.0.0/16"))?;
    let session = site.gateway().sessions()?.at("/0/id")?.clone();
    let ping = start_ping(&site, &host, EVERYWHERE, EVERY)?;
    assert!(seen_by(&one)? && !seen_by(&two)?);

    // The cloud behind the first way dies, its link stays.
    ping.goes_on_within(SOON_ENOUGH, &site, "the cloud fails", &|| {
        one.router.ip("link set lan down").map(drop)
    })?;
    assert!(seen_by(&two)? && !seen_by(&one)?);
    ping.goes_on_within(SOON_ENOUGH, &site, "the cloud returns", &|| {
        one.router.ip("link set lan up")?;
        one.router.ip(&format!("route replace {EVERYWHERE}/32 via {}", one.address())).map(drop)
    })?;
    assert!(seen_by(&one)?);
    // Its link goes: at once.
    ping.goes_on_within(SOON_ENOUGH, &site, "the link fails", &|| {
        one.router.ip("link set wan down").map(drop)
    })?;
    assert!(seen_by(&two)?);

    // Both are away: refused, not leaked.
    drop(server);
    two.host.ip("link set eth0 down")?;
    wait_for("both ways down", Duration::from_secs(10), || {
        Ok((states(&site.gateway().status()?) == "down down").then_some(()))
    })?;
    // The kernel tells of refusals now and then only, so nobody else may ask.
    ping.finish()?;
    let mut refused = host.command("ping");
    let refused = refused.args(["-n", "-c", "4", "-W", "1", &EVERYWHERE.to_string()]).output();
    let refused = refused.map_err(|source| LabError::Io { what: "ping".to_owned(), source })?;
    let text = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(text.contains("Unreachable"), "{text}");
    let shown = site.gateway().cli(&["status"])?;
    assert!(shown.contains("second") && shown.contains("no answer from 10.2.0.2"), "{shown}");
    assert_eq!(site.gateway().sessions()?.at("/0/id")?, &session, "the session lives");
    let log = site.gateway().log();
    for line in ["a way out is down egress=\"first\"", "a way out is up egress=\"first\""] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    client.hang_up()?;
    // The gateway's namespace is to be left as it was found.
    one.router.ip("link set wan up")?;
    wait_for("the link", SOON, || {
        let link = site.lab().gateway().ip("link show cloud1")?;
        Ok(link.contains("state UP").then_some(()))
    })?;
    site.close()?.passed();
    Ok(())
}

/// Whether the pings pass this cloud: one every 50 ms, against two probes a second.
fn seen_by(cloud: &CloudSite) -> Result<bool, LabError> {
    let count = || -> Result<u64, LabError> {
        let mut command = cloud.router.command("cat");
        let text = run(command.arg("/sys/class/net/wan/statistics/rx_packets"))?;
        Ok(text.trim().parse().unwrap_or_default())
    };
    let before = count()?;
    std::thread::sleep(Duration::from_secs(1));
    Ok(count()? > before + 10)
}

/// The states of the tenant's ways out.
fn states(status: &Answer) -> String {
    let egress = status.at("/tenants/0/egress").ok().and_then(Value::as_array).cloned();
    let state = |way: &Value| if way["up"] == true { "up" } else { "down" };
    egress.unwrap_or_default().iter().map(state).collect::<Vec<_>>().join(" ")
}

fn way(name: &str, cloud: &CloudSite, health: &str) -> String {
    format!(
        "[[tenant.egress]]\nname = \"{name}\"\nvia = {{ interface = \"{}\", gateway = \"{}\" }}\n\
         health = {{ {health}, rise = 2 }}\n",
        cloud.link(),
        cloud.next_hop()
    )
}

/// What both clouds have.
const EVERYWHERE: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);
const EVERY: Duration = Duration::from_millis(50);
/// How long users may be without a way out.
const SOON_ENOUGH: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(10);
