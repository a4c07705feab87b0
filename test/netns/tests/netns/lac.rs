//! Plain L2TP: from a configured LAC, and from nobody else.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, DIRECT_PEER, GATEWAY, LabError, Namespace, wait_for};
use isthmus_netns::{Client, Config, Datagrams, Dial, Site, ping};

const LAC: &str = "[[lac]]\nname = \"metro\"\naddress = [\"ADDRESS\"]\nsecret = \"wholesale\"\n";

fn lac(address: &str) -> String {
    LAC.replace("ADDRESS", address)
}

/// Dials without IPsec, with this tunnel secret.
fn plainly(site: &Site, secret: &str) -> Result<Dial, LabError> {
    let file = site.lab().evidence().write(&format!("{secret}.secret"), secret)?;
    let options = format!("--no-ipsec --tunnel-secret-file {}", file.display());
    Ok(Dial::new().with(&options))
}

/// Whether something in the namespace has UDP port 1701 open.
fn listens(host: &Namespace) -> Result<bool, LabError> {
    Ok(host.is_bound("udp", 1701)? || host.is_bound("udp6", 1701)?)
}

#[test]
fn a_trusted_lac_hands_a_user_over_and_ipsec_clients_stay_sealed() -> Result<(), LabError> {
    let trusted = lac(&DIRECT_PEER.to_string());
    let config = Config { tenant: &trusted, ..Config::default() };
    let mut site = Site::open("lac", Access::Direct, config)?;
    assert!(listens(site.lab().gateway())?);
    let host = site.client_host()?;
    let dial = plainly(&site, "wholesale")?;
    let (client, up) = Client::connect(&site, &host, &dial)?;
    ping(&host, CLOUD_HOST)?;
    let sessions = site.gateway().sessions()?;
    assert_eq!(sessions.at("/0/identity")?, "metro", "{sessions}");
    assert_eq!(sessions.at("/0/address")?, &up.address.to_string(), "{sessions}");
    assert!(sessions.at("/0/suite")?.is_null(), "{sessions}");
    let status = site.gateway().status()?;
    assert_eq!(status.at("/lacs/0/name")?, "metro", "{status}");
    assert_eq!(status.at("/lacs/0/sessions")?, 1, "{status}");
    assert_eq!(status.at("/lacs/0/from/0")?, &format!("{DIRECT_PEER}:1701"), "{status}");
    assert!(client.log().contains("in the clear"), "the user is warned: {}", client.log());
    client.hang_up()?;
    site.wait_idle(Duration::from_secs(70))?;

    // The same host by IPsec, with the LAC in the configuration: nothing of it is in the clear.
    let (client, _) = Client::connect(&site, &host, &Dial::new().with("--local-port 1702"))?;
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.wait_idle(Duration::from_secs(20))?;
    let closed = site.stop()?.close_with_lacs(&[DIRECT_PEER.into()])?;
    assert!(closed.wire().esp_in_udp + closed.wire().esp_plain > 0);
    assert!(closed.log().contains("LAC tunnel up"));
    closed.passed();
    Ok(())
}

#[test]
fn a_wrong_secret_or_address_gets_nobody_in() -> Result<(), LabError> {
    let trusted = lac(&DIRECT_PEER.to_string());
    let config = Config { tenant: &trusted, ..Config::default() };
    let mut site = Site::open("lac-refused", Access::Direct, config)?;
    let host = site.client_host()?;
    let dial = plainly(&site, "guessed")?;
    let down = Client::start(&site, &host, &dial)?.wait_down(Duration::from_secs(90))?;
    assert_eq!(down.stage, "l2tp", "{down:?}");

    // From another address not a byte comes back, and the gateway has counted why.
    host.ip(&format!("address add {STRANGER}/24 dev eth0"))?;
    let stranger = Datagrams::open(&host, STRANGER)?;
    stranger.send_to("anything", (GATEWAY, 1701).into())?;
    wait_for("the stranger to be counted", Duration::from_secs(5), || {
        let status = site.gateway().status()?;
        let drops = status.at("/drops")?.as_array().cloned().unwrap_or_default();
        Ok(drops.iter().any(|drop| drop["reason"] == "not_trusted").then_some(()))
    })?;
    assert!(stranger.receive().is_err(), "it was answered");
    // Those with IPsec are not disturbed.
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.wait_idle(Duration::from_secs(90))?;
    let plain = [DIRECT_PEER.into(), STRANGER.into()];
    let closed = site.stop()?.close_with_lacs(&plain)?;
    assert!(closed.wire().clear_l2tp.iter().all(|p| p.destination.0 != IpAddr::from(STRANGER)));
    closed.passed();
    Ok(())
}

#[test]
fn without_a_lac_in_the_configuration_udp_1701_is_closed() -> Result<(), LabError> {
    let site = Site::open("lac-none", Access::Direct, Config::default())?;
    assert!(!listens(site.lab().gateway())?);
    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    assert!(!listens(site.lab().gateway())?);
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

const STRANGER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 60);
