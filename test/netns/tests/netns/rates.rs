//! How fast a user may be.

use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, LAN_SECOND_PEER, LabError};
use isthmus_netns::{Client, Config, Dial, Flow, Site, ping};

#[test]
fn a_user_with_a_rate_stays_below_it_both_ways_and_another_does_not() -> Result<(), LabError> {
    let config = Config { users: BOB, ..Config::default() };
    let mut site = Site::open("rates", Access::Nat, config)?;
    let (alice_host, bob_host) = (site.client_host()?, site.lab().namespace("bob")?);
    site.lab().plug_in(&bob_host, "eth0", LAN_SECOND_PEER)?;
    let (alice, alice_up) = Client::connect(&site, &alice_host, &Dial::new())?;
    let (bob, bob_up) = Client::connect(&site, &bob_host, &Dial::new().user("bob", "open sesame"))?;
    let cloud = (site.lab().cloud().host(), CLOUD_HOST);
    for start in [Flow::up, Flow::down] {
        let free = start((&alice_host, alice_up.address), cloud, TIME)?;
        let slow = start((&bob_host, bob_up.address), cloud, TIME)?;
        let (free, slow) = (free.finish()?, slow.finish()?);
        let most = slow.most(RATE, BURST);
        assert!(slow.bytes < most, "more than {most} bytes in {slow:?}");
        assert!(slow.rate() > RATE / 4, "{slow:?} is far below the rate");
        assert!(free.rate() > 4 * RATE, "{free:?} is held back as well");
    }
    let own = session_of(&mut site, "bob")?;
    for key in ["dropped_rate_up", "dropped_rate_down"] {
        assert!(own[key].as_u64() > Some(0), "{key} of {own}");
    }
    assert_eq!(
        (own["rate_up_bits"].as_u64(), own["burst_up_bytes"].as_u64()),
        (Some(RATE), Some(BURST))
    );
    let other = session_of(&mut site, "alice")?;
    assert_eq!(
        (other["rate_up_bits"].as_u64(), other["dropped_rate_up"].as_u64()),
        (None, Some(0))
    );
    let status = site.gateway().status()?;
    assert!(status.mentions("rate_up") && status.mentions("rate_down"), "{status}");
    ping(&bob_host, CLOUD_HOST)?;
    alice.hang_up()?;
    bob.hang_up()?;
    site.close()?.passed();
    Ok(())
}

fn session_of(site: &mut Site, user: &str) -> Result<serde_json::Value, LabError> {
    let sessions = site.gateway().sessions()?;
    let all = sessions.at("")?.as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|session| session["user"] == user);
    found.ok_or_else(|| LabError::unexpected(format!("{user} is not in {sessions}")))
}

/// Bits per second of the limited user, and the bytes that pass beyond.
const RATE: u64 = 2_000_000;
const BURST: u64 = 65_536;
const BOB: &str =
    "[users.bob]\npassword = \"open sesame\"\nrate_up = \"2Mbit/s\"\nrate_down = \"2Mbit/s\"\n";
const TIME: Duration = Duration::from_secs(6);
