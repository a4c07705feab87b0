//! Every client people have, as our own client can speak: the real binary at both ends.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, LAN_PEER, LabError, NAT, Namespace};
use isthmus_netns::{
    Client, Config, Dial, Member, Pings, Place, Site, everybody_gets_its_own_answers, ping,
};

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

/// All at once, each on a host of its own behind the same NAT.
#[test]
fn every_client_rekeys_follows_a_new_mapping_and_leaves_in_its_own_way() -> Result<(), LabError> {
    let users = users();
    let config = Config { ipsec: "legacy = true", users: &users, ..Config::default() };
    let mut site = Site::open("profiles-live", Access::NatRewritingPorts, config)?;
    let mut members = Place::connect_all(&site, places(&site)?)?;
    everybody_gets_its_own_answers(&site, &members, 1)?;

    let pings = Pings::start(&site, &members)?;
    for member in &mut members {
        member.client.rekey_child()?;
        member.client.rekey_ike()?;
    }
    // Those that delete the old SAs at once have done without them for long, then.
    pings.wait_answers(15)?;
    pings.finish(0)?;
    let status = site.gateway().status()?;
    assert_eq!((status.count("peers")?, status.count("sessions_total")?), (13, 13), "{status}");

    let pings = Pings::start(&site, &members)?;
    let before = origins(&mut site)?;
    site.rebind_nat(NAT)?;
    pings.wait_answers(10)?;
    pings.finish(ANSWERS_IN_A_SECOND)?;
    let after = origins(&mut site)?;
    assert!(before.iter().all(|from| !after.contains(from)), "{before:?}, then {after:?}");
    everybody_gets_its_own_answers(&site, &members, 1)?;
    // IKE follows as well: it has moved with the packets.
    for member in &mut members {
        member.client.rekey_child()?;
    }

    Member::hang_up_all(members)?;
    site.gateway().wait_count("sessions", 0, Duration::from_secs(5))?;
    // Both of Apple leave without an IKE DELETE and are forgotten by the gateway's own clock.
    site.wait_idle(Duration::from_secs(30))?;
    let status = site.gateway().status()?;
    assert_eq!(status.count("sessions_total")?, 13, "nobody had to come back: {status}");
    let closed = site.close()?;
    let gone = |reason: &str| {
        let said = format!("reason=\"{reason}\"");
        let lines = closed.log().lines();
        lines.filter(|line| line.contains("peer gone") && line.contains(&said)).count()
    };
    assert_eq!((gone("deleted"), gone("closed")), (11, 2), "{}", closed.log());
    closed.passed();
    Ok(())
}

/// From the same address and ports, as the same user, while the gateway still has the old session.
#[test]
fn every_client_gets_back_in_after_a_crash_and_is_forgotten_when_it_vanishes()
-> Result<(), LabError> {
    let users = users();
    let config = Config {
        ipsec: "legacy = true",
        ppp: "echo_interval = \"2s\"",
        users: &users,
        ..Config::default()
    };
    let mut site = Site::open("profiles-crash", Access::NatRewritingPorts, config)?;
    let members = Place::connect_all(&site, places(&site)?)?;
    everybody_gets_its_own_answers(&site, &members, 1)?;

    let places = members.into_iter().map(Member::kill).collect::<Result<Vec<_>, _>>()?;
    let status = site.gateway().status()?;
    assert_eq!(status.count("sessions")?, 13, "their old selves are there: {status}");
    let members = Place::connect_all(&site, places)?;
    site.gateway().wait_count("sessions", 13, Duration::from_secs(5))?;
    let status = site.gateway().status()?;
    assert_eq!(status.at("/tenants/0/pool_used")?, 13, "each has one address: {status}");
    everybody_gets_its_own_answers(&site, &members, 3)?;

    for member in members {
        member.kill()?;
    }
    site.gateway().wait_count("sessions", 0, FORGET_SESSION)?;
    site.wait_idle(FORGET_PEER)?;
    site.close()?.passed();
    Ok(())
}

/// A host for each profile, with a user of that name.
fn places(site: &Site) -> Result<Vec<Place>, LabError> {
    let hosts = (0..).zip(PROFILES).map(|(number, (profile, _))| {
        let host = host(site, number)?;
        let dial = Dial::new()
            .user(profile, PASSWORD)
            .with(&format!("--as {profile} --source-ports 500,4500"));
        Ok(Place { user: profile.to_owned(), host, dial })
    });
    hosts.collect()
}

fn host(site: &Site, number: u8) -> Result<Namespace, LabError> {
    let host = site.lab().namespace(&format!("as{number}"))?;
    let [a, b, c, d] = LAN_PEER.octets();
    site.lab().plug_in(&host, "eth0", Ipv4Addr::new(a, b, c, d + number))?;
    Ok(host)
}

fn users() -> String {
    let one = |(profile, _)| format!("[users.{profile}]\npassword = \"{PASSWORD}\"\n");
    PROFILES.map(one).concat()
}

/// Where the gateway sees the sessions come from.
fn origins(site: &mut Site) -> Result<Vec<String>, LabError> {
    let sessions = site.gateway().sessions()?;
    let from = (0..PROFILES.len()).map(|index| {
        let from = sessions.at(&format!("/{index}/from"))?;
        Ok(from.as_str().unwrap_or_default().to_owned())
    });
    from.collect()
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
/// The password of each profile's user.
const PASSWORD: &str = "as everybody";
/// What a NAT that forgets may cost: a second of [`isthmus_netns::PING_INTERVAL`].
const ANSWERS_IN_A_SECOND: usize = 5;
/// Four questions in intervals of two seconds; one interval may have begun with the last packet.
const FORGET_SESSION: Duration = Duration::from_secs(2 * 6 + 3);
/// A peer without a session is closed after 15 s.
const FORGET_PEER: Duration = Duration::from_secs(15 + 3);
