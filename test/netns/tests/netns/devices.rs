//! A TUN device for each session, beside the tenant's.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, LAN_SECOND_PEER, LabError, Namespace, wait_for};
use isthmus_netns::{
    Client, CloudSite, Config, Dial, PING_INTERVAL, Site, ping, pinged, start_ping,
};

#[test]
fn each_session_has_its_device_and_policy_ways_and_translation_are_the_tenants()
-> Result<(), LabError> {
    let lab = Site::lab_for("devices", Access::Nat)?;
    let one = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    let two = CloudSite::build(&lab, lab.gateway(), 2, [10, 2, 0])?;
    one.know_the_way_to("10.64.0.0/24")?;
    [&one, &two].iter().try_for_each(|cloud| cloud.add_address(EVERYWHERE))?;
    let mut site = Site::serve(lab, Config { tenant: TENANT, users: USERS, ..Config::default() })?;
    let (alice_host, bob_host) = (site.client_host()?, site.lab().namespace("bob")?);
    site.lab().plug_in(&bob_host, "eth0", LAN_SECOND_PEER)?;
    let dial = Dial::new().routes(EVERYTHING);
    let (alice, alice_up) = Client::connect(&site, &alice_host, &dial)?;
    let (bob, bob_up) = Client::connect(&site, &bob_host, &dial.clone().user("bob", "builder"))?;
    let devices = wait_devices(&mut site, 2)?;
    let (own, other) = (&devices["alice"], &devices["bob"]);
    for (device, up) in [(own, &alice_up), (other, &bob_up)] {
        assert!(device.starts_with("ist-acme."), "{devices:?}");
        let road = site.lab().gateway().ip(&format!("route get {}", up.address))?;
        assert!(road.contains(&format!("dev {device} src 10.64.0.1")), "{road}");
    }

    // By way of the group, with its translation; the clouds say who came.
    let seen = [one.listen()?, two.listen()?];
    let ways = [
        (&alice_host, &alice_up, &seen[0], alice_up.address),
        (&bob_host, &bob_up, &seen[1], two.our_address()),
    ];
    for (host, up, seen, source) in ways {
        let socket = host.udp_socket((up.address, 9000), Duration::from_secs(1))?;
        let sent = socket.send_to(b"hello", (EVERYWHERE, 7777));
        sent.map_err(|source| LabError::Io { what: EVERYWHERE.to_string(), source })?;
        let (said, from) = seen.receive()?;
        assert_eq!((said.as_str(), from.ip()), ("hello", source.into()));
    }
    assert!(pinged(&bob_host, one.address())?.contains("Packet filtered"));
    // What is behind him is routed to his device, and is as it should be.
    let routes = site.gateway().cli(&["show", "routes", "--config", "gateway.toml", "--json"])?;
    let plan = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
    let behind = site.lab().gateway().ip("route get 192.168.77.9")?;
    assert!(behind.contains(&format!("dev {other}")), "{behind}");
    assert!(routes.contains(other.as_str()) && !routes.contains("unwanted"), "{routes}");
    assert!(!routes.contains("altered") && !plan.contains("192.168.77"), "{routes}\n{plan}");
    assert!(pinged(&bob_host, alice_up.address)?.contains("Packet filtered"));

    // Her packets are on her device and on no other.
    let before = (packets(&site, own)?, packets(&site, other)?);
    assert!(pinged(&alice_host, one.address())?.contains(" 0% packet loss"));
    let after = (packets(&site, own)?, packets(&site, other)?);
    assert!(after.0 > before.0 && after.1 == before.1, "{before:?}, then {after:?}");

    alice.hang_up()?;
    wait_gone(&site, own)?;
    assert!(site.lab().gateway().ip(&format!("link show {other}")).is_ok());
    bob.hang_up()?;
    wait_gone(&site, other)?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn devices_come_and_go_by_a_reload_under_a_session_that_loses_nothing() -> Result<(), LabError> {
    let mut site = Site::open("devices-reload", Access::Nat, Config::default())?;
    let (host, file) = (site.client_host()?, site.gateway().folder().join("gateway.toml"));
    let shared = fs::read_to_string(&file).map_err(|source| io(&file, source))?;
    let each = shared.replace("name = \"acme\"", "name = \"acme\"\ndevice_per_session = true");
    let (alice, _) = Client::connect(&site, &host, &Dial::new())?;
    let pings = start_ping(&site, &host, CLOUD_HOST, PING_INTERVAL)?;
    for _ in 0..2 {
        fs::write(&file, &each).map_err(|source| io(&file, source))?;
        let said = site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
        assert!(said.contains("~ tenant acme: device_per_session  # sessions go on"), "{said}");
        let devices = wait_devices(&mut site, 1)?;
        let own = devices["alice"].clone();
        assert_eq!(own, "ist-acme.0");
        let plan = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
        assert!(!plan.contains("ist-acme.0"), "a session's is nobody's plan: {plan}");

        fs::write(&file, &shared).map_err(|source| io(&file, source))?;
        site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
        wait_gone(&site, &own)?;
        wait_devices(&mut site, 0)?;
    }
    assert_eq!(pings.finish()?.lost.len(), 0);
    alice.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_session_whose_device_somebody_removes_or_whose_name_is_taken_goes_on() -> Result<(), LabError>
{
    let config = Config { tenant: "device_per_session = true\n", ..Config::default() };
    let mut site = Site::open("devices-removed", Access::Nat, config)?;
    let host = site.client_host()?;
    site.lab().gateway().ip("link add ist-acme.0 type veth peer name theirs0")?;
    let (alice, _) = Client::connect(&site, &host, &Dial::new())?;
    let own = wait_devices(&mut site, 1)?["alice"].clone();
    assert_eq!(own, "ist-acme.1", "the first name is taken");
    ping(&host, CLOUD_HOST)?;
    site.lab().gateway().ip(&format!("link delete {own}"))?;
    wait_for("packets by the tenant's device", LIMIT, || {
        Ok(pinged(&host, CLOUD_HOST)?.contains(" 0% packet loss").then_some(()))
    })?;
    alice.hang_up()?;
    site.lab().gateway().ip("link delete ist-acme.0")?;
    site.close()?.passed();
    Ok(())
}

/// The device of each user that has one, when so many have.
fn wait_devices(site: &mut Site, count: usize) -> Result<BTreeMap<String, String>, LabError> {
    let found = wait_for("devices of sessions", LIMIT, || {
        let sessions = site.gateway().sessions()?;
        let all = sessions.at("")?.as_array().cloned().unwrap_or_default();
        let of = |session: &serde_json::Value| {
            let text = |key: &str| session[key].as_str().map(str::to_owned);
            Some((text("user")?, text("device")?))
        };
        let devices: BTreeMap<_, _> = all.iter().filter_map(of).collect();
        Ok((devices.len() == count).then_some(devices))
    })?;
    Ok(found)
}

fn wait_gone(site: &Site, device: &str) -> Result<(), LabError> {
    let gateway: &Namespace = site.lab().gateway();
    wait_for("a session's device to go", LIMIT, || {
        Ok(gateway.ip(&format!("link show {device}")).is_err().then_some(()))
    })
}

/// Packets that came out of a device.
fn packets(site: &Site, device: &str) -> Result<u64, LabError> {
    let said = site.lab().gateway().ip(&format!("-json -stats link show {device}"))?;
    let link: serde_json::Value = serde_json::from_str(&said)
        .map_err(|error| LabError::unexpected(format!("{error} in {said}")))?;
    let count = link.pointer("/0/stats64/rx/packets").and_then(serde_json::Value::as_u64);
    count.ok_or_else(|| LabError::unexpected(said))
}

fn io(file: &std::path::Path, source: std::io::Error) -> LabError {
    LabError::Io { what: file.display().to_string(), source }
}

const LIMIT: Duration = Duration::from_secs(15);
const USERS: &str =
    "[users.bob]\npassword = \"builder\"\ngroup = \"interns\"\nnetworks = [\"192.168.77.0/24\"]\n";
/// What both clouds have.
const EVERYWHERE: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);
const EVERYTHING: &str = "--routes 10.1.0.0/16,10.2.0.0/16,172.20.0.0/16,10.64.0.0/24";
const TENANT: &str = r#"
device_per_session = true
[[tenant.egress]]
name = "interns"
match = { group = "interns" }
via = { interface = "cloud2", gateway = "198.18.2.2" }
nat = "masquerade"
[[tenant.egress]]
name = "all"
via = { interface = "cloud1", gateway = "198.18.1.2" }
[tenant.policy]
default = "allow"
[[tenant.policy.rule]]
name = "interns-stay-out"
action = "deny"
group = "interns"
to = ["10.1.0.0/24", "10.64.0.0/24"]
"#;
