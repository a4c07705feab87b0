//! How things end: each side, with a word and without one.

use std::fs;
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, KernelState, LabError};
use isthmus_netns::{Client, Config, Dial, Site, ping};

#[test]
fn a_gateway_that_ends_tells_its_clients_and_leaves_the_kernel_as_it_was() -> Result<(), LabError> {
    let config = Config { tenant: EGRESS, ..Config::default() };
    let mut site = Site::open("shutdown-gateway", Access::Nat, config)?;
    let host = site.client_host()?;
    let before = KernelState::read(&host)?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    ping(&host, CLOUD_HOST)?;
    let busy = KernelState::read(site.lab().gateway())?;

    let gateway = site.lab().gateway().name().to_owned();
    let status = site.gateway().status()?;
    assert_eq!(status.count("sessions")?, 1, "{status}");
    let stopped = site.stop()?;
    let down = client.wait_down(TOLD_LIMIT)?;
    assert_eq!((down.exit, down.requested), (Some(1), false), "{down:?}");
    assert_eq!(down.stage, "up", "{down:?}");
    before.refuse_leftovers(&KernelState::read(&host)?)?;
    let traces = busy.to_string();
    for trace in EGRESS_TRACES.iter().chain(&["ist-acme", "10.64.0.0/24", "ip_forward = 1"]) {
        assert!(traces.contains(trace), "{gateway} had no `{trace}` while it ran:\n{traces}");
    }
    stopped.close()?.passed();
    Ok(())
}

#[test]
fn a_client_that_ends_is_gone_from_the_gateway_at_once_and_leaves_its_kernel_as_it_was()
-> Result<(), LabError> {
    let mut site = Site::open("shutdown-client", Access::Nat, Config::default())?;
    let host = site.client_host()?;
    let before = KernelState::read(&host)?;
    for option in ["--routes 10.0.0.0/24", "--default-route"] {
        let (client, _) = Client::connect(&site, &host, &Dial::new().routes(option))?;
        ping(&host, CLOUD_HOST)?;
        client.hang_up()?;
        site.wait_idle(AT_ONCE)?;
        before.refuse_leftovers(&KernelState::read(&host)?)?;
    }
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_session_that_the_operator_ends_is_told_to_its_client() -> Result<(), LabError> {
    let mut site = Site::open("shutdown-session", Access::Nat, Config::default())?;
    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    let id = site.gateway().sessions()?.at("/0/id")?.to_string();
    site.gateway().cli(&["sessions", "--disconnect", &id])?;
    let down = client.wait_down(TOLD_LIMIT)?;
    assert_eq!((down.exit, down.requested), (Some(1), false), "{down:?}");
    site.wait_idle(AT_ONCE)?;
    assert!(site.gateway().cli(&["sessions", "--disconnect", &id]).is_err(), "it is gone");
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_killed_client_is_forgotten_and_its_next_run_cleans_up() -> Result<(), LabError> {
    let config = Config { ipsec: r#"dpd_interval = "2s""#, ..Config::default() };
    let mut site = Site::open("shutdown-client-kill", Access::Nat, config)?;
    let host = site.client_host()?;
    let before = KernelState::read(&host)?;
    let everything = Dial::new().routes("--default-route");
    let (client, _) = Client::connect(&site, &host, &everything)?;
    ping(&host, CLOUD_HOST)?;
    drop(client);
    let left = before.refuse_leftovers(&KernelState::read(&host)?);
    assert!(left.is_err(), "a killed client cannot clean up");
    site.wait_idle(FORGET_LIMIT)?;

    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    before.refuse_leftovers(&KernelState::read(&host)?)?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_killed_gateway_starts_again_serves_and_removes_what_it_had_left() -> Result<(), LabError> {
    let config = Config { tenant: EGRESS, ..Config::default() };
    let mut site = Site::open("shutdown-kill", Access::Nat, config)?;
    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    ping(&host, CLOUD_HOST)?;
    // The next start wants less than the last one left.
    let less = Config::default().to_string();
    let file = site.gateway().folder().join("gateway.toml");
    fs::write(&file, less).map_err(|source| LabError::io(&file, source))?;
    assert_eq!(traces(&site)?, EGRESS_TRACES, "there is something to leave behind");
    site.kill_gateway()?;
    assert_eq!(traces(&site)?, [""; 0], "the next start removes it");

    client.hang_up()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// Which of [`EGRESS_TRACES`] are in the gateway's kernel.
fn traces(site: &Site) -> Result<Vec<&'static str>, LabError> {
    let state = KernelState::read(site.lab().gateway())?.to_string();
    Ok(EGRESS_TRACES.into_iter().filter(|trace| state.contains(trace)).collect())
}

/// What [`EGRESS`] puts into the kernel.
const EGRESS_TRACES: [&str; 3] = ["masquerade", "lookup 17300", "172.20.0.0/16 via"];
/// Something of every kind that the gateway can put into the kernel.
const EGRESS: &str = r#"
    [[tenant.egress]]
    name = "near"
    match = { to = ["10.0.0.0/24"] }
    via = { interface = "eth1" }
    nat = "masquerade"
    [[tenant.egress]]
    name = "far"
    match = { to = ["172.20.0.0/16"] }
    via = { interface = "eth1", gateway = "10.0.0.2" }"#;
/// The farewell is a packet, not a timeout.
const TOLD_LIMIT: Duration = Duration::from_secs(5);
/// How long the gateway may ask a dead peer whether it is alive.
const FORGET_LIMIT: Duration = Duration::from_mins(1);
/// No timer of any protocol is that short.
const AT_ONCE: Duration = Duration::from_secs(2);
