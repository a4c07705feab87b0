//! 20,000 spoofed first messages a second: the connected do not notice, and the next one gets in.

use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, LabError, wait_for};
use isthmus_netns::{Attacker, Client, Config, Dial, Site, ping, start_ping};

#[test]
fn a_flood_of_spoofed_first_messages_disturbs_nobody() -> Result<(), LabError> {
    let lab = Site::lab_for("flood", Access::Nat)?;
    let attacker = Attacker::plug_in(&lab)?;
    let config =
        Config { users: "[users.bob]\npassword = \"looking glass\"\n", ..Config::default() };
    let mut site = Site::serve(lab, config)?;
    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    let before = attacker.traffic()?;

    let flood = attacker.flood(RATE, MESSAGES)?;
    let running = start_ping(&site, &host, CLOUD_HOST, Duration::from_millis(50))?;
    // Whatever the flood can fill, it has filled by then.
    wait_for("most of the flood", Duration::from_mins(1), || {
        let sent = attacker.traffic()?.packets - before.packets;
        Ok((sent > MESSAGES * 3 / 4).then_some(()))
    })?;
    let newcomer = site.lab().namespace("newcomer")?;
    site.lab().plug_in(&newcomer, "eth0", [192, 168, 77, 9].into())?;
    let dial = Dial::new().user("bob", "looking glass");
    let (second, _) = Client::connect(&site, &newcomer, &dial)?;
    ping(&newcomer, CLOUD_HOST)?;
    let rate = flood.finish()?;
    let pings = running.finish()?;
    assert!(pings.sent >= 100, "{pings:?}");
    assert!(
        pings.lost.len() * 100 < pings.sent as usize,
        "lost {:?} of {}",
        pings.lost,
        pings.sent
    );

    let after = attacker.traffic()?;
    assert!(after.packets - before.packets >= MESSAGES, "{after:?}");
    let (sent, answered) = (after.sent - before.sent, after.answered - before.answered);
    assert!(answered <= sent, "{answered} octets came back for {sent}");
    site.lab().evidence().note(&format!(
        "{rate} messages a second, {} of {} pings lost, {answered} octets answered for {sent}",
        pings.lost.len(),
        pings.sent
    ));
    second.hang_up()?;
    client.hang_up()?;
    site.gateway().wait_count("peers", 0, Duration::from_secs(10))?;
    site.close()?.passed();
    Ok(())
}

/// Messages a second.
const RATE: u32 = 20_000;
/// Ten seconds of them.
const MESSAGES: u64 = 200_000;
