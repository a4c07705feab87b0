//! The NAT forgets its mappings, or gets another address, under a session.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, LabError, NAT, wait_for};
use isthmus_netns::{Client, Config, Dial, Site, download, start_ping};

#[test]
fn a_session_goes_on_when_the_nat_changes_its_port_and_its_address() -> Result<(), LabError> {
    let mut site = Site::open("roaming", Access::NatRewritingPorts, Config::default())?;
    let host = site.client_host()?;
    let (client, up) = Client::connect(&site, &host, &Dial::new())?;
    let ping = start_ping(&site, &host, CLOUD_HOST, INTERVAL)?;
    let mut from = origin(&mut site)?;

    for address in [NAT, MOVED] {
        let answers = ping.answers();
        wait_for("an answer before the change", SOON, || {
            Ok((ping.answers() > answers).then_some(()))
        })?;
        site.rebind_nat(address)?;
        let now = wait_for(&format!("the session to come from {address}"), SOON, || {
            let now = origin(&mut site)?;
            Ok((now != from).then_some(now))
        })?;
        assert!(now.starts_with(&format!("{address}:")), "{now} after {from}");
        from = now;
        let answers = ping.answers();
        wait_for("answers after the change", SOON, || {
            Ok((ping.answers() > answers + 2).then_some(()))
        })?;
    }
    let run = ping.finish()?;
    site.lab().evidence().note(&format!("lost {:?} of {}", run.lost, run.sent));
    assert!(run.lost.len() <= LOST_MAX, "lost {:?} of {}", run.lost, run.sent);

    // IKE follows as well: the gateway's next question and the client's farewell go the new way.
    download(&site, &host)?;
    isthmus_netns::ping(site.lab().cloud().host(), up.address)?;
    let status = site.gateway().status()?;
    assert_eq!((status.count("peers")?, status.count("sessions_total")?), (1, 1), "{status}");
    client.hang_up()?;
    site.wait_idle(Duration::from_secs(2))?;
    site.close()?.passed();
    Ok(())
}

/// Where the gateway sees the only session come from.
fn origin(site: &mut Site) -> Result<String, LabError> {
    let sessions = site.gateway().sessions()?;
    let from = sessions.at("/0/from")?.as_str().map(str::to_owned);
    from.ok_or_else(|| LabError::unexpected(format!("no address in {sessions}")))
}

/// The NAT's other address.
const MOVED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 78);
/// Five pings a second.
const INTERVAL: Duration = Duration::from_millis(200);
/// For each of two changes one second, which contains the change itself.
const LOST_MAX: usize = 2 * 5;
/// How long a change may take to be seen on a busy machine.
const SOON: Duration = Duration::from_secs(5);
