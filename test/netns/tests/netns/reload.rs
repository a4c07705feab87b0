//! Tenants come, change and go under a running gateway.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use isthmus_interop::{
    Access, CLOUD_HOST, Daemon, KernelState, LAN_SECOND_PEER, LabError, Namespace, run, wait_for,
};
use isthmus_netns::{Client, Config, Dial, PING_INTERVAL, Site, ping, start_ping};
use serde_json::Value;

#[test]
fn a_tenant_comes_with_its_namespace_and_goes_without_a_trace() -> Result<(), LabError> {
    let mut site = Site::open("reload", Access::Nat, Config::default())?;
    let (hosts, file) = (two_hosts(&site)?, site.gateway().folder().join("gateway.toml"));
    let (alice, _) = Client::connect(&site, &hosts.0, &Dial::new())?;
    let pings = start_ping(&site, &hosts.0, CLOUD_HOST, PING_INTERVAL)?;
    let (before, netns) =
        (KernelState::read(site.lab().gateway())?, format!("{}-blue", lab(&site)));
    let least = read(&file)?;
    write(&file, &format!("{least}{}", blue(&netns)))?;

    let said = site.gateway().cli(&["reload", "--dry-run", "--config", "gateway.toml"])?;
    demand(&said, &["  + tenant blue  # sessions go on", "dry run: nothing has been changed"]);
    assert_eq!(KernelState::read(site.lab().gateway())?, before);
    let plan = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
    demand(&plan, &["  + the namespace itself  # `netns` names it, and there is none"]);
    assert!(ip(&mut site, &netns, "link").is_err(), "a plan makes nothing");

    let said = site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    demand(&said, &["  + tenant blue  # sessions go on", "applied: tenant blue"]);
    assert!(ip(&mut site, &netns, "-o link show lo")?.contains("UP"));
    assert!(ip(&mut site, &netns, "address show dev ist-blue")?.contains("10.70.0.1/32"));
    let dial = Dial::new().psk(BLUE_PSK).user("bob", "open sesame").routes("--routes 10.70.0.0/24");
    let (bob, _) = Client::connect(&site, &hosts.1, &dial)?;
    ping(&hosts.1, [10, 70, 0, 1].into())?;

    // The address is another, and the session stays.
    let moved = format!("{least}{}", blue(&netns)).replace("name = \"blue\"", MOVED);
    write(&file, &moved)?;
    let said = site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    demand(&said, &["  ~ tenant blue: gateway_address  # sessions go on"]);
    ping(&hosts.1, [10, 70, 0, 9].into())?;

    write(&file, &least)?;
    let said = site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    demand(&said, &["  - tenant blue  # its sessions end (1 now)"]);
    let down = bob.wait_down(Duration::from_secs(10))?;
    assert!(!down.requested, "{}", down.log);
    assert!(ip(&mut site, &netns, "link").is_err(), "its namespace is gone");
    before.refuse_leftovers(&KernelState::read(site.lab().gateway())?)?;

    let heard = pings.finish()?;
    assert_eq!(
        (heard.lost.len(), site.gateway().status()?.at("/sessions")?.as_u64()),
        (0, Some(1))
    );
    alice.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn another_device_ends_the_sessions_on_the_old_one_and_a_namespace_of_others_stays()
-> Result<(), LabError> {
    let mut site = Site::open("reload-device", Access::Nat, Config::default())?;
    let (host, file) = (site.client_host()?, site.gateway().folder().join("gateway.toml"));
    let least = read(&file)?;
    let office = site.lab().namespace("office")?;
    let (alice, _) = Client::connect(&site, &host, &Dial::new())?;

    let place = format!("name = \"acme\"\ninterface = \"vpn0\"\nnetns = \"{}\"", office.name());
    write(&file, &least.replace("name = \"acme\"", &place))?;
    let said = site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    demand(&said, &["  ~ tenant acme: netns, interface  # its sessions end (1 now)"]);
    alice.wait_down(Duration::from_secs(10))?;
    assert!(site.lab().gateway().ip("link show ist-acme").is_err());
    assert!(office.ip("address show dev vpn0")?.contains("10.64.0.1/32"));
    let (alice, _) = Client::connect(&site, &host, &Dial::new().routes("--routes 10.64.0.0/24"))?;
    ping(&host, [10, 64, 0, 1].into())?;

    // A device that cannot be made: nothing changes.
    site.lab().gateway().ip("link add taken0 type veth peer name taken1")?;
    write(&file, &least.replace("name = \"acme\"", "name = \"acme\"\ninterface = \"taken0\""))?;
    let refused = site.gateway().cli(&["reload", "--config", "gateway.toml"]);
    let refused = refused.expect_err("the name is taken").to_string();
    assert!(refused.contains("taken0"), "{refused}");
    ping(&host, [10, 64, 0, 1].into())?;
    site.lab().gateway().ip("link delete taken0")?;

    write(&file, &least)?;
    site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    alice.wait_down(Duration::from_secs(10))?;
    assert_eq!(office.ip("-o link show type tun")?, "");
    assert!(office.ip("link show lo").is_ok(), "it was there before");
    let (alice, _) = Client::connect(&site, &host, &Dial::new())?;
    ping(&host, CLOUD_HOST)?;
    alice.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_broken_file_changes_nothing_and_a_killed_gateway_takes_its_namespace_over()
-> Result<(), LabError> {
    let mut site = Site::open("reload-kill", Access::Nat, Config::default())?;
    let (host, file) = (site.client_host()?, site.gateway().folder().join("gateway.toml"));
    let (least, netns) = (read(&file)?, format!("{}-blue", lab(&site)));
    let (alice, _) = Client::connect(&site, &host, &Dial::new())?;
    let before = KernelState::read(site.lab().gateway())?;
    write(&file, &format!("{least}{}", blue(&netns)).replace("10.70.0.0/24", "10.70.0.0/99"))?;
    let refused = site.gateway().cli(&["reload", "--config", "gateway.toml"]);
    let refused = refused.expect_err("a pool that is none").to_string();
    let line = least.lines().count() + 5;
    assert!(refused.contains(&format!("gateway.toml:{line}")), "{refused}");
    before.refuse_leftovers(&KernelState::read(site.lab().gateway())?)?;
    ping(&host, CLOUD_HOST)?;
    alice.hang_up()?;

    write(&file, &format!("{least}{}", blue(&netns)))?;
    site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    site.kill_gateway()?;
    wait_for("the namespace of the next run", Duration::from_secs(20), || {
        let there = ip(&mut site, &netns, "address show dev ist-blue");
        Ok(there.ok().filter(|text| text.contains("10.70.0.1/32")).map(drop))
    })?;
    let name = Path::new("/run/netns").join(&netns);
    assert!(name.exists());
    site.wait_idle(Duration::from_secs(20))?;
    site.stop()?.close()?.passed();
    assert!(!name.exists(), "what it made goes with it");
    Ok(())
}

#[test]
fn reloads_that_do_not_concern_a_loaded_session_cost_it_nothing() -> Result<(), LabError> {
    let mut site = Site::open("reload-load", Access::Nat, Config::default())?;
    let (host, file) = (site.client_host()?, site.gateway().folder().join("gateway.toml"));
    let (least, netns) = (read(&file)?, format!("{}-blue", lab(&site)));
    let (alice, _) = Client::connect(&site, &host, &Dial::new())?;
    let session = site.gateway().sessions()?.at("/0/id")?.clone();
    let (_server, mut load) = load(&site, &host)?;
    let pings = start_ping(&site, &host, CLOUD_HOST, Duration::from_millis(50))?;
    let blue = blue(&netns);
    let policy =
        "\n[[tenant.policy.rule]]\nname = \"no\"\naction = \"deny\"\nto = \"10.9.0.0/16\"\n";
    for text in [&least, &(least.clone() + &blue), &(least.clone() + &blue + policy), &least] {
        write(&file, text)?;
        site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    }
    assert!(load.ended(LOAD * 3)?.success(), "{}", load.log());
    let heard = pings.finish()?;
    assert!(heard.lost.is_empty(), "{:?}", heard.lost);
    assert_eq!(site.gateway().sessions()?.at("/0/id")?, &session, "no reconnect");
    let report: Value = serde_json::from_str(&load.log())
        .map_err(|error| LabError::unexpected(format!("{error} in {}", load.log())))?;
    let intervals = report["intervals"].as_array().cloned().unwrap_or_default();
    let octets: Vec<_> = intervals.iter().filter_map(|i| i["sum"]["bytes"].as_u64()).collect();
    assert!(octets.len() > 4 && octets.iter().all(|octets| *octets > 0), "{octets:?}");
    alice.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// A transfer through the tunnel while a test goes on, and its server.
fn load(site: &Site, host: &Namespace) -> Result<(Daemon, Daemon), LabError> {
    let evidence = site.lab().evidence();
    let mut server = site.lab().cloud().host().command("iperf3");
    server.args(["--server", "--one-off", "--bind", &CLOUD_HOST.to_string()]);
    let server = Daemon::start("iperf3 in the cloud", &server, &evidence.path("server.iperf3"))?;
    site.lab().cloud().host().wait_bound("tcp", 5201, LOAD, || Ok(()))?;
    let mut client = host.command("iperf3");
    let (seconds, cloud) = (LOAD.as_secs().to_string(), CLOUD_HOST.to_string());
    // What is lost in a queue that overflows says nothing about reloads.
    client.args(["--json", "--client", &cloud, "--time", &seconds, "--bitrate", "50M"]);
    let log = evidence.path("client.iperf3");
    Ok((server, Daemon::start("iperf3 of the client", &client, &log)?))
}

/// How long there is load: longer than all reloads take.
const LOAD: Duration = Duration::from_secs(10);
const BLUE_PSK: &str = "blue moon over the harbour";
const MOVED: &str = "name = \"blue\"\ngateway_address = \"10.70.0.9\"";

/// A tenant with a key and a namespace of its own.
fn blue(netns: &str) -> String {
    format!(
        "\n[[tenant]]\nname = \"blue\"\nnetns = \"{netns}\"\npool = [\"10.70.0.0/24\"]\n\
         psk = \"{BLUE_PSK}\"\n[tenant.users.bob]\npassword = \"open sesame\"\n"
    )
}

fn two_hosts(site: &Site) -> Result<(Namespace, Namespace), LabError> {
    let first = site.client_host()?;
    let second = site.lab().namespace("client2")?;
    site.lab().plug_in(&second, "eth0", LAN_SECOND_PEER)?;
    Ok((first, second))
}

/// The name that the lab's namespaces begin with.
fn lab(site: &Site) -> String {
    let name = site.lab().gateway().name();
    name.rsplit_once('-').map(|(lab, _)| lab.to_owned()).unwrap_or_default()
}

/// Runs `ip` in a namespace as the gateway knows it.
fn ip(site: &mut Site, netns: &str, words: &str) -> Result<String, LabError> {
    let path = format!("/proc/{}/root/run/netns/{netns}", site.gateway().pid());
    let mut command = Command::new("nsenter");
    run(command.arg(format!("--net={path}")).arg("ip").args(words.split_whitespace()))
}

fn demand(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|said| said == *line), "{line}\nis not in\n{text}");
    }
}

fn read(file: &PathBuf) -> Result<String, LabError> {
    fs::read_to_string(file).map_err(|source| io(file, source))
}

fn write(file: &PathBuf, text: &str) -> Result<(), LabError> {
    fs::write(file, text).map_err(|source| io(file, source))
}

fn io(file: &Path, source: std::io::Error) -> LabError {
    LabError::Io { what: file.display().to_string(), source }
}
