//! Every client people have, as our own client can speak: the real binary at both ends.

use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, LabError};
use isthmus_netns::{Client, Config, Dial, Site, ping};

/// One after the other from the same machine; those that leave without an IKE DELETE are followed by
/// the next before the gateway has forgotten them.
#[test]
fn every_client_connects_passes_traffic_and_disconnects() -> Result<(), LabError> {
    let config = Config { ipsec: "legacy = true", ..Config::default() };
    let mut site = Site::open("profiles", Access::NatRewritingPorts, config)?;
    let host = site.client_host()?;
    for (profile, suite) in PROFILES {
        let dial = Dial::new().with(&format!("--as {profile} --source-ports 500,4500"));
        let (client, up) = Client::connect(&site, &host, &dial)?;
        let sessions = site.gateway().sessions()?;
        assert_eq!(sessions.at("/0/user")?, "alice", "{profile}: {sessions}");
        assert_eq!(sessions.at("/0/address")?, &up.address.to_string(), "{profile}: {sessions}");
        assert_eq!(sessions.at("/0/suite")?, suite, "{profile}: {sessions}");
        ping(&host, CLOUD_HOST)?;
        ping(site.lab().cloud().host(), up.address)?;
        client.hang_up()?;
        site.gateway().wait_count("sessions", 0, Duration::from_secs(5))?;
    }
    // The last to leave without a word are forgotten by the gateway's own clock.
    site.wait_idle(Duration::from_secs(30))?;
    let closed = site.close()?;
    assert_eq!(closed.wire().esp_plain, 0, "behind a NAT all ESP is in UDP");
    closed.passed();
    Ok(())
}

/// Each with the suite that a gateway with every suite gives it: the first it offers that we can do.
const PROFILES: [(&str, &str); 13] = [
    ("windows7", "aes256-sha1"),
    ("windows10", "aes256-sha1"),
    ("windows11", "aes256-sha1"),
    ("macos_ios_modern", "aes256-sha256"),
    ("macos_ios_old", "aes256-sha1"),
    ("android_7_11", "aes256-sha1"),
    ("android_6", "aes256-sha1"),
    ("chromeos", "aes128gcm16"),
    ("nm_strongswan", "aes256-sha1"),
    ("nm_libreswan", "aes256-sha1"),
    ("mikrotik", "aes256-sha1"),
    ("tplink", "3des-sha1"),
    ("xl2tpd", "aes256-sha256"),
];
