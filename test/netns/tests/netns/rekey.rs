//! The client replaces its SAs before they end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use isthmus_interop::{Access, CLOUD_HOST, LOST_PER_REKEY_MAX, LabError, wait_for};
use isthmus_netns::{Client, Config, Dial, PING_INTERVAL, Site, start_ping};

#[test]
fn child_and_ike_rekeys_cost_at_most_one_ping() -> Result<(), LabError> {
    let mut site = Site::open("rekey", Access::NatRewritingPorts, Config::default())?;
    let host = site.client_host()?;
    let dial = Dial::new().with("--child-lifetime 30s --ike-lifetime 60s");
    let (client, up) = Client::connect(&site, &host, &dial)?;
    let up_ping = start_ping(&site, &host, CLOUD_HOST, INTERVAL)?;
    let down_ping = start_ping(&site, site.lab().cloud().host(), up.address, INTERVAL)?;

    // An SA for each direction of the first child and of the two that follow it.
    wait_for("two child rekeys and one IKE rekey", LIFETIMES_LIMIT, || {
        let wire = site.lab().peek_capture();
        Ok(wire.filter(|wire| wire.esp_sas.len() >= 6 && wire.ike_cookies.len() >= 2))
    })?;
    let answers = up_ping.answers();
    wait_for("pings over the last SAs", Duration::from_secs(10), || {
        Ok((up_ping.answers() > answers + 4).then_some(()))
    })?;
    for (way, ping) in [("to the cloud", up_ping), ("to the client", down_ping)] {
        let run = ping.finish()?;
        site.lab().evidence().note(&format!("{way}: lost {:?} of {}", run.lost, run.sent));
        assert!(run.lost.len() <= LOST_PER_REKEY_MAX, "{way}: lost {:?} of {}", run.lost, run.sent);
    }

    let status = site.gateway().status()?;
    assert_eq!((status.count("peers")?, status.count("sessions")?), (1, 1), "{status}");
    assert_eq!(status.count("sessions_total")?, 1, "the session went on: {status}");
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// Windows deletes the old SAs before it confirms the new ones.
#[test]
fn a_minute_of_windows_that_rekeys_every_second_costs_no_ping() -> Result<(), LabError> {
    let mut site = Site::open("rekey-windows", Access::NatRewritingPorts, Config::default())?;
    let host = site.client_host()?;
    let dial = Dial::new().with("--as windows10 --source-ports 500,4500");
    let (mut client, up) = Client::connect(&site, &host, &dial)?;
    let up_ping = start_ping(&site, &host, CLOUD_HOST, PING_INTERVAL)?;
    let down_ping = start_ping(&site, site.lab().cloud().host(), up.address, PING_INTERVAL)?;

    let start = Instant::now();
    for second in 0..60 {
        sleep((start + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
        client.rekey_child()?;
    }
    client.rekey_ike()?;
    let answers = up_ping.answers();
    wait_for("pings over the last SAs", Duration::from_secs(10), || {
        Ok((up_ping.answers() > answers + 12).then_some(()))
    })?;
    for (way, ping) in [("to the cloud", up_ping), ("to the client", down_ping)] {
        let run = ping.finish()?;
        assert_eq!(run.lost, [0_u32; 0], "{way}: lost of {}", run.sent);
        assert!(run.sent >= 300, "{way}: {} sent in a minute", run.sent);
    }
    let status = site.gateway().status()?;
    assert_eq!((status.count("peers")?, status.count("sessions_total")?), (1, 1), "{status}");
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// Two pings a second.
const INTERVAL: Duration = Duration::from_millis(500);
/// Twice 30 s and once 60 s side by side, and what a busy machine takes.
const LIFETIMES_LIMIT: Duration = Duration::from_secs(90);
