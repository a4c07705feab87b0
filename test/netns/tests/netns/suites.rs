//! Every ESP suite, through a NAT in UDP and without one as IP protocol 50.

use isthmus_interop::{Access, CLOUD_HOST, LabError};
use isthmus_netns::{Client, Config, Dial, Site, download, ping};

#[test]
fn each_suite_carries_pings_and_a_download_through_a_nat_that_rewrites_ports()
-> Result<(), LabError> {
    let closed = use_each_suite("suites-nat", Access::NatRewritingPorts, true)?;
    let wire = closed.wire();
    assert!(wire.esp_in_udp > 0 && wire.esp_octets > DOWNLOADS_OCTETS, "{wire:?}");
    assert_eq!(wire.esp_plain, 0, "behind a NAT all ESP is in UDP");
    closed.passed();
    Ok(())
}

#[test]
fn each_suite_carries_pings_and_a_download_without_a_nat_in_plain_esp() -> Result<(), LabError> {
    let closed = use_each_suite("suites-direct", Access::Direct, false)?;
    let wire = closed.wire();
    assert!(wire.esp_plain > 0 && wire.esp_octets > DOWNLOADS_OCTETS, "{wire:?}");
    assert_eq!(wire.esp_in_udp, 0, "without a NAT nothing needs UDP around ESP");
    closed.passed();
    Ok(())
}

/// One client after the other.
fn use_each_suite(
    test: &str,
    access: Access,
    in_udp: bool,
) -> Result<isthmus_netns::Closed, LabError> {
    let mut site = Site::open(test, access, Config { ipsec: ESP, ..Config::default() })?;
    let host = site.client_host()?;
    for suite in SUITES {
        let dial = Dial::new().with(&format!("--esp {suite}"));
        let (client, up) = Client::connect(&site, &host, &dial)?;
        let secured = client.event("secured").unwrap_or_default();
        assert_eq!(secured.get("suite"), Some(&suite.into()), "{secured}");
        assert_eq!(secured.get("encapsulated"), Some(&in_udp.into()), "{secured}");
        let sessions = site.gateway().sessions()?;
        assert_eq!(sessions.at("/0/suite")?, suite, "{sessions}");
        assert_eq!(sessions.at("/0/encapsulated")?, in_udp, "{sessions}");
        assert_eq!(sessions.at("/0/address")?, &up.address.to_string(), "{sessions}");

        ping(&host, CLOUD_HOST)?;
        ping(site.lab().cloud().host(), up.address)?;
        download(&site, &host)?;
        client.hang_up()?;
        site.wait_idle(std::time::Duration::from_secs(5))?;
    }
    site.close()
}

/// What the issues of real clients ask for; the gateway takes them in this order.
const SUITES: [&str; 3] = ["aes256-sha1", "aes256-sha256", "aes256gcm16"];
const ESP: &str = r#"esp = ["aes256gcm16", "aes256-sha256", "aes256-sha1"]"#;
/// Each suite carries 10 MiB of random octets, which nothing can make shorter.
const DOWNLOADS_OCTETS: u64 = 3 * (10 << 20);
